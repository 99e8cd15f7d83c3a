import Primitives

extension Replica {
    /// How long a transaction waits before it is told again.
    static let repetition = Interval.seconds(5)

    /// Tells again what has waited for long: whoever had to refuse it or never heard it takes it now. Without
    /// this a transaction that only a follower holds, who proposes nothing, would wait for ever.
    mutating func repeatWaiting() {
        if time.monotonic.interval(since: repeatedAt) < Replica.repetition { return }
        repeatedAt = time.monotonic
        let span = UInt64(Replica.repetition.milliseconds)
        guard time.wall.milliseconds > span else { return }
        let bound = Timestamp(milliseconds: time.wall.milliseconds - span)
        let waiting = mempool.first(
            Replica.repeatedTransactions, bytes: Replica.repeatedBytes, since: bound)
        if !waiting.isEmpty { outputs.append(.broadcastTransactions(waiting)) }
    }
}
