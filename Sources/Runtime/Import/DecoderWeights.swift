internal import Programs

/// The weights of a decoder by their numbers.
struct DecoderWeights: Sendable {
    enum Projection: Sendable {
        /// Queries, keys and values side by side in one layer.
        case joined(LinearWeights)
        case separate(query: LinearWeights, key: LinearWeights, value: LinearWeights)
    }

    enum Inner: Sendable {
        /// down(activation(up(x))).
        case plain(up: LinearWeights, down: LinearWeights)
        /// down(silu(gate(x))·up(x)).
        case gated(gate: LinearWeights, up: LinearWeights, down: LinearWeights)
    }

    struct Layer: Sendable {
        let attentionNorm: NormWeights
        let projection: Projection
        let output: LinearWeights
        let innerNorm: NormWeights
        let inner: Inner
    }

    let embedding: ValueID
    /// GPT-2's table of positions.
    let positions: ValueID?
    /// The frequencies of the others' rotary embedding.
    let frequencies: ValueID?
    let layers: [Layer]
    let norm: NormWeights
    /// The output layer, [vocabulary, hidden].
    let head: ValueID

    /// Numbers what the settings ask for.
    init(_ configuration: DecoderConfiguration, _ list: inout ParameterList) {
        self =
            configuration.family == .gpt2
            ? DecoderWeights(gpt2: configuration, &list) : DecoderWeights(llama: configuration, &list)
    }

    private init(gpt2 configuration: DecoderConfiguration, _ list: inout ParameterList) {
        let hidden = configuration.hiddenSize
        // Saved with its output layer, everything else stands under "transformer.".
        func names(_ name: String) -> [String] { ["transformer." + name, name] }
        func norm(_ name: String) -> NormWeights {
            let gain = list.weight(names(name + ".weight"), hidden)
            return NormWeights(gain: gain, bias: list.weight(names(name + ".bias"), hidden))
        }
        func linear(_ name: String, _ inputs: Int, _ outputs: Int) -> LinearWeights {
            let weight = list.weight(names(name + ".weight"), inputs, outputs)
            let bias = list.weight(names(name + ".bias"), outputs)
            return LinearWeights(weight: weight, bias: bias, isTransposed: true)
        }
        embedding = list.weight(names("wte.weight"), configuration.vocabularySize, hidden)
        positions = list.weight(names("wpe.weight"), configuration.positionRows, hidden)
        frequencies = nil
        layers = (0..<configuration.layers).map { layer in
            let root = "h.\(layer)."
            let first = norm(root + "ln_1")
            let joined = linear(root + "attn.c_attn", hidden, 3 * hidden)
            let output = linear(root + "attn.c_proj", hidden, hidden)
            let second = norm(root + "ln_2")
            let up = linear(root + "mlp.c_fc", hidden, configuration.intermediateSize)
            let down = linear(root + "mlp.c_proj", configuration.intermediateSize, hidden)
            return Layer(
                attentionNorm: first, projection: .joined(joined), output: output, innerNorm: second,
                inner: .plain(up: up, down: down))
        }
        self.norm = norm("ln_f")
        head =
            configuration.tiesEmbeddings
            ? embedding : list.weight(["lm_head.weight"], configuration.vocabularySize, hidden)
    }

    private init(llama configuration: DecoderConfiguration, _ list: inout ParameterList) {
        let hidden = configuration.hiddenSize
        func norm(_ name: String) -> NormWeights {
            NormWeights(gain: list.weight(["model." + name + ".weight"], hidden), bias: nil)
        }
        func linear(_ name: String, _ inputs: Int, _ outputs: Int, hasBias: Bool) -> LinearWeights {
            let weight = list.weight(["model." + name + ".weight"], outputs, inputs)
            return LinearWeights(
                weight: weight, bias: hasBias ? list.weight(["model." + name + ".bias"], outputs) : nil)
        }
        embedding = list.weight(["model.embed_tokens.weight"], configuration.vocabularySize, hidden)
        positions = nil
        frequencies = list.derived(
            "rotary.frequencies", configuration.rotary?.frequencies(width: configuration.headSize) ?? [])
        let (queries, keys) = (
            configuration.heads * configuration.headSize, configuration.keyValueHeads * configuration.headSize
        )
        let inner = configuration.intermediateSize
        layers = (0..<configuration.layers).map { layer in
            let root = "layers.\(layer)."
            let first = norm(root + "input_layernorm")
            let isBiased = configuration.hasQueryBias
            let query = linear(root + "self_attn.q_proj", hidden, queries, hasBias: isBiased)
            let key = linear(root + "self_attn.k_proj", hidden, keys, hasBias: isBiased)
            let value = linear(root + "self_attn.v_proj", hidden, keys, hasBias: isBiased)
            let output = linear(root + "self_attn.o_proj", queries, hidden, hasBias: configuration.hasOutputBias)
            let second = norm(root + "post_attention_layernorm")
            let gate = linear(root + "mlp.gate_proj", hidden, inner, hasBias: configuration.hasInnerBias)
            let up = linear(root + "mlp.up_proj", hidden, inner, hasBias: configuration.hasInnerBias)
            let down = linear(root + "mlp.down_proj", inner, hidden, hasBias: configuration.hasInnerBias)
            return Layer(
                attentionNorm: first, projection: .separate(query: query, key: key, value: value), output: output,
                innerNorm: second, inner: .gated(gate: gate, up: up, down: down))
        }
        self.norm = norm("norm")
        head =
            configuration.tiesEmbeddings
            ? embedding : list.weight(["lm_head.weight"], configuration.vocabularySize, hidden)
    }
}
