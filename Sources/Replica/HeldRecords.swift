public import Consensus

/// The records that wait for the disk, and what a shell must make durable before it carries out a step's outputs.
///
/// A step in which this node promises nothing to anybody (no vote of its own, no block that it proposes) needs no sync: its records wait here for the next that
/// does, so a node that only follows syncs as often as it flushes the state. Every shell goes by this one rule, the simulator's too.
///
/// The order of what is due: blocks are synced before the journal, since a journaled verdict says that the bytes are here; the journal before the state, which
/// must never be ahead of the blocks that led to it; and only then anything is said. Delaying a word behind a later write is always safe, the reverse never is.
public struct HeldRecords: Sendable {
    /// How many executed blocks may be in memory only. They are executed again after a crash.
    public static let flushInterval = 8

    /// How many records may be in memory only.
    public static let limit = 64

    /// What must be on disk before the outputs of a step are carried out.
    public struct Due: Hashable, Sendable {
        /// Blocks, then the held records.
        public let sync: Bool
        /// The state, after them.
        public let flush: Bool

        public init(sync: Bool, flush: Bool) {
            self.sync = sync
            self.flush = flush
        }
    }

    private var records: [JournalRecord] = []
    private var unflushed = 0

    public init() {}

    /// Holds a step's records and says what is due now. `flushing` asks for the state to be flushed whatever the count.
    public mutating func hold(_ outputs: [ReplicaOutput], flushing: Bool = false) -> Due {
        var promises = false
        for output in outputs {
            switch output {
            case .persist(let record):
                records.append(record)
                promises = promises || record.isPromise
            case .broadcastBlock: promises = true
            case .executed: unflushed += 1
            default: break
            }
        }
        let flush = flushing || unflushed >= HeldRecords.flushInterval
        return Due(sync: promises || flush || records.count >= HeldRecords.limit, flush: flush)
    }

    /// The held records in their order, to be appended to the journal now.
    public mutating func takeRecords() -> [JournalRecord] {
        defer { records.removeAll(keepingCapacity: true) }
        return records
    }

    /// The state was flushed.
    public mutating func noteFlush() { unflushed = 0 }
}
