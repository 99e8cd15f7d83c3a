import Ledger
import Primitives
import Replica
import Testing

/// What a node that prunes may throw away.
@Suite struct BlockRetentionTests {
    private let day: UInt64 = 86_400_000
    private let start = Instant(nanoseconds: 5_000_000_000)

    private func tip(_ height: UInt64, _ time: UInt64 = 0) throws -> Header {
        var header = try ReplicaNetwork().genesis.header
        header.height = Height(height)
        header.time = Timestamp(milliseconds: time)
        return header
    }

    private func peer(_ index: Int) throws -> PublicKey {
        try PublicKey(bytes: Digest.of(Domain("test.peer"), [UInt8(index & 255), UInt8(index >> 8)]).bytes)
    }

    private func bound(_ retention: inout BlockRetention, _ tip: Header, after seconds: Int64 = 0) -> Height? {
        retention.bound(tip: tip, at: start.adding(.seconds(seconds))) { Timestamp(milliseconds: $0.value * 1_000) }
    }

    @Test func anArchiveKeepsAll() throws {
        var retention = BlockRetention(.archive)
        #expect(try !retention.isDue(tip(256)))
        #expect(try bound(&retention, tip(1 << 40)) == nil)
    }

    @Test func soManyBlocksAreKept() throws {
        var retention = BlockRetention(.blocks(2_000))
        #expect(try retention.isDue(tip(512)) && !retention.isDue(tip(513)))
        #expect(try bound(&retention, tip(2_000)) == nil)
        #expect(try bound(&retention, tip(2_001)) == 1)
        #expect(try bound(&retention, tip(10_000)) == 8_000)
    }

    /// A block a second: the first that is not older than two days, but never one of the last 1,024.
    @Test func soManyDaysAreKept() throws {
        var retention = BlockRetention(.days(2))
        let height: UInt64 = 1_000_000
        #expect(try bound(&retention, tip(height, height * 1_000)) == Height(height - 2 * 86_400))
        // After a halt of ten years all is old.
        #expect(try bound(&retention, tip(height, height * 1_000 + 3_650 * day)) == Height(height - 1_024))
        #expect(try bound(&retention, tip(1_024, 4_000 * day)) == nil)
        #expect(try bound(&retention, tip(height, day)) == nil)
    }

    @Test func blocksThatAreGoneCountAsOld() throws {
        var retention = BlockRetention(.days(1))
        let found = try retention.bound(tip: tip(200_000, 200_000_000), at: start) {
            $0.value < 150_000 ? nil : Timestamp(milliseconds: $0.value * 1_000)
        }
        #expect(found == 150_000)
    }

    @Test func aPeerFindsTheRowsBehindTheOneItWasGiven() throws {
        var retention = BlockRetention(.blocks(2_000))
        retention.served(try peer(1), upTo: 65, at: start)
        retention.served(try peer(2), upTo: 9_000, at: start)
        #expect(try bound(&retention, tip(10_000)) == 65)
        // It goes on: the promise goes with it.
        retention.served(try peer(1), upTo: 5_000, at: start.adding(.seconds(300)))
        #expect(try bound(&retention, tip(10_000), after: 601) == 5_000)
        // It has stayed away for ten minutes.
        #expect(try bound(&retention, tip(10_000), after: 900) == 8_000)
    }

    @Test func promisesAreBounded() throws {
        var retention = BlockRetention(.blocks(2_000))
        for index in 0..<BlockRetention.maximumPromises {
            retention.served(try peer(index), upTo: 7_000, at: start)
        }
        retention.served(try peer(3_000), upTo: 10, at: start)
        #expect(try bound(&retention, tip(10_000)) == 7_000)
        // Who holds one keeps it, and old ones make room.
        retention.served(try peer(0), upTo: 6_000, at: start.adding(.seconds(1)))
        #expect(try bound(&retention, tip(10_000)) == 6_000)
        retention.served(try peer(3_000), upTo: 10, at: start.adding(.seconds(600)))
        #expect(try bound(&retention, tip(10_000), after: 600) == 10)
    }
}
