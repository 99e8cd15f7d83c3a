internal import Consensus
internal import Ledger
internal import Primitives
internal import Replica
internal import Storage
internal import Synchronization

/// The way from the genesis to the current validators, one step an epoch: what light clients and new nodes walk.
///
/// Kept apart from the blocks, which may be pruned. What a crash kept from being written is found again in the blocks and the state.
final class EpochArchive: Sendable {
    private let journal: Journal
    private let blocks: BlockStore
    private let steps: Mutex<[EpochStep]>

    init(path: String, state: any StateStore, blocks: BlockStore) throws {
        journal = try Journal.exists(path) ? Journal.open(path) : Journal.create(path)
        self.blocks = blocks
        steps = Mutex(try journal.replay().map { try EpochStep(canonicalBytes: $0) })
        try takeUp(state)
    }

    /// Adds the epochs that have ended. `state` is read between two blocks.
    func takeUp(_ state: any StateStore) throws {
        let current = try Query.chain(in: state).epoch
        try steps.withLock { steps in
            while UInt64(steps.count) < current.value {
                let next = Epoch(UInt64(steps.count) + 1)
                guard let start = try Query.epochStart(next, in: state),
                    let record = try Query.epochRecord(next, in: state),
                    let last = StoredBlocks.finalized(at: Height(start.firstHeight.value - 1), in: blocks),
                    let certificate = last.certificate
                else { return }
                let step = EpochStep(
                    header: try Block(canonicalBytes: last.block).header, certificate: certificate, next: record)
                try journal.append([step.canonicalBytes])
                steps.append(step)
            }
        }
    }

    /// The steps from an epoch on, at most `limit` of them.
    func steps(from epoch: Epoch, limit: Int) -> [EpochStep] {
        steps.withLock { steps in
            epoch.value >= UInt64(steps.count) ? [] : Array(steps[Int(epoch.value)...].prefix(limit))
        }
    }
}
