/// Fetches a snapshot: everything that a node needs to stand on a final block, from peers that are not trusted, knowing the genesis alone.
///
/// A shell hands in what happened and the time, carries out the outputs in order, and calls `timer` at the time of the last `setTimer`.
///
/// Rules:
/// 1. *Gather*: from the first peer on, wait a moment for others. Where no peer can have a snapshot yet, or none connects in time, give up.
/// 2. *Walk*: ask one peer at a time for the steps from the newest known epoch on, until every peer has no more or is silent. A step that does
///    not hold ends the talk with its teller.
/// 3. *Choose*: ask every peer what it offers. An offer counts where its last header is final by the validators of its epoch. Of those the one
///    that was begun before the last interruption is taken, else the newest, else the one that most peers have.
/// 4. *Fetch*: ask the peers that offer it for its chunks, some of each at once. A chunk is kept where it proves itself against the root; its
///    teller is dropped where not. Silence is asked elsewhere, and too much of it counts as not offering.
/// 5. *Blocks*: from the certified header down to the snapshot's height, each by the digest that the one above names.
/// 6. Where nobody is left who offers what was chosen, choose again. Chunks of another state are of no use and are let go.
public import Ledger
public import Primitives

public struct SnapshotFetch: Sendable {
    public enum Output: Sendable {
        /// Ask a peer, and tell what it said by `answered` with the same number, nil for nothing.
        case request(UInt64, SnapshotRequest, PublicKey)
        /// Begin to keep chunks of this snapshot; those of any other are of no use. Comes before its first chunk.
        case begin(SnapshotManifest)
        /// Proven. Keep it over an interruption.
        case keepChunk(Int, [UInt8])
        case misbehaviour(PublicKey, String)
        case setTimer(Instant)
        case progress(Progress)
        case finished(Result)
        case failed(Failure)
    }

    public enum Progress: Equatable, Sendable {
        case walked(Epoch)
        case chose(height: Height, chunks: Int, have: Int, peers: Int)
        case chunks(have: Int, of: Int, bytes: UInt64, peers: Int)
        case blocks(Int)
    }

    /// All that makes a home of a new node.
    public struct Result: Sendable {
        public let manifest: SnapshotManifest
        /// The way from the genesis to the manifest's epoch.
        public let steps: [EpochStep]
        /// The record of the newest epoch that was walked to.
        public let record: EpochRecord
        /// From the snapshot's height to the certified one, in order.
        public let blocks: [[UInt8]]
    }

    public enum Failure: Error, Equatable, Sendable, CustomStringConvertible {
        case noPeers
        case noOffers
        case checkpoint(Digest, Epoch)
        case stalled(have: Int, of: Int)
        case genesis(LightClient.Fault)

        public var description: String {
            switch self {
            case .noPeers: "no peer could be reached: check bootstrap in config.toml"
            case .noOffers:
                "no peer offers a snapshot that holds: wait until the network has passed an epoch, or start with --sync full"
            case .checkpoint(let digest, let epoch):
                "no epoch up to \(epoch) has the digest \(digest.hex): these peers' chain is not the one you were told of"
            case .stalled(let have, let count):
                "\(have) of \(count) chunks are here and no peer gives the others: start again to go on, or start with --sync full"
            case .genesis(let fault): "the genesis cannot be walked from: \(fault)"
            }
        }
    }

    /// What an interrupted fetch left behind.
    public struct Resumption: Sendable {
        public let manifest: SnapshotManifest
        /// Chunks that are here and prove themselves against the manifest's root.
        public let have: Set<Int>

        public init(manifest: SnapshotManifest, have: Set<Int>) {
            self.manifest = manifest
            self.have = have
        }
    }

    static let gatherTime = Interval.milliseconds(500)
    static let peerTime = Interval.seconds(5)
    static let requestTime = Interval.seconds(5)
    static let stallTime = Interval.seconds(60)
    static let pause = Interval.milliseconds(500)
    static let chunksPerPeer = 4
    static let maximumFailures = 6
    static let maximumSilences = 2
    /// Epochs whose validators are remembered: no peer keeps older snapshots for long.
    static let keptEpochs = 8
    static let maximumBlocks = 4_096
    /// How often a choice is made anew because peers had moved on.
    static let maximumChoices = 16

    enum Phase: Equatable { case gathering, walking, choosing, chunks, blocks, over }

    struct Peer {
        var head: Height
        var inFlight = 0
        var failures = 0
        var pausedUntil: Instant?
        /// Has no step from this epoch on, or is silent about it.
        var walkedTo: Epoch?
        /// Walks that it was silent about. Of more than a few it is asked no more: others lead as well.
        var silences = 0
        var offers: [SnapshotManifest]?
    }

    let genesis: Genesis
    let checkpoint: Digest?
    var resumption: Resumption?
    var phase = Phase.gathering
    var peers: [PublicKey: Peer] = [:]
    var dropped: Set<PublicKey> = []
    var pending: [UInt64: (request: SnapshotRequest, peer: PublicKey, due: Instant)] = [:]
    private var nextRequest: UInt64 = 1
    private var turn = 0
    var gatherUntil: Instant
    var lastProgress: Instant
    var clients: [LightClient]
    var steps: [EpochStep] = []
    var isConfirmed: Bool
    var choices = 0
    var chosen: SnapshotManifest?
    var have: Set<Int> = []
    var asked: Set<Int> = []
    var lowestMissing = 0
    var bytes: UInt64 = 0
    var tellers: Set<PublicKey> = []
    /// From the certified block downwards.
    var blocks: [[UInt8]] = []
    var wantedBlock = Digest.zero
    var outputs: [Output] = []

    public init(
        genesis: Genesis, checkpoint: Digest? = nil, resumption: Resumption? = nil, at now: Instant
    ) throws(Failure) {
        self.genesis = genesis
        self.checkpoint = checkpoint
        self.resumption = resumption
        gatherUntil = now.adding(SnapshotFetch.peerTime)
        lastProgress = now
        do throws(LightClient.Fault) { clients = [try LightClient(genesis: genesis)] } catch { throw .genesis(error) }
        isConfirmed = checkpoint == nil || clients[0].record.digest == checkpoint
    }

    // There is always one.
    var client: LightClient { clients[clients.count - 1] }

    // MARK: Inputs

    public mutating func start(at now: Instant) -> [Output] { step(now) { _ in } }

    public mutating func peerConnected(_ peer: PublicKey, head: Height, at now: Instant) -> [Output] {
        step(now) { fetch in
            if fetch.dropped.contains(peer) || fetch.phase == .over { return }
            if fetch.phase == .gathering, fetch.peers.isEmpty {
                fetch.gatherUntil = now.adding(SnapshotFetch.gatherTime)
            }
            fetch.peers[peer] = Peer(head: head)
            if fetch.phase == .chunks || fetch.phase == .blocks { fetch.ask(.offers, of: peer, now) }
            if fetch.phase == .choosing { fetch.ask(.offers, of: peer, now) }
        }
    }

    public mutating func peerDisconnected(_ peer: PublicKey, at now: Instant) -> [Output] {
        step(now) { fetch in fetch.forget(peer) }
    }

    public mutating func answered(_ id: UInt64, _ answer: [UInt8]?, at now: Instant) -> [Output] {
        step(now) { fetch in
            // An answer that was given up, or of a peer that was: of no use.
            guard let (request, peer, _) = fetch.pending.removeValue(forKey: id) else { return }
            fetch.settle(request, peer)
            guard let answer else { return fetch.failed(request, peer, now) }
            fetch.take(request, answer, from: peer, now)
        }
    }

    public mutating func timer(at now: Instant) -> [Output] { step(now) { _ in } }

    private mutating func step(_ now: Instant, _ body: (inout SnapshotFetch) -> Void) -> [Output] {
        outputs.removeAll()
        if phase == .over { return [] }
        body(&self)
        for id in pending.keys.sorted() {
            guard let (request, peer, due) = pending[id], due <= now else { continue }
            pending[id] = nil
            settle(request, peer)
            failed(request, peer, now)
        }
        advance(now)
        if phase != .over { outputs.append(.setTimer(nextTime(now))) }
        return outputs
    }

    private func nextTime(_ now: Instant) -> Instant {
        var next = phase == .gathering ? gatherUntil : lastProgress.adding(SnapshotFetch.stallTime)
        for (_, _, due) in pending.values { next = min(next, due) }
        for peer in peers.values { if let until = peer.pausedUntil, until > now { next = min(next, until) } }
        return max(next, now.adding(.milliseconds(1)))
    }

    // MARK: Peers

    mutating func ask(_ request: SnapshotRequest, of peer: PublicKey, _ now: Instant) {
        let id = nextRequest
        nextRequest += 1
        pending[id] = (request, peer, now.adding(SnapshotFetch.requestTime))
        peers[peer]?.inFlight += 1
        outputs.append(.request(id, request, peer))
    }

    /// A request is no longer under way.
    mutating func settle(_ request: SnapshotRequest, _ peer: PublicKey) {
        peers[peer]?.inFlight -= 1
        if case .chunk(_, let index) = request { asked.remove(Int(index)) }
    }

    private mutating func failed(_ request: SnapshotRequest, _ peer: PublicKey, _ now: Instant) {
        switch request {
        case .epochs(let epoch):
            peers[peer]?.walkedTo = epoch
            peers[peer]?.silences += 1
        case .offers: peers[peer]?.offers = []
        case .chunk, .block:
            peers[peer]?.failures += 1
            peers[peer]?.pausedUntil = now.adding(SnapshotFetch.pause)
            if let found = peers[peer], found.failures >= SnapshotFetch.maximumFailures { peers[peer]?.offers = [] }
        }
    }

    private mutating func forget(_ peer: PublicKey) {
        peers[peer] = nil
        for id in pending.keys.sorted() {
            guard let (request, other, _) = pending[id], other == peer else { continue }
            pending[id] = nil
            settle(request, peer)
        }
    }

    mutating func blame(_ peer: PublicKey, _ reason: String) {
        outputs.append(.misbehaviour(peer, reason))
        dropped.insert(peer)
        forget(peer)
    }

    /// The peers in order, beginning with another each time.
    mutating func inTurn() -> [PublicKey] {
        let all = peers.keys.sorted()
        if all.isEmpty { return [] }
        turn = (turn + 1) % all.count
        return Array(all[turn...] + all[..<turn])
    }
}
