import Primitives

/// What models are made of, written in the five primitives as docs/numerics.md fixes them. An executor may fuse each as it likes, as long as the bits are those
/// of this expansion. Floats are given by their bits: this module does no floating point.
extension GraphBuilder {
    /// Bits of 1, ½ and f32(1/√2).
    static let one: UInt32 = 0x3F80_0000
    static let half: UInt32 = 0x3F00_0000
    private static let inverseRootTwo: UInt32 = 0x3F35_04F3

    /// a + b; b may be a vector over the last axis.
    public mutating func sum(_ a: ValueID, _ b: ValueID) -> ValueID {
        map(.f32, type(a).shape, [a, b]) { e in
            let (x, y) = (e.input(0), e.input(1))
            _ = e.apply(.add, x, y)
        }
    }

    /// x · weightᵀ + bias.
    public mutating func linear(_ x: ValueID, weight: ValueID, bias: ValueID) -> ValueID {
        sum(contract(x, weight), bias)
    }

    /// (0.5·x)·(1 + erf(x·0.70710677)).
    public mutating func gelu(_ x: ValueID) -> ValueID {
        map(.f32, type(x).shape, [x]) { e in
            let x = e.input(0)
            let scaled = e.apply(.multiply, x, e.constant(bits: GraphBuilder.inverseRootTwo))
            let erf = e.apply(.erf, scaled)
            let sum = e.apply(.add, e.constant(bits: GraphBuilder.one), erf)
            let half = e.apply(.multiply, e.constant(bits: GraphBuilder.half), x)
            _ = e.apply(.multiply, half, sum)
        }
    }

    /// μ = ROW(x)/n, d = x − μ, v = ROW(d²)/n, fma(d·(1/√(v+ε)), g, b). `width` is n as f32 bits.
    public mutating func layerNorm(
        _ x: ValueID, gain: ValueID, bias: ValueID, width: UInt32, epsilon: UInt32
    ) -> ValueID {
        let shape = type(x).shape
        let rows = Array(shape.dropLast()) + [1]
        let total = column(reduce(.sum, x))
        let mean = map(.f32, rows, [total]) { e in
            let x = e.input(0)
            _ = e.apply(.divide, x, e.constant(bits: width))
        }
        let difference = map(.f32, shape, [x, mean]) { e in
            let (x, m) = (e.input(0), e.input(1))
            _ = e.apply(.subtract, x, m)
        }
        let square = map(.f32, shape, [difference]) { e in
            let d = e.input(0)
            _ = e.apply(.multiply, d, d)
        }
        let squares = column(reduce(.sum, square))
        let scale = map(.f32, rows, [squares]) { e in
            let s = e.input(0)
            let variance = e.apply(.divide, s, e.constant(bits: width))
            let shifted = e.apply(.add, variance, e.constant(bits: epsilon))
            let root = e.apply(.squareRoot, shifted)
            _ = e.apply(.divide, e.constant(bits: GraphBuilder.one), root)
        }
        return map(.f32, shape, [difference, scale, gain, bias]) { e in
            let d = e.input(0)
            let r = e.input(1)
            let product = e.apply(.multiply, d, r)
            let g = e.input(2)
            let b = e.input(3)
            _ = e.apply(.fma, product, g, b)
        }
    }

    /// Rows of a table by an i32 vector; an index outside it gives zeros.
    public mutating func rows(of table: ValueID, at indices: ValueID) -> ValueID {
        gather(
            table, [type(indices).shape[0], type(table).shape[1]],
            [Coordinate(table: indices, tableAxes: [0]), .axis(1)])
    }

    /// One row of a table, as a vector.
    public mutating func row(_ row: Int, of table: ValueID) -> ValueID {
        gather(table, [type(table).shape[1]], [Coordinate(offset: Int64(row)), .axis(0)])
    }

    /// Attention of packed tokens, each sentence by itself. `query`, `key`, `value`: [tokens, heads × width]; `slots`: [sentences, length];
    /// `lengths`: [sentences]; `places`: [tokens]. `width` is that of one head, `scale` f32 bits.
    public mutating func attention(
        query: ValueID, key: ValueID, value: ValueID, slots: ValueID, lengths: ValueID, places: ValueID, heads: UInt64,
        width: UInt64, scale: UInt32
    ) -> ValueID {
        let (sentences, length) = (type(slots).shape[0], type(slots).shape[1])
        let byHead = Coordinate.Term(axis: 1, coefficient: Int64(clamping: width))
        func column(_ axis: UInt8) -> Coordinate { Coordinate(terms: [byHead, .init(axis: axis, coefficient: 1)]) }
        func token(_ axis: UInt8) -> Coordinate { Coordinate(table: slots, tableAxes: [0, axis]) }
        let rows = [sentences, Dimension(heads), length, Dimension(width)]
        let q = gather(query, rows, [token(2), column(3)])
        let k = gather(key, rows, [token(2), column(3)])
        let v = gather(value, [sentences, Dimension(heads), Dimension(width), length], [token(3), column(2)])
        let extent = gather(lengths, [sentences, 1, 1], [.axis(0)])
        let scores = contract(q, k)
        let scaled = map(.f32, type(scores).shape, [scores]) { e in
            let s = e.input(0)
            _ = e.apply(.multiply, s, e.constant(bits: scale))
        }
        let greatest = self.column(reduce(.maximum, scaled, extent: extent))
        let exponentials = map(.f32, type(scores).shape, [scaled, greatest]) { e in
            let (s, m) = (e.input(0), e.input(1))
            let difference = e.apply(.subtract, s, m)
            _ = e.apply(.exp, difference)
        }
        let total = self.column(reduce(.sum, exponentials, extent: extent))
        let weights = map(.f32, type(scores).shape, [exponentials, total]) { e in
            let (x, t) = (e.input(0), e.input(1))
            let inverse = e.apply(.divide, e.constant(bits: GraphBuilder.one), t)
            _ = e.apply(.multiply, x, inverse)
        }
        let context = contract(weights, v, extent: extent)
        return gather(
            context, type(query).shape,
            [
                Coordinate(table: places, tableAxes: [0], quotient: length),
                Coordinate(terms: [.init(axis: 1, coefficient: 1)], quotient: Dimension(width)),
                Coordinate(table: places, tableAxes: [0], modulus: length),
                Coordinate(terms: [.init(axis: 1, coefficient: 1)], modulus: Dimension(width)),
            ])
    }

    /// Each sentence's tokens added in ROW order, divided by how many they are: [sentences, width].
    public mutating func meanPooled(_ x: ValueID, slots: ValueID, lengths: ValueID) -> ValueID {
        let (sentences, length) = (type(slots).shape[0], type(slots).shape[1])
        let width = type(x).shape[1]
        let byToken = gather(
            x, [sentences, width, length], [Coordinate(table: slots, tableAxes: [0, 2]), .axis(1)])
        let extent = gather(lengths, [sentences, 1], [.axis(0)])
        let total = reduce(.sum, byToken, extent: extent)
        return map(.f32, [sentences, width], [total, extent]) { e in
            let t = e.input(0)
            let n = e.input(1)
            let count = e.apply(.toF32, n)
            _ = e.apply(.divide, t, count)
        }
    }

    /// Each row divided by its L2 norm, at least `floor` (f32 bits).
    public mutating func normalized(_ x: ValueID, floor: UInt32) -> ValueID {
        let square = map(.f32, type(x).shape, [x]) { e in
            let x = e.input(0)
            _ = e.apply(.multiply, x, x)
        }
        let total = column(reduce(.sum, square))
        return map(.f32, type(x).shape, [x, total]) { e in
            let (x, t) = (e.input(0), e.input(1))
            let root = e.apply(.squareRoot, t)
            let norm = e.apply(.maximum, root, e.constant(bits: floor))
            _ = e.apply(.divide, x, norm)
        }
    }
}
