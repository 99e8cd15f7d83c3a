import Consensus
import Gossip
import Ledger
import Primitives
import Replica

/// How nodes find one another and keep connected, where the profile asks for it: the real `Discovery` over datagrams that get lost, from one address each, and
/// the real `PeerBook` over links that stand for TCP connections. Only what was found so is ever spoken to. The shell is as thin as the real one
/// (`DiscoveryShell`, `NetworkService`): ticks, datagrams, dials, greetings, pings.
extension NodeSimulation {
    private static var discoveryTick: Interval { .milliseconds(100) }
    private static var dialTick: Interval { .milliseconds(150) }
    private static var dialPatience: Interval { .seconds(3) }
    private static var pingInterval: Interval { .seconds(2) }
    private static var maximumUnansweredPings: Int { 5 }
    static var maximumPeers: Int { 64 }
    private static var port: UInt16 { 27_600 }

    /// Each node stands in a network of its own, so that the table's limits on prefixes are not in its way.
    private static func endpoint(of index: Int) -> Endpoint {
        guard let endpoint = try? Endpoint(address: [10, 1, UInt8(clamping: index), 1], port: port) else {
            preconditionFailure("four bytes and a port above 0 are an endpoint")
        }
        return endpoint
    }

    private func index(of endpoint: Endpoint) -> Int? {
        let index = Int(endpoint.address[2])
        return nodes.indices.contains(index) && endpoint == NodeSimulation.endpoint(of: index) ? index : nil
    }

    /// The one node whose address another has been told of. Together they are a tree.
    private func bootstrap(of index: Int) -> Int {
        index == 0 ? 1 % nodes.count : Int(SplitMix64.word(seed &+ UInt64(index)) % UInt64(index))
    }

    // MARK: Finding

    /// A node that comes up knows one address, or is connected to all that are up.
    mutating func meetPeers(_ node: SimulatedNode) {
        guard profile.discovers else { return connect(node) }
        let record = NodeRecord(
            key: node.key, network: genesis.digest, sequence: node.clock.read(at: now).wall.milliseconds,
            endpoint: NodeSimulation.endpoint(of: node.index), tcpPort: NodeSimulation.port,
            roles: node.place == nil ? .follower : .validator)
        node.book = PeerBook(own: node.key.publicKey, maximumPeers: NodeSimulation.maximumPeers)
        node.discovery = Discovery(
            key: node.key, record: record, bootstrap: [NodeSimulation.endpoint(of: bootstrap(of: node.index))],
            saved: [], seed: random.next())
        schedule(node.index, after: .zero, .peers(.discoveryTick))
        schedule(node.index, after: NodeSimulation.dialTick, .peers(.dialTick))
        schedule(node.index, after: NodeSimulation.pingInterval, .peers(.pingTick))
    }

    private func monotonic(_ node: SimulatedNode) -> Instant { node.clock.read(at: now).monotonic }

    private mutating func send(_ outputs: [Discovery.Output], by node: SimulatedNode) {
        for case .send(let datagram, let endpoint) in outputs {
            guard let target = index(of: endpoint), let delay = wayTime(node.index, target) else { continue }
            datagrams += 1
            schedule(target, after: delay, .peers(.datagram(datagram, from: node.index)))
        }
    }

    mutating func happened(_ event: PeerEvent, to node: SimulatedNode) {
        switch event {
        case .discoveryTick:
            schedule(node.index, after: NodeSimulation.discoveryTick, .peers(.discoveryTick))
            if node.pausedUntil > now { return }
            send(node.discovery?.tick(at: monotonic(node)) ?? [], by: node)
        case .datagram(let bytes, let sender):
            if node.pausedUntil > now { return }
            let from = NodeSimulation.endpoint(of: sender)
            send(node.discovery?.receive(bytes, from: from, at: monotonic(node)) ?? [], by: node)
        case .dialTick:
            schedule(node.index, after: NodeSimulation.dialTick, .peers(.dialTick))
            if node.pausedUntil > now { return }
            let proven = node.discovery?.table.entries.map(\.record) ?? []
            for record in node.book.targets(proven, at: monotonic(node)) { dial(record, by: node) }
        case .dialled(let link, let dialer, let life): dialled(link, by: dialer, life: life, at: node)
        case .dialOver(let link, let peer, let life):
            guard node.dials[peer] == link else { return }
            greet(link, with: peer, life: life, at: node)
        case .dialRefused(let link, let peer), .dialTimeout(let link, let peer):
            guard node.dials[peer] == link else { return }
            node.dials[peer] = nil
            node.book.dialEnded(nodes[peer].key.publicKey, at: monotonic(node))
        case .linkEnded(let link, let peer):
            if node.sessions[peer]?.link == link { endSession(with: peer, at: node, tells: false) }
        case .pingTick: ping(node)
        }
    }

    // MARK: Dialling

    private mutating func dial(_ record: NodeRecord, by node: SimulatedNode) {
        guard let target = indexOfKey[record.identity] else { return }
        links += 1
        node.dials[target] = links
        schedule(node.index, after: NodeSimulation.dialPatience, .peers(.dialTimeout(links, target)))
        // Nobody listens there: the system says so at once.
        guard let delay = wayTime(node.index, target) else { return }
        if nodes[target].isUp {
            schedule(target, after: delay, .peers(.dialled(links, by: node.index, life: node.life)))
        } else {
            schedule(node.index, after: delay, .peers(.dialRefused(links, target)))
        }
    }

    /// A connection comes in, with its greeting.
    private mutating func dialled(_ link: UInt64, by dialer: Int, life: Int, at node: SimulatedNode) {
        if node.pausedUntil > now || nodes[dialer].life != life { return }
        guard let record = nodes[dialer].discovery?.record else { return }
        switch node.book.greeted(record, dialled: false, at: monotonic(node)) {
        case .refused:
            if let delay = wayTime(node.index, dialer) {
                schedule(dialer, after: delay, .peers(.dialRefused(link, node.index)))
            }
        case .accepted, .replaces:
            begin(link, with: dialer, life: life, at: node)
            if let delay = wayTime(node.index, dialer) {
                schedule(dialer, after: delay, .peers(.dialOver(link, node.index, life: node.life)))
            }
        }
    }

    /// Our own dial is answered by a greeting.
    private mutating func greet(_ link: UInt64, with peer: Int, life: Int, at node: SimulatedNode) {
        node.dials[peer] = nil
        let key = nodes[peer].key.publicKey
        node.book.dialEnded(key, at: monotonic(node))
        guard nodes[peer].life == life, let record = nodes[peer].discovery?.record else { return }
        switch node.book.greeted(record, dialled: true, at: monotonic(node)) {
        case .refused: tellEnd(of: link, to: peer, by: node)
        case .accepted, .replaces: begin(link, with: peer, life: life, at: node)
        }
    }

    private mutating func begin(_ link: UInt64, with peer: Int, life: Int, at node: SimulatedNode) {
        if let old = node.sessions[peer] { tellEnd(of: old.link, to: peer, by: node) }
        node.sessions[peer] = PeerSession(life: life, link: link)
        node.unanswered[peer] = 0
        sessionsBegun += 1
        node.inbox.append(.peerConnected(nodes[peer].key.publicKey, head: nodes[peer].head))
    }

    // MARK: Talking

    /// Whether what came over a link is heard: over the session that stands, or one whose greeting came just before.
    mutating func hears(over link: UInt64, from sender: Int, at node: SimulatedNode) -> Bool {
        if !profile.discovers { return true }
        if node.sessions[sender]?.link == link { return true }
        guard node.dials[sender] == link else { return false }
        greet(link, with: sender, life: nodes[sender].life, at: node)
        return node.sessions[sender]?.link == link
    }

    // MARK: Ending

    /// Every two seconds. Loss costs a connection no ping, a cut does; what the other side has closed is closed here.
    private mutating func ping(_ node: SimulatedNode) {
        schedule(node.index, after: NodeSimulation.pingInterval, .peers(.pingTick))
        if node.pausedUntil > now { return }
        for peer in nodes.indices {
            guard let session = node.sessions[peer] else { continue }
            let other = nodes[peer]
            let isWhole = isConnected(node.index, peer) && isConnected(peer, node.index)
            if !isWhole || other.pausedUntil > now {
                node.unanswered[peer] += 1
                if node.unanswered[peer] >= NodeSimulation.maximumUnansweredPings {
                    endSession(with: peer, at: node, tells: true)
                }
            } else if other.sessions[node.index]?.link != session.link, other.dials[node.index] != session.link {
                endSession(with: peer, at: node, tells: false)
            } else {
                node.unanswered[peer] = 0
            }
        }
    }

    mutating func endSession(with peer: Int, at node: SimulatedNode, tells: Bool) {
        guard let session = node.sessions[peer] else { return }
        node.sessions[peer] = nil
        node.inbox.append(.peerDisconnected(nodes[peer].key.publicKey))
        if !profile.discovers { return }
        node.book.ended(nodes[peer].key.publicKey)
        if tells { tellEnd(of: session.link, to: peer, by: node) }
    }

    private mutating func tellEnd(of link: UInt64, to peer: Int, by node: SimulatedNode) {
        if let delay = wayTime(node.index, peer) {
            schedule(peer, after: delay, .peers(.linkEnded(link, node.index)))
        }
    }

    /// Sends a peer away for a minute, as the real network does.
    mutating func putOut(_ peer: Int, by node: SimulatedNode) {
        if profile.discovers { node.book.ban(nodes[peer].key.publicKey, at: monotonic(node)) }
        endSession(with: peer, at: node, tells: true)
    }
}

/// What happens between a node and those it finds.
enum PeerEvent {
    case discoveryTick
    case dialTick
    case pingTick
    case datagram([UInt8], from: Int)
    case dialled(UInt64, by: Int, life: Int)
    case dialOver(UInt64, Int, life: Int)
    case dialRefused(UInt64, Int)
    case dialTimeout(UInt64, Int)
    case linkEnded(UInt64, Int)

    /// What the digest of a run is made of.
    func encode(into writer: inout ByteWriter) {
        switch self {
        case .discoveryTick: writer.write(UInt8(0))
        case .dialTick: writer.write(UInt8(1))
        case .pingTick: writer.write(UInt8(2))
        case .datagram(let bytes, _): writer.write(raw: bytes)
        case .dialled(let link, _, _): writer.write(link)
        case .dialOver(let link, _, _): writer.write(link)
        case .dialRefused(let link, _), .dialTimeout(let link, _), .linkEnded(let link, _): writer.write(link)
        }
    }
}

/// A session as one side has it.
struct PeerSession {
    /// Of the peer's process.
    let life: Int
    /// Which connection it is; 0 where everyone is connected from the start.
    let link: UInt64
}

extension SplitMix64 {
    /// The first word of a seed.
    static func word(_ seed: UInt64) -> UInt64 {
        var random = SplitMix64(seed: seed)
        return random.next()
    }
}
