/// The named functions: the fixed fma programs of CKernels/reference.c, operation for operation, so the same bits for every input.
///
/// The longest is erf, 33 roundings; sin and cos of large arguments multiply 96 bits of 2/π by the mantissa.
extension Binary32 {
    /// A polynomial, highest power first.
    private static func polynomial(_ coefficients: [UInt32], _ x: Binary32) -> Binary32 {
        var value = Binary32(bits: coefficients[0])
        for place in 1..<coefficients.count {
            value = .fma(value, x, Binary32(bits: coefficients[place]))
        }
        return value
    }

    private static func powerOfTwo(_ exponent: Int64) -> Binary32 { Binary32(bits: UInt32(exponent + 127) << 23) }

    /// e^(x + low), for a `low` far below x's last place. The power of two is applied in halves, so that a subnormal result is rounded once more and no more.
    private static func exp(of x: Binary32, low: Binary32) -> Binary32 {
        if x.isNotANumber { return .notANumber }
        // Neither bound is a NaN or a zero, and a zero between them stays what it is.
        let clamped =
            isLess(x, Coefficients.expLow)
            ? Coefficients.expLow : isLess(Coefficients.expHigh, x) ? Coefficients.expHigh : x
        let n = fma(clamped, Coefficients.binaryLogarithmOfE, Coefficients.rounding) - Coefficients.rounding
        var r = fma(n, -Coefficients.logarithmOfTwoHigh, clamped)
        r = fma(n, -Coefficients.logarithmOfTwoLow, r)
        r = r + low
        let p = fma(r * r, polynomial(Coefficients.exp, r), r) + .one
        let whole = n.int64
        let half = whole >> 1
        return p * powerOfTwo(half) * powerOfTwo(whole - half)
    }

    /// At most 1 ulp from the true value.
    public var exponential: Binary32 { Binary32.exp(of: self, low: .negativeZero) }

    /// At most 1 ulp from the true value.
    public var logarithm: Binary32 {
        if isNotANumber || (isNegative && !isZero) { return .notANumber }
        if isZero { return -.infinity }
        if isInfinite { return self }
        var x = self
        var e: Int64 = 0
        if bits < 0x80_0000 {
            x = x * Binary32.powerOfTwo(23)
            e = -23
        }
        let u = x.bits &- Coefficients.rootHalfBits
        e += Int64(Int32(bitPattern: u) >> 23)
        let f = Binary32(bits: u & 0x7F_FFFF + Coefficients.rootHalfBits) - .one
        let p = Binary32.polynomial(Coefficients.log, f)
        let square = f * f
        let n = Binary32(e)
        var low = Binary32.fma(n, Coefficients.logarithmOfTwoLow, square * (f * p))
        low = .fma(square, -.half, low)
        return .fma(n, Coefficients.logarithmOfTwoHigh, f + low)
    }

    /// At most 1.1 ulp from the true value.
    public var errorFunction: Binary32 {
        if isNotANumber { return .notANumber }
        let a = magnitude
        if Binary32.isLess(a, Coefficients.erfSplit) {
            return .fma(self, Binary32.polynomial(Coefficients.erfSmall, a * a), self)
        }
        let u = Binary32.isLess(Coefficients.erfEnd, a) ? Coefficients.erfEnd : a
        let l = Binary32.polynomial(Coefficients.erfLarge, u)
        let product = u * l
        // What rounding the product loses goes into the exponential.
        let e = Binary32.exp(of: -product, low: .fma(-u, l, product))
        return (Binary32.one - e).withSign(of: self)
    }

    /// At most 1.6 ulp from the true value.
    public var hyperbolicTangent: Binary32 {
        if isNotANumber { return .notANumber }
        let a = magnitude
        if Binary32.isLess(a, Coefficients.tanhSplit) {
            let t = a * a
            return Binary32.fma(a * t, Binary32.polynomial(Coefficients.tanh, t), a).withSign(of: self)
        }
        let end = Binary32.isLess(Coefficients.tanhEnd, a) ? Coefficients.tanhEnd : a
        let e = (Binary32.two * end).exponential
        return (Binary32.one - Binary32.two / (e + .one)).withSign(of: self)
    }

    /// At most 1.5 ulp from the true value, for any argument.
    public var sine: Binary32 { circular(turn: 0) }
    /// At most 1.5 ulp from the true value, for any argument.
    public var cosine: Binary32 { circular(turn: 1) }

    private func circular(turn: Int64) -> Binary32 {
        if isNotANumber || isInfinite { return .notANumber }
        if turn == 0 && isZero { return self }
        let (part, quarter) = magnitude.reducedByQuarterTurns
        let quadrant = quarter + turn & 3
        let y = quadrant & 1 == 0 ? part.sineKernel : part.cosineKernel
        return (quadrant & 2 != 0) != (turn == 0 && isNegative) ? -y : y
    }

    /// The rest of a number ≥ 0 after whole quarter turns, and how many these were, mod 4.
    private var reducedByQuarterTurns: (part: Binary32, quarters: Int64) {
        if Binary32.isLess(self, Coefficients.circularFast) {
            let n = Binary32.fma(self, Coefficients.twoOverPi, Coefficients.rounding) - Coefficients.rounding
            var r = Binary32.fma(n, -Coefficients.halfPi1, self)
            r = .fma(n, -Coefficients.halfPi2, r)
            r = .fma(n, -Coefficients.halfPi3, r)
            return (r, n.int64 & 3)
        }
        // Payne and Hanek 1983. Bits of 2/π that meet the mantissa above 4 are multiples of a whole turn; two stay for the quadrant. The exponent
        // is at most 104, so that words 3 to 6 are the last to be read.
        let shift = exponent > 2 ? exponent - 2 : 0
        let (word, bit) = (shift >> 5, UInt64(shift & 31))
        var product: UInt128 = 0
        for place in 0..<3 {
            let high = UInt64(Coefficients.twoOverPiBits[word + place])
            let pair = high << 32 | UInt64(Coefficients.twoOverPiBits[word + place + 1])
            let digits = pair >> (32 - bit) & 0xFFFF_FFFF
            product += UInt128(significand * digits) << UInt128(64 - 32 * place)
        }
        // 32 whole bits (more are whole turns) and 96 of the fraction, then the rest of the exponent: at most 2 to the left.
        let all = exponent >= shift ? product << UInt128(exponent - shift) : product >> UInt128(shift - exponent)
        let centred = Int64(truncatingIfNeeded: all >> 32)
        let quarters = Int64(truncatingIfNeeded: all >> 96) & 3 + (centred < 0 ? 1 : 0)
        // Times π/2 in integers, so that the result is rounded once.
        let high = centred.multipliedFullWidth(by: 0x6487_ED51_10B4_611A).high
        return (Binary32(high) * Binary32.powerOfTwo(-62), quarters & 3)
    }

    private var sineKernel: Binary32 {
        let t = self * self
        return .fma(self * t, Binary32.polynomial(Coefficients.sine, t), self)
    }

    private var cosineKernel: Binary32 {
        let t = self * self
        let p = Binary32.polynomial(Coefficients.cosine, t)
        // What rounding 1 − t/2 loses is added back with the tail.
        let h = Binary32.fma(t, -.half, .one)
        let lost = Binary32.fma(t, -.half, .one - h)
        return h + .fma(t * t, p, lost)
    }
}
