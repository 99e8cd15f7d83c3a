import Foundation
import Primitives
import Runtime
import Testing

/// The real model, as scripts/fetch_model.sh unpacks it.
enum TestModel {
    /// False only where PLASMA_SKIP_MODEL=1 says that the model's tests are not wanted here.
    static var isWanted: Bool { ProcessInfo.processInfo.environment["PLASMA_SKIP_MODEL"] != "1" }

    static var folder: String {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        return root.appendingPathComponent(".cache/all-MiniLM-L6-v2").path
    }

    struct Absent: Error, CustomStringConvertible {
        var description: String {
            "The model is not in .cache: run scripts/fetch_model.sh, or set PLASMA_SKIP_MODEL=1 to skip its tests."
        }
    }

    static var isPresent: Bool { FileManager.default.fileExists(atPath: folder + "/config.json") }

    static func tokenizer() throws -> WordPieceTokenizer {
        guard isPresent else { throw Absent() }
        let file = try MappedFile(path: folder + "/tokenizer.json")
        return try WordPieceTokenizer(tokenizerJSON: file.bytes, limit: 256)
    }
}

/// Files beside the tests.
enum Fixtures {
    static func json(_ name: String) throws -> JSONValue {
        let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Fixtures/\(name)")
        return try JSONReader.read(Array(Data(contentsOf: url)))
    }
}

/// Seeded damage for fuzzing: a few bytes changed, removed, repeated or cut.
enum Mutation {
    static func of(_ original: [UInt8], _ random: inout SplitMix64) -> [UInt8] {
        var bytes = original
        for _ in 0..<Int.random(in: 1...4, using: &random) where !bytes.isEmpty {
            let index = Int.random(in: 0..<bytes.count, using: &random)
            switch Int.random(in: 0..<6, using: &random) {
            case 0: bytes[index] = UInt8.random(in: 0...255, using: &random)
            case 1: bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 2: bytes.remove(at: index)
            case 3: bytes.insert(bytes[index], at: index)
            case 4: bytes[index] = Array("0123456789-{}[]\",:".utf8).randomElement(using: &random) ?? 0
            default: bytes.removeLast(min(bytes.count - index, Int.random(in: 1...64, using: &random)))
            }
        }
        return bytes
    }
}
