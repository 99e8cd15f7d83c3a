public import Primitives

/// Finds nodes over UDP: Kademlia over signed records, as a machine.
///
/// 1. An address gets nothing larger than its own request until it has answered one of our pings from there (endpoint proof).
/// 2. Records are taken only with a valid signature and of our network; a record heard from others is pinged before it counts as known.
/// 3. A bootstrap address that is not in the table is asked, with growing pauses, for as long as the node lives: a group of nodes that know only
///    one another must find the rest. Addresses of the last run are asked only while few others are known.
/// 4. Lookups ask the nearest known nodes for what is nearest to us, and now and then to a random place.
public struct Discovery: Sendable {
    public enum Output: Sendable, Hashable {
        case send([UInt8], to: Endpoint)
        /// A node answered from the address that its record names.
        case discovered(NodeRecord)
    }

    private let key: SecretKey
    public private(set) var record: NodeRecord
    private var bootstrap: [Endpoint]
    private let saved: [Endpoint]
    public private(set) var table: RoutingTable
    private var random: SplitMix64
    /// Nonces come from here, not from `random`: whoever has seen one must not be able to tell the next.
    private let nonceSecret: [UInt8]
    private var noncesDrawn: UInt64 = 0
    /// Pings under way: nonce → (whom we expect, where, when, how often we have tried before).
    private var pings: [UInt64: (identity: PublicKey?, endpoint: Endpoint, at: Instant, tries: Int)] = [:]
    private var proven: [Endpoint: Instant] = [:]
    /// Questions under way: nonce → (whom we asked, when, how many parts of the answer may still come).
    private var asked: [UInt64: (endpoint: Endpoint, at: Instant, partsLeft: Int)] = [:]
    private var nextBootstrap = Instant(nanoseconds: .min)
    private var bootstrapPause = Interval.milliseconds(250)
    private var nextLookup = Instant(nanoseconds: .min)
    private var lookups = 0
    private var nextRefresh = Instant(nanoseconds: .min)

    static let answerTimeout = Interval.seconds(1)
    /// A ping to a node of the table is repeated before it counts as failed: where three datagrams in ten are lost, one ping in two is, and three
    /// such in a row would empty the table.
    static let repetitions = 3
    static let maximumUnderWay = 512
    /// Of these, pings that others made us send. The rest is kept for the bootstrap and the table.
    static let maximumUnderWayForStrangers = 256
    static let proofLifetime = Interval.seconds(3_600)
    public static let maximumProofs = 4_096
    /// Records of one answer, in datagrams of `DiscoveryMessage.maximumNodes`.
    static let recordsPerAnswer = 16

    /// `seed` must be new at each start: with the key it makes the nonces.
    public init(key: SecretKey, record: NodeRecord, bootstrap: [Endpoint], saved: [NodeRecord], seed: UInt64) {
        self.key = key
        self.record = record
        self.bootstrap = bootstrap
        self.saved = saved.filter { $0.network == record.network }.map(\.endpoint)
        table = RoutingTable(own: key.publicKey)
        random = SplitMix64(seed: seed)
        var secret = ByteWriter(capacity: 40)
        secret.write(raw: key.seed)
        secret.write(seed)
        nonceSecret = secret.bytes
    }

    /// Takes other bootstrap addresses: what their names mean is known now, or has changed. New ones are asked at the next tick.
    public mutating func ask(first endpoints: [Endpoint]) {
        let isNew = endpoints.contains { !bootstrap.contains($0) }
        bootstrap = endpoints
        if !isNew { return }
        nextBootstrap = Instant(nanoseconds: .min)
        bootstrapPause = .milliseconds(250)
    }

    /// To be called some times a second.
    public mutating func tick(at now: Instant) -> [Output] {
        var outputs: [Output] = []
        let late = pings.filter { now.interval(since: $0.value.at) > Discovery.answerTimeout }.sorted {
            $0.key < $1.key
        }
        for (nonce, sent) in late {
            pings[nonce] = nil
            guard let identity = sent.identity, let held = table.record(of: identity) else { continue }
            if sent.tries < Discovery.repetitions, held.endpoint == sent.endpoint {
                outputs += ping(sent.endpoint, identity, now, tries: sent.tries + 1)
            } else {
                table.failed(identity)
            }
        }
        asked = asked.filter { now.interval(since: $0.value.at) <= Discovery.answerTimeout }
        if now >= nextBootstrap {
            let known = Set(table.entries.map(\.record.endpoint) + [record.endpoint])
            let isAlone = table.count < 3 || table.count < bootstrap.count + saved.count
            for endpoint in isAlone ? bootstrap + saved : bootstrap where !known.contains(endpoint) {
                outputs += ping(endpoint, nil, now)
            }
            nextBootstrap = now.adding(bootstrapPause)
            // Who knows nobody has nothing else to do than to ask.
            bootstrapPause = min(bootstrapPause.scaled(2), .seconds(table.count == 0 ? 8 : 30))
        }
        if now >= nextLookup, table.count > 0 {
            let target =
                lookups % 3 == 2
                ? Digest.of(Domain("plasma.lookup"), [UInt8(truncatingIfNeeded: random.next())])
                : RoutingTable.place(of: key.publicKey)
            for near in table.nearest(to: target, count: 3) { outputs += findNode(target, near, now) }
            lookups += 1
            // Eager while young, then calm.
            nextLookup = now.adding(lookups < 12 ? .milliseconds(400) : .seconds(15))
        }
        if now >= nextRefresh {
            for entry in table.entries where now.interval(since: entry.lastSeen) > .seconds(20) {
                outputs += ping(entry.record.endpoint, entry.record.identity, now)
            }
            nextRefresh = now.adding(.seconds(5))
        }
        return outputs
    }

    private mutating func nextNonce() -> UInt64 {
        var writer = ByteWriter(capacity: 48)
        writer.write(raw: nonceSecret)
        writer.write(noncesDrawn)
        noncesDrawn += 1
        return Digest.of(Domain("plasma.nonce"), writer.bytes).bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// One ping at a time to whom we expect at an address: else a flood with forged senders would be passed on to them.
    private mutating func ping(
        _ endpoint: Endpoint, _ identity: PublicKey?, _ now: Instant, limit: Int = Discovery.maximumUnderWay,
        tries: Int = 0
    ) -> [Output] {
        if pings.count >= limit { return [] }
        if pings.values.contains(where: { $0.endpoint == endpoint && $0.identity == identity }) { return [] }
        let nonce = nextNonce()
        pings[nonce] = (identity, endpoint, now, tries)
        return [send(.ping, nonce, endpoint)]
    }

    private mutating func findNode(_ target: Digest, _ peer: NodeRecord, _ now: Instant) -> [Output] {
        if asked.count >= Discovery.maximumUnderWay { return [] }
        let nonce = nextNonce()
        asked[nonce] = (peer.endpoint, now, Discovery.recordsPerAnswer / DiscoveryMessage.maximumNodes)
        return [send(.findNode(target), nonce, peer.endpoint)]
    }

    /// Notes that an address answered. Of too many the one that answered longest ago is forgotten.
    private mutating func prove(_ endpoint: Endpoint, _ now: Instant) {
        if proven[endpoint] == nil, proven.count >= Discovery.maximumProofs,
            let oldest = proven.min(by: { $0.value < $1.value })
        {
            proven[oldest.key] = nil
        }
        proven[endpoint] = now
    }

    /// Whether a record says more than what is known of that node.
    private func isNews(_ found: NodeRecord) -> Bool {
        guard let known = table.record(of: found.identity) else { return true }
        return known.sequence < found.sequence
    }

    private func send(_ content: DiscoveryMessage.Content, _ nonce: UInt64, _ endpoint: Endpoint) -> Output {
        .send(DiscoveryMessage(sender: record, nonce: nonce, content: content).datagram(key: key), to: endpoint)
    }

    /// Takes a datagram. What cannot be read, or is of another network, is passed over in silence.
    public mutating func receive(_ datagram: [UInt8], from endpoint: Endpoint, at now: Instant) -> [Output] {
        guard let message = try? DiscoveryMessage(datagram: datagram), message.sender.network == record.network,
            message.sender.identity != record.identity
        else { return [] }
        var outputs: [Output] = []
        switch message.content {
        case .ping:
            outputs.append(send(.pong, message.nonce, endpoint))
            // Whoever pings us is worth knowing, once it has proven where it is.
            if isNews(message.sender), message.sender.endpoint == endpoint {
                outputs += ping(endpoint, nil, now, limit: Discovery.maximumUnderWayForStrangers)
            }
        case .pong:
            guard let sent = pings.removeValue(forKey: message.nonce), sent.endpoint == endpoint,
                sent.identity == nil || sent.identity == message.sender.identity
            else { return [] }
            prove(endpoint, now)
            // The record must name the address that it answered from.
            guard message.sender.endpoint == endpoint else { return [] }
            let isNew = table.record(of: message.sender.identity) == nil
            if table.seen(message.sender, at: now), isNew {
                outputs.append(.discovered(message.sender))
                outputs += findNode(RoutingTable.place(of: key.publicKey), message.sender, now)
            }
        case .findNode(let target):
            guard let proof = proven[endpoint], now.interval(since: proof) < Discovery.proofLifetime else {
                // Rule 1: prove the address first; the asker's next round is answered.
                return ping(endpoint, nil, now, limit: Discovery.maximumUnderWayForStrangers)
            }
            let near = table.nearest(to: target, count: Discovery.recordsPerAnswer)
                .filter { $0.identity != message.sender.identity }
            for start in stride(from: 0, to: near.count, by: DiscoveryMessage.maximumNodes) {
                let part = Array(near[start..<min(start + DiscoveryMessage.maximumNodes, near.count)])
                outputs.append(send(.nodes(part), message.nonce, endpoint))
            }
        case .nodes(let records):
            guard let question = asked[message.nonce], question.endpoint == endpoint else { return [] }
            asked[message.nonce] = question.partsLeft > 1 ? (endpoint, question.at, question.partsLeft - 1) : nil
            for found in records
            where found.network == record.network && found.identity != record.identity && isNews(found) {
                outputs += ping(
                    found.endpoint, found.identity, now, limit: Discovery.maximumUnderWayForStrangers)
            }
        }
        return outputs
    }
}
