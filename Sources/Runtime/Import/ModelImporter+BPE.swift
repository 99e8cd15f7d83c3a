extension ModelImporter {
    /// Reads the BPE tokenizer of a folder.
    public static func textTokenizer(path: String) throws(ImportFault) -> BPETokenizer {
        let folder = try HuggingFaceFolder(path: path)
        let name = "tokenizer.json"
        if !folder.has(name) { throw .noTokenizer(folder: folder.path) }
        let file = try folder.map(name, limit: HuggingFaceFolder.tokenizerLimit)
        do throws(TokenizerFault) { return try BPETokenizer(tokenizerJSON: file.bytes) } catch {
            throw .tokenizer(error)
        }
    }
}
