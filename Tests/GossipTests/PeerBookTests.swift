import Gossip
import Primitives
import Testing

/// In boxes, so that an expectation can ask what a question changes.
private final class Book {
    private var book: PeerBook

    init(own: PublicKey, maximumPeers: Int) { book = PeerBook(own: own, maximumPeers: maximumPeers) }

    func targets(_ proven: [NodeRecord], at now: Instant) -> [NodeRecord] { book.targets(proven, at: now) }

    func dialEnded(_ peer: PublicKey, at now: Instant) { book.dialEnded(peer, at: now) }

    @discardableResult
    func greeted(_ record: NodeRecord, dialled: Bool, at now: Instant) -> PeerBook.Verdict {
        book.greeted(record, dialled: dialled, at: now)
    }

    func ended(_ peer: PublicKey) { book.ended(peer) }

    func ban(_ peer: PublicKey, at now: Instant) { book.ban(peer, at: now) }

    var marks: Int { book.marks }
}

private final class TestRelay {
    private var relay: Relay

    init(relays: Bool) { relay = Relay(relays: relays) }

    func passesOn(_ message: Digest, at now: Instant) -> Bool { relay.passesOn(message, at: now) }

    func said(_ message: Digest, at now: Instant) { relay.said(message, at: now) }

    func hears(transaction: Digest, at now: Instant) -> Bool { relay.hears(transaction: transaction, at: now) }

    func isVerified(_ transaction: Digest) -> Bool { relay.isVerified(transaction) }

    func verified(_ transaction: Digest, at now: Instant) { relay.verified(transaction, at: now) }
}

@Suite struct PeerBookTests {
    static func key(_ number: UInt8) throws -> SecretKey { try SecretKey(seed: [UInt8](repeating: number, count: 32)) }

    static func record(_ number: UInt8) throws -> NodeRecord {
        NodeRecord(
            key: try key(number), network: .zero, sequence: 1,
            endpoint: try Endpoint(address: [10, 0, number, 1], port: 1), tcpPort: 1, roles: .follower)
    }

    static let start = Instant(nanoseconds: 0)

    /// Own identity, and a peer above or below it.
    static func pair() throws -> (own: PublicKey, above: NodeRecord, below: NodeRecord) {
        let records = try (1...3).map { try record($0) }.sorted { $0.identity < $1.identity }
        return (records[1].identity, records[2], records[0])
    }

    @Test func everyoneKnownIsDialledOnce() throws {
        let (own, above, below) = try Self.pair()
        let book = Book(own: own, maximumPeers: 8)
        #expect(book.targets([above, below], at: Self.start).map(\.identity) == [below.identity, above.identity])
        #expect(book.targets([above, below], at: Self.start).isEmpty)
    }

    @Test func aFailedDialIsRepeatedAfterPausesThatGrow() throws {
        let (own, above, _) = try Self.pair()
        let book = Book(own: own, maximumPeers: 8)
        var now = Self.start
        for pause in [500, 1_000, 2_000, 4_000, 7_500, 7_500] as [Int64] {
            #expect(book.targets([above], at: now).count == 1)
            book.dialEnded(above.identity, at: now)
            #expect(book.targets([above], at: now.adding(.milliseconds(pause - 1))).isEmpty)
            now = now.adding(.milliseconds(pause))
        }
        _ = book.greeted(above, dialled: true, at: now)
        book.ended(above.identity)
        #expect(book.targets([above], at: now).count == 1)
    }

    @Test func ofCrossedDialsTheLowerIdentitysStays() throws {
        let (own, above, below) = try Self.pair()
        let book = Book(own: own, maximumPeers: 8)
        #expect(book.greeted(above, dialled: false, at: Self.start) == .accepted)
        #expect(book.greeted(above, dialled: true, at: Self.start) == .replaces)
        #expect(
            book.greeted(above, dialled: false, at: Self.start) == .refused("another connection to this peer stands"))
        #expect(book.greeted(below, dialled: false, at: Self.start) == .accepted)
        #expect(
            book.greeted(below, dialled: true, at: Self.start) == .refused("another connection to this peer stands"))
    }

    @Test func ofTwoAlikeTheNewerStays() throws {
        let (own, above, _) = try Self.pair()
        let book = Book(own: own, maximumPeers: 8)
        #expect(book.greeted(above, dialled: false, at: Self.start) == .accepted)
        #expect(book.greeted(above, dialled: false, at: Self.start) == .replaces)
    }

    @Test func thereAreSoManyPlaces() throws {
        let (own, above, below) = try Self.pair()
        let book = Book(own: own, maximumPeers: 1)
        #expect(book.greeted(above, dialled: false, at: Self.start) == .accepted)
        #expect(book.targets([below], at: Self.start).isEmpty)
        #expect(book.greeted(below, dialled: false, at: Self.start) == .refused("all places are taken"))
        #expect(book.greeted(above, dialled: false, at: Self.start) == .replaces)
    }

    @Test func theBannedAreNeitherDialledNorHeard() throws {
        let (own, above, _) = try Self.pair()
        let book = Book(own: own, maximumPeers: 8)
        book.ban(above.identity, at: Self.start)
        #expect(book.targets([above], at: Self.start).isEmpty)
        #expect(book.greeted(above, dialled: false, at: Self.start) == .refused("banned"))
        #expect(book.targets([above], at: Self.start.adding(PeerBook.banTime)).count == 1)
    }

    /// Identities cost nothing: before, each that was banned or could not be reached was remembered for good.
    @Test func bansAndPausesThatAreOverAreForgotten() throws {
        let (own, above, below) = try Self.pair()
        let book = Book(own: own, maximumPeers: 8)
        book.ban(above.identity, at: Self.start)
        #expect(book.targets([below], at: Self.start).count == 1)
        book.dialEnded(below.identity, at: Self.start)
        #expect(book.marks == 2)
        // Still there while they count, and for a while after a pause: the next will be longer.
        #expect(book.targets([], at: Self.start.adding(.seconds(59))).isEmpty)
        #expect(book.marks == 2)
        #expect(book.targets([], at: Self.start.adding(.seconds(61))).isEmpty)
        #expect(book.marks == 0)
    }

    @Test func noMoreThanSoManyBansAndPausesAreRemembered() throws {
        let (own, above, below) = try Self.pair()
        let book = Book(own: own, maximumPeers: 8)
        func stranger(_ number: Int) throws -> PublicKey {
            try PublicKey(bytes: Digest.of(Domain("test"), UInt64(number).canonicalBytes).bytes)
        }
        book.ban(above.identity, at: Self.start)
        _ = book.targets([below], at: Self.start)
        book.dialEnded(below.identity, at: Self.start)
        let later = Self.start.adding(.seconds(1))
        for number in 1..<PeerBook.maximumMarks {
            let peer = try stranger(number)
            book.ban(peer, at: later)
            book.dialEnded(peer, at: later)
        }
        #expect(book.marks == 2 * PeerBook.maximumMarks)
        #expect(book.greeted(above, dialled: false, at: later) == .refused("banned"))
        // One more of each: those that end first make room.
        book.ban(try stranger(0), at: later)
        book.dialEnded(try stranger(0), at: later)
        #expect(book.marks == 2 * PeerBook.maximumMarks)
        #expect(book.greeted(above, dialled: false, at: later) == .accepted)
        #expect(book.targets([below], at: Self.start).map(\.identity) == [below.identity])
    }

    @Test func whoHasGreetedIsDialledAgainWithoutDiscovery() throws {
        let (own, above, _) = try Self.pair()
        let book = Book(own: own, maximumPeers: 8)
        _ = book.greeted(above, dialled: false, at: Self.start)
        book.ended(above.identity)
        #expect(book.targets([], at: Self.start).map(\.identity) == [above.identity])
    }

    @Test func nobodyTalksToItself() throws {
        let (own, _, _) = try Self.pair()
        let itself = try #require(try (1...3).map { try Self.record($0) }.first { $0.identity == own })
        let book = Book(own: own, maximumPeers: 8)
        #expect(book.greeted(itself, dialled: true, at: Self.start) == .refused("this is ourselves"))
    }

    @Test func aFollowerPassesOnOnceAndAValidatorNothing() {
        let word = Digest.of(Domain("test"), [1])
        let follower = TestRelay(relays: true)
        #expect(follower.passesOn(word, at: Self.start))
        #expect(!follower.passesOn(word, at: Self.start))
        let own = Digest.of(Domain("test"), [2])
        follower.said(own, at: Self.start)
        #expect(!follower.passesOn(own, at: Self.start))
        let validator = TestRelay(relays: false)
        #expect(!validator.passesOn(word, at: Self.start))
    }

    @Test func aTransactionIsLookedAtAgainAfterAWhile() {
        let transaction = Digest.of(Domain("test"), [3])
        let relay = TestRelay(relays: false)
        #expect(relay.hears(transaction: transaction, at: Self.start))
        #expect(!relay.hears(transaction: transaction, at: Self.start.adding(.seconds(1))))
        #expect(relay.hears(transaction: transaction, at: Self.start.adding(.seconds(7))))
        #expect(!relay.isVerified(transaction))
        relay.verified(transaction, at: Self.start)
        #expect(relay.isVerified(transaction))
    }
}
