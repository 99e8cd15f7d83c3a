import Consensus
import Gossip
import Ledger
import Primitives
import Replica

/// A machine that runs. In a box of its own, since a copy of a machine is a copy of much.
final class Process {
    var replica: Replica

    init(_ replica: Replica) { self.replica = replica }
}

/// One node: its disk, its clocks, its process while it runs, and what the process has not come to yet.
final class SimulatedNode: ClientView {
    let index: Int
    let key: SecretKey
    /// Its place in the validator set; nil for a follower.
    let place: Int?
    var disk: SimulatedDisk
    var clock: NodeClock

    // The process.
    var process: Process?
    /// Grows with each start: what was under way in an earlier life is lost.
    var life = 0
    var inbox: [ReplicaInput] = []
    /// When the machine wants to be woken, by its own clock.
    var timer: Instant?
    /// When the simulation will look at that.
    var alarm: Instant?
    /// Until then it waits for its disk, or is stopped by its system.
    var busyUntil = Instant(nanoseconds: 0)
    var pausedUntil = Instant(nanoseconds: 0)
    /// What a step said, to be carried out once the disk is done.
    var pending: [ReplicaOutput]?
    /// What it has found out and not written yet.
    var held = HeldRecords()
    /// By peer.
    var sessions: [PeerSession?]
    /// Who it finds, and whom it dials, where nodes have to find one another.
    var discovery: Discovery?
    var book: PeerBook
    /// Connections that it is making, by peer.
    var dials: [Int: UInt64] = [:]
    /// Pings in a row that came to nothing, by peer.
    var unanswered: [Int]
    /// What it tells of its head when it connects.
    var head: Height = 0
    /// What it passes on.
    var relay: Relay
    /// What it will pass on, with whom it came from.
    var relayed = RelayQueue<(word: Word, sender: Int)>()
    /// The newest final block that it has executed.
    var final = ChainPlace(epoch: 0, view: 0)
    var openRequests: Set<UInt64> = []
    var blobRequests: [UInt64: BlobQuestion] = [:]
    /// Submitted here and not yet looked at by the machine.
    var submitted: [SignedTransaction] = []
    /// What it holds against each peer.
    var penalties: [Int]

    // Over its lives.
    /// Its journal is gone and nothing has yet told it how far the network is.
    var isAmnesiac = false
    /// The last finalized view, those of earlier epochs counted in.
    private(set) var finalizedView: View = 0
    private var epoch: Epoch = 0
    /// The views of the epochs before.
    private var earlierViews: UInt64 = 0
    var slowUntil = Instant(nanoseconds: 0)
    var unreadableUntil = Instant(nanoseconds: 0)
    var jumpUntil = Instant(nanoseconds: 0)

    init(index: Int, key: SecretKey, place: Int?, disk: SimulatedDisk, clock: NodeClock, nodes: Int) {
        self.index = index
        self.key = key
        self.place = place
        self.disk = disk
        self.clock = clock
        sessions = [PeerSession?](repeating: nil, count: nodes)
        unanswered = [Int](repeating: 0, count: nodes)
        relay = Relay(relays: place == nil)
        book = PeerBook(own: key.publicKey, maximumPeers: NodeSimulation.maximumPeers)
        penalties = [Int](repeating: 0, count: nodes)
    }

    var isUp: Bool { process != nil }

    /// A process that is gone takes all that is not on the disk with it.
    func end() {
        process = nil
        life += 1
        inbox.removeAll()
        timer = nil
        alarm = nil
        pending = nil
        held = HeldRecords()
        head = 0
        sessions = [PeerSession?](repeating: nil, count: sessions.count)
        unanswered = [Int](repeating: 0, count: unanswered.count)
        discovery = nil
        dials.removeAll()
        penalties = [Int](repeating: 0, count: penalties.count)
        relay = Relay(relays: place == nil)
        relayed = RelayQueue()
        final = ChainPlace(epoch: 0, view: 0)
        openRequests.removeAll()
        blobRequests.removeAll()
        submitted.removeAll()
    }

    // MARK: What clients ask

    func account(_ address: Address) -> Account { (try? Query.account(address, in: disk.state)) ?? Account() }

    func waiting(of sender: PublicKey) -> [SignedTransaction] { process?.replica.mempool.pending(of: sender) ?? [] }

    // MARK: What peers ask

    /// As the real server answers: from the disk, bounded in count and bytes.
    func answer(_ request: BlockRequest) -> BlockAnswer? {
        switch request {
        case .byDigest(let digest):
            return disk.block(digest).map { BlockAnswer(blocks: [FinalizedBlock(block: $0, certificate: nil)]) }
        case .range(let from, let count):
            var blocks: [FinalizedBlock] = []
            var size = 0
            var height = from
            for _ in 0..<min(Int(count), BlockAnswer.maximumBlocks) {
                guard let found = disk.finalized(at: height) else { break }
                size += found.block.count
                if !blocks.isEmpty && size > BlockAnswer.softByteLimit { break }
                blocks.append(found)
                height = height.next()
            }
            return BlockAnswer(blocks: blocks)
        }
    }

    /// Counts the views that have become final. Each epoch begins at view 1; what was final once stays counted when a disk is wiped.
    func noteProgress(_ replica: Replica) {
        if replica.epoch.epoch > epoch {
            epoch = replica.epoch.epoch
            earlierViews = finalizedView.value
        }
        if replica.epoch.epoch == epoch {
            finalizedView = max(finalizedView, View(earlierViews + replica.lastFinalizedView.value))
        }
    }
}
