import Foundation
import Primitives
import Programs
import Runtime
import Testing

/// Generation: prefill and decode over one carried state.
@Suite struct GenerationTests {
    static func bits(_ tensor: Tensor, row: Int) -> [UInt32] {
        let width = tensor.floats.count / tensor.shape[0]
        return tensor.floats[row * width..<(row + 1) * width].map(\.bitPattern)
    }

    @Test(arguments: TransformerFixture.decoders) func greedyContinuationsEqualThoseOfTransformers(name: String) throws
    {
        let fixture = try TransformerFixture(name)
        let generator = try Generator(try fixture.model(), threads: 1)
        var settings = GenerationSettings()
        settings.maximumTokens = 20
        settings.stops = generator.configuration.endTokens
        // Three prompts of different lengths in one batch; transformers had each alone.
        let found = try generator.generate(try fixture.prompts(), settings)
        #expect(found.rows == (try fixture.continuations()))
    }

    /// The numbers that choose a token are the same bits whether it was reached by decoding from a short prompt or by one prefill of
    /// everything before it, alone or in a batch.
    @Test(arguments: TransformerFixture.decoders) func decodingEqualsPrefillBitForBit(name: String) throws {
        let fixture = try TransformerFixture(name)
        let generator = try Generator(try fixture.model(), threads: 1)
        let prompts = try fixture.prompts()
        var settings = GenerationSettings()
        settings.maximumTokens = 8
        let batch = try generator.generate(prompts, settings, givesLogits: true)
        #expect(batch.steps == 8)
        for (row, prompt) in prompts.enumerated() {
            let alone = try generator.generate([prompt], settings, givesLogits: true)
            #expect(alone.rows[0] == batch.rows[row])
            for step in 0..<8 {
                let expected = Self.bits(batch.logits[step], row: row)
                #expect(Self.bits(alone.logits[step], row: 0) == expected, "\(name) row \(row) step \(step)")
                var one = settings
                one.maximumTokens = 1
                let prefilled = try generator.generate(
                    [prompt + batch.rows[row].prefix(step)], one, givesLogits: true)
                #expect(Self.bits(prefilled.logits[0], row: 0) == expected, "\(name) row \(row) step \(step)")
                #expect(prefilled.rows[0] == [batch.rows[row][step]])
            }
        }
    }

    /// Sums over positions are cut into segments of 256; a text that grows past one keeps its bits.
    @Test func decodingEqualsPrefillAcrossSegments() throws {
        let folder = try SmallDecoderFolder(seed: 3)
        let generator = try Generator(try ModelImporter.importTransformer(folder.path), threads: 1)
        var random = SplitMix64(seed: 4)
        let prompts = [253, 31].map { count in
            (0..<count).map { _ in Int32(random.next() % UInt64(SmallDecoderFolder.vocabulary)) }
        }
        var settings = GenerationSettings()
        settings.maximumTokens = 8
        let batch = try generator.generate(prompts, settings, givesLogits: true)
        settings.maximumTokens = 1
        for (row, prompt) in prompts.enumerated() {
            for step in [0, 2, 3, 4, 7] {
                let all = prompt + batch.rows[row].prefix(step)
                let prefilled = try generator.generate([all], settings, givesLogits: true)
                #expect(
                    Self.bits(prefilled.logits[0], row: 0) == Self.bits(batch.logits[step], row: row),
                    "\(all.count) tokens")
            }
        }
    }

    /// However many threads run it, and however the executor fuses it: the bits of the reference.
    @Test(arguments: TransformerFixture.decoders) func logitsAreThoseOfTheReferenceOnAnyThreads(name: String) throws {
        let fixture = try TransformerFixture(name)
        let model = try fixture.model()
        let prompts = try fixture.prompts()
        var settings = GenerationSettings()
        settings.maximumTokens = 6
        let single = try Generator(model, threads: 1)
        let first = try single.generate(prompts, settings, givesLogits: true)
        for threads in [2, 3, 8] {
            let other = try Generator(model, threads: threads).generate(prompts, settings, givesLogits: true)
            #expect(other == first, "\(threads) threads")
        }
        let length = prompts.map(\.count).max() ?? 0
        let program = try single.program(.greedy, givesLogits: true).specialise([
            ("batch", 3), ("length", UInt64(length)), ("tokens", 5), ("capacity", UInt64(length + 5)), ("stops", 1),
        ])
        let ids = prompts.flatMap { $0 + [Int32](repeating: 0, count: length - $0.count) }
        let inputs = [
            Tensor(ids, shape: [3, length]), Tensor(prompts.map { Int32($0.count) }, shape: [3]),
            Tensor([Int32(-1)], shape: [1]), Tensor([Int32(0)], shape: []),
        ]
        let reference = try Self.run(program, inputs, parameters: model.parameters.map { p in p.withBytes { $0 } })
        #expect(reference.map { $0[1] } == first.logits)
        withExtendedLifetime(model) {}
    }

    @Test func aStopTokenEndsItsRowAndTheLastOneEndsTheScan() throws {
        let fixture = try TransformerFixture("llama")
        let generator = try Generator(try fixture.model(), threads: 1)
        let prompts = try fixture.prompts()
        var settings = GenerationSettings()
        settings.maximumTokens = 20
        let free = try generator.generate(prompts, settings)
        #expect(free.steps == 20)
        #expect(free.isFinished == [false, false, false])
        settings.stops = [free.rows[0][4], free.rows[1][2], free.rows[2][6]]
        settings.padding = 95
        let stopped = try generator.generate(prompts, settings)
        var longest = 0
        for row in 0..<3 {
            let end = try #require(free.rows[row].firstIndex { settings.stops.contains($0) })
            #expect(stopped.rows[row] == Array(free.rows[row].prefix(end + 1)))
            #expect(stopped.isFinished[row])
            longest = max(longest, end + 1)
        }
        #expect(stopped.steps == longest)
    }

    @Test func aFinishedRowGivesThePaddingAndTheOthersGoOn() throws {
        let fixture = try TransformerFixture("gpt2")
        let generator = try Generator(try fixture.model(), threads: 1)
        let prompts = try fixture.prompts()
        var settings = GenerationSettings()
        settings.maximumTokens = 12
        let free = try generator.generate(prompts, settings)
        settings.stops = [free.rows[0][3]]
        let stopped = try generator.generate(prompts, settings)
        for row in 1..<3 where !free.rows[row].contains(free.rows[0][3]) {
            #expect(stopped.rows[row] == free.rows[row])
            #expect(!stopped.isFinished[row])
        }
        #expect(stopped.rows[0].count <= 4)
    }

    @Test func aSeedGivesTheSameTokensAndAnotherSeedOthers() throws {
        let fixture = try TransformerFixture("qwen2")
        let generator = try Generator(try fixture.model(), threads: 1)
        let prompts = try fixture.prompts()
        var settings = GenerationSettings()
        settings.maximumTokens = 12
        settings.temperature = 1.5
        settings.seed = 7
        let first = try generator.generate(prompts, settings)
        #expect(try generator.generate(prompts, settings) == first)
        settings.seed = 8
        #expect(try generator.generate(prompts, settings).rows != first.rows)
        settings.limit = 1
        // Of one token there is no choice.
        var greedy = GenerationSettings()
        greedy.maximumTokens = 12
        #expect(try generator.generate(prompts, settings).rows == generator.generate(prompts, greedy).rows)
        settings.limit = nil
        settings.share = 1e-6
        #expect(try generator.generate(prompts, settings).rows == generator.generate(prompts, greedy).rows)
    }

    /// Draws from logits that are known: how often each token comes is what softmax says.
    @Test func drawsFollowTheSoftmax() throws {
        let logits: [Float] = [0, 1, 2, 3, -1, 2.5]
        let rows = 4096
        let temperature: Float = 1.25
        var builder = GraphBuilder(
            leading: [TensorType(.f32, [4096, 6]), TensorType(.f32, [4096])])
        let token = builder.sampledToken(ValueID(0), temperature: ValueID(1))
        let found = try Self.tokens(
            builder, token,
            [
                Array((0..<rows).map { _ in logits }.joined()), [Float](repeating: temperature, count: rows),
            ])
        let weights = logits.map { exp(Double($0) / Double(temperature)) }
        let total = weights.reduce(0, +)
        for (id, weight) in weights.enumerated() {
            let share = weight / total
            let count = Double(found.count { $0 == Int32(id) })
            let deviation = (Double(rows) * share * (1 - share)).squareRoot()
            // The seed is fixed: five deviations hold once and for all.
            #expect(abs(count - Double(rows) * share) < 5 * deviation, "token \(id): \(count)")
        }
    }

    @Test func filtersKeepTheMostLikelyTokens() throws {
        let logits: [Float] = [0, 1, 2, 3, -1, 2.5]
        let rows = 2048
        func draw(limit: Int32, share: Float) throws -> Set<Int32> {
            var builder = GraphBuilder(leading: [
                TensorType(.f32, [2048, 6]), TensorType(.f32, [2048]), TensorType(.i32, [2048]),
                TensorType(.f32, [2048]),
            ])
            let token = builder.sampledToken(
                ValueID(0), temperature: ValueID(1), limit: ValueID(2), share: ValueID(3))
            let program = try Program(
                axes: [], parameters: [],
                inputs: builder.types.prefix(4).enumerated().map { TensorDeclaration(name: "\($0)", type: $1) },
                scans: [Scan(steps: 1, operations: builder.operations, outputs: [token])]
            ).specialise([])
            let inputs = [
                Tensor(Array((0..<rows).map { _ in logits }.joined()), shape: [rows, 6]),
                Tensor([Float](repeating: 2, count: rows), shape: [rows]),
                Tensor([Int32](repeating: limit, count: rows), shape: [rows]),
                Tensor([Float](repeating: share, count: rows), shape: [rows]),
            ]
            return Set(
                try Self.run(program, inputs)[0][0].bytes.withUnsafeBytes { Array($0.bindMemory(to: Int32.self)) })
        }
        #expect(try draw(limit: 6, share: 2) == [0, 1, 2, 3, 4, 5])
        #expect(try draw(limit: 3, share: 2) == [3, 5, 2])
        #expect(try draw(limit: 1, share: 2) == [3])
        // softmax(x/2) of the greatest three: 0.318, 0.248, 0.193.
        #expect(try draw(limit: 6, share: 0.3) == [3])
        #expect(try draw(limit: 6, share: 0.5) == [3, 5])
        #expect(try draw(limit: 6, share: 0.6) == [3, 5, 2])
        // Among two the shares are 0.56 and 0.44.
        #expect(try draw(limit: 2, share: 0.5) == [3])
        #expect(try draw(limit: 2, share: 0.6) == [3, 5])
    }

    private static func tokens(_ builder: GraphBuilder, _ token: ValueID, _ inputs: [[Float]]) throws -> [Int32] {
        let program = try Program(
            axes: [], parameters: [],
            inputs: builder.types.prefix(inputs.count).enumerated().map { TensorDeclaration(name: "\($0)", type: $1) },
            scans: [Scan(steps: 1, operations: builder.operations, outputs: [token])]
        ).specialise([])
        let tensors = inputs.map { Tensor($0, shape: [$0.count]) }
        return try run(program, tensors)[0][0].bytes.withUnsafeBytes { Array($0.bindMemory(to: Int32.self)) }
    }

    private static func run(
        _ program: SpecialisedProgram, _ inputs: [Tensor], parameters: [UnsafeRawBufferPointer] = []
    ) throws -> [[Tensor]] {
        let held = inputs.map { tensor in
            let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: tensor.bytes.count, alignment: 64)
            memory.copyBytes(from: tensor.bytes)
            return UnsafeRawBufferPointer(memory)
        }
        defer { for bytes in held { bytes.deallocate() } }
        return try ReferenceExecutor(program).run(parameters: parameters, inputs: held, seed: 3).outputs
    }

    @Test func whatCannotBeGeneratedIsRefusedWithASentence() throws {
        let generator = try Generator(try TransformerFixture("mistral").model(), threads: 1)
        func fault(_ prompts: [[Int32]], _ change: (inout GenerationSettings) -> Void = { _ in }) -> String {
            var settings = GenerationSettings()
            settings.maximumTokens = 4
            change(&settings)
            do {
                _ = try generator.generate(prompts, settings)
                return "none"
            } catch { return "\(error)" }
        }
        #expect(fault([]).hasPrefix("There is no prompt"))
        #expect(fault([[3], []]).hasPrefix("Prompt 1 has no token"))
        #expect(fault([[3, 96]]).contains("has the token 96, the model knows those below 96"))
        #expect(fault([[-1]]).contains("has the token -1"))
        // The sliding window of 48 is the limit, below the 64 positions.
        #expect(fault([[Int32](repeating: 5, count: 45)]).contains("beyond the 48 that the model takes"))
        #expect(fault([[Int32](repeating: 5, count: 44)]) == "none")
        #expect(fault([[3]]) { $0.maximumTokens = 0 }.contains("must be at least 1"))
        #expect(fault([[3]]) { $0.temperature = -1 }.contains("temperature must be"))
        #expect(fault([[3]]) { $0.temperature = .nan }.contains("temperature must be"))
        #expect(fault([[3]]) { $0.share = 0 }.contains("top-p share must be"))
        #expect(fault([[3]]) { $0.limit = 0 }.contains("top-k limit must be"))
        var settings = GenerationSettings()
        settings.maximumTokens = 4
        let memory = #expect(throws: GenerationFault.self) {
            _ = try generator.generate([[3]], settings, memory: 1000)
        }
        #expect("\(memory.map { "\($0)" } ?? "")".contains("bytes of memory and 1000 are there"))
        #expect(throws: GenerationFault.notADecoder("vit")) {
            _ = try Generator(try TransformerFixture("vit").model(), threads: 1)
        }
    }
}
