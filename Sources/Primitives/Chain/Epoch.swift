/// A span of views with one validator set.
public struct Epoch: Hashable, Sendable, Comparable, CanonicalCodable, ExpressibleByIntegerLiteral,
    CustomStringConvertible
{
    public let value: UInt64

    public init(_ value: UInt64) { self.value = value }

    public init(integerLiteral value: UInt64) { self.value = value }

    public init(from reader: inout ByteReader) throws(DecodingFault) { value = try reader.readUInt64() }

    public func encode(into writer: inout ByteWriter) { writer.write(value) }

    /// The one after, or the last there is.
    public func next() -> Epoch { advanced(by: 1) }

    /// The one `count` after, or the last there is.
    public func advanced(by count: UInt64) -> Epoch {
        let (sum, overflow) = value.addingReportingOverflow(count)
        return Epoch(overflow ? .max : sum)
    }

    public static func < (x: Epoch, y: Epoch) -> Bool { x.value < y.value }

    public var description: String { String(value) }
}
