import Consensus
import Gossip
import Ledger
import Primitives
import Replica

/// Between the nodes: sessions, words, requests.
extension NodeSimulation {
    // MARK: Sessions

    /// A node that comes up connects to all that are up.
    mutating func connect(_ node: SimulatedNode) {
        for peer in nodes where peer !== node && peer.isUp {
            let delay = draw(10...100)
            schedule(node.index, after: delay, .session(peer: peer.index, life: peer.life, isUp: true))
            schedule(peer.index, after: delay, .session(peer: node.index, life: node.life, isUp: true))
        }
    }

    /// Its peers find out when its process has ended.
    mutating func disconnect(_ node: SimulatedNode, life: Int) {
        for peer in nodes where peer !== node && peer.isUp {
            let delay = draw(1...200)
            schedule(peer.index, after: delay, .session(peer: node.index, life: life, isUp: false))
        }
    }

    mutating func session(of node: SimulatedNode, with peer: Int, life: Int, isUp: Bool) {
        let other = nodes[peer]
        if isUp {
            // Gone again before the two had met.
            if other.life != life || !other.isUp { return }
            node.sessions[peer] = PeerSession(life: life, link: 0)
            node.inbox.append(.peerConnected(other.key.publicKey, head: other.head))
        } else if node.sessions[peer]?.life == life {
            endSession(with: peer, at: node, tells: false)
        }
    }

    // MARK: Words

    /// Everyone that a node is connected to.
    func peers(of node: SimulatedNode) -> [Int] { nodes.indices.filter { node.sessions[$0]?.life == nodes[$0].life } }

    mutating func say(_ word: Word, by node: SimulatedNode, to targets: [Int]) {
        if var (liar, context) = liars[node.index] {
            let said = liar.say(word, to: targets, &context)
            liars[node.index] = (liar, context)
            for one in said { transmit(one.word, from: node.index, to: one.target) }
            return
        }
        if case .consensus(let message) = word {
            var journal: [JournalRecord] = []
            if case .vote(let vote) = message { journal = node.disk.durableRecords(of: vote.subject.view) }
            finality.sent(message, by: node.index, journal: journal)
        }
        for target in targets { transmit(word, from: node.index, to: target) }
    }

    mutating func transmit(_ word: Word, from sender: Int, to target: Int) {
        guard let session = nodes[sender].sessions[target], session.life == nodes[target].life,
            let delay = wayTime(sender, target)
        else { return }
        schedule(target, after: delay, .word(word, from: sender, link: session.link))
        if isFaulty, chance(profile.duplication), let again = wayTime(sender, target) {
            schedule(target, after: again, .word(word, from: sender, link: session.link))
        }
    }

    /// How long something takes from one node to another; nil where it is lost.
    mutating func wayTime(_ sender: Int, _ target: Int) -> Interval? {
        if !isConnected(sender, target) { return nil }
        if isFaulty, chance(profile.loss) { return nil }
        var delay = draw(profile.delay)
        if profile.regions { delay = delay + .milliseconds(Regions.delay(sender, target)) }
        return delay
    }

    /// What the real bridge does with what comes in: followers pass on what they have not heard, transactions are checked once.
    mutating func arrived(_ word: Word, from sender: Int, link: UInt64, at node: SimulatedNode) {
        if !hears(over: link, from: sender, at: node) { return }
        let from = nodes[sender].key.publicKey
        switch word {
        case .consensus(let message):
            if message.isRelayed {
                let end = message.end.map { ChainPlace(epoch: $0.epoch, view: $0.view) }
                relay(word, from: sender, by: node, until: end) { message.canonicalBytes }
            }
            hear(.consensus(message, from: from), at: node)
        case .block(let bytes):
            if node.place == nil, let header = Replica.block(bytes, network: genesis.digest)?.header {
                let end = ChainPlace(epoch: header.epoch, view: header.view)
                relay(word, from: sender, by: node, until: end) { bytes }
            }
            hear(.block(bytes, from: from), at: node)
        case .transactions(let batch):
            let fresh = batch.filter {
                node.relay.hears(transaction: Digest.of(Domain("sim.heard"), encoding: $0), at: now)
            }
            let good = fresh.filter { signatures.isSigned($0) }
            if good.count < fresh.count { misbehaved(sender, "sent a transaction with a wrong signature", at: node) }
            if !good.isEmpty { hear(.transactions(good, local: false), at: node) }
        }
    }

    private mutating func relay(
        _ word: Word, from sender: Int, by node: SimulatedNode, until end: ChainPlace?, bytes: () -> [UInt8]
    ) {
        guard node.place == nil else { return }
        let bytes = bytes()
        guard node.relay.passesOn(Digest.of(Domain("sim.seen"), bytes), at: now) else { return }
        guard let end else { return passOn(word, from: sender, by: node) }
        node.relayed.hold((word, sender), bytes: bytes.count, until: end, at: now)
        schedule(node.index, after: RelayQueue<Word>.pause, .relay)
    }

    private mutating func passOn(_ word: Word, from sender: Int, by node: SimulatedNode) {
        for target in peers(of: node) where target != sender { transmit(word, from: node.index, to: target) }
    }

    /// What a follower has kept for long enough.
    mutating func passOnHeld(_ node: SimulatedNode) {
        for (word, sender) in node.relayed.take(at: now, final: node.final) { passOn(word, from: sender, by: node) }
    }

    private mutating func hear(_ input: ReplicaInput, at node: SimulatedNode) {
        if var (liar, context) = liars[node.index] {
            let hears = liar.hears(input, &context)
            liars[node.index] = (liar, context)
            if !hears { return }
        }
        node.inbox.append(input)
    }

    /// The third time a peer is put out, as the real network does.
    mutating func misbehaved(_ peer: Int, _ reason: String, at node: SimulatedNode) {
        if dishonest.contains(node.index) { return }
        if !dishonest.contains(peer) { chain.blame("node \(node.index) says that honest node \(peer) \(reason)") }
        node.penalties[peer] += 1
        if node.penalties[peer] >= 3, node.sessions[peer] != nil {
            putOut(peer, by: node)
        }
    }

    // MARK: Requests

    private static var patience: Interval { .seconds(2) }

    mutating func ask(_ request: BlockRequest, of peer: PublicKey, by node: SimulatedNode) {
        requests += 1
        let id = requests
        node.openRequests.insert(id)
        let nothing: ReplicaInput
        switch request {
        case .byDigest(let digest): nothing = .blockUnavailable(digest, from: peer)
        case .range: nothing = .finalizedBlocks([], from: peer)
        }
        schedule(node.index, after: NodeSimulation.patience, .answer(id: id, nothing))
        guard let target = indexOfKey[peer], node.sessions[target]?.life == nodes[target].life,
            let delay = wayTime(node.index, target)
        else { return }
        schedule(target, after: delay, .request(request, id: id, from: node.index, life: node.life))
    }

    mutating func answer(_ request: BlockRequest, id: UInt64, for asker: Int, life: Int, by node: SimulatedNode) {
        // A process that stands still answers nobody; a slow disk answers from memory.
        if node.pausedUntil > now || nodes[asker].life != life { return }
        var given = node.answer(request)
        if var (liar, context) = liars[node.index] {
            let said = liar.answer(request, honest: given, &context)
            liars[node.index] = (liar, context)
            switch said {
            case .silence: return
            case .says(let other): given = other
            }
        }
        guard let delay = wayTime(node.index, asker) else { return }
        let peer = node.key.publicKey
        let input: ReplicaInput
        switch request {
        case .byDigest(let digest):
            input = given?.blocks.first.map { .block($0.block, from: peer) } ?? .blockUnavailable(digest, from: peer)
        case .range: input = .finalizedBlocks(given?.blocks ?? [], from: peer)
        }
        schedule(asker, after: delay, .answer(id: id, input))
    }
}
