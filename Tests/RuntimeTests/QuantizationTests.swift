import Foundation
import Primitives
import Programs
import Runtime
import Testing

/// w8a8 and fx15: near the f32 model, and as exact as any program.
struct QuantizationTests {
    /// Each row of the last axis by itself.
    static func cosines(_ x: [Float], _ y: [Float], width: Int) -> [Double] {
        stride(from: 0, to: x.count, by: width).map { start in
            var (dot, a, b) = (0.0, 0.0, 0.0)
            for i in start..<start + width {
                dot += Double(x[i]) * Double(y[i])
                a += Double(x[i]) * Double(x[i])
                b += Double(y[i]) * Double(y[i])
            }
            return dot / (a * b).squareRoot()
        }
    }

    static func floats(_ array: NumpyArray) -> [Float] {
        array.bytes.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
    }

    /// How near a kind is: the least cosine of whole models' rows, and of MiniLM's embeddings the least and the median.
    struct Nearness {
        let least: Double
        let embedding: (least: Double, median: Double)

        init(_ quantization: Quantization) {
            switch quantization {
            case .w8a8: (least, embedding) = (0.98, (0.99, 0.995))
            case .fx15: (least, embedding) = (0.999999, (0.999997, 0.999999))
            }
        }
    }

    /// Every text of the fixture alone, as its program's inputs are.
    @Test(.enabled(if: TestModel.isWanted), arguments: Quantization.allCases)
    func miniLMStaysNearItsOwnEmbeddings(_ quantization: Quantization) throws {
        guard TestModel.isPresent else { throw TestModel.Absent() }
        let model = try LocalModel(folder: TestModel.folder)
        let items = try Fixtures.json("minilm-reference.json")["items"]?.array ?? []
        var rows = items.map { $0["input_ids"]?.array?.compactMap { $0.integer.map { Int64($0) } } ?? [] }
        #if DEBUG
            // Unoptimised, the longest text takes minutes.
            rows = rows.filter { $0.count < 30 }
        #endif
        let length = rows.map(\.count).max() ?? 0
        let ids = rows.flatMap { $0 + [Int64](repeating: 0, count: length - $0.count) }
        let mask = rows.flatMap { row in (0..<length).map { Int64($0 < row.count ? 1 : 0) } }
        let shape = [rows.count, length]
        let arrays = try EncoderArrays(
            [
                ("input_ids", try NumpyArray(ids, shape)), ("attention_mask", try NumpyArray(mask, shape)),
            ], configuration: model.imported.configuration)
        let plain = try LocalRun(model, arrays, threads: 1)
        let smaller = try LocalRun(model, arrays, threads: 1, quantization: quantization)
        let again = try LocalRun(model, arrays, threads: 3, quantization: quantization)
        #expect(smaller.outputs.map(\.array.bytes) == again.outputs.map(\.array.bytes))
        let found = Self.cosines(
            Self.floats(plain.outputs[1].array), Self.floats(smaller.outputs[1].array), width: 384
        ).sorted()
        #expect(found.count == rows.count)
        let bound = Nearness(quantization).embedding
        #expect(found[0] >= bound.least, "the least cosine is \(found[0])")
        #expect(found[found.count / 2] >= bound.median, "the median cosine is \(found[found.count / 2])")
        // Rounded to eight bits, it cannot be the same; nor to fifteen.
        #expect(quantization == .fx15 || found[0] < 0.99999)
        #expect(plain.outputs[1].array.bytes != smaller.outputs[1].array.bytes)
        #expect(smaller.computeUnits != plain.computeUnits)
    }

    /// The fused run of a small encoder, and the general one, against the reference.
    @Test(arguments: 0..<4, Quantization.allCases)
    func theFusedRunHasTheBitsOfTheReference(_ seed: UInt64, _ quantization: Quantization) throws {
        let folder = try SmallEncoderFolder(seed: seed)
        defer { withExtendedLifetime(folder) {} }
        let model = try LocalModel(folder: folder.path)
        let (quantized, weights) = try model.program.quantized(
            quantization, model.imported.parameters.map { StoredParameter($0) })
        #expect(weights.contains { $0.element == .i8 })
        var random = SplitMix64(seed: seed)
        let rows = (0..<Int(random.next() % 4 + 1)).map { _ in
            (0..<Int(random.next() % 11 + 1)).map { _ in Int32(random.next() % 20) }
        }
        let batch = try EncoderInputs(rows, truncated: [])
        let fixed = try quantized.specialise(batch.axes.map { ($0.name, UInt64($0.value)) })
        let parameters = weights.map { parameter in
            Tensor(
                element: parameter.element, shape: parameter.shape, bytes: parameter.withBytes { Array($0) })
        }
        let inputs = batch.inputs.map { Tensor($0.values, shape: $0.shape) }
        try ExecutorTests.withPointers(parameters) { parameters in
            try ExecutorTests.withPointers(inputs) { inputs in
                let expected = try ReferenceExecutor(fixed).run(parameters: parameters, inputs: inputs)
                for variant in KernelVariant.allCases where variant.isSupported {
                    let prepared = try PreparedModel(
                        program: fixed, parameters: parameters, owners: [], variant: variant)
                    for threads in 1...3 {
                        let executor = Executor(program: fixed, model: prepared, threads: threads)
                        #expect(executor.isFused)
                        let found = try executor.run(inputs: zip(batch.inputs.map(\.name), inputs).map { ($0, $1) })
                        #expect(found == expected.outputs[0], "fused, \(variant), \(threads) threads")
                        let general = try GraphExecutor(
                            program: fixed, parameters: parameters, threads: threads, variant: variant)
                        #expect(
                            try general.run(inputs: inputs).outputs == expected.outputs,
                            "general, \(variant), \(threads) threads")
                    }
                }
            }
        }
    }

    /// Decoders of several kinds (GPT-2's weights lie the other way round, Llama 3's are bf16 and tied), and RoBERTa.
    @Test(arguments: ["gpt2", "llama", "llama3", "mistral", "roberta"], Quantization.allCases)
    func transformersStayNear(_ name: String, _ quantization: Quantization) throws {
        let fixture = try TransformerFixture(name)
        let model = try fixture.model()
        let arrays = try TransformerArrays(try fixture.tokenArrays(), kind: model.kind)
        let plain = try TransformerRun(model, arrays, threads: 1)
        let smaller = try TransformerRun(model, arrays, threads: 1, quantization: quantization)
        let again = try TransformerRun(model, arrays, threads: 2, quantization: quantization)
        #expect(smaller.outputs.map(\.array.bytes) == again.outputs.map(\.array.bytes))
        for (x, y) in zip(plain.outputs, smaller.outputs) {
            let width = x.array.shape.last ?? 1
            let cosines = Self.cosines(Self.floats(x.array), Self.floats(y.array), width: width)
            for (row, cosine) in cosines.enumerated() where x.rows[row] {
                #expect(cosine >= Nearness(quantization).least, "\(x.name), row \(row): \(cosine)")
            }
            #expect(x.array.bytes != y.array.bytes)
        }
    }

    /// The first token's logits, after a prefill: near those of f32, the same bits on any number of threads, and so through the tokens that follow.
    @Test(arguments: ["gpt2", "llama"], Quantization.allCases)
    func logitsOfAQuantizedDecoderStayNear(_ name: String, _ quantization: Quantization) throws {
        let fixture = try TransformerFixture(name)
        let (model, prompts) = (try fixture.model(), try fixture.prompts())
        var settings = GenerationSettings()
        settings.maximumTokens = 4
        let plain = try Generator(model, threads: 1).generate(prompts, settings, givesLogits: true)
        let smaller = try Generator(model, threads: 1, quantization: quantization)
            .generate(prompts, settings, givesLogits: true)
        let again = try Generator(model, threads: 3, quantization: quantization)
            .generate(prompts, settings, givesLogits: true)
        #expect(smaller.logits == again.logits && smaller.rows == again.rows)
        #expect(plain.logits[0] != smaller.logits[0])
        let width = plain.logits[0].floats.count / prompts.count
        let cosines = Self.cosines(plain.logits[0].floats, smaller.logits[0].floats, width: width)
        #expect(cosines.count == prompts.count)
        for cosine in cosines { #expect(cosine >= Nearness(quantization).embedding.least, "\(cosine)") }
    }

    @Test(arguments: Quantization.allCases)
    func generationOfAQuantizedDecoderDoesNotDependOnItsBatch(_ quantization: Quantization) throws {
        let fixture = try TransformerFixture("gpt2")
        let generator = try Generator(try fixture.model(), threads: 2, quantization: quantization)
        var settings = GenerationSettings()
        settings.maximumTokens = 8
        let prompts: [[Int32]] = [[5, 9, 2, 7], [3], [8, 1]]
        let together = try generator.generate(prompts, settings)
        for (row, prompt) in prompts.enumerated() {
            let alone = try generator.generate([prompt], settings)
            #expect(alone.rows[0] == together.rows[row])
        }
    }
}
