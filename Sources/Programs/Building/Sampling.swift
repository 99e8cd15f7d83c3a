import Primitives

/// Choosing the next token from logits, [batch, vocabulary]; each gives i32 [batch].
extension GraphBuilder {
    /// Bits of 2⁻²⁴.
    private static let uniformStep: UInt32 = 0x3380_0000

    /// The greatest logit, the lowest token of equals.
    public mutating func greedyToken(_ logits: ValueID) -> ValueID { reduce(.argumentOfMaximum, logits) }

    /// argmax of (x/T) + (−log(−log u)), u = (word >> 8)·2⁻²⁴ from Philox: a draw from softmax(x/T). `temperature`: f32 [batch].
    public mutating func sampledToken(_ logits: ValueID, temperature: ValueID) -> ValueID {
        reduce(.argumentOfMaximum, perturbed(scaled(logits, temperature)))
    }

    /// The same among the `limit` most likely tokens (i32 [batch]), of these the fewest whose probabilities, the last one's not
    /// counted, stay below `share` (f32 [batch]).
    public mutating func sampledToken(
        _ logits: ValueID, temperature: ValueID, limit: ValueID, share: ValueID
    ) -> ValueID {
        let shape = type(logits).shape
        let scaled = scaled(logits, temperature)
        let order = append(.sort(input: scaled, descending: true), TensorType(.i32, shape))
        let sorted = gather(scaled, shape, [.axis(0), Coordinate(table: order, tableAxes: [0, 1])])
        let greatest = column(reduce(.maximum, sorted))
        let exponentials = map(.f32, shape, [sorted, greatest]) { e in
            let (s, m) = (e.input(0), e.input(1))
            let difference = e.apply(.subtract, s, m)
            _ = e.apply(.exp, difference)
        }
        let total = column(reduce(.sum, exponentials, extent: limit))
        let probabilities = map(.f32, shape, [exponentials, total]) { e in
            let (x, t) = (e.input(0), e.input(1))
            let inverse = e.apply(.divide, e.constant(bits: GraphBuilder.one), t)
            _ = e.apply(.multiply, x, inverse)
        }
        let running = append(
            .reduce(.sum, input: probabilities, extent: limit, prefix: true), TensorType(.f32, shape))
        // What stands before each place: outside the row is the fill, 0, so the first token is always there.
        let before = gather(
            running, shape, [.axis(0), Coordinate(offset: -1, terms: [.init(axis: 1, coefficient: 1)])])
        let (limits, shares) = (column(limit), column(share))
        let kept = map(.i32, shape, [before, limits, shares]) { e in
            let b = e.input(0)
            let s = e.input(2)
            let isBelow = e.apply(.less, b, s)
            let place = e.apply(.toI32, e.node(.index(1)))
            let n = e.input(1)
            let isWithin = e.apply(.less, place, n)
            let both = e.apply(.and, isBelow, isWithin)
            _ = e.apply(.toI32, both)
        }
        // The running sums never fall, so what is kept comes first.
        let count = reduce(.sum, kept)
        let chosen = reduce(.argumentOfMaximum, perturbed(sorted), extent: count)
        return gather(order, [shape[0]], [.axis(0), Coordinate(table: chosen, tableAxes: [0])])
    }

    private mutating func scaled(_ logits: ValueID, _ temperature: ValueID) -> ValueID {
        let column = column(temperature)
        return map(.f32, type(logits).shape, [logits, column]) { e in
            let (x, t) = (e.input(0), e.input(1))
            _ = e.apply(.divide, x, t)
        }
    }

    /// x + (−log(−log u)) for each element.
    private mutating func perturbed(_ x: ValueID) -> ValueID {
        map(.f32, type(x).shape, [x]) { e in
            let word = e.node(.random(0))
            let high = e.apply(.shiftRight, word, e.node(.constant(.i64, bits: 8)))
            let uniform = e.apply(.multiply, e.apply(.toF32, high), e.constant(bits: GraphBuilder.uniformStep))
            let zero = e.constant(bits: 0)
            let exponential = e.apply(.subtract, zero, e.apply(.log, uniform))
            let noise = e.apply(.subtract, zero, e.apply(.log, exponential))
            let x = e.input(0)
            _ = e.apply(.add, x, noise)
        }
    }
}
