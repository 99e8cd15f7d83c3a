/// An IEEE-754 binary32 number computed with integers alone: what validators judge by, on every machine alike.
///
/// Every operation rounds to nearest even and keeps subnormals, and every NaN that comes out is `0x7FC00000` (docs/numerics.md, rules 2 and 3).
/// The worst of them costs some tens of nanoseconds; none loops more than 32 times.
public struct Binary32: Hashable, Sendable {
    public let bits: UInt32

    /// A number by its bits, as they are.
    @inline(__always) public init(bits: UInt32) { self.bits = bits }

    public static let zero = Binary32(bits: 0)
    public static let negativeZero = Binary32(bits: 0x8000_0000)
    public static let half = Binary32(bits: 0x3F00_0000)
    public static let one = Binary32(bits: 0x3F80_0000)
    public static let two = Binary32(bits: 0x4000_0000)
    public static let infinity = Binary32(bits: 0x7F80_0000)
    public static let notANumber = Binary32(bits: 0x7FC0_0000)

    public var isNegative: Bool { bits >> 31 != 0 }
    public var isNotANumber: Bool { bits & 0x7FFF_FFFF > 0x7F80_0000 }
    public var isInfinite: Bool { bits & 0x7FFF_FFFF == 0x7F80_0000 }
    public var isZero: Bool { bits & 0x7FFF_FFFF == 0 }

    /// The one form of NaN; any other number as it is.
    public var canonical: Binary32 { isNotANumber ? .notANumber : self }

    public var magnitude: Binary32 { Binary32(bits: bits & 0x7FFF_FFFF) }
    public static prefix func - (x: Binary32) -> Binary32 { Binary32(bits: x.bits ^ 0x8000_0000) }

    /// This number, not negative, with the sign of another.
    func withSign(of other: Binary32) -> Binary32 { Binary32(bits: bits | other.bits & 0x8000_0000) }

    // MARK: Taking apart and putting together

    /// Finite: the number is ± significand · 2^exponent; the significand of a subnormal has fewer than 24 bits.
    @inline(__always) var exponent: Int { max(1, Int(bits >> 23 & 0xFF)) - 150 }
    @inline(__always) var significand: UInt64 {
        let fraction = UInt64(bits & 0x7F_FFFF)
        return bits & 0x7F80_0000 == 0 ? fraction : fraction | 0x80_0000
    }

    @inline(__always) static func signed(_ isNegative: Bool, _ bits: UInt32) -> Binary32 {
        Binary32(bits: isNegative ? bits | 0x8000_0000 : bits)
    }

    /// ± significand · 2^exponent, rounded once. Where bits were lost before, the lowest bit must be set for them ("sticky") and the significand
    /// have at least 26 bits, so that it lies below the place where rounding looks.
    static func rounded(_ isNegative: Bool, _ significand: UInt64, _ exponent: Int) -> Binary32 {
        if significand == 0 { return signed(isNegative, 0) }
        let top = 63 - significand.leadingZeroBitCount
        // The unit of the result: 24 bits are kept, and no unit is below 2⁻¹⁴⁹.
        let shift = max(top - 23, -149 - exponent)
        let units: UInt64
        if shift <= 0 {
            units = significand << UInt64(-shift)
        } else if shift > 64 {
            // Less than half of the least number.
            return signed(isNegative, 0)
        } else {
            let kept = shift == 64 ? 0 : significand >> UInt64(shift)
            let lost = shift == 64 ? significand : significand & ((1 << UInt64(shift)) - 1)
            let tie: UInt64 = 1 << UInt64(shift - 1)
            units = kept + (lost > tie || (lost == tie && kept & 1 == 1) ? 1 : 0)
        }
        // The implicit bit of `units`, or its carry, adds one to the exponent's field; a carry at the top gives the infinity.
        let field = exponent + shift + 149
        if field >= 0xFE { return signed(isNegative, 0x7F80_0000) }
        return signed(isNegative, UInt32(field) << 23 + UInt32(truncatingIfNeeded: units))
    }

    // MARK: Arithmetic

    public static func + (x: Binary32, y: Binary32) -> Binary32 {
        if x.isNotANumber || y.isNotANumber { return .notANumber }
        if x.isInfinite { return y.isInfinite && x != y ? .notANumber : x }
        if y.isInfinite { return y }
        return sum(
            x.isNegative, x.significand, x.exponent, y.isNegative, y.significand, y.exponent)
    }

    public static func - (x: Binary32, y: Binary32) -> Binary32 { x + -y }

    public static func * (x: Binary32, y: Binary32) -> Binary32 {
        if x.isNotANumber || y.isNotANumber { return .notANumber }
        let isNegative = x.isNegative != y.isNegative
        if x.isInfinite || y.isInfinite {
            return x.isZero || y.isZero ? .notANumber : signed(isNegative, 0x7F80_0000)
        }
        return rounded(isNegative, x.significand * y.significand, x.exponent + y.exponent)
    }

    public static func / (x: Binary32, y: Binary32) -> Binary32 {
        if x.isNotANumber || y.isNotANumber { return .notANumber }
        let isNegative = x.isNegative != y.isNegative
        if x.isInfinite { return y.isInfinite ? .notANumber : signed(isNegative, 0x7F80_0000) }
        if y.isInfinite { return signed(isNegative, 0) }
        if y.isZero { return x.isZero ? .notANumber : signed(isNegative, 0x7F80_0000) }
        if x.isZero { return signed(isNegative, 0) }
        // The dividend fills 64 bits, the divisor has at most 24, so the quotient has at least 40.
        let up = x.significand.leadingZeroBitCount
        let (quotient, remainder) = (x.significand << UInt64(up)).quotientAndRemainder(dividingBy: y.significand)
        return rounded(isNegative, quotient | (remainder == 0 ? 0 : 1), x.exponent - up - y.exponent)
    }

    public var squareRoot: Binary32 {
        if isNotANumber || isZero { return canonical }
        if isNegative { return .notANumber }
        if isInfinite { return self }
        // Sixty-three or sixty-four bits over an even power of two: the root has 32, and one more says whether it is exact.
        var up = significand.leadingZeroBitCount
        if (exponent - up) & 1 != 0 { up -= 1 }
        let square = significand << UInt64(up)
        var root: UInt64 = 0
        var rest = square
        var bit: UInt64 = 1 << 62
        while bit != 0 {
            let trial = root + bit
            root >>= 1
            if rest >= trial {
                rest -= trial
                root += bit
            }
            bit >>= 2
        }
        return Binary32.rounded(false, root << 1 | (rest == 0 ? 0 : 1), (exponent - up) / 2 - 1)
    }

    /// x·y + z, rounded once.
    public static func fma(_ x: Binary32, _ y: Binary32, _ z: Binary32) -> Binary32 {
        if x.isNotANumber || y.isNotANumber || z.isNotANumber { return .notANumber }
        let isNegative = x.isNegative != y.isNegative
        if x.isInfinite || y.isInfinite {
            if x.isZero || y.isZero { return .notANumber }
            if z.isInfinite && z.isNegative != isNegative { return .notANumber }
            return signed(isNegative, 0x7F80_0000)
        }
        if z.isInfinite { return z }
        return sum(
            isNegative, x.significand * y.significand, x.exponent + y.exponent, z.isNegative, z.significand, z.exponent)
    }

    /// The sum of two finite numbers with significands of at most 48 bits, rounded once.
    private static func sum(
        _ xIsNegative: Bool, _ x: UInt64, _ xExponent: Int, _ yIsNegative: Bool, _ y: UInt64, _ yExponent: Int
    ) -> Binary32 {
        if x == 0 && y == 0 { return signed(xIsNegative && yIsNegative, 0) }
        if x == 0 { return rounded(yIsNegative, y, yExponent) }
        if y == 0 { return rounded(xIsNegative, x, xExponent) }
        // Both with their highest bit at 62: fourteen spare bits below, one above for a carry.
        var (a, aExponent) = (x << UInt64(x.leadingZeroBitCount - 1), xExponent - (x.leadingZeroBitCount - 1))
        var (b, bExponent) = (y << UInt64(y.leadingZeroBitCount - 1), yExponent - (y.leadingZeroBitCount - 1))
        var (aIsNegative, bIsNegative) = (xIsNegative, yIsNegative)
        if aExponent < bExponent {
            swap(&a, &b)
            swap(&aExponent, &bExponent)
            swap(&aIsNegative, &bIsNegative)
        }
        // Bits can be lost only where the two lie so far apart that at most one is cancelled: the sticky bit stays far below the rounding.
        let distance = aExponent - bExponent
        if distance > 0 {
            let lost = distance < 64 ? b & ((1 << UInt64(distance)) - 1) : b
            b = (distance < 64 ? b >> UInt64(distance) : 0) | (lost == 0 ? 0 : 1)
        }
        if aIsNegative == bIsNegative { return rounded(aIsNegative, a + b, aExponent) }
        if a == b { return .zero }
        return a > b ? rounded(aIsNegative, a - b, aExponent) : rounded(bIsNegative, b - a, aExponent)
    }

    // MARK: Order

    /// Comparisons with NaN are false; the zeros are equal.
    public static func isEqual(_ x: Binary32, _ y: Binary32) -> Bool {
        !x.isNotANumber && !y.isNotANumber && x.orderKey == y.orderKey
    }
    public static func isLess(_ x: Binary32, _ y: Binary32) -> Bool {
        !x.isNotANumber && !y.isNotANumber && x.orderKey < y.orderKey
    }
    public static func isLessOrEqual(_ x: Binary32, _ y: Binary32) -> Bool {
        !x.isNotANumber && !y.isNotANumber && x.orderKey <= y.orderKey
    }

    /// Rule 5: an integer in the order of the numbers, both zeros 0. A NaN has none.
    public var orderKey: Int32 {
        let magnitude = Int32(bits & 0x7FFF_FFFF)
        return isNegative ? -magnitude : magnitude
    }

    /// The number that has an order key; a zero is +0.
    public init(orderKey: Int32) {
        bits = orderKey < 0 ? orderKey.magnitude | 0x8000_0000 : UInt32(orderKey)
    }

    /// Rule 5: NaN wins, a zero is +0.
    public static func maximum(_ x: Binary32, _ y: Binary32) -> Binary32 {
        x.isNotANumber || y.isNotANumber ? .notANumber : Binary32(orderKey: max(x.orderKey, y.orderKey))
    }
    public static func minimum(_ x: Binary32, _ y: Binary32) -> Binary32 {
        x.isNotANumber || y.isNotANumber ? .notANumber : Binary32(orderKey: min(x.orderKey, y.orderKey))
    }

    // MARK: Whole numbers

    enum Direction { case down, up, towardZero, toNearestEven }

    public var floor: Binary32 { whole(.down) }
    public var ceil: Binary32 { whole(.up) }
    public var truncated: Binary32 { whole(.towardZero) }
    public var roundedToEven: Binary32 { whole(.toNearestEven) }

    /// A whole number near by; one of magnitude below 1 keeps its sign when it becomes zero.
    private func whole(_ direction: Direction) -> Binary32 {
        // From 2²³ on every number is whole; the infinities are their own.
        if isNotANumber || exponent >= 0 { return canonical }
        let magnitude = Binary32.whole(significand, exponent, isNegative, direction)
        return Binary32.rounded(isNegative, magnitude, 0)
    }

    /// significand · 2^exponent as a whole number, for an exponent below 0.
    private static func whole(_ significand: UInt64, _ exponent: Int, _ isNegative: Bool, _ direction: Direction)
        -> UInt64
    {
        // A significand has at most 24 bits: beyond 62 places all of it is less than half.
        let places = UInt64(min(-exponent, 62))
        let kept = significand >> places
        let lost = significand & ((1 << places) - 1)
        let tie: UInt64 = 1 << (places - 1)
        switch direction {
        case .down: return kept + (isNegative && lost != 0 ? 1 : 0)
        case .up: return kept + (!isNegative && lost != 0 ? 1 : 0)
        case .towardZero: return kept
        case .toNearestEven: return kept + (lost > tie || (lost == tie && kept & 1 == 1) ? 1 : 0)
        }
    }
}
