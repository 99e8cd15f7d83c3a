/// What sentence-transformers adds to an encoder: the length limit, the pooling, the normalisation.
public struct SentenceSettings: Sendable, Equatable {
    /// The most tokens a sentence may have, special ones included.
    public let limit: Int
    /// Whether embeddings are brought to length 1.
    public let isNormalized: Bool
    /// The files that said so, relative to the folder.
    public let files: [String]

    /// Reads `modules.json` and what it names. Without it: mean pooling, no normalisation, as sentence-transformers does.
    public init(_ folder: HuggingFaceFolder, configuration: BertConfiguration) throws(ImportFault) {
        var files: [String] = []
        var isNormalized = false
        if let modules = try folder.settings("modules.json") {
            files.append("modules.json")
            guard let entries = modules.array, entries.count <= 16 else {
                throw .setting(file: "modules.json", key: "the file", "is not a list of modules")
            }
            let types = entries.map { $0["type"]?.string?.split(separator: ".").last.map(String.init) ?? "unnamed" }
            for (index, type) in types.enumerated() {
                switch (index, type) {
                case (0, "Transformer"):
                    if let path = entries[0]["path"]?.string, !path.isEmpty {
                        throw .unsupported("folder layout", found: "an encoder in the folder \(path)")
                    }
                case (1, "Pooling"): files.append(try SentenceSettings.checkPooling(entries[1], folder, configuration))
                case (2, "Normalize"): isNormalized = true
                default: throw .unsupported("module \(index)", found: type)
                }
            }
            if types.count < 2 { throw .setting(file: "modules.json", key: "the list", "names no Pooling module") }
        }
        self.isNormalized = isNormalized
        var limit = configuration.positions
        if let settings = try folder.settings("sentence_bert_config.json") {
            files.append("sentence_bert_config.json")
            if let value = settings["max_seq_length"], value != .null {
                guard let count = value.integer, count >= 3 else {
                    throw .setting(
                        file: "sentence_bert_config.json", key: "max_seq_length", "is not a length of at least 3")
                }
                limit = min(limit, count)
            }
        } else if let count = try folder.settings("tokenizer_config.json")?["model_max_length"]?.integer, count >= 3 {
            limit = min(limit, count)
        }
        self.limit = limit
        self.files = files
    }

    /// Checks that a pooling module takes the mean; returns the path of its settings.
    private static func checkPooling(
        _ module: JSONValue, _ folder: HuggingFaceFolder, _ configuration: BertConfiguration
    ) throws(ImportFault) -> String {
        let path = module["path"]?.string ?? ""
        // The path comes from a stranger's file: one plain name, nothing above or beside the folder.
        guard !path.isEmpty, !path.hasPrefix("."), path.utf8.count <= 100,
            path.utf8.allSatisfy({ $0 != UInt8(ascii: "/") && $0 > 0x20 })
        else { throw .setting(file: "modules.json", key: "path", "is not the name of a folder") }
        let file = path + "/config.json"
        guard let settings = try folder.settings(file) else { throw .file(.missing(folder.path(of: file))) }
        let prefix = "pooling_mode_"
        let modes = (settings.object?.members ?? []).filter { $0.name.hasPrefix(prefix) && $0.value.bool == true }
        let names = modes.map { String($0.name.dropFirst(prefix.count)) }
        // Newer files name one mode instead of setting flags.
        let mode = settings["pooling_mode"]?.string ?? names.joined(separator: " and ")
        if mode != "mean_tokens" && mode != "mean" {
            throw .unsupported("pooling", found: mode.isEmpty ? "not named" : mode)
        }
        if let width = settings["word_embedding_dimension"]?.integer, width != configuration.hiddenSize {
            throw .setting(
                file: file, key: "word_embedding_dimension", "is not hidden_size (\(configuration.hiddenSize))")
        }
        return file
    }
}
