/// A block's time: milliseconds since 1970-01-01 UTC.
public struct Timestamp: Hashable, Sendable, Comparable, CanonicalCodable, CustomStringConvertible {
    public let milliseconds: UInt64

    public init(milliseconds: UInt64) { self.milliseconds = milliseconds }

    public init(from reader: inout ByteReader) throws(DecodingFault) { milliseconds = try reader.readUInt64() }

    public func encode(into writer: inout ByteWriter) { writer.write(milliseconds) }

    /// The time `count` milliseconds later, or the last there is.
    public func adding(milliseconds count: UInt64) -> Timestamp {
        let (sum, overflow) = milliseconds.addingReportingOverflow(count)
        return Timestamp(milliseconds: overflow ? .max : sum)
    }

    public static func < (x: Timestamp, y: Timestamp) -> Bool { x.milliseconds < y.milliseconds }

    public var description: String { "\(milliseconds)" }
}
