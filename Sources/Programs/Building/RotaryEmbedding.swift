import Primitives

/// Rotary position embedding: coordinate `i` of a head turns with coordinate `i + width/2` by position × frequency.
extension GraphBuilder {
    /// Cosines and sines of the angles of tokens, as factors of `rotated`.
    public struct RotaryTables: Sendable {
        /// [batch, length, 1, width].
        public let cosine: ValueID
        /// The same, negative in the first half.
        public let sine: ValueID
    }

    /// The angles are f32(position)·frequency, rounded once. `positions`: i32 [batch, length]; `frequencies`: [width/2].
    public mutating func rotaryTables(positions: ValueID, frequencies: ValueID) -> RotaryTables {
        let half = type(frequencies).shape[0].factor
        let shape = type(positions).shape + [1, Dimension(2 * half)]
        let column = gather(positions, Array(shape.dropLast()) + [1], [.axis(0), .axis(1)])
        let both = gather(
            frequencies, [Dimension(2 * half)],
            [Coordinate(terms: [.init(axis: 0, coefficient: 1)], modulus: Dimension(half))])
        func angle(_ e: inout ExpressionBuilder) -> UInt8 {
            let position = e.apply(.toF32, e.input(0))
            return e.apply(.multiply, position, e.input(1))
        }
        let cosine = map(.f32, shape, [column, both]) { e in
            let angle = angle(&e)
            _ = e.apply(.cos, angle)
        }
        let sine = map(.f32, shape, [column, both]) { e in
            let angle = angle(&e)
            let sine = e.apply(.sin, angle)
            let negative = e.apply(.subtract, e.constant(bits: 0), sine)
            let isFirst = e.apply(.less, e.node(.index(3)), e.node(.constant(.i64, bits: half)))
            _ = e.apply(.select, isFirst, negative, sine)
        }
        return RotaryTables(cosine: cosine, sine: sine)
    }

    /// x·cos + y·sin, where y is x with the halves of each head changed over. `x`: [batch, length, heads, width].
    public mutating func rotated(_ x: ValueID, by tables: RotaryTables) -> ValueID {
        let shape = type(x).shape
        let half = shape[3].factor / 2
        var size = shape
        size[3] = Dimension(half)
        func piece(start: UInt64, offset: Int64) -> GatherPiece {
            GatherPiece(
                start: [0, 0, 0, Dimension(start)], size: size, source: x,
                coordinates: [
                    .axis(0), .axis(1), .axis(2),
                    Coordinate(offset: offset, terms: [.init(axis: 3, coefficient: 1)]),
                ])
        }
        let distance = Int64(clamping: half)
        let changed = append(
            .gather([piece(start: 0, offset: distance), piece(start: half, offset: -distance)], fill: 0),
            TensorType(.f32, shape))
        return map(.f32, shape, [x, changed, tables.cosine, tables.sine]) { e in
            let x = e.input(0)
            let cosine = e.input(2)
            let left = e.apply(.multiply, x, cosine)
            let y = e.input(1)
            let sine = e.input(3)
            let right = e.apply(.multiply, y, sine)
            _ = e.apply(.add, left, right)
        }
    }
}
