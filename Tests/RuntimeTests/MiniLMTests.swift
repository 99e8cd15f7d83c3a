import Runtime
import Testing

/// The imported MiniLM against PyTorch's embeddings.
@Suite struct MiniLMTests {
    @Test(.enabled(if: TestModel.isWanted)) func theImportedGraphGivesTheReferenceEmbeddings() throws {
        guard TestModel.isPresent else { throw TestModel.Absent() }
        let model = try ModelImporter.importFolder(TestModel.folder)
        #expect(model.name == "all-MiniLM-L6-v2")
        #expect(model.parameters.count == 5 + 6 * 16)
        #expect(model.settings.limit == 256)
        #expect(model.settings.isNormalized)
        #expect(model.files.map(\.name).contains("tokenizer.json"))
        var items = try Fixtures.json("minilm-reference.json")["items"]?.array ?? []
        #if DEBUG
            // Unoptimised, the plain loops take minutes; the release build takes every text.
            items = Array(items.filter { ($0["input_ids"]?.array?.count ?? 0) < 5 }.prefix(2))
        #endif
        let texts = items.map { $0["text"]?.string ?? "" }
        let batch = try EncoderInputs.make(sentences: texts, tokenizer: model.tokenizer)
        var graph = EagerEncoder(model, batch)
        let found = model.build(into: &graph)
        #expect(found.rows == items.count && found.width == 384)
        for (row, item) in items.enumerated() {
            let expected = try #require(item["embedding"]?.array).map { $0.double ?? .nan }
            let vector = found.floats[row * 384..<(row + 1) * 384].map { Double($0) }
            let dot = zip(vector, expected).reduce(0) { $0 + $1.0 * $1.1 }
            let norms = vector.reduce(0) { $0 + $1 * $1 } * expected.reduce(0) { $0 + $1 * $1 }
            let cosine = dot / norms.squareRoot()
            #expect(cosine >= 0.999999, "\(texts[row].prefix(60)): \(cosine)")
        }
    }

    @Test func aBatchIsPackedWithoutPadding() throws {
        let tokenizer = try SmallTokenizer.make(added: "")
        let batch = try EncoderInputs.make(sentences: ["a", ""], tokenizer: tokenizer)
        #expect(batch.axes.map(\.value) == [5, 2, 3])
        #expect(batch.inputs.map(\.name) == ["ids", "positions", "slots", "lengths", "places"])
        #expect(
            batch.inputs.map(\.values) == [
                [1, 4, 2, 1, 2], [0, 1, 2, 0, 1], [0, 1, 2, 3, 4, -1], [3, 2], [0, 1, 2, 3, 4],
            ])
        #expect(batch.truncated.isEmpty)
    }

    @Test func sentencesLongerThanTheModelTakesAreNamed() throws {
        let tokenizer = try SmallTokenizer.make(added: "", limit: 4)
        let batch = try EncoderInputs.make(sentences: ["a b", "a b a", "b"], tokenizer: tokenizer)
        #expect(batch.truncated == [1])
        #expect(batch.length == 4)
    }

    @Test func anEmptyBatchIsRefused() throws {
        let tokenizer = try SmallTokenizer.make(added: "")
        #expect(throws: EncoderInputsFault.empty) { try EncoderInputs.make(sentences: [], tokenizer: tokenizer) }
    }
}
