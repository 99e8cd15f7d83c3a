/// The cost of a program in weighted operations; 1 CU is 10⁹ of them (`docs/programs.md`).
public struct ComputeUnits: Hashable, Sendable, Comparable, CanonicalCodable, CustomStringConvertible {
    public let weightedOperations: UInt64

    /// Weighted operations in one CU.
    public static let operationsPerUnit: UInt64 = 1_000_000_000

    public init(weightedOperations: UInt64) { self.weightedOperations = weightedOperations }

    public init(from reader: inout ByteReader) throws(DecodingFault) { weightedOperations = try reader.readUInt64() }

    public func encode(into writer: inout ByteWriter) { writer.write(weightedOperations) }

    public static func < (x: ComputeUnits, y: ComputeUnits) -> Bool { x.weightedOperations < y.weightedOperations }

    /// What this much costs at a price for 1,000 CU, rounded up: nobody works for nothing.
    public func price(perThousandUnits price: Amount) throws(AmountFault) -> Amount {
        let perThousand = ComputeUnits.operationsPerUnit * 1000
        let floor = try price.scaled(weightedOperations, over: perThousand)
        let product = price.baseUnits.multipliedReportingOverflow(by: UInt128(weightedOperations))
        let exact = !product.overflow && product.partialValue % UInt128(perThousand) == 0
        return exact ? floor : try floor.adding(Amount(baseUnits: 1))
    }

    /// CU with three decimals.
    public var description: String {
        let thousandths = weightedOperations / 1_000_000
        let fraction = String(thousandths % 1000)
        return "\(thousandths / 1000)." + String(repeating: "0", count: 3 - fraction.count) + fraction
    }
}
