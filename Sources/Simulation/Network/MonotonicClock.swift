package import Primitives

/// A node's monotonic clock: it began anywhere, runs up to a twentieth fast or slow, and leaps ahead now and then, as after a suspension. It never goes
/// back.
package struct MonotonicClock: Sendable {
    private var reading: Instant
    private var readAt: Instant
    /// Thousandths by which it runs fast.
    private let drift: Int64

    package static let exact = MonotonicClock(offset: .zero, drift: 0)

    package init(offset: Interval, drift: Int64) {
        precondition((-500...500).contains(drift), "a clock is no more than half as fast again, or half as fast")
        reading = Instant(nanoseconds: 0).adding(offset)
        readAt = Instant(nanoseconds: 0)
        self.drift = drift
    }

    package func reading(at now: Instant) -> Instant {
        reading.adding(now.interval(since: readAt).scaled(1_000 + drift, over: 1_000))
    }

    /// How long until it shows `instant`; at least a nanosecond.
    package func wait(until instant: Instant, at now: Instant) -> Interval {
        let left = instant.interval(since: reading(at: now))
        // Rounded up, so that what is due then is due.
        return Interval(nanoseconds: max(1, left.scaled(1_000, over: 1_000 + drift).nanoseconds + (drift == 0 ? 0 : 2)))
    }

    package mutating func leap(_ span: Interval, at now: Instant) {
        reading = reading(at: now).adding(span)
        readAt = now
    }
}
