import Consensus
import Foundation
import Ledger
import Primitives
import Replica
import Storage

/// Makes a long chain in the homes of a devnet's validators: the real replicas over the real stores, in one thread and virtual time. Every block
/// has a transfer to a new account. Votes and certificates are signed; checking them is left out, since nobody here lies.
final class History {
    private let network: Digest
    private final class Archive: BlockArchive {
        let store: BlockStore

        init(_ store: BlockStore) { self.store = store }

        func block(_ digest: Digest) -> [UInt8]? { try? store.get(digest) }

        func finalized(at height: Height) -> FinalizedBlock? {
            guard let found = try? store.finalized(height) else { return nil }
            return FinalizedBlock(
                block: found.block, certificate: found.certificate.flatMap { try? Certificate(canonicalBytes: $0) })
        }
    }

    private struct Node {
        var replica: Replica
        let identity: PublicKey
        let journal: Journal
        let blocks: BlockStore
        let state: LMDBStore
        var records: [[UInt8]] = []
        var timer: Instant?
    }

    private let genesis: Genesis
    private let payer: SecretKey
    private var nodes: [Node] = []
    private var queue: [(node: Int, input: ReplicaInput)] = []
    private var now: Int64 = 0

    /// Steps whose journal records, blocks and states are written together: nothing here is cut off in the middle.
    private static let stepsPerWrite = 4_096

    /// As a node does.
    private static let journalBytes: UInt64 = 8 << 20

    init(layout: DevnetLayout, genesis: Genesis, payer: SecretKey) throws {
        self.genesis = genesis
        network = genesis.digest
        self.payer = payer
        let parameters = genesis.parameters
        for index in genesis.validators.indices {
            let home = layout.home(layout.names[index])
            let keys = try KeyStore(home: home)
            let data = home + "/data"
            let blocks = try BlockStore(directory: data + "/blocks")
            let state = try LMDBStore(directory: data + "/state", blocksPerFlush: .max / 2)
            try genesis.initialize(state)
            let replica = try Replica(
                configuration: ReplicaConfiguration(
                    genesis: genesis, consensusKey: genesis.validators[index].consensusKey,
                    signer: Ed25519Scheme(try keys.open("consensus", password: "")),
                    vrfKey: try keys.open("vrf", password: ""),
                    consensus: ConsensusParameters(
                        delta: .milliseconds(Int64(clamping: parameters.deltaMilliseconds)),
                        heartbeat: .milliseconds(Int64(clamping: parameters.heartbeatMilliseconds)),
                        retry: .milliseconds(Int64(clamping: 2 * parameters.deltaMilliseconds)))),
                state: state, archive: Archive(blocks), tip: 0, journal: [])
            nodes.append(
                Node(
                    replica: replica, identity: try keys.open("node", password: "").publicKey,
                    journal: try Journal.open(data + "/journal"), blocks: blocks, state: state))
        }
    }

    /// Until so many blocks are final everywhere. `progress` is told now and then.
    func make(blocks count: Int, progress: (UInt64) -> Void) throws {
        for index in nodes.indices {
            queue.append((index, .start))
            for peer in nodes.indices where peer != index {
                queue.append((index, .peerConnected(nodes[peer].identity, head: 0)))
            }
        }
        var nonce: UInt64 = 0
        var steps = 0
        while height < UInt64(count) {
            if queue.isEmpty {
                if nodes[0].replica.mempool.isEmpty {
                    let receiver = Digest.of(Domain("plasma.bench.to"), withUnsafeBytes(of: nonce) { Array($0) })
                    let transfer = Transaction(
                        network: network, sender: payer.publicKey, nonce: Nonce(nonce),
                        maximumFee: Amount(baseUnits: 10_000_000),
                        payload: .transfer(
                            to: try PublicKey(bytes: receiver.bytes).address, amount: Amount(baseUnits: 1), memo: [])
                    ).signed(by: payer)
                    nonce += 1
                    for index in nodes.indices { queue.append((index, .transactions([transfer], local: false))) }
                } else {
                    // The next timer, or a millisecond: blocks have a pace.
                    let next = nodes.compactMap(\.timer).min().map { max(now, $0.nanoseconds / 1_000_000) } ?? now
                    now = max(now + 1, next)
                    for index in nodes.indices {
                        guard let timer = nodes[index].timer, timer.nanoseconds / 1_000_000 <= now else { continue }
                        nodes[index].timer = nil
                        queue.append((index, .timer))
                    }
                }
                continue
            }
            let batch = queue
            queue.removeAll(keepingCapacity: true)
            for (node, input) in batch { try step(node, input) }
            steps += 1
            if steps % History.stepsPerWrite == 0 {
                try write()
                progress(height)
            }
        }
        try write()
    }

    private var height: UInt64 { nodes.map(\.replica.executed.height.value).min() ?? 0 }

    private var time: ReplicaTime {
        ReplicaTime(
            monotonic: Instant(nanoseconds: now * 1_000_000),
            wall: genesis.timestamp.adding(milliseconds: UInt64(now)))
    }

    private func step(_ index: Int, _ input: ReplicaInput) throws {
        let own = nodes[index].identity
        func all(_ input: ReplicaInput) {
            for peer in nodes.indices where peer != index { queue.append((peer, input)) }
        }
        func one(_ input: ReplicaInput, _ peer: PublicKey) {
            if let place = nodes.firstIndex(where: { $0.identity == peer }) { queue.append((place, input)) }
        }
        for output in nodes[index].replica.handle(input, at: time) {
            switch output {
            case .persist(let record): nodes[index].records.append(record.canonicalBytes)
            case .storeBlock(let digest, let bytes): try nodes[index].blocks.put(digest, bytes)
            case .markFinalized(let height, let digest, let certificate):
                try nodes[index].blocks.markFinalized(height, digest, certificate: certificate?.canonicalBytes)
            case .broadcastConsensus(let message): all(.consensus(message, from: own))
            case .sendConsensus(let message, let peer): one(.consensus(message, from: own), peer)
            case .broadcastBlock(let bytes): all(.block(bytes, from: own))
            case .sendBlock(let bytes, let peer): one(.block(bytes, from: own), peer)
            case .verifySignatures(let id, let items):
                queue.append((index, .signaturesVerified(id: id, results: items.map { _ in true })))
            case .setTimer(let instant):
                if nodes[index].timer.map({ instant < $0 }) ?? true { nodes[index].timer = instant }
            case .requestBlock(let digest, let peer):
                if let holder = nodes.first(where: { $0.identity == peer }), let bytes = try holder.blocks.get(digest) {
                    queue.append((index, .block(bytes, from: peer)))
                } else {
                    queue.append((index, .blockUnavailable(digest, from: peer)))
                }
            case .requestBlocks(_, _, let peer): queue.append((index, .finalizedBlocks([], from: peer)))
            case .broadcastTransactions, .executed, .certified, .misbehaviour, .keyInUseElsewhere, .evidence,
                .epochEnded, .refused:
                break
            }
        }
    }

    private func write() throws {
        for index in nodes.indices {
            try nodes[index].blocks.sync()
            try nodes[index].journal.append(nodes[index].records)
            if nodes[index].journal.byteCount >= History.journalBytes {
                let kept = try nodes[index].journal.replay()
                try nodes[index].journal.rewrite(
                    keeping: kept.filter { nodes[index].replica.needs(try JournalRecord(canonicalBytes: $0)) })
            }
            nodes[index].records.removeAll(keepingCapacity: true)
            try nodes[index].state.flush()
        }
    }
}
