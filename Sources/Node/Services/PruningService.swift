internal import Foundation
internal import Ledger
internal import Logging
internal import Primitives
internal import Replica
internal import Storage
internal import Synchronization

/// Gives the disk back what lies before the history that the node keeps.
///
/// What a peer is in the middle of fetching stays: whoever was answered with a row of blocks finds the rows behind it for ten minutes more. The last
/// blocks stay in any case, since a restart executes some of them again. Proofs of past epochs are kept apart (`EpochArchive`).
final class PruningService: Sendable {
    private let history: BlockHistory
    private let blocks: BlockStore
    private let logger: Logger
    private let queue = DispatchQueue(label: "pruning", qos: .utility)
    /// By peer: the first height it has not been given yet, and when it asked.
    private let promises = Mutex<[PublicKey: (height: Height, at: UInt64)]>([:])

    static let promise: UInt64 = 600_000_000_000
    /// Heights from one look to the next.
    static let interval: UInt64 = 256
    static let maximumPromises = 1_024

    init(history: BlockHistory, blocks: BlockStore, logger: Logger) {
        self.history = history
        self.blocks = blocks
        self.logger = logger
    }

    /// A peer was given blocks up to, not with, this height.
    func served(_ peer: PublicKey, upTo height: Height) {
        if history == .archive { return }
        let now = DispatchTime.now().uptimeNanoseconds
        promises.withLock { promises in
            if promises.count >= PruningService.maximumPromises {
                promises = promises.filter { now - $0.value.at < PruningService.promise }
            }
            if promises.count < PruningService.maximumPromises || promises[peer] != nil {
                promises[peer] = (height, now)
            }
        }
    }

    func executed(_ header: Header) {
        if history == .archive || header.height.value % PruningService.interval != 0 { return }
        queue.async { [self] in prune(header) }
    }

    private func prune(_ tip: Header) {
        guard var bound = bound(tip) else { return }
        let now = DispatchTime.now().uptimeNanoseconds
        let promised = promises.withLock { promises in
            promises = promises.filter { now - $0.value.at < PruningService.promise }
            return promises.values.map(\.height).min()
        }
        if let promised { bound = min(bound, promised) }
        do {
            let freed = try blocks.prune(below: bound)
            if freed > 0 { logger.notice("pruned \(freed >> 20) MiB of blocks before height \(bound)") }
        } catch { logger.error("blocks could not be pruned: \(error)") }
    }

    /// The first height to keep; nil where all is kept.
    private func bound(_ tip: Header) -> Height? {
        if tip.height.value <= BlockHistory.leastBlocks { return nil }
        let newest = tip.height.value - BlockHistory.leastBlocks
        switch history {
        case .archive: return nil
        case .blocks(let count): return tip.height.value > count ? Height(tip.height.value - count) : nil
        case .days(let days):
            let span = days * 86_400_000
            guard tip.time.milliseconds > span else { return nil }
            return Height(min(newest, first(since: Timestamp(milliseconds: tip.time.milliseconds - span), newest)))
        }
    }

    /// The lowest kept height whose block is not older than `time`, by halves: times rise with heights.
    private func first(since time: Timestamp, _ newest: UInt64) -> UInt64 {
        var low: UInt64 = 0
        var high = newest
        while low < high {
            let middle = low + (high - low) / 2
            // What is gone is older.
            let isOlder =
                StoredBlocks.finalized(at: Height(middle), in: blocks).flatMap { try? Block(canonicalBytes: $0.block) }
                .map { $0.header.time < time } ?? true
            if isOlder { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
