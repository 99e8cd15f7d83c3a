/// Rules 1 and 6 of docs/numerics.md: between binary32, whole numbers and the storage types.
extension Binary32 {
    /// The nearest number, ties to even.
    public init(_ value: Int64) { self = Binary32.rounded(value < 0, value.magnitude, 0) }

    /// NaN to 0, clamped to [−2³¹, 2³¹ − 128], then to the nearest even.
    public var int32: Int32 { Int32(clamped(least: 0xCF00_0000, greatest: 0x4EFF_FFFF)) }
    /// NaN to 0, clamped to [−2⁶³, 2⁶³ − 2³⁹], then to the nearest even.
    public var int64: Int64 { clamped(least: 0xDF00_0000, greatest: 0x5EFF_FFFF) }
    /// NaN to 0, clamped to [−128, 127], then to the nearest even.
    public var int8: Int8 { Int8(clamped(least: 0xC300_0000, greatest: 0x42FE_0000)) }
    /// NaN to 0, clamped to [0, 255], then to the nearest even.
    public var uint8: UInt8 { UInt8(clamped(least: 0, greatest: 0x437F_0000)) }
    /// Everything but a zero, NaN too.
    public var bool: Bool { !isZero }

    private func clamped(least: UInt32, greatest: UInt32) -> Int64 {
        if isNotANumber { return 0 }
        let key = max(Binary32(bits: least).orderKey, min(Binary32(bits: greatest).orderKey, orderKey))
        let value = Binary32(orderKey: key).roundedToEven
        // Within [−2⁶³, 2⁶³ − 2³⁹], so a negative magnitude is 2⁶³ at most.
        // Swift's `<<` by a negative count shifts to the right.
        let magnitude = value.significand << value.exponent
        return value.isNegative ? Int64(truncatingIfNeeded: 0 &- magnitude) : Int64(magnitude)
    }

    /// Exactly.
    public init(bfloat16 bits: UInt16) { self = Binary32(bits: UInt32(bits) << 16).canonical }

    /// Exactly.
    public init(float16 bits: UInt16) {
        let isNegative = bits >> 15 != 0
        let (field, fraction) = (Int(bits >> 10 & 31), UInt64(bits & 0x3FF))
        if field == 31 {
            self = fraction == 0 ? Binary32.signed(isNegative, 0x7F80_0000) : .notANumber
        } else {
            // 2⁻²⁴ is the least subnormal half.
            self = Binary32.rounded(isNegative, field == 0 ? fraction : fraction | 0x400, max(1, field) - 25)
        }
    }

    /// The nearest bf16, ties to even; NaN is 0x7FC0.
    public var bfloat16: UInt16 {
        if isNotANumber { return 0x7FC0 }
        // A carry out of the fraction is the next exponent; past the greatest it is the infinity. An infinity has nothing to round.
        return UInt16((bits + 0x7FFF + (bits >> 16 & 1)) >> 16)
    }

    /// The nearest f16, ties to even; NaN is 0x7E00.
    public var float16: UInt16 {
        if isNotANumber { return 0x7E00 }
        let sign: UInt16 = isNegative ? 0x8000 : 0
        if isInfinite { return sign | 0x7C00 }
        if isZero { return sign }
        let top = 63 - significand.leadingZeroBitCount
        // Eleven bits are kept, and no unit is below 2⁻²⁴.
        let shift = max(top - 10, -24 - exponent)
        // Less than half of the least number, and nothing is ever exact below the unit of a subnormal.
        if shift > top + 1 { return sign }
        let kept = shift <= 0 ? significand << UInt64(-shift) : significand >> UInt64(shift)
        let lost = shift <= 0 ? 0 : significand & ((1 << UInt64(shift)) - 1)
        let tie: UInt64 = shift <= 0 ? 1 : 1 << UInt64(shift - 1)
        let units = kept + (lost > tie || (lost == tie && kept & 1 == 1) ? 1 : 0)
        let field = exponent + shift + 24
        if field >= 30 { return sign | 0x7C00 }
        return sign | UInt16(UInt64(field) << 10 + units)
    }
}
