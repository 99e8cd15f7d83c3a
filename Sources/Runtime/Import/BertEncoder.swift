/// The step graph of a BERT encoder with mean pooling: post-norm layers on packed tokens, no padding anywhere.
struct BertEncoder {
    let configuration: BertConfiguration
    let isNormalized: Bool
    /// Whether an input `segments` names each token's segment; without it every token is of segment 0.
    var takesSegments = false

    /// The least norm that a vector is divided by (as in PyTorch's `normalize`).
    static let normFloor: Float = 1e-12

    /// Gives the last layer's tokens, [tokens, hidden], and the embeddings, [sentences, hidden].
    func build<Graph: EncoderGraph>(into graph: inout Graph) -> (tokens: Graph.Value, embeddings: Graph.Value) {
        let ids = graph.input("ids", axes: ["tokens"])
        let positions = graph.input("positions", axes: ["tokens"])
        let slots = graph.input("slots", axes: ["sentences", "length"])
        let lengths = graph.input("lengths", axes: ["sentences"])
        let places = graph.input("places", axes: ["tokens"])
        var weights = BertWeights.needs(configuration).makeIterator()
        func next(_ graph: inout Graph) -> Graph.Value {
            guard let need = weights.next() else { preconditionFailure("the encoder takes more weights than it names") }
            return graph.parameter(need.name, shape: need.shape)
        }
        func norm(_ x: Graph.Value, _ graph: inout Graph) -> Graph.Value {
            let gain = next(&graph)
            let bias = next(&graph)
            return graph.layerNorm(x, gain: gain, bias: bias, epsilon: configuration.layerNormEpsilon)
        }
        func linear(_ x: Graph.Value, _ graph: inout Graph) -> Graph.Value {
            let weight = next(&graph)
            let bias = next(&graph)
            return graph.linear(x, weight: weight, bias: bias)
        }
        // (word + segment) + position: PyTorch's order.
        let words = next(&graph)
        let positionTable = next(&graph)
        let segments = next(&graph)
        var x = graph.rows(of: words, at: ids)
        if takesSegments {
            let given = graph.input("segments", axes: ["tokens"])
            x = graph.sum(x, graph.rows(of: segments, at: given))
        } else {
            x = graph.sum(x, graph.row(0, of: segments))
        }
        x = graph.sum(x, graph.rows(of: positionTable, at: positions))
        x = norm(x, &graph)
        let scale = 1 / Float(configuration.headSize).squareRoot()
        for _ in 0..<configuration.layers {
            let query = linear(x, &graph)
            let key = linear(x, &graph)
            let value = linear(x, &graph)
            let context = graph.attention(
                query: query, key: key, value: value, slots: slots, lengths: lengths, places: places,
                heads: configuration.heads, scale: scale)
            let projected = linear(context, &graph)
            x = norm(graph.sum(projected, x), &graph)
            let inner = graph.gelu(linear(x, &graph))
            let outer = linear(inner, &graph)
            x = norm(graph.sum(outer, x), &graph)
        }
        precondition(weights.next() == nil, "the encoder leaves a weight unused")
        let pooled = graph.meanPooled(x, slots: slots, lengths: lengths)
        return (x, isNormalized ? graph.normalized(pooled, floor: BertEncoder.normFloor) : pooled)
    }
}
