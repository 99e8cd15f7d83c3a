internal import Gossip
internal import Networking
internal import Primitives

/// The chunks that are left to fetch in a round, drawn from by several requests a peer. What one peer did not have goes to another; nobody leaves
/// while a request is out whose chunks may yet come back.
actor ChunkQueue {
    struct Job: Sendable {
        let manifest: BlobManifest
        let id: Digest
        let chunks: [UInt32]
        /// Who was asked and did not have all.
        var refusedBy: Set<PeerID> = []
    }

    private var jobs: [Job]
    private var done: UInt64
    private let total: UInt64
    private var underWay = 0
    private var waiting: [CheckedContinuation<Void, Never>] = []

    init(_ jobs: [Job], done: UInt64, total: UInt64) {
        self.jobs = jobs.reversed()
        self.done = done
        self.total = total
    }

    /// A job for this peer, or nil once there is none and none can come back.
    func next(for peer: PeerID) async -> Job? {
        while true {
            if let place = jobs.lastIndex(where: { !$0.refusedBy.contains(peer) }) {
                underWay += 1
                return jobs.remove(at: place)
            }
            if underWay == 0 { return nil }
            await withCheckedContinuation { waiting.append($0) }
        }
    }

    /// A request is over. What is missing may be asked of others.
    func finished(_ job: Job, missing: [UInt32], _ peer: PeerID) -> (done: UInt64, total: UInt64) {
        underWay -= 1
        done += UInt64(job.chunks.count - missing.count)
        if !missing.isEmpty {
            jobs.append(
                Job(manifest: job.manifest, id: job.id, chunks: missing, refusedBy: job.refusedBy.union([peer])))
        }
        let waking = waiting
        waiting.removeAll()
        for waiter in waking { waiter.resume() }
        return (done, total)
    }
}
