/// A sentence encoder taken from a folder: its settings, its weights, its tokenizer and the files that travel with it.
public struct ImportedModel: Sendable {
    /// A file that must travel with the program so that others can make its inputs.
    public struct File: Sendable {
        /// Its path in the model's folder.
        public let name: String
        /// Its bytes.
        public let contents: MappedFile
    }

    public let name: String
    public let configuration: BertConfiguration
    public let settings: SentenceSettings
    public let tokenizer: WordPieceTokenizer
    /// The weights in the order in which the program names its parameters.
    public let parameters: [ImportedParameter]
    public let files: [File]

    /// How many weights are subnormal, in all.
    public var subnormalCount: Int { parameters.lazy.map(\.subnormalCount).reduce(0, +) }

    /// Writes the encoder's step graph into a builder; returns the embeddings, f32 [sentences, hidden].
    public func build<Graph: EncoderGraph>(into graph: inout Graph) -> Graph.Value {
        BertEncoder(configuration: configuration, isNormalized: settings.isNormalized).build(into: &graph).embeddings
    }

    /// The same with the last layer's tokens, f32 [tokens, hidden], and, where asked for, the input `segments` (i32 [tokens]).
    public func buildWithTokens<Graph: EncoderGraph>(
        into graph: inout Graph, takesSegments: Bool
    ) -> (tokens: Graph.Value, embeddings: Graph.Value) {
        BertEncoder(
            configuration: configuration, isNormalized: settings.isNormalized, takesSegments: takesSegments
        ).build(into: &graph)
    }
}

extension ModelImporter {
    /// Imports a Hugging Face folder that holds a BERT encoder. Weights stay mapped from their file.
    public static func importFolder(_ path: String) throws(ImportFault) -> ImportedModel {
        let folder = try HuggingFaceFolder(path: path)
        guard let config = try folder.settings("config.json") else {
            throw .file(.missing(folder.path(of: "config.json")))
        }
        let configuration = try BertConfiguration(config)
        let settings = try SentenceSettings(folder, configuration: configuration)
        let (tokenizer, tokenizerFiles) = try tokenizer(folder, limit: settings.limit)
        if Int(tokenizer.greatestID) >= configuration.vocabularySize {
            throw .vocabulary(greatestID: Int(tokenizer.greatestID), rows: configuration.vocabularySize)
        }
        let weightFile = "model.safetensors"
        if !folder.has(weightFile) {
            let others = ["model.safetensors.index.json", "pytorch_model.bin", "tf_model.h5", "model.onnx"]
            throw .noWeights(folder: folder.path, found: others.first { folder.has($0) })
        }
        let file: SafetensorsFile
        do throws(SafetensorsFault) {
            file = try SafetensorsFile(path: folder.path(of: weightFile))
        } catch { throw .safetensors(file: weightFile, error) }
        let weights = try BertWeights(file, configuration)
        var files: [ImportedModel.File] = []
        for name in ["config.json"] + tokenizerFiles + settings.files {
            let contents = try folder.map(name, limit: HuggingFaceFolder.tokenizerLimit)
            files.append(ImportedModel.File(name: name, contents: contents))
        }
        return ImportedModel(
            name: folder.name, configuration: configuration, settings: settings, tokenizer: tokenizer,
            parameters: weights.parameters, files: files)
    }
}
