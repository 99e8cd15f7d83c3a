import Consensus
import Ledger
import Primitives
import Replica

/// Why a write did not happen.
enum SimulatedDiskFault: Error, Equatable {
    case full
    /// Another block is final at this height: the store refuses, as the real one does.
    case conflictingFinalization(Height)
}

/// The disk of one node: block file, journal and state, each with its own mark of what is synced. It knows the rules of the real files
/// (a step of the journal is one record, a mark of a final block stands behind its block) and no order: that is the shell's.
final class SimulatedDisk: BlockArchive {
    private enum BlockRecord {
        case block(Digest, [UInt8])
        case finalization(Height, Digest, Certificate?)
    }

    private var blocks = SimulatedLog<BlockRecord>()
    private var journal = SimulatedLog<[JournalRecord]>()
    let state = SimulatedState()
    /// Each is synced before it counts as here.
    let blobs = SimulatedBlobs()
    /// The index in memory.
    private var bodies: [Digest: [UInt8]] = [:]
    private var finalizations: [Height: (digest: Digest, certificate: Certificate?)] = [:]
    private(set) var tip: Height = 0
    private var syncedByView: [View: [JournalRecord]] = [:]

    /// Reads of blocks give nothing.
    var isUnreadable = false
    /// Bytes that still fit; nil where there is room enough.
    var room: Int?
    /// How long a sync takes.
    var syncTime = Interval.zero

    /// Records that a crash cut through.
    private(set) var tornRecords = 0

    init(genesis: Genesis) throws(LedgerFault) {
        try genesis.initialize(state)
        state.flush()
    }

    // MARK: Writing

    private func take(_ bytes: Int) throws(SimulatedDiskFault) {
        guard let left = room else { return }
        if left < bytes {
            room = 0
            throw .full
        }
        room = left - bytes
    }

    func put(_ digest: Digest, _ bytes: [UInt8]) throws(SimulatedDiskFault) {
        if bodies[digest] != nil { return }
        try take(bytes.count)
        blocks.append(.block(digest, bytes), bytes: bytes.count)
        bodies[digest] = bytes
    }

    func markFinalized(_ height: Height, _ digest: Digest, _ certificate: Certificate?) throws(SimulatedDiskFault) {
        if let known = finalizations[height] {
            if known.digest != digest { throw .conflictingFinalization(height) }
            if known.certificate != nil || certificate == nil { return }
        }
        let size = 41 + (certificate.map { 64 * $0.signers.count + 160 } ?? 0)
        try take(size)
        blocks.append(.finalization(height, digest, certificate), bytes: size)
        index(height, digest, certificate)
    }

    private func index(_ height: Height, _ digest: Digest, _ certificate: Certificate?) {
        finalizations[height] = (digest, certificate)
        tip = max(tip, height)
    }

    func syncBlocks() { blocks.sync() }

    /// One step's records: there whole after a crash, or not at all.
    func write(journal records: [JournalRecord]) throws(SimulatedDiskFault) {
        let size = records.reduce(4) { $0 + 4 + $1.canonicalBytes.count }
        try take(size)
        journal.append(records, bytes: size)
    }

    func syncJournal() {
        for step in journal.unsynced { for record in step { syncedByView[record.view, default: []].append(record) } }
        journal.sync()
    }

    // MARK: Reading

    func block(_ digest: Digest) -> [UInt8]? { isUnreadable ? nil : bodies[digest] }

    func finalized(at height: Height) -> FinalizedBlock? {
        guard !isUnreadable, let known = finalizations[height], let bytes = bodies[known.digest] else { return nil }
        return FinalizedBlock(block: bytes, certificate: known.certificate)
    }

    var journalRecords: [JournalRecord] { journal.records.flatMap { $0 } }

    /// The durable records of a view.
    func durableRecords(of view: View) -> [JournalRecord] { syncedByView[view] ?? [] }

    // MARK: Crashing

    /// What was not synced is lost from a point on, the state falls back to its last flush. The shares say where the files are cut.
    func crash(blocksKept: UInt64, journalKept: UInt64) {
        if blocks.crash(keeping: blocksKept) { tornRecords += 1 }
        if journal.crash(keeping: journalKept) { tornRecords += 1 }
        state.crash()
        bodies.removeAll()
        finalizations.removeAll()
        tip = 0
        syncedByView.removeAll()
        for record in journalRecords { syncedByView[record.view, default: []].append(record) }
        for record in blocks.records {
            switch record {
            case .block(let digest, let bytes): bodies[digest] = bytes
            case .finalization(let height, let digest, let certificate): index(height, digest, certificate)
            }
        }
    }
}
