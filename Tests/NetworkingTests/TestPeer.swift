import Foundation
import Gossip
import Logging
import Networking
import Primitives

/// A network service on loopback, and all that its delegate heard.
final class TestPeer: NetworkDelegate, @unchecked Sendable {
    struct Message: Equatable {
        let bytes: [UInt8]
        let channel: NetworkChannel
        let sender: PeerID
    }

    /// What it says to a question; nil from the closure leaves it without an answer for ever.
    typealias Answer = @Sendable ([UInt8]) -> [UInt8]??

    static let network = Digest.of(Domain("test.network"), [1])

    private let lock = NSLock()
    private var heard: [Message] = []
    private var connectedNow: [PeerID: Hello] = [:]
    private var everConnected: Set<PeerID> = []
    private var ends: [String] = []
    private let answer: Answer
    private let head: UInt64
    let key: SecretKey
    // Set once, before anyone else has the object.
    private(set) var service: NetworkService!
    private(set) var port = 0

    private init(_ key: SecretKey, head: UInt64, answer: @escaping Answer) {
        self.key = key
        self.head = head
        self.answer = answer
    }

    static func start(
        _ index: Int, network: Digest = network, host: String = "127.0.0.1", external: String? = nil, port: Int = 0,
        bootstrap: [TestPeer] = [], names: [String] = [],
        records: [NodeRecord] = [], roles: NodeRoles = .follower, head: UInt64 = 0, maximumPeers: Int = 64,
        answer: @escaping Answer = { .some($0.reversed()) }
    ) async throws -> TestPeer {
        let peer = TestPeer(try key(index), head: head, answer: answer)
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        peer.service = try NetworkService(
            configuration: NetworkConfiguration(
                identity: peer.key, network: network, roles: roles, listenHost: host, externalHost: external,
                port: port,
                bootstrap: bootstrap.map { "127.0.0.1:\($0.port)" } + names, savedRecords: records,
                maximumPeers: maximumPeers),
            delegate: peer, logger: logger)
        peer.port = try await peer.service.start()
        return peer
    }

    static func key(_ index: Int) throws -> SecretKey {
        try SecretKey(seed: Digest.of(Domain("test.key"), UInt64(index).canonicalBytes).bytes)
    }

    var id: PeerID { key.publicKey }
    var messages: [Message] { lock.withLock { heard } }
    var connected: [PeerID: Hello] { lock.withLock { connectedNow } }
    /// Whoever has greeted, gone again or not.
    var greeted: Set<PeerID> { lock.withLock { everConnected } }
    /// Why sessions with known peers ended, as the delegate was told.
    var endings: [String] { lock.withLock { ends } }

    /// Why connections ended that never became sessions, and sessions that did.
    func sawEnd(_ part: String) -> Bool { service.disconnectReasons.keys.contains { $0.contains(part) } }

    func stop() async { await service.shutdown() }

    func peerConnected(_ peer: PeerID, hello: Hello) {
        lock.withLock {
            connectedNow[peer] = hello
            everConnected.insert(peer)
        }
    }

    func peerDisconnected(_ peer: PeerID, reason: String) {
        lock.withLock {
            connectedNow[peer] = nil
            ends.append(reason)
        }
    }

    func received(_ bytes: [UInt8], on channel: NetworkChannel, from peer: PeerID) {
        lock.withLock { heard.append(Message(bytes: bytes, channel: channel, sender: peer)) }
    }

    func request(
        _ bytes: [UInt8], on channel: NetworkChannel, from peer: PeerID, reply: @escaping @Sendable ([UInt8]?) -> Void
    ) {
        if let answer = answer(bytes) { reply(answer) }
    }

    func headHeight() -> UInt64 { head }
}

/// Waits until it holds, for as long as a busy machine may take.
func eventually(_ seconds: Double = 30, _ holds: () -> Bool) async -> Bool {
    let deadline = Date().addingTimeInterval(seconds)
    while !holds() {
        if Date() > deadline { return false }
        try? await Task.sleep(nanoseconds: 10_000_000)
    }
    return true
}

/// Two services that have a session.
func withPair(
    answer: @escaping TestPeer.Answer = { .some($0.reversed()) }, _ body: (TestPeer, TestPeer) async throws -> Void
) async throws {
    let a = try await TestPeer.start(1, roles: .validator, head: 7, answer: answer)
    let b = try await TestPeer.start(2, bootstrap: [a], head: 9, answer: answer)
    let met = await eventually { a.connected[b.id] != nil && b.connected[a.id] != nil }
    if met { try await body(a, b) }
    await a.stop()
    await b.stop()
    if !met { throw NeverMet() }
}

struct NeverMet: Error {}

func noise(_ count: Int, seed: UInt64) -> [UInt8] {
    var random = SplitMix64(seed: seed)
    return (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
}
