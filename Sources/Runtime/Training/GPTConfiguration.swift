public import Programs

/// The shape of a decoder that is trained from nothing: learned positions, norms before each part, biases on all linear layers but the head.
public struct GPTConfiguration: Sendable, Hashable {
    public let vocabulary: Int
    public let width: Int
    public let layers: Int
    public let heads: Int
    public let context: Int
    public let epsilon: Float

    public init(vocabulary: Int, width: Int, layers: Int, heads: Int, context: Int, epsilon: Float = 1e-5) {
        self.vocabulary = vocabulary
        self.width = width
        self.layers = layers
        self.heads = heads
        self.context = context
        self.epsilon = epsilon
    }

    /// The weights, in the order in which they are named and drawn.
    public var weights: [TensorDeclaration] {
        func declared(_ name: String, _ shape: Int...) -> TensorDeclaration {
            TensorDeclaration(name: name, type: TensorType(.f32, shape.map { Dimension(UInt64($0)) }))
        }
        var out = [declared("tok", vocabulary, width), declared("pos", context, width)]
        for layer in 0..<layers {
            let name = "blocks.\(layer)."
            out += [
                declared(name + "ln1.w", width), declared(name + "ln1.b", width),
                declared(name + "qkv.w", 3 * width, width), declared(name + "qkv.b", 3 * width),
                declared(name + "o.w", width, width), declared(name + "o.b", width),
                declared(name + "ln2.w", width), declared(name + "ln2.b", width),
                declared(name + "f1.w", 4 * width, width), declared(name + "f1.b", 4 * width),
                declared(name + "f2.w", width, 4 * width), declared(name + "f2.b", width),
            ]
        }
        out += [declared("lnf.w", width), declared("lnf.b", width), declared("head.w", vocabulary, width)]
        return out
    }

    /// How many numbers the weights hold.
    public var parameterCount: Int { weights.reduce(0) { $0 + Int($1.type.count) } }

    /// The mean loss of predicting `targets` from `ids`, both i32 [batch, length]; `weights` in the order above. With `dropout` some elements of the
    /// embeddings, of the attention's weights and of what each part adds are left out.
    func loss(
        _ graph: inout GraphBuilder, weights: [ValueID], ids: ValueID, targets: ValueID, dropout: Dropout? = nil
    ) -> ValueID {
        func thinned(_ x: ValueID) -> ValueID { dropout.map { graph.dropout(x, $0) } ?? x }
        let (batch, length) = (graph.type(ids).shape[0], graph.type(ids).shape[1])
        let hidden = [batch, length, Dimension(UInt64(width))]
        let size = (width: Float(width).bitPattern, epsilon: epsilon.bitPattern)
        var rest = weights[...]
        func next() -> ValueID { rest.removeFirst() }
        let (tokens, positions) = (next(), next())
        let rows = graph.gather(tokens, hidden, [Coordinate(table: ids, tableAxes: [0, 1]), .axis(2)])
        var x = thinned(graph.sum(rows, positions))
        let extent = graph.causalExtent(length: length, group: 1)
        let headWidth = UInt64(width / heads)
        let scale = (1 / Float(headWidth).squareRoot()).bitPattern
        for _ in 0..<layers {
            let norm = graph.layerNorm(x, gain: next(), bias: next(), width: size.width, epsilon: size.epsilon)
            let joined = graph.linear(norm, weight: next(), bias: next())
            func part(_ number: Int) -> ValueID {
                graph.heads(joined, from: UInt64(number * width), count: UInt64(heads), width: headWidth)
            }
            let (q, k, v) = (part(0), part(1), part(2))
            let context = graph.attention(
                query: q, keys: graph.keyRows(k), values: graph.valueColumns(v), extent: extent, scale: scale,
                dropout: dropout)
            x = graph.sum(x, thinned(graph.linear(context, weight: next(), bias: next())))
            let second = graph.layerNorm(x, gain: next(), bias: next(), width: size.width, epsilon: size.epsilon)
            let inner = graph.gelu(graph.linear(second, weight: next(), bias: next()))
            x = graph.sum(x, thinned(graph.linear(inner, weight: next(), bias: next())))
        }
        let last = graph.layerNorm(x, gain: next(), bias: next(), width: size.width, epsilon: size.epsilon)
        let count = Dimension(batch.factor * length.factor)
        let scores = graph.reshape(graph.contract(last, next()), [count, Dimension(UInt64(vocabulary))])
        return graph.crossEntropy(
            scores, targets: graph.reshape(targets, [count]), count: Float(count.factor).bitPattern)
    }
}
