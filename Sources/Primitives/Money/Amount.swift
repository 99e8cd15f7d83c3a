/// XPL in base units (1 XPL = 10⁹), 128 bits, every operation checked.
public struct Amount: Hashable, Sendable, Comparable, CanonicalCodable, CustomStringConvertible {
    public let baseUnits: UInt128

    /// Base units in one XPL.
    public static let unitsPerXPL: UInt128 = 1_000_000_000

    public static let zero = Amount(baseUnits: 0)

    public init(baseUnits: UInt128) { self.baseUnits = baseUnits }

    /// Whole XPL.
    public static func xpl(_ whole: UInt64) -> Amount { Amount(baseUnits: UInt128(whole) * unitsPerXPL) }

    public init(from reader: inout ByteReader) throws(DecodingFault) { baseUnits = try reader.readUInt128() }

    public func encode(into writer: inout ByteWriter) { writer.write(baseUnits) }

    public static func < (x: Amount, y: Amount) -> Bool { x.baseUnits < y.baseUnits }

    public func adding(_ other: Amount) throws(AmountFault) -> Amount {
        let (sum, overflow) = baseUnits.addingReportingOverflow(other.baseUnits)
        if overflow { throw .overflow }
        return Amount(baseUnits: sum)
    }

    public func subtracting(_ other: Amount) throws(AmountFault) -> Amount {
        if other > self { throw .insufficient(has: self, needs: other) }
        return Amount(baseUnits: baseUnits - other.baseUnits)
    }

    public func multiplied(by factor: UInt64) throws(AmountFault) -> Amount {
        let (product, overflow) = baseUnits.multipliedReportingOverflow(by: UInt128(factor))
        if overflow { throw .overflow }
        return Amount(baseUnits: product)
    }

    /// This amount times `numerator` over `denominator`, rounded down. The product may pass 128 bits; the result may not.
    public func scaled(_ numerator: UInt64, over denominator: UInt64) throws(AmountFault) -> Amount {
        if denominator == 0 { throw .divisionByZero }
        let product = baseUnits.multipliedFullWidth(by: UInt128(numerator))
        if product.high >= UInt128(denominator) { throw .overflow }
        return Amount(baseUnits: UInt128(denominator).dividingFullWidth((product.high, product.low)).quotient)
    }

    /// XPL with as many decimals as needed: `12.5`.
    public var description: String {
        let whole = baseUnits / Amount.unitsPerXPL
        var fraction = String(baseUnits % Amount.unitsPerXPL)
        if fraction == "0" { return String(whole) }
        fraction = String(repeating: "0", count: 9 - fraction.count) + fraction
        while fraction.hasSuffix("0") { fraction.removeLast() }
        return "\(whole).\(fraction)"
    }

    /// Reads `12`, `12.5`, at most nine decimals, no sign, no exponent.
    public init(parsing text: String) throws(AmountFault) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard
            (1...2).contains(parts.count),
            parts.allSatisfy({ !$0.isEmpty && $0.utf8.allSatisfy { (48...57).contains($0) } }),
            parts.count == 1 || parts[1].utf8.count <= 9
        else { throw .malformed(text) }
        guard let whole = UInt128(String(parts[0])) else { throw .overflow }
        let decimals = parts.count == 2 ? String(parts[1]) : ""
        let padded = decimals + String(repeating: "0", count: 9 - decimals.count)
        let (units, tooLarge) = whole.multipliedReportingOverflow(by: Amount.unitsPerXPL)
        let (sum, carried) = units.addingReportingOverflow(UInt128(padded) ?? 0)
        if tooLarge || carried { throw .overflow }
        baseUnits = sum
    }
}

/// Why an amount cannot be had.
public enum AmountFault: Error, Equatable, Sendable, CustomStringConvertible {
    case overflow
    case insufficient(has: Amount, needs: Amount)
    case divisionByZero
    case malformed(String)

    public var description: String {
        switch self {
        case .overflow: "the amount is larger than any that can exist"
        case .insufficient(let has, let needs): "there are \(has) XPL, and \(needs) XPL are needed"
        case .divisionByZero: "an amount cannot be divided by zero"
        case .malformed(let text): "\"\(text)\" is not an amount: write it as 12 or 12.5, with at most nine decimals"
        }
    }
}
