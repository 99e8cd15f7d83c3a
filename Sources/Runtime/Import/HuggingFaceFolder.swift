/// A model's folder as Hugging Face lays it out: names looked up, files bounded, nothing outside the folder read.
public struct HuggingFaceFolder: Sendable {
    /// The most bytes that a settings file may have.
    public static let settingsLimit = 16 << 20
    /// The most bytes that a tokenizer's file may have.
    public static let tokenizerLimit = JSONReader.byteLimit

    /// The folder's path.
    public let path: String

    /// A folder; `config.json` must be in it.
    public init(path: String) throws(ImportFault) {
        var trimmed = path
        while trimmed.count > 1, trimmed.hasSuffix("/") { trimmed.removeLast() }
        self.path = trimmed
        if !HuggingFaceFolder.isFolder(trimmed) {
            if HuggingFaceFolder.exists(trimmed) { throw .notAFolder(trimmed) }
            throw .file(.missing(trimmed))
        }
    }

    /// The last part of the path: what the model is called.
    public var name: String { path.split(separator: "/").last.map(String.init) ?? "model" }

    /// The path of a file.
    public func path(of file: String) -> String { path + "/" + file }

    /// Whether a file is there.
    public func has(_ file: String) -> Bool { HuggingFaceFolder.exists(path(of: file)) }

    /// Maps a file.
    public func map(_ file: String, limit: Int) throws(ImportFault) -> MappedFile {
        do throws(FileFault) { return try MappedFile(path: path(of: file), limit: limit) } catch { throw .file(error) }
    }

    /// Reads a settings file; nil where there is none.
    public func settings(_ file: String) throws(ImportFault) -> JSONValue? {
        if !has(file) { return nil }
        let mapped = try map(file, limit: HuggingFaceFolder.settingsLimit)
        do throws(JSONFault) {
            return try JSONReader.read(mapped.bytes, limit: HuggingFaceFolder.settingsLimit)
        } catch { throw .json(file: file, error) }
    }
}
