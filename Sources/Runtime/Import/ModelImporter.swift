/// Imports models from folders. Every fault is found here, before anything is published.
public enum ModelImporter {
    /// Reads the tokenizer of a folder, cut to the limit that its settings name; for models that are in use already.
    public static func tokenizer(
        _ folder: HuggingFaceFolder, limit: Int
    ) throws(ImportFault) -> (tokenizer: WordPieceTokenizer, files: [String]) {
        do throws(TokenizerFault) {
            if folder.has("tokenizer.json") {
                let file = try mapped("tokenizer.json", folder)
                return (try WordPieceTokenizer(tokenizerJSON: file.bytes, limit: limit), ["tokenizer.json"])
            }
            if folder.has("vocab.txt") {
                let file = try mapped("vocab.txt", folder)
                var files = ["vocab.txt"]
                var settings: JSONValue?
                if folder.has("tokenizer_config.json") {
                    files.append("tokenizer_config.json")
                    let text = try mapped("tokenizer_config.json", folder)
                    do throws(JSONFault) { settings = try JSONReader.read(text.bytes) } catch {
                        throw TokenizerFault.json(file: "tokenizer_config.json", error)
                    }
                }
                let tokenizer = try WordPieceTokenizer(
                    vocabularyText: file.bytes, configuration: settings, limit: limit)
                return (tokenizer, files)
            }
        } catch { throw .tokenizer(error) }
        throw .noTokenizer(folder: folder.path)
    }

    /// Reads the tokenizer of a folder whose weights are elsewhere: what makes the inputs of a published model.
    public static func tokenizer(path: String) throws(ImportFault) -> WordPieceTokenizer {
        let folder = try HuggingFaceFolder(path: path)
        guard let config = try folder.settings("config.json") else {
            throw .file(.missing(folder.path(of: "config.json")))
        }
        let settings = try SentenceSettings(folder, configuration: try BertConfiguration(config))
        return try tokenizer(folder, limit: settings.limit).tokenizer
    }

    /// Maps a file of the tokenizer, with the tokenizer's own kind of fault.
    private static func mapped(_ name: String, _ folder: HuggingFaceFolder) throws(TokenizerFault) -> MappedFile {
        do throws(FileFault) {
            return try MappedFile(path: folder.path(of: name), limit: HuggingFaceFolder.tokenizerLimit)
        } catch { throw .file(error) }
    }
}
