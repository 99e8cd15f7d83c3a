internal import Programs

/// Writes the step graph of a decoder: from token ids to the last norm's output.
struct DecoderGraph: Sendable {
    let configuration: DecoderConfiguration
    let weights: DecoderWeights

    /// What becomes of a layer's new keys and values, both [batch, length, heads, width]: gives the keys and values that attention reads.
    typealias Store = (_ builder: inout GraphBuilder, _ layer: Int, _ key: ValueID, _ value: ValueID) -> (
        keys: ValueID, values: ValueID
    )

    /// [batch, length, hidden] of the tokens `ids` at `positions`, both i32 [batch, length]. `extent` says how far each row of attention reaches. With
    /// `dropout` some elements of the embeddings, of the attention's weights and of what each part adds are left out.
    func hidden(
        _ builder: inout GraphBuilder, ids: ValueID, positions: ValueID, extent: ValueID, dropout: Dropout? = nil,
        store: Store
    ) -> ValueID {
        func thinned(_ x: ValueID) -> ValueID { dropout.map { builder.dropout(x, $0) } ?? x }
        let epsilon = configuration.epsilon
        let scale = (1 / Float(configuration.headSize).squareRoot()).bitPattern
        var x = builder.embeddings(of: weights.embedding, at: ids)
        if let table = weights.positions { x = builder.sum(x, builder.embeddings(of: table, at: positions)) }
        x = thinned(x)
        let rotary = weights.frequencies.map { builder.rotaryTables(positions: positions, frequencies: $0) }
        for (number, layer) in weights.layers.enumerated() {
            let normed = builder.norm(x, layer.attentionNorm, epsilon: epsilon)
            var (query, key, value) = projected(&builder, normed, layer.projection)
            if let rotary {
                query = builder.rotated(query, by: rotary)
                key = builder.rotated(key, by: rotary)
            }
            let held = store(&builder, number, key, value)
            let context = builder.attention(
                query: query, keys: held.keys, values: held.values, extent: extent, scale: scale, dropout: dropout)
            x = builder.sum(thinned(builder.linear(context, layer.output)), x)
            let inner = builder.norm(x, layer.innerNorm, epsilon: epsilon)
            x = builder.sum(thinned(fedForward(&builder, inner, layer.inner)), x)
        }
        return builder.norm(x, weights.norm, epsilon: epsilon)
    }

    /// Logits of [batch, length, hidden].
    func logits(_ builder: inout GraphBuilder, _ hidden: ValueID) -> ValueID {
        builder.contract(hidden, builder.widened(weights.head))
    }

    private func projected(
        _ builder: inout GraphBuilder, _ x: ValueID, _ projection: DecoderWeights.Projection
    ) -> (query: ValueID, key: ValueID, value: ValueID) {
        let (heads, keyHeads) = (UInt64(configuration.heads), UInt64(configuration.keyValueHeads))
        let width = UInt64(configuration.headSize)
        switch projection {
        case .joined(let joined):
            let all = builder.linear(x, joined)
            let hidden = UInt64(configuration.hiddenSize)
            return (
                builder.heads(all, count: heads, width: width),
                builder.heads(all, from: hidden, count: keyHeads, width: width),
                builder.heads(all, from: 2 * hidden, count: keyHeads, width: width)
            )
        case .separate(let query, let key, let value):
            return (
                builder.heads(builder.linear(x, query), count: heads, width: width),
                builder.heads(builder.linear(x, key), count: keyHeads, width: width),
                builder.heads(builder.linear(x, value), count: keyHeads, width: width)
            )
        }
    }

    private func fedForward(
        _ builder: inout GraphBuilder, _ x: ValueID, _ inner: DecoderWeights.Inner
    ) -> ValueID {
        switch inner {
        case .plain(let up, let down):
            let wide = builder.linear(x, up)
            let active = configuration.activation == .gelu ? builder.gelu(wide) : builder.geluByTanh(wide)
            return builder.linear(active, down)
        case .gated(let gate, let up, let down):
            let (a, b) = (builder.linear(x, gate), builder.linear(x, up))
            return builder.linear(builder.swiGLU(gate: a, up: b), down)
        }
    }

    /// Each token's place in its row: i32 [batch, length].
    static func places(_ builder: inout GraphBuilder, _ shape: [Dimension]) -> ValueID {
        builder.map(.i32, shape, []) { e in _ = e.apply(.toI32, e.node(.index(1))) }
    }

    /// One pass over whole rows: `input_ids`, i32 [batch, length], to `logits`, [batch, length, vocabulary]. Padding at a row's end
    /// changes nothing before it.
    func program(_ parameters: [TensorDeclaration]) throws(ProgramFault) -> Program {
        let shape = [Dimension(1, axis: 0), Dimension(1, axis: 1)]
        let inputs = [TensorDeclaration(name: "input_ids", type: TensorType(.i32, shape))]
        var builder = GraphBuilder(leading: (parameters + inputs).map(\.type))
        let logits = wholeRows(&builder, ids: ValueID(parameters.count))
        return try Program(
            axes: ["batch", "length"], parameters: parameters, inputs: inputs,
            scans: [Scan(steps: 1, operations: builder.operations, outputs: [logits])])
    }

    /// Logits, [batch, length, vocabulary], of whole rows of ids, i32 [batch, length].
    private func wholeRows(_ builder: inout GraphBuilder, ids: ValueID, dropout: Dropout? = nil) -> ValueID {
        let shape = builder.type(ids).shape
        let positions = DecoderGraph.places(&builder, shape)
        let group = UInt64(configuration.heads / configuration.keyValueHeads)
        let extent = builder.causalExtent(length: shape[1], group: group)
        let hidden = hidden(&builder, ids: ids, positions: positions, extent: extent, dropout: dropout) {
            builder, _, key, value in
            (builder.keyRows(key), builder.valueColumns(value))
        }
        return logits(&builder, hidden)
    }

    /// The same pass for a batch of fixed extents, to be trained.
    func forward(_ parameters: [TensorDeclaration], batch: Int, length: Int, dropout: Dropout?) -> ForwardGraph {
        let shape = [Dimension(UInt64(batch)), Dimension(UInt64(length))]
        let inputs = [TensorDeclaration(name: "input_ids", type: TensorType(.i32, shape))]
        var builder = GraphBuilder(leading: (parameters + inputs).map(\.type))
        let logits = wholeRows(&builder, ids: ValueID(parameters.count), dropout: dropout)
        return ForwardGraph(
            parameters: parameters, inputs: inputs, operations: builder.operations, output: logits,
            dropout: dropout)
    }
}
