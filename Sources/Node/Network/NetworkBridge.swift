internal import Consensus
internal import Foundation
internal import Gossip
internal import Ledger
internal import Logging
internal import Networking
internal import Primitives
internal import Replica
internal import Storage

/// Carries messages between the peers and the replica: decodes what comes, bounds it, and passes on what others have not heard.
///
/// Validators speak to everyone they are connected to; everyone else relays votes and certificates once, so that a validator whose links are cut
/// still hears them. Client signatures are checked here, off the replica's thread, once per transaction for the life of the node.
final class NetworkBridge: NetworkDelegate, ReplicaTransport, @unchecked Sendable {
    private let driver: ReplicaDriver
    private let blocks: BlockStore
    /// The network's genesis.
    private let chain: Digest
    private let logger: Logger
    /// Who relays nothing asks for no digest of what passes.
    private let relays: Bool
    private let checking = DispatchQueue(label: "signatures", attributes: .concurrent)
    private let lock = NSLock()
    // Guarded by `lock`.
    private var relay: Relay
    /// One each, so that large blocks, which nobody has signed for yet, take no vote's place.
    private var queues: [NetworkChannel: RelayQueue<Relayed>] = [.consensus: RelayQueue(), .blocks: RelayQueue()]
    private var isPassingOn = false
    private var head: UInt64 = 0
    private var final = ChainPlace(epoch: 0, view: 0)
    weak var network: NetworkService?
    /// Told of what peers are given.
    var pruning: PruningService?
    /// Answers requests for blobs.
    var blobs: BlobService?
    /// Answers what challengers ask of the provider here.
    var walks: WalkService?
    /// Answers what new nodes ask.
    var snapshots: SnapshotService?

    init(driver: ReplicaDriver, blocks: BlockStore, relays: Bool, chain: Digest, logger: Logger) {
        self.driver = driver
        self.blocks = blocks
        self.relays = relays
        relay = Relay(relays: relays)
        self.chain = chain
        self.logger = logger
    }

    static let maximumBatch = 4_096

    /// What came in and waits to be passed on.
    private struct Relayed: Sendable {
        let bytes: [UInt8]
        let channel: NetworkChannel
        let source: PeerID
    }

    func executed(_ header: Header) {
        lock.withLock {
            head = header.height.value
            final = ChainPlace(epoch: header.epoch, view: header.view)
        }
    }

    private var now: Instant { Instant(nanoseconds: Int64(DispatchTime.now().uptimeNanoseconds)) }

    private func passesOn(_ bytes: [UInt8]) -> Bool {
        if !relays { return false }
        let digest = Digest.of(.seen, bytes)
        return lock.withLock { relay.passesOn(digest, at: now) }
    }

    /// Passes a message on after a while, if it is still of use then.
    private func hold(_ bytes: [UInt8], on channel: NetworkChannel, from peer: PeerID, until end: ChainPlace) {
        let isFirst = lock.withLock {
            queues[channel]?.hold(
                Relayed(bytes: bytes, channel: channel, source: peer), bytes: bytes.count, until: end, at: now)
            if isPassingOn { return false }
            isPassingOn = true
            return true
        }
        if isFirst { passOnHeld(after: RelayQueue<Relayed>.pause) }
    }

    private func passOnHeld(after pause: Interval) {
        checking.asyncAfter(deadline: .now() + .nanoseconds(Int(max(0, pause.nanoseconds)))) { [weak self] in
            guard let self else { return }
            let (messages, next) = lock.withLock {
                var messages: [Relayed] = []
                for channel in [NetworkChannel.consensus, .blocks] {
                    messages += queues[channel]?.take(at: now, final: final) ?? []
                }
                let next = queues.values.compactMap(\.due).min()
                isPassingOn = next != nil
                return (messages, next)
            }
            for message in messages {
                network?.broadcast(message.bytes, on: message.channel, except: message.source)
            }
            if let next { passOnHeld(after: next.interval(since: now)) }
        }
    }

    private func hears(_ transaction: Digest) -> Bool {
        lock.withLock { relay.hears(transaction: transaction, at: now) }
    }

    private func isSigned(_ transaction: SignedTransaction, _ digest: Digest) -> Bool {
        if lock.withLock({ relay.isVerified(digest) }) { return true }
        if !transaction.isSigned { return false }
        lock.withLock { relay.verified(digest, at: now) }
        return true
    }

    // MARK: From the network

    func headHeight() -> UInt64 { lock.withLock { head } }

    func peerConnected(_ peer: PeerID, hello: Hello) {
        driver.enqueue(.peerConnected(peer, head: Height(hello.headHeight)))
    }

    func peerDisconnected(_ peer: PeerID, reason: String) { driver.enqueue(.peerDisconnected(peer)) }

    func received(_ bytes: [UInt8], on channel: NetworkChannel, from peer: PeerID) {
        switch channel {
        case .consensus:
            guard let message = try? ConsensusMessage(canonicalBytes: bytes) else {
                misbehaved(peer, "sent a consensus message that cannot be read")
                return
            }
            if message.isRelayed, passesOn(bytes) {
                if let end = message.end {
                    hold(bytes, on: .consensus, from: peer, until: ChainPlace(epoch: end.epoch, view: end.view))
                } else {
                    network?.broadcast(bytes, on: .consensus, except: peer)
                }
            }
            driver.enqueue(.consensus(message, from: peer))
        case .blocks:
            if passesOn(bytes), let header = Replica.block(bytes, network: chain)?.header {
                hold(
                    bytes, on: .blocks, from: peer, until: ChainPlace(epoch: header.epoch, view: header.view))
            }
            driver.enqueue(.block(bytes, from: peer))
        case .transactions:
            var reader = ByteReader(bytes)
            guard
                let batch = try? reader.readList(SignedTransaction.self, max: NetworkBridge.maximumBatch),
                reader.remaining == 0
            else {
                misbehaved(peer, "sent transactions that cannot be read")
                return
            }
            let fresh = batch.map { (signed: $0, digest: Digest.of(.seen, encoding: $0)) }
                .filter { hears($0.digest) }
            if fresh.isEmpty { return }
            checking.async { [self] in
                let good = SignatureMeter.shared.measure(fresh.count) {
                    fresh.filter { isSigned($0.signed, $0.digest) }.map(\.signed)
                }
                if good.count < fresh.count { misbehaved(peer, "sent a transaction with a wrong signature") }
                if !good.isEmpty { driver.enqueue(.transactions(good, local: false)) }
            }
        case .blobs, .disputes: break
        }
    }

    func request(
        _ bytes: [UInt8], on channel: NetworkChannel, from peer: PeerID, reply: @escaping @Sendable ([UInt8]?) -> Void
    ) {
        switch channel {
        case .blocks:
            if let request = try? BlockRequest(canonicalBytes: bytes) {
                checking.async { [blocks, pruning] in
                    let answer = BlockServer.answer(request, from: blocks)
                    if case .range(let from, _) = request, let answer, !answer.blocks.isEmpty {
                        pruning?.served(peer, upTo: from.advanced(by: UInt64(answer.blocks.count)))
                    }
                    reply(answer?.canonicalBytes)
                }
            } else if let request = try? SnapshotRequest(canonicalBytes: bytes), let snapshots {
                checking.async { reply(snapshots.answer(request)) }
            } else {
                reply(nil)
            }
        case .blobs:
            guard let request = try? BlobRequest(canonicalBytes: bytes), let blobs else { return reply(nil) }
            checking.async { reply(blobs.answer(request)) }
        case .disputes:
            guard let walks else { return reply(nil) }
            walks.answer(bytes, from: peer, reply: reply)
        default: reply(nil)
        }
    }

    // MARK: From the replica

    func broadcast(consensus message: [UInt8]) { network?.broadcast(message, on: .consensus, except: nil) }

    func send(consensus message: [UInt8], to peer: PublicKey) { network?.send(message, on: .consensus, to: peer) }

    func broadcast(block bytes: [UInt8]) {
        if relays {
            let digest = Digest.of(.seen, bytes)
            lock.withLock { relay.said(digest, at: now) }
        }
        network?.broadcast(bytes, on: .blocks, except: nil)
    }

    func send(block bytes: [UInt8], to peer: PublicKey) { network?.send(bytes, on: .blocks, to: peer) }

    func broadcast(transactions: [SignedTransaction]) {
        var batch: [SignedTransaction] = []
        var size = 0
        func flush() {
            if batch.isEmpty { return }
            var writer = ByteWriter(capacity: size + 4)
            writer.write(list: batch)
            network?.broadcast(writer.bytes, on: .transactions, except: nil)
            batch.removeAll()
            size = 0
        }
        for transaction in transactions {
            // Ours come back from everyone.
            _ = hears(Digest.of(.seen, encoding: transaction))
            batch.append(transaction)
            // Only an opaque payload is larger than a kilobyte or so.
            if case .opaque(let carried) = transaction.transaction.payload { size += carried.bytes.count }
            size += 512
            if batch.count == NetworkBridge.maximumBatch || size > 512 << 10 { flush() }
        }
        flush()
    }

    func request(block digest: Digest, from peer: PublicKey) {
        Task { [self] in
            let request = BlockRequest.byDigest(digest)
            guard
                let answer = await ask(request, peer), let row = try? BlockAnswer(canonicalBytes: answer),
                let first = row.blocks.first
            else { return driver.enqueue(.blockUnavailable(digest, from: peer)) }
            driver.enqueue(.block(first.block, from: peer))
        }
    }

    func requestBlocks(from height: Height, count: Int, peer: PublicKey) {
        Task { [self] in
            let answer = await ask(.range(from: height, count: UInt16(clamping: count)), peer)
            let row = answer.flatMap { try? BlockAnswer(canonicalBytes: $0) }
            driver.enqueue(.finalizedBlocks(row?.blocks ?? [], from: peer))
        }
    }

    private func ask(_ request: BlockRequest, _ peer: PublicKey) async -> [UInt8]? {
        try? await network?.request(request.canonicalBytes, on: .blocks, to: peer, timeout: .seconds(2))
    }

    func misbehaved(_ peer: PublicKey, _ reason: String) { network?.penalize(peer, reason: reason) }
}

extension Domain {
    /// What has been relayed.
    static let seen = Domain("plasma.seen")
}
