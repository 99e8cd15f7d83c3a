public import Ledger
public import Primitives

/// Which blocks a node may throw away, as a machine: the shell tells what peers were given and asks.
///
/// 1. What the history is to hold stays, and the last blocks in any case: a restart executes some of them again.
/// 2. What a peer is in the middle of fetching stays: whoever was given a row finds the rows behind it for ten minutes more.
/// 3. Of promises there are at most 1,024; while so many stand, a new peer gets none.
public struct BlockRetention: Sendable {
    public static let promise = Interval.seconds(600)
    public static let maximumPromises = 1_024
    /// Heights from one look to the next.
    public static let interval: UInt64 = 256

    private let history: BlockHistory
    /// By peer: the first height that it has not been given yet, and when it asked.
    private var promises: [PublicKey: (height: Height, at: Instant)] = [:]

    public init(_ history: BlockHistory) { self.history = history }

    /// Whether it is time to look.
    public func isDue(_ header: Header) -> Bool {
        history != .archive && header.height.value % BlockRetention.interval == 0
    }

    /// A peer was given blocks up to, not with, this height.
    public mutating func served(_ peer: PublicKey, upTo height: Height, at now: Instant) {
        if history == .archive { return }
        if promises.count >= BlockRetention.maximumPromises { forget(at: now) }
        if promises.count < BlockRetention.maximumPromises || promises[peer] != nil { promises[peer] = (height, now) }
    }

    /// The first height to keep; nil where all is kept. `time` is that of the block at a height, nil where it is gone.
    public mutating func bound(tip: Header, at now: Instant, time: (Height) -> Timestamp?) -> Height? {
        guard let bound = historyBound(tip, time) else { return nil }
        forget(at: now)
        return promises.values.map(\.height).min().map { min($0, bound) } ?? bound
    }

    private mutating func forget(at now: Instant) {
        promises = promises.filter { now.interval(since: $0.value.at) < BlockRetention.promise }
    }

    private func historyBound(_ tip: Header, _ time: (Height) -> Timestamp?) -> Height? {
        if tip.height.value <= BlockHistory.leastBlocks { return nil }
        switch history {
        case .archive: return nil
        case .blocks(let count): return tip.height.value > count ? Height(tip.height.value - count) : nil
        case .days(let days):
            let span = days * 86_400_000
            guard tip.time.milliseconds > span else { return nil }
            let newest = tip.height.value - BlockHistory.leastBlocks
            return first(since: Timestamp(milliseconds: tip.time.milliseconds - span), newest, time)
        }
    }

    /// The lowest kept height whose block is not older than `start`, at most `newest`; by halves, since times rise with heights.
    private func first(since start: Timestamp, _ newest: UInt64, _ time: (Height) -> Timestamp?) -> Height {
        var low: UInt64 = 0
        var high = newest
        while low < high {
            let middle = low + (high - low) / 2
            // What is gone is older.
            let isOlder = time(Height(middle)).map { $0 < start } ?? true
            if isOlder { low = middle + 1 } else { high = middle }
        }
        return Height(low)
    }
}
