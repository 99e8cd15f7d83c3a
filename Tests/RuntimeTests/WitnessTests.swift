import Foundation
import Primitives
import Programs
import Runtime
import Testing

/// Evidence for single leaves: what it convicts, what it cannot, and how large it is.
@Suite struct WitnessTests {
    /// A step traced, with whoever can prove anything about it.
    struct Case {
        let program: Program
        let maker: WitnessMaker
        let leading: Int

        var operations: [OperationRecord] { maker.trace.program.scans[maker.trace.scan].operations }

        /// All steps of a program of inputs alone.
        static func all(_ program: Program, _ inputs: [Tensor], seed: UInt64) throws -> [Case] {
            let fixed = try program.specialise([])
            return try ExecutorTests.withPointers(inputs) { pointers in
                let tracer = try Tracer(fixed, parameters: [], inputs: pointers, seed: seed)
                var position = tracer.start
                var cases: [Case] = []
                while position.scan < fixed.scans.count {
                    let trace = try tracer.trace(&position)
                    cases.append(
                        Case(
                            program: program, maker: WitnessMaker(program, axes: [], trace),
                            leading: program.leadingCount))
                }
                return cases
            }
        }

        static func random(_ seed: UInt64) throws -> Case {
            var graph = AdversarialGraph(seed: seed)
            return try all(try graph.program(), graph.tensors(), seed: seed)[1]
        }

        func bits(_ operation: Int, _ element: UInt64) -> UInt64 {
            maker.trace.bits(element, of: ValueID(leading + operation)) ?? 0
        }

        /// Everything that an honest defender says of an element, each where a challenger may disagree.
        func claims(_ operation: Int, _ element: UInt64) throws -> [LeafClaim] {
            let leaf = try maker.trace.leaf(operation)
            let bits = bits(operation, element)
            let count = leaf.segmentCount(of: element)
            var claims: [LeafClaim] = count <= 1 ? [.element(element, bits: bits)] : []
            var total = leaf.start
            for segment in 0..<count {
                let next = try leaf.advanced(
                    total, segment: segment, of: element, claim: bits, from: maker.trace.operands(operation))
                claims.append(
                    .segment(
                        segment, of: element, bits: bits, before: segment == 0 ? [] : leaf.bytes(of: total),
                        after: leaf.bytes(of: next)))
                total = next
            }
            if count > 0 { claims.append(.finish(element, bits: bits, total: leaf.bytes(of: total))) }
            return claims
        }

        func judge(_ claim: LeafClaim, _ operation: Int) throws -> Verdict {
            try maker.witness(claim, operation: operation).judge(claim, operation: UInt32(operation), in: maker.step)
        }
    }

    /// The claim with one bit of what is claimed flipped. That the count of another element of a sort fits would be no lie at the finish but in a segment.
    static func wrong(_ claim: LeafClaim, bit: UInt64, _ record: OperationRecord) -> LeafClaim {
        let size = record.result.element.size
        let isSort = if case .sort = record.operation { true } else { false }
        func flipped(_ bytes: [UInt8]) -> [UInt8] {
            var bytes = bytes
            bytes[Int(bit / 8) % bytes.count] ^= 1 << UInt8(bit % 8)
            return bytes
        }
        let mask = UInt64(1) << (bit % UInt64(8 * size))
        switch claim {
        case .element(let element, let bits): return .element(element, bits: bits ^ mask)
        case .segment(let number, let element, let bits, let before, let after):
            return .segment(number, of: element, bits: bits, before: before, after: flipped(after))
        case .finish(let element, let bits, let total):
            return isSort
                ? .finish(element, bits: bits, total: flipped(total))
                : .finish(element, bits: bits ^ mask, total: total)
        }
    }

    @Test func theTruthIsUpheldAndEveryLieRefuted() throws {
        var judged = 0
        for seed in UInt64(1)...30 {
            let item = try Case.random(seed)
            var random = SplitMix64(seed: seed)
            let limit = item.program.evidenceBytes(item.maker.trace.program)
            for (number, record) in item.operations.enumerated() where record.result.count > 0 {
                for _ in 0..<4 {
                    let element = random.next() % record.result.count
                    for claim in try item.claims(number, element) {
                        let place: Comment = "seed \(seed) op \(number) \(claim)"
                        let witness = try item.maker.witness(claim, operation: number)
                        #expect(
                            try witness.judge(claim, operation: UInt32(number), in: item.maker.step) == .upheld, place)
                        let bytes = witness.canonicalBytes
                        #expect(bytes.count <= limit, place)
                        #expect(try Witness(canonicalBytes: bytes) == witness, place)
                        #expect(try LeafClaim(canonicalBytes: claim.canonicalBytes) == claim)
                        let lie = Self.wrong(claim, bit: random.next() % 128, record)
                        #expect(try item.judge(lie, number) == .refuted, "\(lie) of \(place)")
                        judged += 2
                    }
                }
            }
        }
        #expect(judged > 3_000)
    }

    /// No bytes at all turn an honest defender into a liar, or a lie into the truth.
    @Test func noChangedWitnessTurnsAVerdict() throws {
        let item = try Case.random(7)
        var random = SplitMix64(seed: SoftfloatTests.seed)
        var kept = 0
        for (number, record) in item.operations.enumerated() where record.result.count > 0 {
            let element = random.next() % record.result.count
            guard let truth = try item.claims(number, element).first else { continue }
            let lie = Self.wrong(truth, bit: random.next() % 128, record)
            for (claim, verdict) in [(truth, Verdict.upheld), (lie, .refuted)] {
                let bytes = try item.maker.witness(claim, operation: number).canonicalBytes
                for _ in 0..<300 {
                    let changed = Mutation.of(bytes, &random)
                    guard let witness = try? Witness(canonicalBytes: changed) else { continue }
                    #expect(witness.canonicalBytes == changed, "a second encoding, seed \(SoftfloatTests.seed)")
                    if changed == bytes { continue }
                    guard let found = try? witness.judge(claim, operation: UInt32(number), in: item.maker.step) else {
                        continue
                    }
                    #expect(found == verdict, "seed \(SoftfloatTests.seed) op \(number)")
                    // Only the type of a tensor that decides nothing can be another.
                    if witness.tensors.allSatisfy({ $0.proof != nil }) { kept += 1 }
                }
            }
        }
        // Every byte that decides is under a root.
        #expect(kept == 0)
    }

    @Test func aWitnessHasOneEncodingAndNoEndBeforeItsEnd() throws {
        let item = try Self.chain()
        let claim = try item.claims(1, 0)[0]
        let bytes = try item.maker.witness(claim, operation: 1).canonicalBytes
        for length in 0..<bytes.count {
            #expect(throws: DecodingFault.self) { try Witness(canonicalBytes: Array(bytes[..<length])) }
        }
        #expect(throws: DecodingFault.self) { try Witness(canonicalBytes: bytes + [0]) }
        let step = item.maker.step.canonicalBytes
        #expect(try DisputedStep(canonicalBytes: step) == item.maker.step)
        for length in 0..<step.count {
            #expect(throws: DecodingFault.self) { try DisputedStep(canonicalBytes: Array(step[..<length])) }
        }
    }

    // MARK: Attacks

    /// Two rows of 300, their contraction, its sum with a vector, and the sum once more.
    static func chain() throws -> Case {
        var graph = GraphBuilder(leading: [
            TensorType(.f32, [2, 300]), TensorType(.f32, [2, 300]), TensorType(.f32, [2]),
        ])
        let product = graph.contract(ValueID(0), ValueID(1))
        let sum = graph.sum(product, ValueID(2))
        let again = graph.sum(sum, ValueID(2))
        let picked = graph.append(
            .gather(
                [
                    GatherPiece(
                        start: [0, 0], size: [1, 2], source: sum, coordinates: [.axis(0), .axis(1)]),
                    GatherPiece(
                        start: [1, 0], size: [1, 2], source: again, coordinates: [.axis(0), .axis(1)]),
                ], fill: 0), TensorType(.f32, [2, 2]))
        let inputs = ["a", "b", "c"].enumerated().map { TensorDeclaration(name: $1, type: graph.type(ValueID($0))) }
        let program = try Program(
            axes: [], parameters: [], inputs: inputs,
            scans: [Scan(steps: 1, operations: graph.operations, outputs: [picked])])
        var random = SplitMix64(seed: 1)
        let tensors = inputs.map { declaration in
            Tensor(
                (0..<Int(declaration.type.count)).map { _ in Float(Int64(random.next() % 2001) - 1000) / 700 },
                shape: declaration.type.dimensions)
        }
        return try Case.all(program, tensors, seed: 0)[0]
    }

    static func fault(_ witness: Witness, _ claim: LeafClaim, _ operation: UInt32, _ step: DisputedStep)
        -> WitnessFault?
    {
        do throws(WitnessFault) {
            _ = try witness.judge(claim, operation: operation, in: step)
            return nil
        } catch { return error }
    }

    @Test func aWitnessForAnotherOpIsRefused() throws {
        let item = try Self.chain()
        let claim = try item.claims(1, 0)[0]
        let witness = try item.maker.witness(claim, operation: 1)
        // The record of op 2, which does the same to another tensor.
        let other = try item.maker.witness(try item.claims(2, 0)[0], operation: 2)
        guard case .record = Self.fault(other, claim, 1, item.maker.step) else {
            Issue.record("another op's record is taken")
            return
        }
        let swapped = Witness(record: other.record, recordSiblings: witness.recordSiblings, tensors: other.tensors)
        guard case .record = Self.fault(swapped, claim, 1, item.maker.step) else {
            Issue.record("another op's record under this path is taken")
            return
        }
        #expect(Self.fault(witness, claim, 4, item.maker.step) == .record("the step has no op 4"))
        // A path that is too short or too long leads nowhere.
        for siblings in [Array(witness.recordSiblings.dropLast()), witness.recordSiblings + [.zero]] {
            let bent = Witness(record: witness.record, recordSiblings: siblings, tensors: witness.tensors)
            guard case .record = Self.fault(bent, claim, 1, item.maker.step) else {
                Issue.record("a path of another length is taken")
                return
            }
        }
    }

    @Test func blocksOfAnotherTensorAreRefused() throws {
        let item = try Self.chain()
        let claims = try item.claims(0, 3)
        #expect(claims.count == 3)
        let claim = claims[1]
        let witness = try item.maker.witness(claim, operation: 0)
        func with(_ tensors: [WitnessTensor]) -> Witness {
            Witness(record: witness.record, recordSiblings: witness.recordSiblings, tensors: tensors)
        }
        let (a, b) = (witness.tensors[0], witness.tensors[1])
        let swapped = [
            WitnessTensor(value: a.value, type: a.type, proof: b.proof),
            WitnessTensor(value: b.value, type: b.type, proof: a.proof),
        ]
        guard case .tensor(a.value, _) = Self.fault(with(swapped), claim, 0, item.maker.step) else {
            Issue.record("one operand's blocks are taken for another's")
            return
        }
        // The same elements as four rows instead of two.
        let bent = WitnessTensor(value: a.value, type: TensorType(.f32, [2, 2, 150]), proof: a.proof)
        #expect(Self.fault(with([bent, b]), claim, 0, item.maker.step) != nil)
        // Any type that fits the op but not the root.
        let integers = WitnessTensor(value: a.value, type: TensorType(.i8, [2, 300]), proof: a.proof)
        let others = WitnessTensor(value: b.value, type: TensorType(.i8, [2, 300]), proof: b.proof)
        #expect(Self.fault(with([integers, others]), claim, 0, item.maker.step) != nil)
        // A block moved by one, and none at all.
        let proof = try #require(a.proof)
        let range = proof.ranges[0]
        for ranges in [
            [BlockRange(first: range.first ^ 1, bytes: range.bytes, siblings: range.siblings)], [],
            [BlockRange(first: range.first, bytes: range.bytes, siblings: range.siblings + [.zero])],
            [BlockRange(first: range.first, bytes: range.bytes, siblings: Array(range.siblings.dropLast()))],
            [BlockRange(first: .max, bytes: range.bytes, siblings: range.siblings)],
        ] {
            let moved = WitnessTensor(
                value: a.value, type: a.type,
                proof: .init(blocks: proof.blocks, siblings: proof.siblings, ranges: ranges))
            #expect(Self.fault(with([moved, b]), claim, 0, item.maker.step) != nil, "\(ranges.map(\.first))")
        }
        // Inputs may not stand in for one another, be left out or be more than the op's.
        #expect(Self.fault(with([a]), claim, 0, item.maker.step) != nil)
        #expect(Self.fault(with([b, a]), claim, 0, item.maker.step) != nil)
        let third = WitnessTensor(value: ValueID(2), type: TensorType(.f32, [2]), proof: nil)
        #expect(Self.fault(with([a, b, third]), claim, 0, item.maker.step) != nil)
        // A contract's operand by its type alone.
        let bare = WitnessTensor(value: a.value, type: a.type, proof: nil)
        #expect(Self.fault(with([bare, b]), claim, 0, item.maker.step) == .tensor(a.value, "its type stands alone"))
    }

    @Test func aGatherShowsOnlyThePieceThatDecides() throws {
        let item = try Self.chain()
        let claim = try item.claims(3, 0)[0]
        let witness = try item.maker.witness(claim, operation: 3)
        #expect(witness.tensors.map { $0.proof != nil } == [true, false])
        // The piece that decides, by its type alone.
        let bare = witness.tensors.map { WitnessTensor(value: $0.value, type: $0.type, proof: nil) }
        let unproven = Witness(record: witness.record, recordSiblings: witness.recordSiblings, tensors: bare)
        #expect(Self.fault(unproven, claim, 3, item.maker.step) == .leaf(.unproven(operand: 0)))
    }

    @Test func aStaleOrForeignStepIsRefused() throws {
        let item = try Self.chain()
        let claim = try item.claims(1, 0)[0]
        let witness = try item.maker.witness(claim, operation: 1)
        let step = item.maker.step
        func other(
            program: Digest? = nil, operations: AgreedList? = nil, inputs: AgreedList? = nil, first: UInt32 = 0,
            count: UInt32? = nil
        ) -> DisputedStep {
            DisputedStep(
                program: program ?? step.program, programOperations: count ?? step.programOperations, axes: step.axes,
                seed: step.seed, step: step.step, firstOperation: first, parameters: step.parameters,
                inputs: inputs ?? step.inputs, carried: step.carried, operations: operations ?? step.operations)
        }
        #expect(Self.fault(witness, claim, 1, other()) == nil)
        let digest = MerkleTree.leaf([1])
        #expect(Self.fault(witness, claim, 1, other(program: digest)) != nil)
        #expect(Self.fault(witness, claim, 1, other(operations: AgreedList(root: digest, count: 4))) != nil)
        #expect(Self.fault(witness, claim, 1, other(inputs: AgreedList(root: digest, count: 3))) != nil)
        #expect(Self.fault(witness, claim, 1, other(inputs: AgreedList(root: step.inputs.root, count: 2))) != nil)
        #expect(Self.fault(witness, claim, 1, other(first: 1)) != nil)
        #expect(Self.fault(witness, claim, 1, other(first: .max)) != nil)
        #expect(Self.fault(witness, claim, 1, other(count: 1 << 20)) != nil)
    }

    @Test func whatIsNotThereToJudgeIsRefused() throws {
        let item = try Self.chain()
        let claims = try item.claims(0, 3)
        guard case .segment(_, let element, let bits, let before, let after) = claims[1] else {
            Issue.record("a row of 300 has two segments")
            return
        }
        let witness = try item.maker.witness(claims[1], operation: 0)
        let step = item.maker.step
        for claim in [
            LeafClaim.segment(2, of: element, bits: bits, before: before, after: after),
            .segment(1, of: 4, bits: bits, before: before, after: after), .element(element, bits: bits),
            .segment(0, of: element, bits: bits, before: before, after: after),
            .segment(1, of: element, bits: bits, before: [], after: after),
            .segment(1, of: element, bits: bits, before: before + [0], after: after),
            .segment(.max, of: element, bits: bits, before: before, after: after),
            .segment(1, of: .max, bits: bits, before: before, after: after),
        ] { #expect(Self.fault(witness, claim, 0, step) != nil, "\(claim)") }
        // What a defender could never have computed is refuted as it stands: another form of NaN or of a zero sum, a total of another length.
        for after in [[], after + [0], [1, 0, 0xC0, 0x7F], [0, 0, 0, 0x80]] as [[UInt8]] {
            let claim = LeafClaim.segment(1, of: element, bits: bits, before: before, after: after)
            #expect(try witness.judge(claim, operation: 0, in: step) == .refuted)
        }
        let claim = LeafClaim.finish(element, bits: 0x7FC0_0001, total: after)
        #expect(try witness.judge(claim, operation: 0, in: step) == .refuted)
    }

    // MARK: Size

    /// A layer of a 7B model's prefill of 4,096 tokens: evidence about any of its ops fits.
    @Test func theEvidenceOfALargeModelFits() throws {
        let (tokens, hidden, inner): (UInt64, UInt64, UInt64) = (4_096, 4_096, 11_008)
        func declare(_ name: String, _ shape: [UInt64]) -> TensorDeclaration {
            TensorDeclaration(name: name, type: TensorType(.f32, shape.map { Dimension($0) }))
        }
        // As many parameters and ops as 32 layers have.
        let parameters =
            [declare("up", [inner, hidden]), declare("down", [hidden, inner]), declare("gain", [hidden])]
            + (3..<512).map { declare("\($0)", [hidden, hidden]) }
        let input = TensorDeclaration(name: "x", type: TensorType(.f32, [Dimension(1, axis: 0), Dimension(hidden)]))
        var graph = GraphBuilder(leading: (parameters + [input]).map(\.type))
        let x = ValueID(512)
        for _ in 0..<400 {
            let up = graph.contract(x, ValueID(0))
            let down = graph.contract(graph.gelu(up), ValueID(1))
            let sum = graph.sum(down, x)
            _ = graph.layerNorm(sum, gain: ValueID(2), bias: ValueID(2), width: 0x4580_0000, epsilon: 0x3727_C5AC)
            _ = graph.append(.sort(input: sum, descending: true), TensorType(.i32, graph.type(sum).shape))
        }
        let program = try Program(
            axes: ["tokens"], parameters: parameters, inputs: [input],
            scans: [Scan(steps: 1, operations: graph.operations, outputs: [])])
        #expect(graph.operations.count > 5_000)
        let fixed = try program.specialise([("tokens", tokens)])
        let bytes = program.evidenceBytes(fixed)
        #expect(bytes == 7_726)
        // The whole dispute: three reveals of ops, four of blocks, the values, the totals, the witness.
        let dispute = program.disputeBound(fixed)
        #expect(dispute.rounds == 10)
        #expect(dispute.isWithin && dispute.bytes < 23 << 10, "\(dispute.bytes) bytes")
        // The bound is reached by a contract whose 256 terms lie in two blocks each.
        let record = graph.operations[0]
        func tensor(_ id: Int, _ type: TensorType, list: Int) -> WitnessTensor {
            let height = MerkleLevels.height(of: type.byteCount / 1_024)
            let range = BlockRange(
                first: 0, bytes: [UInt8](repeating: 0, count: 2_048),
                siblings: Array(repeating: .zero, count: 2 * (height - 1)))
            return WitnessTensor(
                value: ValueID(id), type: type,
                proof: .init(blocks: .zero, siblings: Array(repeating: .zero, count: list), ranges: [range]))
        }
        let large = Witness(
            record: record, recordSiblings: Array(repeating: .zero, count: 13),
            tensors: [
                tensor(0, fixed.parameters[0].type, list: 13),
                tensor(512, fixed.inputs[0].type, list: 13),
            ])
        #expect(large.canonicalBytes.count <= bytes)
        #expect(large.canonicalBytes.count > 6_000)
    }

    @Test func aWitnessIsRefusedOneByteAboveItsBound() throws {
        let item = try Self.chain()
        let witness = try item.maker.witness(try item.claims(0, 0)[0], operation: 0)
        func padded(_ count: Int) -> Witness {
            let range = BlockRange(first: 0, bytes: [UInt8](repeating: 0, count: 3_072), siblings: [])
            let proof = witness.tensors[0].proof
            let type = witness.tensors[0].type
            let ranges = (0..<count).map { BlockRange(first: UInt64($0) * 3, bytes: range.bytes, siblings: []) }
            return Witness(
                record: witness.record, recordSiblings: [],
                tensors: [
                    WitnessTensor(
                        value: ValueID(0), type: type,
                        proof: .init(blocks: proof?.blocks ?? .zero, siblings: [], ranges: ranges))
                ])
        }
        #expect(padded(7).canonicalBytes.count < Witness.maximumBytes)
        #expect(try Witness(canonicalBytes: padded(7).canonicalBytes) == padded(7))
        #expect(throws: DecodingFault.self) { try Witness(canonicalBytes: padded(8).canonicalBytes) }
    }

    /// PLASMA_WITNESS_TIMES=1 prints what a verdict costs and how large its evidence is, over tensors of the size of MiniLM's.
    @Test(.enabled(if: SoftfloatTests.count("PLASMA_WITNESS_TIMES", otherwise: 0) == 1)) func times() throws {
        var graph = GraphBuilder(leading: [
            TensorType(.f32, [128, 1_536]), TensorType(.f32, [384, 1_536]), TensorType(.i32, [128]),
        ])
        let product = graph.contract(ValueID(0), ValueID(1))
        let gelu = graph.gelu(product)
        // The longest ways through the dearest functions: erf above its split, cos of what only 96 bits of 2/π reduce.
        for (function, argument) in [(ScalarOperation.erf, Float(2.5)), (.cos, 1e30)] {
            _ = graph.map(.f32, graph.type(product).shape, []) { e in
                let x = e.constant(bits: argument.bitPattern)
                for _ in 0..<MapExpression.maximumOperations { _ = e.apply(function, x) }
            }
        }
        _ = graph.reduce(.sum, gelu)
        _ = graph.append(.sort(input: gelu, descending: false), TensorType(.i32, graph.type(gelu).shape))
        _ = graph.rows(of: gelu, at: ValueID(2))
        let names = ["contract", "gelu", "64 erf", "64 cos", "sum", "sort", "rows"]
        let inputs = (0..<3).map { TensorDeclaration(name: "\($0)", type: graph.type(ValueID($0))) }
        let program = try Program(
            axes: [], parameters: [], inputs: inputs, scans: [Scan(steps: 1, operations: graph.operations, outputs: [])]
        )
        var random = SplitMix64(seed: 3)
        // The second time below the normal numbers, where hardware would be slow.
        for scale in [Float(1), 0x1p-140] {
            let tensors = inputs.map { declaration in
                declaration.type.element == .i32
                    ? Tensor((0..<128).map { Int32($0) }, shape: [128])
                    : Tensor(
                        (0..<Int(declaration.type.count)).map { _ in
                            (Float(Int64(random.next() % 20_001) - 10_000) / 9_000) * scale
                        }, shape: declaration.type.dimensions)
            }
            let item = try Case.all(program, tensors, seed: 0)[0]
            for (operation, name) in names.enumerated() {
                let claim = try item.claims(operation, 1_000 % item.operations[operation].result.count)[0]
                let bytes = try item.maker.witness(claim, operation: operation).canonicalBytes
                var times: [Duration] = []
                for _ in 0..<1_001 {
                    var verdict: Verdict?
                    times.append(
                        try ContinuousClock().measure {
                            let witness = try Witness(canonicalBytes: bytes)
                            verdict = try witness.judge(claim, operation: UInt32(operation), in: item.maker.step)
                        })
                    #expect(verdict == .upheld)
                }
                times.sort()
                print(
                    "\(name) (×\(scale)): \(times[500]) in the median of 1001, \(times[990]) for 99%; \(bytes.count) bytes"
                )
            }
        }
    }
}
