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
                #expect(Array(trace.tensors[leading..<leading + 3]).map(\.root) == before)
                #expect(outputs == expected.outputs[steps])
                #expect(roots.outputs == outputs.map(\.root))
                #expect(roots.carried == plain.carriedRoots && roots.carried == traced.carriedRoots)
                #expect(
                    roots.bindRoot == MerkleTree.node(MerkleTree.root(roots.outputs), MerkleTree.root(roots.carried)))
                for number in program.scans[trace.scan].operations.indices {
                    let leaf = try trace.leaf(number)
                    let tensor = trace.tensors[leading + 3 + number]
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
            // Four vectors of 300 f32, an i64 and a bool, each as words too.
            #expect(needed == 4 * 300 * 12 + 16 + 9)
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
            #expect(TensorRoot.of(.f32, [300], blocks: blocks.root) == trace.tensors[4].root)
        }
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
                let leading = trace.tensors.count - scan.operations.count
                for number in scan.operations.indices {
                    let leaf = try trace.leaf(number)
                    let operands = trace.operands(number)
                    let tensor = trace.tensors[leading + number]
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
                    let leading = trace.tensors.count - scan.operations.count
                    for number in scan.operations.indices {
                        let leaf = try trace.leaf(number)
                        let tensor = trace.tensors[leading + number]
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
}
