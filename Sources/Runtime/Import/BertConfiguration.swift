/// The settings of a BERT encoder (`config.json`), checked.
public struct BertConfiguration: Sendable, Equatable {
    public let vocabularySize: Int
    public let hiddenSize: Int
    public let layers: Int
    public let heads: Int
    public let intermediateSize: Int
    public let positions: Int
    public let segments: Int
    /// ε of the layer norms, as the nearest f32.
    public let layerNormEpsilon: Float

    /// The width of one head.
    public var headSize: Int { hiddenSize / heads }

    /// Reads the settings.
    public init(_ settings: JSONValue) throws(ImportFault) {
        let file = "config.json"
        let type = settings["model_type"]?.string
        let architecture = settings["architectures"]?.array?.first?.string
        if type != "bert" { throw .architecture(found: type ?? architecture ?? "not named in config.json") }
        if let architecture, !architecture.hasPrefix("Bert") { throw .architecture(found: architecture) }
        if settings["is_decoder"]?.bool == true { throw .unsupported("attention", found: "causal (is_decoder)") }
        let activation = settings["hidden_act"]?.string ?? "gelu"
        if activation != "gelu" { throw .unsupported("activation", found: activation) }
        let embedding = settings["position_embedding_type"]?.string ?? "absolute"
        if embedding != "absolute" { throw .unsupported("position_embedding_type", found: embedding) }
        func size(_ key: String, limit: Int) throws(ImportFault) -> Int {
            guard let entry = settings[key] else { throw .setting(file: file, key: key, "is missing") }
            guard let value = entry.integer, value >= 1, value <= limit else {
                throw .setting(file: file, key: key, "is not a whole number from 1 to \(limit)")
            }
            return value
        }
        vocabularySize = try size("vocab_size", limit: WordPieceTokenizer.idLimit)
        hiddenSize = try size("hidden_size", limit: 1 << 15)
        layers = try size("num_hidden_layers", limit: 128)
        heads = try size("num_attention_heads", limit: 1 << 10)
        intermediateSize = try size("intermediate_size", limit: 1 << 17)
        positions = try size("max_position_embeddings", limit: 1 << 20)
        segments = try size("type_vocab_size", limit: 1 << 10)
        if hiddenSize % heads != 0 {
            throw .setting(file: file, key: "num_attention_heads", "does not divide hidden_size (\(hiddenSize))")
        }
        let epsilon = Float(settings["layer_norm_eps"]?.double ?? 1e-12)
        if !(epsilon > 0 && epsilon < 1) { throw .setting(file: file, key: "layer_norm_eps", "is not between 0 and 1") }
        layerNormEpsilon = epsilon
    }
}
