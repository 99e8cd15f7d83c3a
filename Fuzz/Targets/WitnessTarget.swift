import Primitives
import Programs
import Runtime

/// Evidence against an honest defender and against a lie. Whatever bytes are posted, the truth is not refuted and the lie not upheld.
enum WitnessTarget: FuzzTarget {
    static let name = "witness"

    /// A row of 300 contracted, picked by an index tensor, mapped and sorted.
    private static func program() throws -> Program {
        let inputs = [
            ("a", TensorType(.f32, [2, 300])), ("ids", TensorType(.i32, [3])), ("extent", TensorType(.i32, [2])),
        ]
        var graph = GraphBuilder(leading: inputs.map(\.1))
        let product = graph.contract(ValueID(0), ValueID(0), extent: ValueID(2))
        let rows = graph.rows(of: product, at: ValueID(1))
        let mapped = graph.map(.f32, [3, 2], [rows]) { expression in
            let value = expression.input(0)
            let word = expression.apply(.toF32, expression.node(.random(1)))
            _ = expression.apply(.fma, expression.apply(.erf, value), word, value)
        }
        let order = graph.append(.sort(input: mapped, descending: true), TensorType(.i32, [3, 2]))
        return try Program(
            axes: [], parameters: [], inputs: inputs.map { TensorDeclaration(name: $0.0, type: $0.1) },
            scans: [Scan(steps: 1, operations: graph.operations, outputs: [order])])
    }

    private static func bytes<T: FixedWidthInteger>(_ numbers: [T]) -> [UInt8] {
        numbers.flatMap { number in withUnsafeBytes(of: number.littleEndian) { Array($0) } }
    }

    private static func maker(_ program: Program) throws -> WitnessMaker {
        let inputs = [
            bytes((0..<600).map { (Float($0 % 23) - 11).bitPattern }), bytes([1, 7, 0] as [Int32]),
            bytes([300, 260] as [Int32]),
        ]
        let buffers = inputs.map { bytes in
            let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 64)
            memory.copyBytes(from: bytes)
            return memory
        }
        defer { for buffer in buffers { buffer.deallocate() } }
        let tracer = try Tracer(
            try program.specialise([]), parameters: [], inputs: buffers.map { UnsafeRawBufferPointer($0) }, seed: 9)
        var position = tracer.start
        return WitnessMaker(program, axes: [], try tracer.trace(&position))
    }

    /// What an honest defender says of an op's element.
    private static func claims(_ maker: WitnessMaker, _ operation: Int, _ element: UInt64) throws -> [LeafClaim] {
        let leaf = try maker.trace.leaf(operation)
        let bits = maker.trace.bits(element, of: ValueID(3 + operation)) ?? 0
        let count = leaf.segmentCount(of: element)
        if count <= 1 { return [.element(element, bits: bits)] }
        var claims: [LeafClaim] = []
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
        return claims + [.finish(element, bits: bits, total: leaf.bytes(of: total))]
    }

    /// The same with a bit of it changed.
    private static func lie(_ claim: LeafClaim) -> LeafClaim {
        switch claim {
        case .element(let element, let bits): return .element(element, bits: bits ^ 1)
        case .segment(let number, let element, let bits, let before, var after):
            after[0] ^= 1
            return .segment(number, of: element, bits: bits, before: before, after: after)
        case .finish(let element, let bits, let total): return .finish(element, bits: bits ^ 1, total: total)
        }
    }

    static func forms() throws -> [Form] {
        let maker = try maker(try program())
        var forms: [Form] = []
        for operation in 0..<4 {
            for claim in try claims(maker, operation, 1) {
                for (said, verdict) in [(claim, Verdict.upheld), (lie(claim), .refuted)] {
                    let witness = try maker.witness(said, operation: operation)
                    let judged = try witness.judge(said, operation: UInt32(operation), in: maker.step)
                    require(judged == verdict, "op \(operation)'s claim \(said) is \(judged)")
                    let step = maker.step
                    forms.append(
                        Form([witness]) { witness in
                            guard let found = try? witness.judge(said, operation: UInt32(operation), in: step) else {
                                return
                            }
                            require(found == verdict, "a changed witness turns the verdict about \(said)")
                        })
                }
            }
        }
        forms.append(try anyClaim(maker))
        forms.append(Form([maker.step]))
        return forms
    }

    /// Claims and steps from strangers too: nothing traps.
    private static func anyClaim(_ maker: WitnessMaker) throws -> Form {
        var seeds: [[UInt8]] = []
        for operation in 0..<4 {
            for claim in try claims(maker, operation, 0) {
                let witness = try maker.witness(claim, operation: operation)
                seeds.append(
                    [UInt8(operation)] + claim.canonicalBytes + maker.step.canonicalBytes + witness.canonicalBytes)
            }
        }
        return Form(seeds: seeds) { bytes in
            var reader = ByteReader(bytes)
            guard let operation = try? reader.readUInt8(), let claim = try? reader.read(LeafClaim.self),
                let step = try? reader.read(DisputedStep.self), let witness = try? reader.read(Witness.self)
            else { return }
            _ = try? witness.judge(claim, operation: UInt32(operation), in: step)
        }
    }
}
