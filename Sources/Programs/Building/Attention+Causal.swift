import Primitives

/// Attention of padded batches. Several heads may share one key and value head (grouped queries): the group's rows then stand
/// together, the heads of a token beside one another, so that no key is repeated.
extension GraphBuilder {
    /// Columns of [batch, length, n] as heads, [batch, length, count, width], from a column on.
    public mutating func heads(_ x: ValueID, from column: UInt64 = 0, count: UInt64, width: UInt64) -> ValueID {
        let shape = type(x).shape
        return gather(
            x, [shape[0], shape[1], Dimension(count), Dimension(width)],
            [
                .axis(0), .axis(1),
                Coordinate(
                    offset: Int64(clamping: column),
                    terms: [.init(axis: 2, coefficient: Int64(clamping: width)), .init(axis: 3, coefficient: 1)]),
            ])
    }

    /// How far each row of a causal attention reaches: i32 [1, 1, length × group], token `t` sees t + 1 places.
    public mutating func causalExtent(length: Dimension, group: UInt64) -> ValueID {
        let reach = map(.i32, [length], []) { e in
            let next = e.apply(.add, e.node(.index(0)), e.node(.constant(.i64, bits: 1)))
            _ = e.apply(.toI32, next)
        }
        return gather(
            reach, [1, 1, Dimension(length.factor * group, axis: length.axis)],
            [Coordinate(terms: [.init(axis: 2, coefficient: 1)], quotient: Dimension(group))])
    }

    /// exp(s − m)·(1/ROW(exp(s − m))) with s = scores·scale and m the true maximum, over each row up to its extent.
    public mutating func attentionWeights(_ scores: ValueID, scale: UInt32, extent: ValueID?) -> ValueID {
        let shape = type(scores).shape
        let scaled = map(.f32, shape, [scores]) { e in
            let s = e.input(0)
            _ = e.apply(.multiply, s, e.constant(bits: scale))
        }
        let greatest = column(reduce(.maximum, scaled, extent: extent))
        let exponentials = map(.f32, shape, [scaled, greatest]) { e in
            let (s, m) = (e.input(0), e.input(1))
            let difference = e.apply(.subtract, s, m)
            _ = e.apply(.exp, difference)
        }
        let total = column(reduce(.sum, exponentials, extent: extent))
        return map(.f32, shape, [exponentials, total]) { e in
            let (x, t) = (e.input(0), e.input(1))
            let inverse = e.apply(.divide, e.constant(bits: GraphBuilder.one), t)
            _ = e.apply(.multiply, x, inverse)
        }
    }

    /// Attention of `query`, [batch, length, heads, width], to `keys`, [batch, key heads, reach, width], and `values`, [batch, key heads, width, reach].
    /// `extent`: i32, broadcast to [batch, key heads, length × group]; nil where every row sees all. `scale` is f32 bits. Gives [batch, length, heads × width].
    /// With `dropout` some of the weights are left out.
    public mutating func attention(
        query: ValueID, keys: ValueID, values: ValueID, extent: ValueID?, scale: UInt32, dropout: Dropout? = nil
    ) -> ValueID {
        let shape = type(query).shape
        let (batch, length, heads, width) = (shape[0], shape[1], shape[2].factor, shape[3].factor)
        let keyHeads = type(keys).shape[1].factor
        let group = heads / keyHeads
        let rows: ValueID
        if group == 1 {
            rows = transpose(query, [0, 2, 1, 3])
        } else {
            let split = gather(
                query, [batch, Dimension(keyHeads), length, Dimension(group), shape[3]],
                [
                    .axis(0), .axis(2),
                    Coordinate(terms: [
                        .init(axis: 1, coefficient: Int64(clamping: group)), .init(axis: 3, coefficient: 1),
                    ]), .axis(4),
                ])
            rows = reshape(
                split, [batch, Dimension(keyHeads), Dimension(length.factor * group, axis: length.axis), shape[3]])
        }
        var weights = attentionWeights(contract(rows, keys), scale: scale, extent: extent)
        if let dropout { weights = self.dropout(weights, dropout) }
        var context = contract(weights, values, extent: extent)
        let result = [batch, length, Dimension(heads * width)]
        let last = Coordinate(terms: [.init(axis: 2, coefficient: 1)], modulus: shape[3])
        if group == 1 {
            let head = Coordinate(terms: [.init(axis: 2, coefficient: 1)], quotient: shape[3])
            return gather(context, result, [.axis(0), head, .axis(1), last])
        }
        context = reshape(context, [batch, Dimension(keyHeads), length, Dimension(group), shape[3]])
        let keyHead = Coordinate(terms: [.init(axis: 2, coefficient: 1)], quotient: Dimension(group * width))
        let member = Coordinate(
            terms: [.init(axis: 2, coefficient: 1)], quotient: shape[3], modulus: Dimension(group))
        return gather(context, result, [.axis(0), keyHead, .axis(1), member, last])
    }
}
