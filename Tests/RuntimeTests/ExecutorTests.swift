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

    /// What a stranger's encoder may have that no importer writes.
    enum Oddity: CaseIterable {
        case weightIsInput, vectorIsOutput, otherRowsAreOutput, tableIsAdded, wordsAreBF16
        // Where the ops broadcast, or fill up with zeros, and a kernel would read beyond a tensor, or other rows.
        case gainIsOneNumber, shiftIsOneNumber, rowIsBeforeTheTable, queriesAreWider, keysAreNarrower, lengthsAreFewer
    }

    /// A one-layer encoder small enough for the reference executor.
    static func smallProgram(_ oddity: Oddity? = nil) throws -> Program {
        let (hidden, inner, heads): (UInt64, UInt64, UInt64) = (24, 40, 3)
        func weight(_ name: String, _ shape: [UInt64]) -> TensorDeclaration {
            TensorDeclaration(name: name, type: TensorType(.f32, shape.map { Dimension($0) }))
        }
        let parameters = [
            TensorDeclaration(
                name: "table", type: TensorType(oddity == .wordsAreBF16 ? .bf16 : .f32, [50, Dimension(hidden)])),
            weight("g", [hidden]), weight("b", [hidden]), weight("q", [hidden, hidden]),
            weight("k", [hidden, hidden]), weight("v", [hidden, hidden]), weight("up", [inner, hidden]),
            weight("upBias", [inner]), weight("down", [hidden, inner]), weight("one", [1]),
            weight("narrow", [8, hidden]), weight("narrowBias", [8]),
        ]
        let (tokens, sentences, length) = (Dimension(1, axis: 0), Dimension(1, axis: 1), Dimension(1, axis: 2))
        let inputs = [
            TensorDeclaration(name: "ids", type: TensorType(.i32, [tokens])),
            TensorDeclaration(name: "slots", type: TensorType(.i32, [sentences, length])),
            TensorDeclaration(name: "lengths", type: TensorType(.i32, [sentences])),
            TensorDeclaration(name: "places", type: TensorType(.i32, [tokens])),
            TensorDeclaration(name: "others", type: TensorType(.i32, [3])),
            TensorDeclaration(name: "added", type: TensorType(.f32, [tokens, Dimension(hidden)])),
        ].prefix(oddity == nil ? 4 : 6)
        var graph = GraphBuilder(leading: (parameters + inputs).map(\.type))
        func id(_ name: String) -> ValueID {
            ValueID((parameters + inputs).firstIndex { $0.name == name } ?? -1)
        }
        let width = Float(hidden).bitPattern
        let epsilon = Float(1e-5).bitPattern
        var x = graph.rows(of: id("table"), at: id("ids"))
        let third = graph.row(oddity == .rowIsBeforeTheTable ? -1 : 3, of: id("table"))
        x = graph.sum(x, third)
        var outputs: [ValueID] = []
        switch oddity {
        case .vectorIsOutput: outputs = [third]
        case .otherRowsAreOutput: outputs = [graph.rows(of: id("table"), at: id("others"))]
        case .tableIsAdded: x = graph.sum(x, id("added"))
        default: break
        }
        x = graph.layerNorm(
            x, gain: id(oddity == .gainIsOneNumber ? "one" : "g"), bias: id(oddity == .shiftIsOneNumber ? "one" : "b"),
            width: width, epsilon: epsilon)
        let q =
            oddity == .queriesAreWider
            ? graph.linear(x, weight: id("up"), bias: id("upBias"))
            : graph.linear(x, weight: id("q"), bias: id("b"))
        let k =
            oddity == .keysAreNarrower
            ? graph.linear(x, weight: id("narrow"), bias: id("narrowBias"))
            : graph.linear(x, weight: id("k"), bias: id("g"))
        let lengths = id(oddity == .lengthsAreFewer ? "others" : "lengths")
        let v = graph.linear(x, weight: id("v"), bias: id("b"))
        let context = graph.attention(
            query: q, key: k, value: v, slots: id("slots"), lengths: lengths, places: id("places"), heads: heads,
            width: hidden / heads, scale: Float(0.35).bitPattern)
        let gathered = id(oddity == .queriesAreWider ? "down" : "q")
        x = graph.sum(graph.linear(context, weight: gathered, bias: id("b")), x)
        x = graph.layerNorm(x, gain: id("g"), bias: id("b"), width: width, epsilon: epsilon)
        let up = graph.gelu(graph.linear(x, weight: id("up"), bias: id("upBias")))
        x = graph.sum(graph.linear(up, weight: id("down"), bias: id("b")), x)
        let pooled = graph.meanPooled(x, slots: id("slots"), lengths: lengths)
        let out = graph.normalized(pooled, floor: Float(1e-12).bitPattern)
        // Numbers stay as they are: inputs follow the parameters.
        let kept = oddity == .weightIsInput ? parameters.count - 4 : parameters.count
        return try Program(
            axes: ["tokens", "sentences", "length"], parameters: Array(parameters[..<kept]),
            inputs: Array(parameters[kept...]) + inputs,
            scans: [Scan(steps: 1, operations: graph.operations, outputs: outputs + [out])])
    }

    /// A program that only looks like an encoder has the reference's bits too: it does not run fused.
    @Test(arguments: Oddity.allCases) func whatOnlyLooksLikeAnEncoderRunsInGeneral(_ oddity: Oddity) throws {
        var random = SplitMix64(seed: 8)
        let counts = [40, 3, 50, 1, 60]
        let places = counts.enumerated().flatMap { sentence, count in (0..<count).map { Int32(sentence * 60 + $0) } }
        let slots = counts.enumerated().flatMap { sentence, count -> [Int32] in
            let before = counts[..<sentence].reduce(0, +)
            return (0..<60).map { $0 < count ? Int32(before + $0) : -1 }
        }
        let fixed = try Self.smallProgram(oddity).specialise([
            ("tokens", UInt64(places.count)), ("sentences", UInt64(counts.count)), ("length", 60),
        ])
        func floats(_ declaration: TensorDeclaration) -> Tensor {
            let values = (0..<Int(declaration.type.count)).map { _ in Float(Int64(random.next() % 2001) - 1000) / 700 }
            if declaration.type.element == .f32 { return Tensor(values, shape: declaration.type.dimensions) }
            let halves = values.map { UInt16($0.bitPattern >> 16) }
            return Tensor(
                element: .bf16, shape: declaration.type.dimensions,
                bytes: halves.flatMap { [UInt8($0 & 255), UInt8($0 >> 8)] })
        }
        let weights = fixed.parameters.map { floats($0) }
        let inputs = fixed.inputs.map { declaration -> Tensor in
            switch declaration.name {
            case "ids": Tensor(places.map { _ in Int32(random.next() % 50) }, shape: [places.count])
            case "slots": Tensor(slots, shape: [counts.count, 60])
            case "lengths": Tensor(counts.map { Int32($0) }, shape: [counts.count])
            case "places": Tensor(places, shape: [places.count])
            case "others": Tensor([Int32(7), 49, 0], shape: [3])
            default: floats(declaration)
            }
        }
        try Self.withPointers(weights) { weights in
            try Self.withPointers(inputs) { inputs in
                let expected = try ReferenceExecutor(fixed).run(parameters: weights, inputs: inputs)
                let prepared = try PreparedModel(program: fixed, parameters: weights, owners: [])
                for threads in [1, 2] {
                    let executor = Executor(program: fixed, model: prepared, threads: threads)
                    #expect(!executor.isFused)
                    let found = try executor.run(inputs: zip(fixed.inputs, inputs).map { ($0.name, $1) })
                    #expect(found == expected.outputs[0])
                }
            }
        }
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
