/// The settings of a decoder (`config.json`), checked: GPT-2, Llama, Mistral and Qwen2.
public struct DecoderConfiguration: Sendable, Equatable {
    public enum Family: String, Sendable, CaseIterable {
        case gpt2
        case llama
        case mistral
        case qwen2
    }

    enum Activation: Sendable, Equatable {
        case gelu
        case geluByTanh
    }

    public let family: Family
    public let vocabularySize: Int
    public let hiddenSize: Int
    public let layers: Int
    public let heads: Int
    /// Heads of keys and values; each serves as many heads of queries.
    public let keyValueHeads: Int
    /// The width of one head.
    public let headSize: Int
    public let intermediateSize: Int
    /// The most tokens that attention can reach over: the model's positions, or its sliding window where that is shorter.
    public let positions: Int
    /// Rows of the position table, for GPT-2.
    let positionRows: Int
    /// ε of the norms, as the nearest f32.
    public let epsilon: Float
    /// Whether the output layer is the embedding table.
    public let tiesEmbeddings: Bool
    /// Which linear layers have biases.
    let hasQueryBias: Bool
    let hasOutputBias: Bool
    let hasInnerBias: Bool
    /// GPT-2's activation; the others have SwiGLU.
    let activation: Activation
    /// nil for GPT-2, which has a table of positions.
    let rotary: RotaryScaling?
    /// Tokens that end a text, as config.json and generation_config.json name them.
    public let endTokens: [Int32]

    /// Reads the settings, and those of `generation_config.json` where there is one.
    public init(_ settings: JSONValue, generation: JSONValue? = nil) throws(ImportFault) {
        let reader = SettingsReader(settings)
        let type = settings["model_type"]?.string
        guard let type, let family = Family(rawValue: type) else {
            throw .architecture(found: type ?? settings["architectures"]?.array?.first?.string ?? "not named")
        }
        self.family = family
        if family == .gpt2 {
            vocabularySize = try reader.size("vocab_size", limit: WordPieceTokenizer.idLimit, usual: 50_257)
            hiddenSize = try reader.size("n_embd", limit: 1 << 15, usual: 768)
            layers = try reader.size("n_layer", limit: 256, usual: 12)
            heads = try reader.size("n_head", limit: 1 << 10, usual: 12)
            keyValueHeads = heads
            try reader.check(heads: heads, divide: hiddenSize, "n_head", "n_embd")
            headSize = hiddenSize / heads
            intermediateSize = try reader.size("n_inner", limit: 1 << 18, usual: 4 * hiddenSize)
            positions = try reader.size("n_positions", limit: 1 << 20, usual: 1024)
            positionRows = positions
            epsilon = try reader.number("layer_norm_epsilon", above: 0, below: 1, usual: 1e-5)
            tiesEmbeddings = try reader.flag("tie_word_embeddings", usual: true)
            (hasQueryBias, hasOutputBias, hasInnerBias) = (true, true, true)
            try reader.require("scale_attn_weights", is: true, usual: true)
            try reader.require("scale_attn_by_inverse_layer_idx", is: false, usual: false)
            try reader.require("add_cross_attention", is: false, usual: false)
            switch try reader.text("activation_function", usual: "gelu_new") {
            case "gelu_new", "gelu_pytorch_tanh": activation = .geluByTanh
            case "gelu": activation = .gelu
            case let other: throw .unsupported("activation", found: other)
            }
            rotary = nil
        } else {
            vocabularySize = try reader.size("vocab_size", limit: WordPieceTokenizer.idLimit)
            hiddenSize = try reader.size("hidden_size", limit: 1 << 15)
            layers = try reader.size("num_hidden_layers", limit: 256)
            heads = try reader.size("num_attention_heads", limit: 1 << 10)
            keyValueHeads = try reader.size("num_key_value_heads", limit: 1 << 10, usual: heads)
            if heads % keyValueHeads != 0 {
                throw reader.fault("num_key_value_heads", "does not divide num_attention_heads (\(heads))")
            }
            if reader["head_dim"] == nil {
                try reader.check(heads: heads, divide: hiddenSize, "num_attention_heads", "hidden_size")
            }
            headSize = try reader.size("head_dim", limit: 1 << 12, usual: hiddenSize / heads)
            if headSize % 2 != 0 { throw reader.fault("head_dim", "is odd, so that it cannot be rotated") }
            intermediateSize = try reader.size("intermediate_size", limit: 1 << 18)
            let rows = try reader.size("max_position_embeddings", limit: 1 << 24)
            positionRows = rows
            positions = try DecoderConfiguration.reach(reader, family, rows)
            epsilon = try reader.number("rms_norm_eps", above: 0, below: 1, usual: 1e-6)
            tiesEmbeddings = try reader.flag("tie_word_embeddings", usual: false)
            let biased = family == .llama ? try reader.flag("attention_bias", usual: false) : false
            hasQueryBias = biased || family == .qwen2
            hasOutputBias = biased
            hasInnerBias = family == .llama ? try reader.flag("mlp_bias", usual: false) : false
            let name = try reader.text("hidden_act", usual: "silu")
            if name != "silu" && name != "swish" { throw .unsupported("activation", found: name) }
            activation = .gelu
            rotary = try RotaryScaling(reader)
            let parallel = try reader.size("pretraining_tp", limit: 1 << 10, usual: 1)
            if parallel != 1 { throw .unsupported("pretraining_tp", found: "\(parallel)") }
        }
        if settings["quantization_config"].map({ $0 != .null }) == true {
            throw .unsupported("quantization", found: settings["quantization_config"]?["quant_method"]?.string ?? "set")
        }
        endTokens = try DecoderConfiguration.endTokens(settings, generation, below: vocabularySize)
    }

    /// A sliding window changes nothing while no text is longer than it; longer ones are not taken.
    private static func reach(
        _ reader: SettingsReader, _ family: Family, _ rows: Int
    ) throws(ImportFault) -> Int {
        let slides: Bool
        switch family {
        case .mistral: slides = true
        case .qwen2: slides = try reader.flag("use_sliding_window", usual: false)
        case .llama, .gpt2: slides = false
        }
        if !slides { return rows }
        return min(rows, try reader.size("sliding_window", limit: 1 << 24, usual: rows))
    }

    /// One id or several; the generation settings decide where they name any.
    private static func endTokens(
        _ settings: JSONValue, _ generation: JSONValue?, below bound: Int
    ) throws(ImportFault) -> [Int32] {
        for (file, value) in [("generation_config.json", generation), ("config.json", settings)] {
            guard let entry = value?["eos_token_id"], entry != .null else { continue }
            let entries = entry.array ?? [entry]
            if entries.count > 64 { throw .setting(file: file, key: "eos_token_id", "names more than 64 tokens") }
            var ids: [Int32] = []
            for entry in entries {
                guard let id = entry.integer, id >= 0, id < WordPieceTokenizer.idLimit else {
                    throw .setting(file: file, key: "eos_token_id", "is not a token's id")
                }
                // Small copies of a model often keep the ids of the vocabulary that they left.
                if id < bound { ids.append(Int32(id)) }
            }
            return ids
        }
        return []
    }
}
