import Ledger
import Primitives

extension Replica {
    /// How long what others have told is kept before it is passed on. Whoever first told it has told all its peers, and some leader's block has it by then:
    /// if each of n nodes passed on each transaction, it would travel n² times.
    static let relayPause = Interval.milliseconds(250)

    /// How long a transaction waits before it is told again.
    static let repetition = Interval.seconds(5)

    /// Passes on what others have told a while ago and no final block has.
    mutating func passOnRelayed() {
        let due = relayed.prefix { $0.due <= time.monotonic }
        if due.isEmpty { return }
        let waiting = due.flatMap(\.transactions).filter { mempool.isReady($0.id) }
        relayed.removeFirst(due.count)
        tell(waiting)
    }

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
