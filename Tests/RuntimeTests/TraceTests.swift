import Foundation
import Primitives
import Programs
import Runtime
import Testing

/// A run materialised again: its roots, its paths, and any element of it judged by the leaf.
@Suite struct TraceTests {
    static func pointers<R>(
        _ parameters: [Tensor], _ inputs: [Tensor],
        _ body: ([UnsafeRawBufferPointer], [UnsafeRawBufferPointer]) throws -> R
    ) throws -> R {
        try ExecutorTests.withPointers(parameters) { a in try ExecutorTests.withPointers(inputs) { b in try body(a, b) }
        }
    }

    /// Two scans over one state: the second reads what the first left, draws random words, and stops by itself.
    static func twoScans() throws -> (program: SpecialisedProgram, inputs: [Tensor]) {
        let vector = TensorType(.f32, [300])
        let carried = [vector, TensorType(.i64, []), TensorType(.bool, [])]
        func graph(_ body: (inout GraphBuilder) -> [ValueID]) -> (GraphBuilder, [ValueID]) {
            var graph = GraphBuilder(leading: [vector] + carried)
            let out = body(&graph)
            return (graph, out)
        }
        let (first, firstCarried) = graph { graph in
            let sum = graph.sum(ValueID(0), ValueID(1))
            let noisy = graph.map(.f32, [300], [sum]) { e in
                let x = e.input(0)
                let word = e.node(.random(1))
                let scaled = e.apply(.toF32, word)
                _ = e.apply(.fma, scaled, e.constant(bits: Float(0x1p-32).bitPattern), x)
            }
            return [noisy, ValueID(2), ValueID(3)]
        }
        let (second, secondCarried) = graph { graph in
            let prefix = graph.append(
                .reduce(.sum, input: ValueID(1), extent: nil, prefix: true), TensorType(.f32, [300]))
            let count = graph.map(.i64, [], [ValueID(2)]) { e in
                let x = e.input(0)
                _ = e.apply(.add, x, e.node(.constant(.i64, bits: 1)))
            }
            let done = graph.map(.bool, [], [count]) { e in
                let x = e.input(0)
                _ = e.apply(.lessOrEqual, e.node(.constant(.i64, bits: 3)), x)
            }
            return [prefix, count, done]
        }
        let program = try Program(
            axes: [], parameters: [], inputs: [TensorDeclaration(name: "x", type: vector)],
            carried: carried.enumerated().map { TensorDeclaration(name: "\($0)", type: $1) }, kept: [0],
            scans: [
                Scan(steps: 2, operations: first.operations, outputs: [firstCarried[0]], carried: firstCarried),
                Scan(steps: 0, operations: [], outputs: [], carried: [1, 2, 3].map { ValueID($0) }),
                Scan(
                    steps: 9, operations: second.operations, outputs: [secondCarried[0], secondCarried[1]],
                    carried: secondCarried, stop: 2),
            ])
        return (try program.specialise([]), [Tensor((0..<300).map { Float($0) / 7 - 20 }, shape: [300])])
    }

    @Test func aTracedRunIsTheRunWithEveryOpKept() throws {
        let (program, inputs) = try Self.twoScans()
        try Self.pointers([], inputs) { _, inputs in
            let expected = try ReferenceExecutor(program).run(parameters: [], inputs: inputs, seed: 5)
            #expect(expected.steps == [2, 0, 3])
            let tracer = try Tracer(program, parameters: [], inputs: inputs, seed: 5)
            var plain = tracer.start
            var traced = tracer.start
            var steps = 0
            var stepOutputs: [[Digest]] = []
            while let outputs = try tracer.advance(&plain) {
                let before = traced.carriedRoots
                let trace = try tracer.trace(&traced)
                let roots = trace.roots
                let leading = program.inputs.count
                #expect((leading..<leading + 3).map { trace.root(of: ValueID($0)) } == before)
                #expect(outputs == expected.outputs[steps])
                #expect(roots.outputs == outputs.map(\.root))
                #expect(roots.carried == plain.carriedRoots && roots.carried == traced.carriedRoots)
                #expect(
                    roots.bindRoot == MerkleTree.node(MerkleTree.root(roots.outputs), MerkleTree.root(roots.carried)))
                for number in program.scans[trace.scan].operations.indices {
                    let leaf = try trace.leaf(number)
                    let tensor = trace.tensor(ValueID(leading + 3 + number))
                    for element in stride(from: 0, to: tensor.bytes.count / tensor.element.size, by: 7) {
                        try LeafTests.hold(
                            leaf, element: UInt64(element), claim: LeafTests.bits(tensor, element),
                            trace.operands(number))
                    }
                }
                stepOutputs.append(roots.outputs)
                steps += 1
            }
            #expect(steps == 5 && plain.taken == expected.steps && traced.taken == expected.steps)
            #expect(plain.carried == expected.carried)
            // The commitment's roots are the trees over the steps' own.
            #expect(expected.outputRoot == ResultRoots.outputRoot(stepOutputs))
            #expect(expected.stateRoot(of: program) == ResultRoots.stateRoot([plain.carriedRoots[0]]))
            #expect(throws: TraceFault.ended) { try tracer.trace(&traced) }
        }
    }

    /// A random graph as three scans, the middle one of no steps; a carried bool, where there is one, ends a scan.
    static func manyScans(_ graph: RandomGraph, outputs: [ValueID]) throws -> SpecialisedProgram {
        let scan = graph.program.scans[0]
        let stop: UInt16? = graph.fixed.carried[1].type == TensorType(.bool, []) ? 1 : nil
        return try Program(
            axes: [], parameters: graph.program.parameters, inputs: graph.program.inputs,
            carried: graph.program.carried, kept: [0],
            scans: [2, 0, 3].map { steps in
                Scan(
                    steps: steps, operations: scan.operations, outputs: outputs, carried: scan.carried, stop: stop)
            }
        ).specialise([])
    }

    /// Every op's tensor, plain steps and traced ones, on all variants, against the reference.
    @Test func everyTracedOpHasTheBitsOfTheReference() throws {
        var held = 0
        var stopped = 0
        for seed in GraphExecutorTests.seeds where seed % 3 == 1 {
            var graph = try RandomGraph(seed: seed, operations: 4 + Int(seed % 17))
            let all = graph.program.scans[0].operations.indices.map { ValueID(graph.program.leadingCount + $0) }
            let whole = try Self.manyScans(graph, outputs: all)
            let plain = try Self.manyScans(graph, outputs: graph.program.scans[0].outputs)
            let parameters = whole.parameters.map { graph.tensor($0.type) }
            let inputs = whole.inputs.map { graph.tensor($0.type) }
            let carried = whole.carried.map { graph.tensor($0.type) }
            try ExecutorTests.withPointers(carried) { carried in
                try Self.pointers(parameters, inputs) { parameters, inputs in
                    let state = Dictionary(uniqueKeysWithValues: zip(carried.indices, carried))
                    let expected = try ReferenceExecutor(whole).run(
                        parameters: parameters, inputs: inputs, carried: state, seed: seed)
                    if expected.steps != [2, 0, 3] { stopped += 1 }
                    for variant in KernelVariant.allCases where variant.isSupported {
                        let tracer = try Tracer(
                            plain, parameters: parameters, inputs: inputs, carried: state, seed: seed,
                            threads: seed % 2 == 0 ? 1 : 3, variant: variant)
                        var (traced, stepped) = (tracer.start, tracer.start)
                        for step in expected.outputs.indices {
                            let trace = try tracer.trace(&traced)
                            let outputs = try #require(try tracer.advance(&stepped))
                            let place: Comment = "PLASMA_GRAPH_SEED=\(seed) \(variant) step \(step)"
                            for (number, tensor) in expected.outputs[step].enumerated() {
                                #expect(
                                    trace.tensor(trace.value(ofOperation: number)) == tensor, "\(place) op \(number)")
                                held += 1
                            }
                            #expect(outputs.map(\.root) == trace.roots.outputs, place)
                            #expect(traced.carried == stepped.carried, place)
                        }
                        #expect(traced.carried == expected.carried && traced.taken == expected.steps)
                        // Many steps at once are the same steps.
                        var run = tracer.start
                        var roots: [[Digest]] = []
                        let taken = try tracer.advance(&run, steps: .max, onStep: { roots.append($0.map(\.root)) })
                        #expect(taken == UInt64(roots.count) && run.carried == expected.carried)
                        #expect(run.taken == expected.steps && run.stepCount == taken)
                    }
                }
            }
        }
        #expect(held > 1_000 && stopped > 0)
    }

    /// The state before a step is what it was, though an op changed it where it lay.
    @Test func aTraceKeepsTheStateBeforeItsStep() throws {
        let type = TensorType(.f32, [4, 8])
        var graph = GraphBuilder(leading: [TensorType(.f32, [1, 8]), type])
        let zero = [Dimension(0), 0]
        let turned = graph.gather(ValueID(1), [8, 4], [.axis(1), .axis(0)])
        let sum = graph.reduce(.sum, turned)
        let updated = graph.append(
            .gather(
                [
                    GatherPiece(
                        start: [2, 0], size: [1, 8], source: ValueID(0),
                        coordinates: [Coordinate(offset: 0), .axis(1)]),
                    GatherPiece(start: zero, size: [4, 8], source: ValueID(1), coordinates: [.axis(0), .axis(1)]),
                ], fill: 0), type)
        let program = try Program(
            axes: [], parameters: [], inputs: [TensorDeclaration(name: "x", type: TensorType(.f32, [1, 8]))],
            carried: [TensorDeclaration(name: "s", type: type)],
            scans: [Scan(steps: 2, operations: graph.operations, outputs: [sum], carried: [updated])]
        ).specialise([])
        let inputs = [Tensor([Float](repeating: 7, count: 8), shape: [1, 8])]
        try Self.pointers([], inputs) { _, inputs in
            let tracer = try Tracer(program, parameters: [], inputs: inputs, seed: 0)
            var position = tracer.start
            let trace = try tracer.trace(&position)
            #expect(trace.tensor(ValueID(1)).floats == [Float](repeating: 0, count: 32))
            #expect(trace.tensor(turned).floats == [Float](repeating: 0, count: 32))
            let rows = [Float](repeating: 0, count: 16) + [Float](repeating: 7, count: 8) + [0, 0, 0, 0, 0, 0, 0, 0]
            #expect(trace.tensor(updated).floats == rows && position.carried[0].floats == rows)
        }
    }

    /// Another form of NaN is not computed with, and the tracer says that it was there.
    @Test func whatIsNotInTheOneFormIsNoticed() throws {
        let type = TensorType(.f32, [2])
        var graph = GraphBuilder(leading: [type, type])
        let sum = graph.sum(ValueID(0), ValueID(1))
        let program = try Program(
            axes: [], parameters: [TensorDeclaration(name: "w", type: type)],
            inputs: [TensorDeclaration(name: "x", type: type)],
            scans: [Scan(steps: 1, operations: graph.operations, outputs: [ValueID(0), sum])]
        ).specialise([])
        let odd = Tensor([1, Float(bitPattern: 0xFFC0_0001)], shape: [2])
        let even = Tensor([1, Float(bitPattern: 0x7FC0_0000)], shape: [2])
        for (weight, input, isCanonical) in [(even, even, true), (odd, even, false), (even, odd, false)] {
            try Self.pointers([weight], [input]) { parameters, inputs in
                let tracer = try Tracer(program, parameters: parameters, inputs: inputs, seed: 0)
                #expect(tracer.isCanonical == isCanonical)
                var position = tracer.start
                let trace = try tracer.trace(&position)
                #expect(trace.tensor(ValueID(0)) == even && trace.tensor(ValueID(1)) == even)
                #expect(trace.roots.outputs[0] == even.root)
            }
        }
    }

    @Test func aPositionThatWasKeptIsGoneOnFrom() throws {
        let (program, inputs) = try Self.twoScans()
        try Self.pointers([], inputs) { _, inputs in
            let tracer = try Tracer(program, parameters: [], inputs: inputs, seed: 5)
            var position = tracer.start
            _ = try tracer.advance(&position)
            let kept = position
            let first = try tracer.trace(&position).roots
            _ = try tracer.advance(&position)
            var again = kept
            #expect(try tracer.trace(&again).roots == first)
            // The same from the carried tensors alone would begin at step 0: the position holds the step too.
            #expect(kept.step == 1 && kept.scan == 0)
        }
    }

    @Test func aTraceThatDoesNotFitIsRefusedBeforeItRuns() throws {
        let (program, inputs) = try Self.twoScans()
        try Self.pointers([], inputs) { _, inputs in
            let tracer = try Tracer(program, parameters: [], inputs: inputs, seed: 5)
            let needed = tracer.memory(ofScan: 0)
            // Two ops of 300 f32; a vector, an i64 and a bool four times.
            #expect(needed == 2 * 1_200 + 4 * (1_200 + 8 + 1))
            var position = tracer.start
            #expect(throws: TraceFault.memory(needed: needed, limit: needed - 1)) {
                try tracer.trace(&position, memoryLimit: needed - 1)
            }
            _ = try tracer.trace(&position, memoryLimit: needed)
        }
    }

    @Test func everyBlockHasAPathToItsTensorsRoot() throws {
        let (program, inputs) = try Self.twoScans()
        try Self.pointers([], inputs) { _, inputs in
            let tracer = try Tracer(program, parameters: [], inputs: inputs, seed: 5)
            var position = tracer.start
            let trace = try tracer.trace(&position)
            let value = ValueID(4)
            let blocks = trace.blocks(of: value)
            // 1,200 bytes are two blocks.
            for index in 0..<2 {
                let block = try #require(trace.block(index, of: value))
                #expect(block.count == 1_024)
                #expect(blocks.proof(index).root(of: MerkleTree.leaf(block)) == blocks.root)
            }
            #expect(trace.block(2, of: value) == nil && trace.block(-1, of: value) == nil)
            #expect(TensorRoot.of(.f32, [300], blocks: blocks.root) == trace.root(of: value))
        }
    }

    /// However many are hashed at a time.
    @Test(arguments: [
        0, 1, 1_023, 1_024, 1_025, 15 * 1_024, 16 * 1_024, 16 * 1_024 + 5, 17 * 1_024, 33 * 1_024 + 1_000,
    ])
    func aTensorsBlocksAreHashedAsOneByOne(count: Int) {
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 37 >> 3) }
        let found = bytes.withUnsafeBytes { TensorRoot.leaves($0) }
        let expected = stride(from: 0, to: count, by: 1_024).map { start -> Digest in
            let block = Array(bytes[start..<min(count, start + 1_024)])
            return MerkleTree.leaf(block + [UInt8](repeating: 0, count: 1_024 - block.count))
        }
        #expect(found == expected)
    }

    /// Every op of an encoder's run; of each at most so many elements, drawn.
    static func hold(_ model: ImportedModel, _ batch: EncoderInputs, samples: UInt64, seed: UInt64) throws -> Int {
        let program = try model.program().specialise(batch.axes.map { ($0.name, UInt64($0.value)) })
        let inputs = batch.inputs.map { Tensor($0.values, shape: $0.shape) }
        var random = SplitMix64(seed: seed)
        var held = 0
        // The weights are mapped for as long as the model lives.
        try withExtendedLifetime(model) {
            try ExecutorTests.withPointers(inputs) { inputs in
                let tracer = try Tracer(
                    program, parameters: model.parameters.map { $0.withBytes { $0 } }, inputs: inputs, seed: 0)
                var position = tracer.start
                let trace = try tracer.trace(&position)
                let scan = program.scans[0]
                for number in scan.operations.indices {
                    let leaf = try trace.leaf(number)
                    let operands = trace.operands(number)
                    let tensor = trace.tensor(trace.value(ofOperation: number))
                    let count = UInt64(tensor.bytes.count / tensor.element.size)
                    for sample in 0..<min(count, samples) {
                        let element = count <= samples ? sample : random.next() % count
                        do {
                            try LeafTests.hold(
                                leaf, element: element, claim: LeafTests.bits(tensor, Int(element)), operands)
                        } catch {
                            throw LeafTests.Found(description: "seed \(seed), op \(number): \(error)")
                        }
                        held += 1
                    }
                }
            }
        }
        return held
    }

    /// The whole of MiniLM on short texts: every op, sampled elements.
    @Test(.enabled(if: TestModel.isWanted)) func sampledElementsOfMiniLMAreWhatTheLeafGives() throws {
        guard TestModel.isPresent else { throw TestModel.Absent() }
        let model = try ModelImporter.importFolder(TestModel.folder)
        let batch = try EncoderInputs.make(sentences: ["a short text", "two"], tokenizer: model.tokenizer)
        let held = try Self.hold(model, batch, samples: 24, seed: SoftfloatTests.seed)
        #expect(held > 3_000)
    }

    @Test func everyElementOfASmallEncoderIsWhatTheLeafGives() throws {
        let folder = try SmallEncoderFolder(seed: 3)
        let model = try ModelImporter.importFolder(folder.path)
        let batch = try EncoderInputs([[1, 4, 2], [3], [5, 6, 7, 8, 2]], truncated: [])
        let held = try Self.hold(model, batch, samples: .max, seed: 0)
        #expect(held > 10_000)
    }

    /// Generation with a cache in carried state, prefill and decode, drawn among the most likely: every op of every step, sampled elements.
    @Test(arguments: ["gpt2", "llama", "mistral"]) func sampledElementsOfGenerationAreWhatTheLeafGives(name: String)
        throws
    {
        let generator = try Generator(try TransformerFixture(name).model(), threads: 1)
        let program = try generator.program(.filtered, givesLogits: true).specialise([
            ("batch", 2), ("length", 4), ("tokens", 3), ("capacity", 7), ("stops", 1),
        ])
        let inputs = [
            Tensor([Int32(3), 5, 7, 2, 4, 6, 0, 0], shape: [2, 4]), Tensor([Int32(4), 2], shape: [2]),
            Tensor([Int32(-1)], shape: [1]), Tensor([Int32(0)], shape: []), Tensor([Float(0.8), 1.1], shape: [2]),
            Tensor([Int32(5), 9], shape: [2]), Tensor([Float(0.9), 2], shape: [2]),
        ]
        var random = SplitMix64(seed: SoftfloatTests.seed)
        var held = 0
        try withExtendedLifetime(generator) {
            try ExecutorTests.withPointers(inputs) { pointers in
                let parameters = generator.model.parameters.map { $0.withBytes { $0 } }
                let fast = try GraphExecutor(program: program, parameters: parameters, threads: 1)
                    .run(inputs: pointers, seed: 11)
                let tracer = try Tracer(program, parameters: parameters, inputs: pointers, seed: 11)
                var position = tracer.start
                var step = 0
                while position.scan < program.scans.count {
                    let trace = try tracer.trace(&position)
                    // What was hashed for the commitment and what a dispute is served from are the same.
                    #expect(trace.roots.outputs == fast.outputs[step].map(\.root))
                    let scan = program.scans[trace.scan]
                    for number in scan.operations.indices {
                        let leaf = try trace.leaf(number)
                        let tensor = trace.tensor(trace.value(ofOperation: number))
                        let count = UInt64(tensor.bytes.count / tensor.element.size)
                        for _ in 0..<min(count, 6) {
                            let element = random.next() % count
                            do {
                                try LeafTests.hold(
                                    leaf, element: element, claim: LeafTests.bits(tensor, Int(element)),
                                    trace.operands(number))
                            } catch {
                                throw LeafTests.Found(description: "\(name), step \(step), op \(number): \(error)")
                            }
                            held += 1
                        }
                    }
                    step += 1
                }
                #expect(step == fast.outputs.count && position.carriedRoots == fast.carried.map(\.root))
            }
        }
        #expect(held > 1_000)
    }

    // MARK: Times

    /// The least seconds of three runs of a body.
    static func seconds(_ body: () throws -> Void) rethrows -> Double {
        var least = Double.infinity
        for _ in 0..<3 {
            let start = ContinuousClock.now
            try body()
            least = min(least, (ContinuousClock.now - start) / .seconds(1))
        }
        return least
    }

    /// What a step takes as it runs, with every op kept, and with every op hashed too.
    static func measure(
        _ name: String, _ program: SpecialisedProgram, _ parameters: [UnsafeRawBufferPointer], _ inputs: [Tensor]
    ) throws {
        try ExecutorTests.withPointers(inputs) { inputs in
            let tracer = try Tracer(program, parameters: parameters, inputs: inputs, seed: 1)
            var position = tracer.start
            while position.scan < program.scans.count {
                // The first step of each scan.
                if position.step > 0 {
                    _ = try tracer.advance(&position)
                    continue
                }
                let here = position
                let plain = try seconds {
                    var again = here
                    _ = try tracer.advance(&again)
                }
                var operations = 0
                let traced = try seconds {
                    var again = here
                    operations = try tracer.trace(&again).count
                }
                let hashed = try seconds {
                    var again = here
                    _ = try tracer.trace(&again).roots
                }
                let megabytes = tracer.memory(ofScan: here.scan) >> 20
                print(
                    "\(name), scan \(here.scan): plain \(plain) s, traced \(traced) s, with all roots \(hashed) s, "
                        + "\(operations) tensors, \(megabytes) MiB")
                _ = try tracer.advance(&position)
            }
        }
    }

    /// Prints what traces cost. `PLASMA_TRACE_DECODER` names a decoder's folder.
    @Test(.enabled(if: ProcessInfo.processInfo.environment["PLASMA_TRACE_TIMES"] != nil)) func times() throws {
        if TestModel.isPresent {
            let model = try ModelImporter.importFolder(TestModel.folder)
            let sentence = Array(repeating: "a text of about as many tokens as people write", count: 4).joined(
                separator: " ")
            let batch = try EncoderInputs.make(
                sentences: Array(repeating: sentence, count: 32), tokenizer: model.tokenizer)
            let program = try model.program().specialise(batch.axes.map { ($0.name, UInt64($0.value)) })
            try withExtendedLifetime(model) {
                try Self.measure(
                    "MiniLM, batch of 32", program, model.parameters.map { $0.withBytes { $0 } },
                    batch.inputs.map { Tensor($0.values, shape: $0.shape) })
            }
        }
        if let folder = ProcessInfo.processInfo.environment["PLASMA_TRACE_DECODER"] {
            let generator = try Generator(try ModelImporter.importTransformer(folder), threads: 1)
            let program = try generator.program(.sampled).specialise([
                ("batch", 1), ("length", 128), ("tokens", 8), ("capacity", 136), ("stops", 1),
            ])
            let inputs = [
                Tensor((0..<128).map { Int32($0 * 7 % 1_000) }, shape: [1, 128]), Tensor([Int32(128)], shape: [1]),
                Tensor([Int32(-1)], shape: [1]), Tensor([Int32(0)], shape: []), Tensor([Float(1)], shape: [1]),
            ]
            try withExtendedLifetime(generator) {
                try Self.measure(
                    "decoder, 128 tokens", program, generator.model.parameters.map { $0.withBytes { $0 } }, inputs)
            }
        }
    }
}
