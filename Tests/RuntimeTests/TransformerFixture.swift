import Foundation
import Runtime
import Testing

/// A tiny model that scripts/fixtures/transformer_folders.py made, with what transformers gave for it.
struct TransformerFixture {
    static let decoders = ["gpt2", "llama", "llama3", "mistral", "qwen2"]

    let folder: String
    let expected: JSONValue

    init(_ name: String) throws {
        folder =
            URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("Fixtures/transformers/\(name)").path
        expected = try JSONReader.read(Array(Data(contentsOf: URL(fileURLWithPath: folder + "/expected.json"))))
    }

    func model() throws -> TransformerModel { try ModelImporter.importTransformer(folder) }

    func floats(_ name: String) throws -> [Float] {
        let text = try #require(expected[name]?.string)
        let data = try #require(Data(base64Encoded: text))
        return data.withUnsafeBytes { raw in
            (0..<raw.count / 4).map { raw.loadUnaligned(fromByteOffset: $0 * 4, as: Float.self) }
        }
    }

    /// The padded rows and the tokens of each.
    func rows() throws -> (ids: [[Int64]], counts: [Int]) {
        let ids = try #require(expected["input_ids"]?.array).map { row in
            try #require(row.array).map { Int64(try #require($0.integer)) }
        }
        return (ids, try #require(expected["counts"]?.array).map { try #require($0.integer) })
    }

    /// The rows without their padding.
    func prompts() throws -> [[Int32]] {
        let (ids, counts) = try rows()
        return zip(ids, counts).map { row, count in row.prefix(count).map { Int32($0) } }
    }

    func continuations() throws -> [[Int32]] {
        try #require(expected["continuations"]?.array).map { row in
            try #require(row.array).map { Int32(try #require($0.integer)) }
        }
    }

    /// `input_ids` and `attention_mask`.
    func tokenArrays() throws -> [(name: String, array: NumpyArray)] {
        let (ids, counts) = try rows()
        let shape = [ids.count, ids[0].count]
        let mask = counts.flatMap { count in (0..<shape[1]).map { Int64($0 < count ? 1 : 0) } }
        return [
            ("input_ids", try NumpyArray(ids.flatMap { $0 }, shape)), ("attention_mask", try NumpyArray(mask, shape)),
        ]
    }
}

/// How far floats are from others: the greatest difference over the greatest magnitude.
func relativeDifference(_ found: [Float], _ expected: [Float]) -> Double {
    if found.count != expected.count { return .infinity }
    var difference = 0.0
    var magnitude = 0.0
    for (x, y) in zip(found, expected) {
        if !x.isFinite { return .infinity }
        difference = max(difference, abs(Double(x) - Double(y)))
        magnitude = max(magnitude, abs(Double(y)))
    }
    return difference / magnitude
}
