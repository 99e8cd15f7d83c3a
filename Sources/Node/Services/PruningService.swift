internal import Foundation
internal import Ledger
internal import Logging
internal import Primitives
internal import Replica
internal import Storage
internal import Synchronization

/// Gives the disk back what lies before the history that the node keeps: the shell of `BlockRetention`. Proofs of past epochs are kept apart
/// (`EpochArchive`).
final class PruningService: Sendable {
    private let blocks: BlockStore
    private let outcomes: OutcomeIndex
    private let logger: Logger
    private let queue = DispatchQueue(label: "pruning", qos: .utility)
    private let retention: Mutex<BlockRetention>

    init(history: BlockHistory, blocks: BlockStore, outcomes: OutcomeIndex, logger: Logger) {
        self.blocks = blocks
        self.outcomes = outcomes
        self.logger = logger
        retention = Mutex(BlockRetention(history))
    }

    private var now: Instant { Instant(nanoseconds: Int64(DispatchTime.now().uptimeNanoseconds)) }

    /// A peer was given blocks up to, not with, this height.
    func served(_ peer: PublicKey, upTo height: Height) {
        retention.withLock { $0.served(peer, upTo: height, at: now) }
    }

    func executed(_ header: Header) {
        if retention.withLock({ $0.isDue(header) }) { queue.async { [self] in prune(header) } }
    }

    private func prune(_ tip: Header) {
        let bound = retention.withLock { retention in
            retention.bound(tip: tip, at: now) { height in
                StoredBlocks.finalized(at: height, in: blocks)
                    .flatMap { try? Block(canonicalBytes: $0.block) }?.header.time
            }
        }
        guard let bound else { return }
        do {
            let freed = try blocks.prune(below: bound)
            try outcomes.prune(below: bound)
            if freed > 0 { logger.notice("pruned \(freed >> 20) MiB of blocks before height \(bound)") }
        } catch { logger.error("blocks, or what became of their transactions, could not be pruned: \(error)") }
    }
}
