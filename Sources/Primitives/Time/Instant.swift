/// A point on the monotonic clock that a shell hands to its machines. Only differences mean anything.
public struct Instant: Hashable, Sendable, Comparable, CustomStringConvertible {
    public let nanoseconds: Int64

    public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    public func adding(_ span: Interval) -> Instant {
        Instant(nanoseconds: (Interval(nanoseconds: nanoseconds) + span).nanoseconds)
    }

    /// How much later this is than `earlier`.
    public func interval(since earlier: Instant) -> Interval {
        let (difference, overflow) = nanoseconds.subtractingReportingOverflow(earlier.nanoseconds)
        return Interval(nanoseconds: overflow ? .max : difference)
    }

    public static func < (x: Instant, y: Instant) -> Bool { x.nanoseconds < y.nanoseconds }

    public var description: String { "\(nanoseconds / 1_000_000) ms" }
}
