import Consensus
import Ledger
import Primitives
import Replica

/// Four real replicas over memory stores, in one thread and virtual time. Messages take a millisecond; a node may be cut off.
final class ReplicaNetwork {
    final class Archive: BlockArchive {
        var blocks: [Digest: [UInt8]] = [:]
        var byHeight: [Height: (Digest, Certificate?)] = [:]

        func block(_ digest: Digest) -> [UInt8]? { blocks[digest] }

        func finalized(at height: Height) -> FinalizedBlock? {
            guard let (digest, certificate) = byHeight[height], let bytes = blocks[digest] else { return nil }
            return FinalizedBlock(block: bytes, certificate: certificate)
        }

        var tip: Height { byHeight.keys.max() ?? 0 }
    }

    struct Node {
        var replica: Replica
        var state: MemoryStateStore
        var archive = Archive()
        var journal: [JournalRecord] = []
        var timer: Instant?
        var isUp = true
    }

    enum Event {
        case input(ReplicaInput)
        case deliver(from: Int, ReplicaInput)
    }

    let genesis: Genesis
    let keys: [SecretKey]
    let alice: SecretKey
    var nodes: [Node] = []
    var now: Int64 = 0
    var queue: [(at: Int64, order: Int, node: Int, event: Event)] = []
    var order = 0
    var misbehaviours: [String] = []
    /// What the first node's machine said, a step each.
    var said: [[ReplicaOutput]] = []
    /// Who has told of transactions.
    var toldBy: Set<Int> = []
    /// Rows of blocks that were asked for: when, of whom, from which height.
    var rowsAsked: [(at: Int64, peer: Int, from: Height)] = []
    /// What a peer makes of the row that it would give, and after how many milliseconds.
    var givesRow: (_ peer: Int, _ row: [FinalizedBlock]) -> (row: [FinalizedBlock], after: Int64) = { ($1, 2) }

    /// `followers` have keys to vote with and no stake.
    init(validators: Int = 4, followers: Int = 0, parameters: ChainParameters = .devnet) throws {
        keys = try (0..<validators + followers).map {
            try SecretKey(seed: Digest.of(Domain("test.key"), [UInt8($0)]).bytes)
        }
        alice = try SecretKey(seed: [UInt8](repeating: 9, count: 32))
        let stake = Amount.xpl(1_000_000)
        let funds = try Genesis.totalSupply.subtracting(try stake.multiplied(by: UInt64(validators)))
        genesis = Genesis(
            chainName: "test", timestamp: Timestamp(milliseconds: 1_000_000), parameters: parameters,
            validators: keys.prefix(validators).map {
                Ledger.Validator(
                    consensusKey: $0.publicKey, vrfKey: $0.publicKey, stake: stake,
                    operatorAddress: $0.publicKey.address)
            },
            accounts: [GenesisAccount(address: alice.publicKey.address, balance: funds)], treasury: .zero)
        for index in keys.indices {
            let state = MemoryStateStore()
            try genesis.initialize(state)
            let archive = Archive()
            nodes.append(
                Node(replica: try make(index, state, archive, []), state: state, archive: archive))
        }
        for index in nodes.indices { boot(index) }
    }

    func make(_ index: Int, _ state: MemoryStateStore, _ archive: Archive, _ journal: [JournalRecord]) throws -> Replica
    {
        try Replica(
            configuration: ReplicaConfiguration(
                genesis: genesis, consensusKey: keys[index].publicKey, signer: Ed25519Scheme(keys[index]),
                vrfKey: keys[index],
                consensus: ConsensusParameters(
                    delta: .milliseconds(200), heartbeat: .seconds(2), retry: .milliseconds(400))),
            state: state, archive: archive, tip: archive.tip, journal: journal)
    }

    var time: ReplicaTime {
        ReplicaTime(
            monotonic: Instant(nanoseconds: now * 1_000_000), wall: Timestamp(milliseconds: UInt64(1_000_000 + now)))
    }

    func boot(_ index: Int) {
        push(index, .input(.start), after: 0)
        for peer in nodes.indices where peer != index {
            push(index, .input(.peerConnected(keys[peer].publicKey, head: nodes[peer].archive.tip)), after: 0)
            push(peer, .input(.peerConnected(keys[index].publicKey, head: nodes[index].archive.tip)), after: 0)
        }
    }

    /// Stops a node and starts it again from what it had written.
    func restart(_ index: Int) throws {
        let node = nodes[index]
        nodes[index].replica = try make(index, node.state, node.archive, node.journal)
        nodes[index].isUp = true
        nodes[index].timer = nil
        queue.removeAll { $0.node == index }
        boot(index)
    }

    func push(_ node: Int, _ event: Event, after delay: Int64) {
        order += 1
        queue.append((now + delay, order, node, event))
    }

    /// Runs for so many virtual milliseconds.
    func run(milliseconds: Int64) throws {
        let end = now + milliseconds
        while true {
            var due = queue.min { ($0.at, $0.order) < ($1.at, $1.order) }
            for (index, node) in nodes.enumerated() where node.isUp {
                guard let timer = node.timer else { continue }
                let at = max(now, timer.nanoseconds / 1_000_000)
                if due.map({ at < $0.at }) ?? true { due = (at, 0, index, .input(.timer)) }
            }
            guard let next = due, next.at <= end else { break }
            if let place = queue.firstIndex(where: { $0.order == next.order }) { queue.remove(at: place) }
            now = max(now, next.at)
            if case .input(.timer) = next.event { nodes[next.node].timer = nil }
            guard nodes[next.node].isUp else { continue }
            switch next.event {
            case .input(let input): step(next.node, input)
            case .deliver(_, let input): step(next.node, input)
            }
        }
        now = end
    }

    func step(_ index: Int, _ input: ReplicaInput) {
        let outputs = nodes[index].replica.handle(input, at: time)
        if index == 0 { said.append(outputs) }
        let own = keys[index].publicKey
        func send(_ input: ReplicaInput, to peer: Int) {
            if nodes[peer].isUp { push(peer, .deliver(from: index, input), after: 1) }
        }
        for output in outputs {
            switch output {
            case .persist(let record): nodes[index].journal.append(record)
            case .storeBlock(let digest, let bytes): nodes[index].archive.blocks[digest] = bytes
            case .markFinalized(let height, let digest, let certificate):
                nodes[index].archive.byHeight[height] = (
                    digest, certificate ?? nodes[index].archive.byHeight[height]?.1
                )
            case .broadcastConsensus(let message):
                for peer in nodes.indices where peer != index { send(.consensus(message, from: own), to: peer) }
            case .sendConsensus(let message, let peer):
                if let peer = self.index(of: peer) { send(.consensus(message, from: own), to: peer) }
            case .broadcastBlock(let bytes):
                for peer in nodes.indices where peer != index { send(.block(bytes, from: own), to: peer) }
            case .sendBlock(let bytes, let peer):
                if let peer = self.index(of: peer) { send(.block(bytes, from: own), to: peer) }
            case .broadcastTransactions(let transactions):
                toldBy.insert(index)
                for peer in nodes.indices where peer != index {
                    send(.transactions(transactions, local: false), to: peer)
                }
            case .requestBlock(let digest, let peer):
                guard let peer = self.index(of: peer), nodes[peer].isUp else { continue }
                if let bytes = nodes[peer].archive.blocks[digest] {
                    push(index, .deliver(from: peer, .block(bytes, from: keys[peer].publicKey)), after: 2)
                } else {
                    push(index, .deliver(from: peer, .blockUnavailable(digest, from: keys[peer].publicKey)), after: 2)
                }
            case .requestBlocks(let height, let count, let peer):
                guard let peer = self.index(of: peer), nodes[peer].isUp else { continue }
                var row: [FinalizedBlock] = []
                var at = height
                while row.count < count, let found = nodes[peer].archive.finalized(at: at) {
                    row.append(found)
                    at = at.next()
                }
                rowsAsked.append((now, peer, height))
                let given = givesRow(peer, row)
                push(
                    index, .deliver(from: peer, .finalizedBlocks(given.row, from: keys[peer].publicKey)),
                    after: given.after)
            case .verifySignatures(let id, let items):
                let results = items.map { $0.key.verify($0.signature, of: $0.message) }
                push(index, .input(.signaturesVerified(id: id, results: results)), after: 0)
            case .setTimer(let instant):
                if nodes[index].timer.map({ instant < $0 }) ?? true { nodes[index].timer = instant }
            case .misbehaviour(let peer, let reason): misbehaviours.append("\(peer): \(reason)")
            case .executed, .certified, .evidence, .keyInUseElsewhere, .epochEnded, .refused: break
            }
        }
    }

    private func index(of key: PublicKey) -> Int? { keys.firstIndex { $0.publicKey == key } }

    func transfer(_ amount: Amount, nonce: UInt64, to address: Address) -> SignedTransaction {
        Transaction(
            network: genesis.digest, sender: alice.publicKey, nonce: Nonce(nonce), maximumFee: .xpl(1),
            payload: .transfer(to: address, amount: amount, memo: [])
        ).signed(by: alice)
    }
}
