public import Primitives

/// Finds nodes over UDP: Kademlia over signed records, as a machine.
///
/// 1. An address gets nothing larger than its own request until it has answered one of our pings from there (endpoint proof).
/// 2. Records are taken only with a valid signature and of our network; a record heard from others is pinged before it counts as known.
/// 3. A node that knows few others asks its bootstrap addresses, with growing pauses, for as long as it lives.
/// 4. Lookups ask the nearest known nodes for what is nearest to us, and now and then to a random place.
public struct Discovery: Sendable {
    public enum Output: Sendable, Hashable {
        case send([UInt8], to: Endpoint)
        /// A node answered from the address that its record names.
        case discovered(NodeRecord)
    }

    private let key: SecretKey
    public private(set) var record: NodeRecord
    private let bootstrap: [Endpoint]
    public private(set) var table: RoutingTable
    private var random: SplitMix64
    /// Pings under way: nonce → (whom we expect, where, when).
    private var pings: [UInt64: (identity: PublicKey?, endpoint: Endpoint, at: Instant)] = [:]
    private var proven: [Endpoint: Instant] = [:]
    private var asked: [UInt64: Instant] = [:]
    private var nextBootstrap = Instant(nanoseconds: .min)
    private var bootstrapPause = Interval.milliseconds(250)
    private var nextLookup = Instant(nanoseconds: .min)
    private var lookups = 0
    private var nextRefresh = Instant(nanoseconds: .min)

    static let answerTimeout = Interval.seconds(1)
    static let maximumUnderWay = 512
    static let proofLifetime = Interval.seconds(3_600)
    static let maximumProofs = 4_096

    /// `seed` must be unpredictable: nonces come from it.
    public init(key: SecretKey, record: NodeRecord, bootstrap: [Endpoint], saved: [NodeRecord], seed: UInt64) {
        self.key = key
        self.record = record
        self.bootstrap = bootstrap + saved.filter { $0.network == record.network }.map(\.endpoint)
        table = RoutingTable(own: key.publicKey)
        random = SplitMix64(seed: seed)
    }

    /// To be called some times a second.
    public mutating func tick(at now: Instant) -> [Output] {
        var outputs: [Output] = []
        for (nonce, ping) in pings where now.interval(since: ping.at) > Discovery.answerTimeout {
            pings[nonce] = nil
            if let identity = ping.identity { table.failed(identity) }
        }
        asked = asked.filter { now.interval(since: $0.value) <= Discovery.answerTimeout }
        if table.count < 3 || table.count < bootstrap.count, now >= nextBootstrap {
            for endpoint in bootstrap where endpoint != record.endpoint { outputs += ping(endpoint, nil, now) }
            nextBootstrap = now.adding(bootstrapPause)
            bootstrapPause = min(bootstrapPause.scaled(2), .seconds(30))
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

    private mutating func ping(_ endpoint: Endpoint, _ identity: PublicKey?, _ now: Instant) -> [Output] {
        if pings.count >= Discovery.maximumUnderWay { return [] }
        let nonce = random.next()
        pings[nonce] = (identity, endpoint, now)
        return [send(.ping, nonce, endpoint)]
    }

    private mutating func findNode(_ target: Digest, _ peer: NodeRecord, _ now: Instant) -> [Output] {
        let nonce = random.next()
        if asked.count >= Discovery.maximumUnderWay { return [] }
        asked[nonce] = now
        return [send(.findNode(target), nonce, peer.endpoint)]
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
            if table.record(of: message.sender.identity) == nil, message.sender.endpoint == endpoint {
                outputs += ping(endpoint, nil, now)
            }
        case .pong:
            guard let sent = pings.removeValue(forKey: message.nonce), sent.endpoint == endpoint,
                sent.identity == nil || sent.identity == message.sender.identity
            else { return [] }
            if proven.count < Discovery.maximumProofs { proven[endpoint] = now }
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
                return ping(endpoint, nil, now)
            }
            let near = table.nearest(to: target, count: 16).filter { $0.identity != message.sender.identity }
            for start in stride(from: 0, to: near.count, by: DiscoveryMessage.maximumNodes) {
                let part = Array(near[start..<min(start + DiscoveryMessage.maximumNodes, near.count)])
                outputs.append(send(.nodes(part), message.nonce, endpoint))
            }
        case .nodes(let records):
            guard asked[message.nonce] != nil else { return [] }
            for found in records
            where found.network == record.network && found.identity != record.identity
                && table.record(of: found.identity) == nil
            {
                outputs += ping(found.endpoint, found.identity, now)
            }
        }
        return outputs
    }
}
