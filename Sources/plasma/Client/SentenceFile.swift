import Foundation

/// The sentences of a text file, one a line.
enum SentenceFile {
    static let byteLimit = 64 << 20

    /// Reads a file. Lines of nothing but white space are left out; a sentence keeps its line's bytes but for the line end.
    static func read(_ path: String) throws -> [String] {
        guard let attributes = try? FileManager.default.attributesOfItem(atPath: path) else {
            throw Failure("there is no file \(path): give a text file with one sentence a line")
        }
        if let size = attributes[.size] as? Int, size > byteLimit {
            throw Failure("\(path) has \(size) bytes, at most \(byteLimit) are taken: split it")
        }
        guard let data = FileManager.default.contents(atPath: path) else {
            throw Failure("\(path) cannot be read: check that it is a file and yours to read")
        }
        guard let text = String(validating: data, as: UTF8.self) else {
            throw Failure("\(path) is not UTF-8 text: convert it, for example with iconv -t utf-8")
        }
        let sentences = text.split(whereSeparator: \.isNewline).map(String.init).filter {
            !$0.allSatisfy(\.isWhitespace)
        }
        if sentences.isEmpty { throw Failure("\(path) is empty: write at least one sentence, one a line") }
        return sentences
    }
}
