/// The number of a block; genesis is 0.
public struct Height: Hashable, Sendable, Comparable, CanonicalCodable, ExpressibleByIntegerLiteral,
    CustomStringConvertible
{
    public let value: UInt64

    public init(_ value: UInt64) { self.value = value }

    public init(integerLiteral value: UInt64) { self.value = value }

    public init(from reader: inout ByteReader) throws(DecodingFault) { value = try reader.readUInt64() }

    public func encode(into writer: inout ByteWriter) { writer.write(value) }

    /// The one after, or the last there is.
    public func next() -> Height { advanced(by: 1) }

    /// The one `count` after, or the last there is.
    public func advanced(by count: UInt64) -> Height {
        let (sum, overflow) = value.addingReportingOverflow(count)
        return Height(overflow ? .max : sum)
    }

    public static func < (x: Height, y: Height) -> Bool { x.value < y.value }

    public var description: String { String(value) }
}
