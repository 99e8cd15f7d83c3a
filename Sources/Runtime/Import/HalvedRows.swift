internal import Programs

/// Rows as whole numbers q = 128·high + low of fifteen bits: a number is q·power.
struct HalvedRows: Sendable, Hashable {
    /// i8, the rows' shape; `low` within −64 and 63.
    let high: ValueID
    let low: ValueID
    /// f32, with a last axis of 1: a power of two, or NaN where the row is not finite.
    let power: ValueID
}

/// The same of a weight, [n, k], with a power for each n.
struct HalvedWeight: Sendable, Hashable {
    let high: ValueID
    let low: ValueID
    let powers: ValueID
}

extension GraphBuilder {
    /// Rows as whole numbers: power = 2^(e − 14) with the least e ≥ −135 for which max |x| ≤ 16255·power, q = rint(x / power), 0 in a row that is not finite.
    /// A smaller e would bring nothing: with −135 the numbers of such a row, multiples of 2^−149 all, are q as they are. The high halves are made last.
    mutating func halved(_ x: ValueID) -> HalvedRows {
        let shape = type(x).shape
        let rows = Array(shape.dropLast()) + [1]
        let magnitude = map(.f32, shape, [x]) { e in
            let value = e.input(0)
            _ = e.apply(.maximum, value, e.apply(.subtract, e.constant(bits: 0), value))
        }
        let extent = column(reduce(.maximum, magnitude))
        let power = map(.f32, rows, [extent]) { e in e.powerOfHalves() }
        let whole = map(.i32, shape, [x, power]) { e in
            let value = e.input(0)
            _ = e.apply(.toI32, e.apply(.divide, value, e.input(1)))
        }
        let low = map(.i8, shape, [whole]) { e in
            let half = e.node(.constant(.i32, bits: 64))
            let raised = e.apply(.add, e.input(0), half)
            let last = e.apply(.and, raised, e.node(.constant(.i32, bits: 127)))
            _ = e.apply(.toI8, e.apply(.subtract, last, half))
        }
        let high = map(.i8, shape, [whole]) { e in
            let raised = e.apply(.add, e.input(0), e.node(.constant(.i32, bits: 64)))
            _ = e.apply(.toI8, e.apply(.shiftRight, raised, e.node(.constant(.i32, bits: 7))))
        }
        return HalvedRows(high: high, low: low, power: power)
    }

    /// f32(Σ q·w) · powerᵢ·powersⱼ: the sum is exact in i64 and rounded once to f32; what comes after rounds only where the result is subnormal or infinite.
    mutating func product(_ x: HalvedRows, _ weight: HalvedWeight, _ result: TensorType) -> ValueID {
        let sums = [
            contract(x.high, weight.high), contract(x.high, weight.low), contract(x.low, weight.high),
            contract(x.low, weight.low),
        ]
        let total = map(.f32, result.shape, sums) { e in
            let parts = (0..<4).map { number in
                let sum = e.input(number)
                return e.apply(.toI64, sum)
            }
            let upper = e.apply(.shiftLeft, parts[0], e.node(.constant(.i64, bits: 14)))
            let middle = e.apply(.shiftLeft, e.apply(.add, parts[1], parts[2]), e.node(.constant(.i64, bits: 7)))
            _ = e.apply(.toF32, e.apply(.add, upper, e.apply(.add, middle, parts[3])))
        }
        return map(.f32, result.shape, [total, x.power, weight.powers]) { e in e.scaledByPowers() }
    }
}

extension ExpressionBuilder {
    private mutating func constant(_ value: Float) -> UInt8 { constant(bits: value.bitPattern) }

    /// 2^(e − 14) of a row's greatest magnitude, in f32 alone. With q = y·(2²³ + 1), q − q·(1 − 2⁻²⁴) is the greatest power of two that is not above y
    /// (S. M. Rump, T. Ogita, S. Oishi: Accurate floating-point summation, part I, algorithm 3.5); y is the magnitude brought between 2⁻⁸⁵ and 2⁶⁴, where
    /// nothing is lost and nothing overflows.
    fileprivate mutating func powerOfHalves() {
        let amax = input(0)
        let isLarge = apply(.lessOrEqual, constant(1), amax)
        let y = apply(.multiply, amax, apply(.select, isLarge, constant(0x1p-64), constant(0x1p64)))
        let q = apply(.multiply, y, constant(8_388_609))
        let leading = apply(.subtract, q, apply(.multiply, q, constant(1 - 0x1p-24)))
        // Above 16255/2¹³ of it, one more.
        let isAbove = apply(.less, apply(.multiply, leading, constant(16255 * 0x1p-13)), y)
        let unit = apply(.select, isAbove, apply(.add, leading, leading), leading)
        let power = apply(.multiply, unit, apply(.select, isLarge, constant(0x1p51), constant(0x1p-77)))
        _ = apply(.maximum, power, constant(0x1p-149))
    }

    /// Input 0 times the powers that inputs 1 and 2 are. Those beyond 2^±50 are taken apart into 2^±63 and the rest: then no product is beyond f32 while the
    /// result is not, and only the last can round.
    fileprivate mutating func scaledByPowers() {
        let total = input(0)
        let parts = (1...2).map { number -> (inner: UInt8, outer: UInt8) in
            let power = input(number)
            let isSmall = apply(.less, power, constant(0x1p-50))
            let isUsual = apply(.less, power, constant(0x1p50))
            let (up, one, down) = (constant(0x1p63), constant(1), constant(0x1p-63))
            let factor = apply(.select, isSmall, up, apply(.select, isUsual, one, down))
            let outer = apply(.select, isSmall, down, apply(.select, isUsual, one, up))
            return (apply(.multiply, power, factor), outer)
        }
        let inner = apply(.multiply, total, apply(.multiply, parts[0].inner, parts[1].inner))
        _ = apply(.multiply, inner, apply(.multiply, parts[0].outer, parts[1].outer))
    }
}
