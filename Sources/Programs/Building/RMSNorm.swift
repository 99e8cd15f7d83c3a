import Primitives

extension GraphBuilder {
    /// (x·(1/√(ROW(x²)/n + ε)))·g over the last axis. `width` is n as f32 bits, `epsilon` f32 bits.
    public mutating func rmsNorm(_ x: ValueID, gain: ValueID, width: UInt32, epsilon: UInt32) -> ValueID {
        let shape = type(x).shape
        let square = map(.f32, shape, [x]) { e in
            let x = e.input(0)
            _ = e.apply(.multiply, x, x)
        }
        let squares = column(reduce(.sum, square))
        let scale = map(.f32, Array(shape.dropLast()) + [1], [squares]) { e in
            let s = e.input(0)
            let mean = e.apply(.divide, s, e.constant(bits: width))
            let shifted = e.apply(.add, mean, e.constant(bits: epsilon))
            let root = e.apply(.squareRoot, shifted)
            _ = e.apply(.divide, e.constant(bits: GraphBuilder.one), root)
        }
        return map(.f32, shape, [x, scale, gain]) { e in
            let x = e.input(0)
            let r = e.input(1)
            let product = e.apply(.multiply, x, r)
            let g = e.input(2)
            _ = e.apply(.multiply, product, g)
        }
    }
}
