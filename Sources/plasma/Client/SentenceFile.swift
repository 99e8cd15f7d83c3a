import Foundation

/// The sentences of a text file, one a line.
enum SentenceFile {
    static let byteLimit = 64 << 20

    /// Reads a file: row `i` of the result belongs to line `i`, so a blank line is an empty sentence. A line ends with LF or CR LF; what follows the
    /// last line end is a line only if it is not empty.
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
        guard String(validating: data, as: UTF8.self) != nil else {
            throw Failure("\(path) is not UTF-8 text: convert it, for example with iconv -t utf-8")
        }
        var lines = data.split(separator: 10, omittingEmptySubsequences: false)
        if lines.last?.isEmpty == true { lines.removeLast() }
        let sentences = lines.map { line in
            String(decoding: line.last == 13 ? line.dropLast() : line, as: UTF8.self)
        }
        if sentences.allSatisfy({ $0.allSatisfy(\.isWhitespace) }) {
            throw Failure("\(path) is empty: write at least one sentence, one a line")
        }
        return sentences
    }
}
