import Gossip
import Primitives
import Testing

@Suite struct RoutingTableTests {
    static let own = Actors.key(0).publicKey
    /// Many nodes, each with the number of leading bits that its place shares with ours: its bucket.
    static let nodes: [(key: SecretKey, bucket: Int)] = (1...600).map { index in
        let key = Actors.key(index)
        let (mine, place) = (RoutingTable.place(of: own), RoutingTable.place(of: key.publicKey))
        return (key, (0..<256).first { mine[bit: $0] != place[bit: $0] } ?? 256)
    }
    static let far = nodes.filter { $0.bucket == 0 }.map(\.key)
    static let now = Instant(nanoseconds: 1_000)

    static func loopback(_ key: SecretKey, _ port: Int = 1, sequence: UInt64 = 1) -> NodeRecord {
        Actors.record(key, sequence: sequence, at: Actors.endpoint(UInt16(port)))
    }

    func full() -> RoutingTable {
        var table = RoutingTable(own: Self.own)
        for key in Self.far.prefix(RoutingTable.bucketSize) {
            let isIn = table.seen(Self.loopback(key), at: Self.now)
            #expect(isIn)
        }
        return table
    }

    @Test func aBucketHoldsSixteenAndKeepsThemFromNewcomers() {
        var table = full()
        let newcomer = Self.far[16]
        let isIn = table.seen(Self.loopback(newcomer), at: Self.now)
        #expect(!isIn)
        #expect(table.count == 16 && table.record(of: newcomer.publicKey) == nil)
        for key in Self.far.prefix(16) { #expect(table.record(of: key.publicKey) == Self.loopback(key)) }
    }

    @Test func anEntryGivesWayOnlyAfterAFailedPing() {
        var table = full()
        table.failed(Self.far[5].publicKey)
        #expect(table.record(of: Self.far[5].publicKey) != nil, "one failure alone removes nobody")
        let isIn = table.seen(Self.loopback(Self.far[16]), at: Self.now)
        #expect(isIn && table.count == 16)
        #expect(table.record(of: Self.far[5].publicKey) == nil)
        let another = table.seen(Self.loopback(Self.far[17]), at: Self.now)
        #expect(!another)
    }

    @Test func anAnswerClearsTheFailures() {
        var table = full()
        for _ in 0..<2 { table.failed(Self.far[5].publicKey) }
        table.seen(Self.loopback(Self.far[5]), at: Self.now)
        let isIn = table.seen(Self.loopback(Self.far[16]), at: Self.now)
        #expect(!isIn)
        for _ in 0..<2 { table.failed(Self.far[5].publicKey) }
        #expect(table.record(of: Self.far[5].publicKey) != nil)
        table.failed(Self.far[5].publicKey)
        #expect(table.record(of: Self.far[5].publicKey) == nil, "the third failure in a row removes")
    }

    @Test func failuresOfTheUnknownChangeNothing() {
        var table = full()
        table.failed(Self.far[20].publicKey)
        table.failed(Self.own)
        #expect(table.count == 16)
    }

    @Test func noOneIsInItsOwnTable() {
        var table = RoutingTable(own: Self.own)
        let isIn = table.seen(Self.loopback(Actors.key(0)), at: Self.now)
        #expect(!isIn && table.count == 0 && table.record(of: Self.own) == nil)
    }

    @Test func theHighestSequenceCounts() {
        var table = RoutingTable(own: Self.own)
        let key = Self.far[0]
        for (sequence, expected) in [(5, 5), (4, 5), (0, 5), (6, 6), (UInt64.max, UInt64.max), (6, .max)] {
            let record = Self.loopback(key, Int(sequence % 100) + 1, sequence: UInt64(sequence))
            let isIn = table.seen(record, at: Self.now)
            #expect(isIn && table.count == 1)
            #expect(table.record(of: key.publicKey)?.sequence == UInt64(expected), "after \(sequence)")
        }
    }

    static func wide(_ key: SecretKey, _ address: [UInt8], sequence: UInt64 = 1) -> NodeRecord {
        Actors.record(key, sequence: sequence, at: Actors.endpoint(address, 1))
    }

    @Test func aPrefixHasTwoPlacesInABucket() {
        var table = RoutingTable(own: Self.own)
        for (index, expected) in [true, true, false].enumerated() {
            let isIn = table.seen(Self.wide(Self.far[index], [198, 51, 100, UInt8(index)]), at: Self.now)
            #expect(isIn == expected)
        }
        let neighbour = table.seen(Self.wide(Self.far[3], [198, 51, 101, 0]), at: Self.now)
        #expect(neighbour && table.count == 3)
        // Who is in already stays in, whatever the count.
        let again = table.seen(Self.wide(Self.far[0], [198, 51, 100, 77], sequence: 2), at: Self.now)
        #expect(again && table.record(of: Self.far[0].publicKey)?.sequence == 2)
    }

    @Test func aPrefixHasTenPlacesInTheTable() {
        var table = RoutingTable(own: Self.own)
        for (index, node) in Self.nodes.enumerated() {
            table.seen(Self.wide(node.key, [198, 51, 100, UInt8(index & 255)]), at: Self.now)
        }
        #expect(table.count == RoutingTable.prefixPerTable)
        // There were more buckets than those ten places need, each with two takers.
        let takers = Dictionary(grouping: Self.nodes, by: \.bucket).filter { $0.value.count >= 2 }
        #expect(takers.count * RoutingTable.prefixPerBucket > RoutingTable.prefixPerTable)
        for (bucket, entries) in Dictionary(grouping: table.entries, by: { bucket(of: $0.record.identity) }) {
            #expect(entries.count <= RoutingTable.prefixPerBucket, "bucket \(bucket)")
        }
    }

    private func bucket(of identity: PublicKey) -> Int {
        Self.nodes.first { $0.key.publicKey == identity }?.bucket ?? -1
    }

    @Test func noOneMovesIntoAPrefixThatIsFull() {
        var table = RoutingTable(own: Self.own)
        for index in 0..<3 {
            table.seen(Self.wide(Self.far[index], [198, 51, UInt8(min(index, 1)), UInt8(index)]), at: Self.now)
        }
        // The first is alone in 198.51.0; two stand in 198.51.1.
        let moved = table.seen(Self.wide(Self.far[0], [198, 51, 1, 9], sequence: 2), at: Self.now)
        #expect(!moved)
        #expect(table.record(of: Self.far[0].publicKey)?.endpoint.address == [198, 51, 0, 0])
        let elsewhere = table.seen(Self.wide(Self.far[0], [198, 51, 2, 9], sequence: 2), at: Self.now)
        #expect(elsewhere && table.record(of: Self.far[0].publicKey)?.endpoint.address == [198, 51, 2, 9])
    }

    @Test func loopbackHasNoPrefixLimits() {
        var table = RoutingTable(own: Self.own)
        for node in Self.nodes { table.seen(Self.loopback(node.key), at: Self.now) }
        let expected = Dictionary(grouping: Self.nodes, by: \.bucket).values
            .reduce(0) { $0 + min($1.count, RoutingTable.bucketSize) }
        #expect(table.count == expected && expected > RoutingTable.prefixPerTable)
    }

    @Test func theNearestComeInOrderOfTheirDistance() {
        var table = RoutingTable(own: Self.own)
        for node in Self.nodes { table.seen(Self.loopback(node.key), at: Self.now) }
        for index in 0..<20 {
            let target = Actors.digest(index)
            let distance: (PublicKey) -> [UInt8] = {
                zip(RoutingTable.place(of: $0).bytes, target.bytes).map { $0 ^ $1 }
            }
            let expected = table.entries.map(\.record.identity)
                .sorted { distance($0).lexicographicallyPrecedes(distance($1)) }
            #expect(table.nearest(to: target, count: 16).map(\.identity) == Array(expected.prefix(16)))
        }
        #expect(table.nearest(to: .zero, count: 10_000).count == table.count)
    }
}
