import Primitives
import Programs
import Runtime
import Testing

/// The fused executor against the reference, and MiniLM on every kernel variant.
@Suite struct ExecutorTests {
    static func run(
        _ model: ImportedModel, _ batch: EncoderInputs, variant: KernelVariant, threads: Int
    ) throws -> Tensor {
        let program = try model.program().specialise(batch.axes.map { ($0.name, UInt64($0.value)) })
        // The importer's weights stay mapped for as long as the model lives, and the model outlives this call.
        let pointers = model.parameters.map { $0.withBytes { $0 } }
        let prepared = try PreparedModel(program: program, parameters: pointers, owners: [model], variant: variant)
        let executor = Executor(program: program, model: prepared, threads: threads)
        #expect(executor.isFused)
        #expect(executor.peakMemory > 0)
        let tensors = batch.inputs.map { Tensor($0.values, shape: $0.shape) }
        let outputs = try withPointers(tensors) { pointers in
            try executor.run(inputs: zip(batch.inputs, pointers).map { ($0.name, $1) })
        }
        return try #require(outputs.first)
    }

    static func withPointers<R>(_ tensors: [Tensor], _ body: ([UnsafeRawBufferPointer]) throws -> R) throws -> R {
        let buffers = tensors.map { tensor in
            let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(64, tensor.bytes.count), alignment: 64)
            memory.copyBytes(from: tensor.bytes)
            return UnsafeMutableRawBufferPointer(rebasing: memory[0..<tensor.bytes.count])
        }
        defer { for buffer in buffers { buffer.baseAddress?.deallocate() } }
        return try body(buffers.map { UnsafeRawBufferPointer($0) })
    }

    @Test(.enabled(if: TestModel.isWanted)) func miniLMGivesTheReferenceEmbeddingsWithTheSameBitsEverywhere() throws {
        guard TestModel.isPresent else { throw TestModel.Absent() }
        let model = try ModelImporter.importFolder(TestModel.folder)
        let items = try Fixtures.json("minilm-reference.json")["items"]?.array ?? []
        let texts = items.map { $0["text"]?.string ?? "" }
        let batch = try EncoderInputs.make(sentences: texts, tokenizer: model.tokenizer)
        let best = try Self.run(model, batch, variant: .best, threads: 1)
        #expect(best.shape == [items.count, 384])
        let floats = best.floats
        for (row, item) in items.enumerated() {
            let expected = try #require(item["embedding"]?.array).map { $0.double ?? .nan }
            let vector = floats[row * 384..<(row + 1) * 384].map { Double($0) }
            let dot = zip(vector, expected).reduce(0) { $0 + $1.0 * $1.1 }
            let norms = vector.reduce(0) { $0 + $1 * $1 } * expected.reduce(0) { $0 + $1 * $1 }
            #expect(dot / norms.squareRoot() >= 0.999999, "\(texts[row].prefix(60))")
        }
        for threads in [2, 3] { #expect(try Self.run(model, batch, variant: .best, threads: threads) == best) }
        for variant in KernelVariant.allCases where variant.isSupported && variant != .best {
            // The scalar form takes its time: two short texts tell as much of it.
            let few = variant == .scalar ? Array(texts.prefix(2)) : texts
            let part = try EncoderInputs.make(sentences: few, tokenizer: model.tokenizer)
            let found = try Self.run(model, part, variant: variant, threads: 2)
            #expect(found.bytes == Array(best.bytes.prefix(found.bytes.count)), "\(variant)")
        }
    }

    /// A one-layer encoder small enough for the reference executor.
    static func smallProgram() throws -> Program {
        let (hidden, inner, heads): (UInt64, UInt64, UInt64) = (24, 40, 3)
        func weight(_ name: String, _ shape: [UInt64]) -> TensorDeclaration {
            TensorDeclaration(name: name, type: TensorType(.f32, shape.map { Dimension($0) }))
        }
        let parameters = [
            weight("table", [50, hidden]), weight("g", [hidden]), weight("b", [hidden]), weight("q", [hidden, hidden]),
            weight("k", [hidden, hidden]), weight("v", [hidden, hidden]), weight("up", [inner, hidden]),
            weight("upBias", [inner]), weight("down", [hidden, inner]),
        ]
        let (tokens, sentences, length) = (Dimension(1, axis: 0), Dimension(1, axis: 1), Dimension(1, axis: 2))
        let inputs = [
            TensorDeclaration(name: "ids", type: TensorType(.i32, [tokens])),
            TensorDeclaration(name: "slots", type: TensorType(.i32, [sentences, length])),
            TensorDeclaration(name: "lengths", type: TensorType(.i32, [sentences])),
            TensorDeclaration(name: "places", type: TensorType(.i32, [tokens])),
        ]
        var graph = GraphBuilder(leading: (parameters + inputs).map(\.type))
        func id(_ name: String) -> ValueID {
            ValueID((parameters + inputs).firstIndex { $0.name == name } ?? -1)
        }
        let width = Float(hidden).bitPattern
        let epsilon = Float(1e-5).bitPattern
        var x = graph.rows(of: id("table"), at: id("ids"))
        x = graph.sum(x, graph.row(3, of: id("table")))
        x = graph.layerNorm(x, gain: id("g"), bias: id("b"), width: width, epsilon: epsilon)
        let q = graph.linear(x, weight: id("q"), bias: id("b"))
        let k = graph.linear(x, weight: id("k"), bias: id("g"))
        let v = graph.linear(x, weight: id("v"), bias: id("b"))
        let context = graph.attention(
            query: q, key: k, value: v, slots: id("slots"), lengths: id("lengths"), places: id("places"), heads: heads,
            width: hidden / heads, scale: Float(0.35).bitPattern)
        x = graph.sum(graph.linear(context, weight: id("q"), bias: id("b")), x)
        x = graph.layerNorm(x, gain: id("g"), bias: id("b"), width: width, epsilon: epsilon)
        let up = graph.gelu(graph.linear(x, weight: id("up"), bias: id("upBias")))
        x = graph.sum(graph.linear(up, weight: id("down"), bias: id("b")), x)
        let pooled = graph.meanPooled(x, slots: id("slots"), lengths: id("lengths"))
        let out = graph.normalized(pooled, floor: Float(1e-12).bitPattern)
        return try Program(
            axes: ["tokens", "sentences", "length"], parameters: parameters, inputs: inputs,
            scans: [Scan(steps: 1, operations: graph.operations, outputs: [out])])
    }

    @Test(arguments: 0..<6) func theFusedRunEqualsTheReferenceBitForBit(_ seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let program = try Self.smallProgram()
        let lengths = (0..<Int(random.next() % 5 + 1)).map { _ in Int32(random.next() % 9 + 1) }
        let length = Int(lengths.max() ?? 1)
        var slots = [Int32](repeating: -1, count: lengths.count * length)
        var places: [Int32] = []
        for (sentence, count) in lengths.enumerated() {
            for position in 0..<Int(count) {
                slots[sentence * length + position] = Int32(places.count)
                places.append(Int32(sentence * length + position))
            }
        }
        // An id outside the table gives zeros.
        let ids = places.map { _ in Int32(random.next() % 52) - 1 }
        let fixed = try program.specialise([
            ("tokens", UInt64(places.count)), ("sentences", UInt64(lengths.count)), ("length", UInt64(length)),
        ])
        let weights = fixed.parameters.map { declaration in
            Tensor(
                (0..<Int(declaration.type.count)).map { _ in Float(Int64(random.next() % 2001) - 1000) / 700 },
                shape: declaration.type.dimensions)
        }
        let inputs = [
            ("ids", Tensor(ids, shape: [ids.count])), ("slots", Tensor(slots, shape: [lengths.count, length])),
            ("lengths", Tensor(lengths, shape: [lengths.count])), ("places", Tensor(places, shape: [places.count])),
        ]
        try Self.withPointers(weights) { weightPointers in
            try Self.withPointers(inputs.map(\.1)) { inputPointers in
                let expected = try ReferenceExecutor(fixed).run(parameters: weightPointers, inputs: inputPointers)
                for variant in KernelVariant.allCases where variant.isSupported {
                    let prepared = try PreparedModel(
                        program: fixed, parameters: weightPointers, owners: [], variant: variant)
                    for threads in 1...4 {
                        let executor = Executor(program: fixed, model: prepared, threads: threads)
                        #expect(executor.isFused)
                        let found = try executor.run(inputs: zip(inputs, inputPointers).map { ($0.0, $1) })
                        #expect(found == expected.outputs[0], "seed \(seed) \(variant) \(threads) threads")
                    }
                }
            }
        }
    }

    @Test func aProgramSurvivesItsBytesAndKeepsItsRoot() throws {
        let program = try Self.smallProgram()
        let copy = try Program(canonicalBytes: program.canonicalBytes)
        #expect(copy == program && copy.root == program.root)
        #expect(throws: ProgramFault.missingAxis("length")) {
            try program.specialise([("tokens", 1), ("sentences", 1)])
        }
        #expect(throws: ProgramFault.self) {
            try program.specialise([("tokens", .max), ("sentences", 2), ("length", .max)])
        }
    }

    @Test(arguments: 0..<20) func mutatedProgramBytesNeverTrap(_ seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let bytes = try Self.smallProgram().canonicalBytes
        for _ in 0..<200 {
            var changed = bytes
            for _ in 0..<Int(random.next() % 4 + 1) {
                changed[Int(random.next() % UInt64(changed.count))] = UInt8(truncatingIfNeeded: random.next())
            }
            if let program = try? Program(canonicalBytes: changed) {
                #expect(program.canonicalBytes == changed)
                _ = try? program.specialise([("tokens", 5), ("sentences", 2), ("length", 3)]).cost()
            }
        }
    }
}
