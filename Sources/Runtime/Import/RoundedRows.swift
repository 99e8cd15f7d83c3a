internal import Programs

/// Rows as whole numbers of eight bits, but for the greatest of each.
struct RoundedRows: Sendable, Hashable {
    /// i8, the rows' shape; 0 at the place.
    let words: ValueID
    /// f32, with a last axis of 1.
    let scale: ValueID
    /// The number that stands apart, and the place where it stood, an i32 without the last axis.
    let top: ValueID
    let place: ValueID
}

extension GraphBuilder {
    /// Rows as whole numbers. The first of the greatest magnitude stands apart; of the others q = rint(x·r) within ±127 with r = 127/amax, 0 where amax is not
    /// above 0, and the scale is amax/127. The words are made last.
    mutating func rounded(_ x: ValueID) -> RoundedRows {
        let shape = type(x).shape
        let axis = UInt8(shape.count - 1)
        let rows = Array(shape.dropLast()) + [1]
        let most = Float(127).bitPattern
        let magnitude = map(.f32, shape, [x]) { e in
            let value = e.input(0)
            _ = e.apply(.maximum, value, e.apply(.subtract, e.constant(bits: 0), value))
        }
        let place = reduce(.argumentOfMaximum, magnitude)
        let top = gather(
            x, rows, (0..<axis).map { .axis($0) } + [Coordinate(table: place, tableAxes: Array(0..<axis))])
        let column = column(place)
        let others = map(.f32, shape, [magnitude, column]) { e in
            let value = e.input(0)
            let isTop = e.apply(.equal, e.node(.index(axis)), e.apply(.toI64, e.input(1)))
            _ = e.apply(.select, isTop, e.constant(bits: 0), value)
        }
        let extent = self.column(reduce(.maximum, others))
        let scale = map(.f32, rows, [extent]) { e in
            let amax = e.input(0)
            _ = e.apply(.divide, amax, e.constant(bits: most))
        }
        let factor = map(.f32, rows, [extent]) { e in
            let amax = e.input(0)
            let zero = e.constant(bits: 0)
            let quotient = e.apply(.divide, e.constant(bits: most), amax)
            _ = e.apply(.select, e.apply(.less, zero, amax), quotient, zero)
        }
        let words = map(.i8, shape, [x, factor, column]) { e in
            let (value, r) = (e.input(0), e.input(1))
            let t = e.apply(.multiply, value, r)
            let above = e.apply(.maximum, t, e.constant(bits: Float(-127).bitPattern))
            let within = e.apply(.minimum, above, e.constant(bits: most))
            let isTop = e.apply(.equal, e.node(.index(axis)), e.apply(.toI64, e.input(2)))
            _ = e.apply(.toI8, e.apply(.select, isTop, e.constant(bits: 0), within))
        }
        return RoundedRows(words: words, scale: scale, top: top, place: place)
    }

    /// fma(f32(Σ q·w), sᵢ, topᵢ·f32(w of its place))·wⱼ.
    mutating func product(
        _ x: RoundedRows, words: ValueID, scale: ValueID, _ result: TensorType
    ) -> ValueID {
        let axis = UInt8(result.shape.count - 1)
        let sums = contract(x.words, words)
        let right = gather(
            words, result.shape, [.axis(axis), Coordinate(table: x.place, tableAxes: Array(0..<axis))])
        let apart = map(.f32, result.shape, [x.top, right]) { e in
            let top = e.input(0)
            _ = e.apply(.multiply, top, e.apply(.toF32, e.input(1)))
        }
        return map(.f32, result.shape, [sums, x.scale, apart, scale]) { e in
            let sum = e.apply(.toF32, e.input(0))
            let all = e.apply(.fma, sum, e.input(1), e.input(2))
            _ = e.apply(.multiply, all, e.input(3))
        }
    }
}
