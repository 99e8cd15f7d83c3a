/// A span of time in nanoseconds. Arithmetic saturates: no deadline wraps round.
public struct Interval: Hashable, Sendable, Comparable, CanonicalCodable, CustomStringConvertible {
    public let nanoseconds: Int64

    public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    public static let zero = Interval(nanoseconds: 0)

    public static func milliseconds(_ count: Int64) -> Interval { Interval(nanoseconds: saturating(count, 1_000_000)) }

    public static func seconds(_ count: Int64) -> Interval { Interval(nanoseconds: saturating(count, 1_000_000_000)) }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        nanoseconds = Int64(bitPattern: try reader.readUInt64())
    }

    public func encode(into writer: inout ByteWriter) { writer.write(UInt64(bitPattern: nanoseconds)) }

    public var milliseconds: Int64 { nanoseconds / 1_000_000 }

    /// This span times `numerator` over `denominator`.
    public func scaled(_ numerator: Int64, over denominator: Int64 = 1) -> Interval {
        precondition(denominator != 0, "a span is not divided by zero")
        return Interval(nanoseconds: Interval.saturating(nanoseconds, numerator) / denominator)
    }

    public static func + (x: Interval, y: Interval) -> Interval {
        let (sum, overflow) = x.nanoseconds.addingReportingOverflow(y.nanoseconds)
        return Interval(nanoseconds: overflow ? (y.nanoseconds < 0 ? .min : .max) : sum)
    }

    public static func < (x: Interval, y: Interval) -> Bool { x.nanoseconds < y.nanoseconds }

    public var description: String { "\(milliseconds) ms" }

    private static func saturating(_ x: Int64, _ y: Int64) -> Int64 {
        let (product, overflow) = x.multipliedReportingOverflow(by: y)
        return overflow ? ((x < 0) != (y < 0) ? .min : .max) : product
    }
}
