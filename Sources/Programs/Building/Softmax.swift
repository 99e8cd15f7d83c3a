import Primitives

extension GraphBuilder {
    /// exp(x − m)·(1/ROW(exp(x − m))) over the last axis.
    public mutating func softmax(_ x: ValueID) -> ValueID {
        let shape = type(x).shape
        let greatest = column(reduce(.maximum, x))
        let exponentials = map(.f32, shape, [x, greatest]) { e in
            let (x, m) = (e.input(0), e.input(1))
            let difference = e.apply(.subtract, x, m)
            _ = e.apply(.exp, difference)
        }
        let total = column(reduce(.sum, exponentials))
        return map(.f32, shape, [exponentials, total]) { e in
            let (x, t) = (e.input(0), e.input(1))
            let inverse = e.apply(.divide, e.constant(bits: GraphBuilder.one), t)
            _ = e.apply(.multiply, x, inverse)
        }
    }

    /// (x − m) − log(ROW(exp(x − m))) over the last axis.
    public mutating func logSoftmax(_ x: ValueID) -> ValueID {
        let shape = type(x).shape
        let greatest = column(reduce(.maximum, x))
        let difference = map(.f32, shape, [x, greatest]) { e in
            let (x, m) = (e.input(0), e.input(1))
            _ = e.apply(.subtract, x, m)
        }
        let exponentials = map(.f32, shape, [difference]) { e in
            let d = e.input(0)
            _ = e.apply(.exp, d)
        }
        let total = column(reduce(.sum, exponentials))
        return map(.f32, shape, [difference, total]) { e in
            let (d, t) = (e.input(0), e.input(1))
            let logarithm = e.apply(.log, t)
            _ = e.apply(.subtract, d, logarithm)
        }
    }
}
