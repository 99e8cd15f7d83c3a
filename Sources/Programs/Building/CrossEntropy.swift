import Primitives

extension GraphBuilder {
    /// The mean over the rows of (log s + m) − x_y, with m the row's maximum, s = ROW(exp(x − m)) and x_y the score of the row's target (docs/numerics.md).
    /// `scores`: [rows, classes]; `targets`: i32 [rows]; `count` is the number of rows as f32 bits. Gives f32 [].
    public mutating func crossEntropy(_ scores: ValueID, targets: ValueID, count: UInt32) -> ValueID {
        let shape = type(scores).shape
        let rows = [shape[0], 1]
        let greatest = column(reduce(.maximum, scores))
        let exponentials = map(.f32, shape, [scores, greatest]) { e in
            let (x, m) = (e.input(0), e.input(1))
            _ = e.apply(.exp, e.apply(.subtract, x, m))
        }
        let total = column(reduce(.sum, exponentials))
        let target = column(targets)
        let chosen = map(.f32, shape, [scores, target]) { e in
            let (x, y) = (e.input(0), e.apply(.toI64, e.input(1)))
            let isTarget = e.apply(.equal, e.node(.index(1)), y)
            _ = e.apply(.select, isTarget, x, e.constant(bits: 0))
        }
        // One number and zeros: the sum is that number.
        let score = column(reduce(.sum, chosen))
        let losses = map(.f32, rows, [total, greatest, score]) { e in
            let (s, m, y) = (e.input(0), e.input(1), e.input(2))
            _ = e.apply(.subtract, e.apply(.add, e.apply(.log, s), m), y)
        }
        let sum = reduce(.sum, reshape(losses, [shape[0]]))
        return map(.f32, [], [sum]) { e in
            let s = e.input(0)
            _ = e.apply(.divide, s, e.constant(bits: count))
        }
    }

    /// The greatest and least of rows in the graph so far. Where each is only subtracted and added again, as above, nothing of the loss flows through it.
    public var extremes: Set<ValueID> {
        let leading = types.count - operations.count
        return Set(
            operations.indices.compactMap { number in
                guard case .reduce(let reduction, _, _, _) = operations[number].operation,
                    reduction == .maximum || reduction == .minimum
                else { return nil }
                return ValueID(leading + number)
            })
    }
}
