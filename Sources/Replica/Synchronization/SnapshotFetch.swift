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

    private enum Phase: Equatable { case gathering, walking, choosing, chunks, blocks, over }

    private struct Peer {
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

    private let genesis: Genesis
    private let checkpoint: Digest?
    private var resumption: Resumption?
    private var phase = Phase.gathering
    private var peers: [PublicKey: Peer] = [:]
    private var dropped: Set<PublicKey> = []
    private var pending: [UInt64: (request: SnapshotRequest, peer: PublicKey, due: Instant)] = [:]
    private var nextRequest: UInt64 = 1
    private var turn = 0
    private var gatherUntil: Instant
    private var lastProgress: Instant
    private var clients: [LightClient]
    private var steps: [EpochStep] = []
    private var isConfirmed: Bool
    private var choices = 0
    private var chosen: SnapshotManifest?
    private var have: Set<Int> = []
    private var asked: Set<Int> = []
    private var lowestMissing = 0
    private var bytes: UInt64 = 0
    private var tellers: Set<PublicKey> = []
    /// From the certified block downwards.
    private var blocks: [[UInt8]] = []
    private var wantedBlock = Digest.zero
    private var outputs: [Output] = []

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
    private var client: LightClient { clients[clients.count - 1] }

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

    private mutating func ask(_ request: SnapshotRequest, of peer: PublicKey, _ now: Instant) {
        let id = nextRequest
        nextRequest += 1
        pending[id] = (request, peer, now.adding(SnapshotFetch.requestTime))
        peers[peer]?.inFlight += 1
        outputs.append(.request(id, request, peer))
    }

    /// A request is no longer under way.
    private mutating func settle(_ request: SnapshotRequest, _ peer: PublicKey) {
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

    private mutating func blame(_ peer: PublicKey, _ reason: String) {
        outputs.append(.misbehaviour(peer, reason))
        dropped.insert(peer)
        forget(peer)
    }

    /// The peers in order, beginning with another each time.
    private mutating func inTurn() -> [PublicKey] {
        let all = peers.keys.sorted()
        if all.isEmpty { return [] }
        turn = (turn + 1) % all.count
        return Array(all[turn...] + all[..<turn])
    }

    // MARK: Answers

    private mutating func take(_ request: SnapshotRequest, _ answer: [UInt8], from peer: PublicKey, _ now: Instant) {
        switch request {
        case .epochs(let epoch):
            guard let row = try? EpochAnswer(canonicalBytes: answer) else {
                return blame(peer, "sent epochs that cannot be read")
            }
            take(row.steps, from: epoch, of: peer, now)
        case .offers:
            guard let offers = try? SnapshotOffers(canonicalBytes: answer) else {
                return blame(peer, "sent an offer of snapshots that cannot be read")
            }
            peers[peer]?.offers = offers.manifests
            // Chosen already: only whether this peer has it too.
            if phase == .chunks || phase == .blocks { return }
        case .chunk(let height, let index):
            guard let chosen, phase == .chunks, chosen.height == height else { return }
            guard let chunk = try? SnapshotChunk(canonicalBytes: answer), chunk.index == index,
                chunk.depth == chosen.depth, chunk.verify(root: chosen.root)
            else { return blame(peer, "sent a chunk that is not the snapshot's") }
            if !have.insert(Int(index)).inserted { return }
            bytes += UInt64(answer.count)
            tellers.insert(peer)
            peers[peer]?.failures = 0
            lastProgress = now
            outputs.append(.keepChunk(Int(index), answer))
            outputs.append(
                .progress(.chunks(have: have.count, of: chosen.chunkCount, bytes: bytes, peers: tellers.count)))
        case .block(let digest):
            guard phase == .blocks, digest == wantedBlock else { return }
            guard let row = try? BlockAnswer(canonicalBytes: answer), let bytes = row.blocks.first?.block,
                let block = Replica.block(bytes, network: genesis.digest), block.digest == digest
            else { return blame(peer, "sent another block than the one asked for") }
            lastProgress = now
            blocks.append(bytes)
            wantedBlock = block.header.parent
            if let chosen, block.header.height <= chosen.height { finish(chosen) }
        }
    }

    /// Rule 2.
    private mutating func take(_ steps: [EpochStep], from epoch: Epoch, of peer: PublicKey, _ now: Instant) {
        if steps.isEmpty {
            peers[peer]?.walkedTo = epoch
            return
        }
        for step in steps {
            // Another peer may have led further meanwhile.
            if step.header.epoch < client.epoch { continue }
            var next = client
            do throws(LightClient.Fault) { try next.advance(step) } catch {
                return blame(peer, "sent a step between epochs that does not hold: \(error)")
            }
            self.steps.append(step)
            clients.append(next)
            if clients.count > SnapshotFetch.keptEpochs { clients.removeFirst() }
            if next.record.digest == checkpoint { isConfirmed = true }
            lastProgress = now
        }
        outputs.append(.progress(.walked(client.epoch)))
    }

    // MARK: Going on

    private mutating func fail(_ failure: Failure) {
        phase = .over
        outputs.append(.failed(failure))
    }

    /// Does everything that has become possible.
    private mutating func advance(_ now: Instant) {
        if phase == .gathering { gather(now) }
        if phase == .walking { walk(now) }
        if phase == .choosing { choose(now) }
        if phase == .chunks { fetchChunks(now) }
        if phase == .blocks { fetchBlock(now) }
        if phase != .over, phase != .gathering, now >= lastProgress.adding(SnapshotFetch.stallTime) {
            let count = chosen?.chunkCount ?? 0
            fail(count == 0 ? .noOffers : .stalled(have: have.count, of: count))
        }
    }

    /// Rule 1.
    private mutating func gather(_ now: Instant) {
        if now < gatherUntil { return }
        if peers.isEmpty { return fail(.noPeers) }
        // A peer that has no block above the first snapshot's height can have no snapshot.
        let first = EpochSchedule(epoch: 0, firstHeight: 1, parameters: genesis.parameters).snapshotHeight
        if !peers.values.contains(where: { $0.head > first }) { return fail(.noOffers) }
        lastProgress = now
        phase = .walking
    }

    private mutating func walk(_ now: Instant) {
        if pending.values.contains(where: { if case .epochs = $0.request { true } else { false } }) { return }
        let epoch = client.epoch
        for peer in inTurn() {
            guard let known = peers[peer], known.walkedTo != epoch, known.silences < SnapshotFetch.maximumSilences
            else { continue }
            return ask(.epochs(from: epoch), of: peer, now)
        }
        if peers.isEmpty { return }
        if let checkpoint, !isConfirmed { return fail(.checkpoint(checkpoint, epoch)) }
        beginChoice(now)
    }

    /// Rules 3 and 6.
    private mutating func beginChoice(_ now: Instant) {
        choices += 1
        if choices > SnapshotFetch.maximumChoices { return fail(.noOffers) }
        phase = .choosing
        chosen = nil
        for id in pending.keys.sorted() {
            guard let (request, peer, _) = pending[id] else { continue }
            pending[id] = nil
            settle(request, peer)
        }
        for peer in peers.keys.sorted() {
            peers[peer]?.offers = nil
            peers[peer]?.failures = 0
            ask(.offers, of: peer, now)
        }
    }

    /// Whether an offer's headers are the chain's; nil where it is of an epoch whose validators are not known.
    private func holds(_ manifest: SnapshotManifest) -> Bool? {
        guard let known = clients.first(where: { $0.epoch == manifest.epoch }) else { return nil }
        do throws(LightClient.Fault) {
            try manifest.check(by: known)
            return true
        } catch { return false }
    }

    private mutating func choose(_ now: Instant) {
        if peers.values.contains(where: { $0.offers == nil }) { return }
        if peers.isEmpty { return }
        var verdicts: [SnapshotManifest: Bool] = [:]
        for peer in peers.keys.sorted() {
            for manifest in peers[peer]?.offers ?? [] {
                if verdicts[manifest] == nil { verdicts[manifest] = holds(manifest) }
                if verdicts[manifest] == false {
                    blame(peer, "offered a snapshot whose headers do not hold")
                    break
                }
            }
        }
        if peers.isEmpty { return }
        var best: (manifest: SnapshotManifest, count: Int)?
        var isAhead = false
        for peer in peers.keys.sorted() {
            for manifest in peers[peer]?.offers ?? [] {
                if manifest.epoch > client.epoch { isAhead = true }
                if let best, SnapshotFetch.isSame(best.manifest, manifest) { continue }
                let count = peers.values.count { $0.offers?.contains { SnapshotFetch.isSame($0, manifest) } ?? false }
                let isBetter: Bool
                if let best {
                    let (mine, other) = (isResumed(manifest), isResumed(best.manifest))
                    isBetter =
                        mine != other
                        ? mine : (manifest.height, count) > (best.manifest.height, best.count)
                } else {
                    isBetter = true
                }
                if isBetter, verdicts[manifest] == true { best = (manifest, count) }
            }
        }
        guard let (manifest, count) = best else {
            // The network has gone on since the walk: walk on and look again.
            if isAhead, choices < SnapshotFetch.maximumChoices {
                for peer in peers.keys.sorted() { peers[peer]?.walkedTo = nil }
                phase = .walking
                return walk(now)
            }
            return fail(.noOffers)
        }
        if isResumed(manifest) {
            have.formUnion(resumption?.have ?? [])
        } else {
            have = []
            bytes = 0
            resumption = Resumption(manifest: manifest, have: [])
        }
        outputs.append(.begin(manifest))
        chosen = manifest
        lowestMissing = 0
        phase = .chunks
        outputs.append(
            .progress(
                .chose(height: manifest.height, chunks: manifest.chunkCount, have: have.count, peers: count)))
    }

    /// Two offers of the same chunks. Their certificates may differ.
    private static func isSame(_ one: SnapshotManifest, _ other: SnapshotManifest) -> Bool {
        one.height == other.height && one.root == other.root && one.depth == other.depth
    }

    private func isResumed(_ manifest: SnapshotManifest) -> Bool {
        resumption.map { SnapshotFetch.isSame($0.manifest, manifest) } ?? false
    }

    private func offers(_ peer: PublicKey, _ manifest: SnapshotManifest) -> Bool {
        peers[peer]?.offers?.contains { SnapshotFetch.isSame($0, manifest) } ?? false
    }

    /// Rule 4.
    private mutating func fetchChunks(_ now: Instant) {
        guard let chosen else { return }
        if have.count == chosen.chunkCount {
            guard let last = chosen.headers.last else { return }
            phase = .blocks
            blocks = []
            wantedBlock = last.digest
            return
        }
        let able = inTurn().filter { offers($0, chosen) }
        let mayCome = peers.values.contains { $0.offers == nil }
        if able.isEmpty && !mayCome {
            // Nobody has it any more. Alone, wait for somebody.
            if !peers.isEmpty { beginChoice(now) }
            return
        }
        while have.contains(lowestMissing) { lowestMissing += 1 }
        var next = lowestMissing
        for round in 0..<SnapshotFetch.chunksPerPeer {
            for peer in able {
                guard let state = peers[peer], state.inFlight <= round,
                    state.pausedUntil.map({ $0 <= now }) ?? true
                else { continue }
                while next < chosen.chunkCount, have.contains(next) || asked.contains(next) { next += 1 }
                if next >= chosen.chunkCount { return }
                asked.insert(next)
                ask(.chunk(height: chosen.height, index: UInt32(next)), of: peer, now)
            }
        }
    }

    /// Rule 5.
    private mutating func fetchBlock(_ now: Instant) {
        if blocks.count >= SnapshotFetch.maximumBlocks { return fail(.noOffers) }
        if pending.values.contains(where: { if case .block = $0.request { true } else { false } }) { return }
        for peer in inTurn() where peers[peer]?.pausedUntil.map({ $0 <= now }) ?? true {
            return ask(.block(wantedBlock), of: peer, now)
        }
    }

    private mutating func finish(_ manifest: SnapshotManifest) {
        phase = .over
        outputs.append(.progress(.blocks(blocks.count)))
        outputs.append(
            .finished(
                Result(
                    manifest: manifest, steps: Array(steps.prefix(Int(clamping: manifest.epoch.value))),
                    record: client.record, blocks: blocks.reversed())))
    }
}
