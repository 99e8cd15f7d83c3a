/// The settings of a RoBERTa encoder, checked.
public struct RobertaConfiguration: Sendable, Equatable {
    public let vocabularySize: Int
    public let hiddenSize: Int
    public let layers: Int
    public let heads: Int
    public let intermediateSize: Int
    /// Rows of the position table; the first ones up to the padding id are not used.
    let positionRows: Int
    public let segments: Int
    /// The id of padding: tokens are counted from behind it.
    public let padding: Int
    public let epsilon: Float

    /// The most tokens of a row.
    public var positions: Int { positionRows - padding - 1 }

    public init(_ settings: JSONValue) throws(ImportFault) {
        let reader = SettingsReader(settings)
        try reader.require("is_decoder", is: false, usual: false)
        let activation = try reader.text("hidden_act", usual: "gelu")
        if activation != "gelu" { throw .unsupported("activation", found: activation) }
        let embedding = try reader.text("position_embedding_type", usual: "absolute")
        if embedding != "absolute" { throw .unsupported("position_embedding_type", found: embedding) }
        vocabularySize = try reader.size("vocab_size", limit: WordPieceTokenizer.idLimit)
        hiddenSize = try reader.size("hidden_size", limit: 1 << 15)
        layers = try reader.size("num_hidden_layers", limit: 256)
        heads = try reader.size("num_attention_heads", limit: 1 << 10)
        try reader.check(heads: heads, divide: hiddenSize, "num_attention_heads", "hidden_size")
        intermediateSize = try reader.size("intermediate_size", limit: 1 << 17)
        positionRows = try reader.size("max_position_embeddings", limit: 1 << 20)
        segments = try reader.size("type_vocab_size", limit: 1 << 10, usual: 1)
        padding = try reader.size("pad_token_id", least: 0, limit: 1 << 20, usual: 1)
        if positionRows <= padding + 1 {
            throw reader.fault("max_position_embeddings", "leaves no position behind pad_token_id (\(padding))")
        }
        epsilon = try reader.number("layer_norm_eps", above: 0, below: 1, usual: 1e-12)
    }
}
