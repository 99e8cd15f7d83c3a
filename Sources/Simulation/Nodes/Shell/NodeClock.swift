import Primitives
import Replica

/// The two clocks of a node, as far off as a machine's are: one that only runs, a little too fast or too slow, from the start of its process
/// on; one that a person would read, some time ahead or behind, which may jump.
struct NodeClock: Sendable {
    /// What the wall clock is off, in milliseconds.
    let skew: Int64
    /// Parts in a million by which the monotonic clock runs too fast.
    let drift: Int64
    /// A passing error of the wall clock, in milliseconds.
    var jump: Int64 = 0
    /// When the process began.
    var startedAt = Instant(nanoseconds: 0)
    let genesis: Timestamp

    func read(at now: Instant) -> ReplicaTime {
        let elapsed = now.interval(since: startedAt)
        let wall = Int64(clamping: genesis.milliseconds) + now.nanoseconds / 1_000_000 + skew + jump
        return ReplicaTime(
            monotonic: Instant(nanoseconds: (elapsed + elapsed.scaled(drift, over: 1_000_000)).nanoseconds),
            wall: Timestamp(milliseconds: UInt64(max(0, wall))))
    }

    /// When the node's monotonic clock will show this.
    func instant(of monotonic: Instant) -> Instant {
        let span = Interval(nanoseconds: monotonic.nanoseconds)
        // To the first order; a timer that comes a little early is set again.
        return startedAt.adding(
            Interval(nanoseconds: span.nanoseconds - span.scaled(drift, over: 1_000_000).nanoseconds))
    }
}
