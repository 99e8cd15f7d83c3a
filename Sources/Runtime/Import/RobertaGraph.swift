internal import Programs

/// Writes a RoBERTa encoder as a program: `input_ids` and `lengths` (tokens of each row before its padding), i32 [batch, length] and [batch], to
/// `last_hidden_state`, [batch, length, hidden].
struct RobertaGraph: Sendable {
    private struct Layer: Sendable {
        let query, key, value, output: LinearWeights
        let attentionNorm: NormWeights
        let up, down: LinearWeights
        let norm: NormWeights
    }

    let configuration: RobertaConfiguration
    private let words, positions, segments: ValueID
    private let norm: NormWeights
    private let layers: [Layer]

    /// Numbers what the settings ask for.
    init(_ configuration: RobertaConfiguration, _ list: inout ParameterList) {
        self.configuration = configuration
        let hidden = configuration.hiddenSize
        func names(_ name: String) -> [String] { ["roberta." + name, name] }
        func linear(_ name: String, _ inputs: Int, _ outputs: Int) -> LinearWeights {
            let weight = list.weight(names(name + ".weight"), outputs, inputs)
            return LinearWeights(weight: weight, bias: list.weight(names(name + ".bias"), outputs))
        }
        func norm(_ name: String) -> NormWeights {
            let gain = list.weight(names(name + ".LayerNorm.weight"), hidden)
            return NormWeights(gain: gain, bias: list.weight(names(name + ".LayerNorm.bias"), hidden))
        }
        words = list.weight(names("embeddings.word_embeddings.weight"), configuration.vocabularySize, hidden)
        positions = list.weight(names("embeddings.position_embeddings.weight"), configuration.positionRows, hidden)
        segments = list.weight(names("embeddings.token_type_embeddings.weight"), configuration.segments, hidden)
        self.norm = norm("embeddings")
        layers = (0..<configuration.layers).map { layer in
            let root = "encoder.layer.\(layer)."
            let query = linear(root + "attention.self.query", hidden, hidden)
            let key = linear(root + "attention.self.key", hidden, hidden)
            let value = linear(root + "attention.self.value", hidden, hidden)
            let output = linear(root + "attention.output.dense", hidden, hidden)
            let first = norm(root + "attention.output")
            let up = linear(root + "intermediate.dense", hidden, configuration.intermediateSize)
            let down = linear(root + "output.dense", configuration.intermediateSize, hidden)
            let second = norm(root + "output")
            return Layer(
                query: query, key: key, value: value, output: output, attentionNorm: first, up: up, down: down,
                norm: second)
        }
    }

    func program(_ parameters: [TensorDeclaration]) throws(ProgramFault) -> Program {
        let shape = [Dimension(1, axis: 0), Dimension(1, axis: 1)]
        let inputs = [
            TensorDeclaration(name: "input_ids", type: TensorType(.i32, shape)),
            TensorDeclaration(name: "lengths", type: TensorType(.i32, [shape[0]])),
        ]
        var builder = GraphBuilder(leading: (parameters + inputs).map(\.type))
        let (ids, lengths) = (ValueID(parameters.count), ValueID(parameters.count + 1))
        let epsilon = configuration.epsilon
        // (word + segment) + position: the order of transformers.
        var x = builder.embeddings(of: words, at: ids)
        let segment = builder.gather(
            segments, [Dimension(UInt64(configuration.hiddenSize))], [Coordinate(), .axis(0)])
        x = builder.sum(x, segment)
        x = builder.sum(x, builder.embeddings(of: positions, at: places(&builder, ids)))
        x = builder.norm(x, norm, epsilon: epsilon)
        let heads = UInt64(configuration.heads)
        let width = UInt64(configuration.hiddenSize) / heads
        let scale = (1 / Float(width).squareRoot()).bitPattern
        let extent = builder.gather(lengths, [shape[0], 1, 1], [.axis(0)])
        for layer in layers {
            let query = builder.heads(builder.linear(x, layer.query), count: heads, width: width)
            let key = builder.heads(builder.linear(x, layer.key), count: heads, width: width)
            let value = builder.heads(builder.linear(x, layer.value), count: heads, width: width)
            let context = builder.attention(
                query: query, keys: builder.keyRows(key), values: builder.valueColumns(value), extent: extent,
                scale: scale)
            x = builder.norm(
                builder.sum(builder.linear(context, layer.output), x), layer.attentionNorm, epsilon: epsilon)
            let inner = builder.gelu(builder.linear(x, layer.up))
            x = builder.norm(builder.sum(builder.linear(inner, layer.down), x), layer.norm, epsilon: epsilon)
        }
        return try Program(
            axes: ["batch", "length"], parameters: parameters, inputs: inputs,
            scans: [Scan(steps: 1, operations: builder.operations, outputs: [x])])
    }

    /// The row of the position table of each token: how many tokens that are no padding stand up to it, counted from behind the padding id.
    private func places(_ builder: inout GraphBuilder, _ ids: ValueID) -> ValueID {
        let shape = builder.type(ids).shape
        let padding = UInt64(configuration.padding)
        let isToken = builder.map(.i32, shape, [ids]) { e in
            let differs = e.apply(.notEqual, e.input(0), e.node(.constant(.i32, bits: padding)))
            _ = e.apply(.toI32, differs)
        }
        let counted = builder.append(
            .reduce(.sum, input: isToken, extent: nil, prefix: true), TensorType(.i32, shape))
        return builder.map(.i32, shape, [counted, isToken]) { e in
            let place = e.apply(.multiply, e.input(0), e.input(1))
            _ = e.apply(.add, place, e.node(.constant(.i32, bits: padding)))
        }
    }
}
