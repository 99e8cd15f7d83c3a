import Gossip
import Primitives
import Testing

@Suite struct SeenCacheTests {
    let start = Instant(nanoseconds: 0)

    @Test func aDigestIsNewOnce() {
        var cache = SeenCache(capacity: 10)
        for expected in [true, false, false] {
            let isNew = cache.insert(Actors.digest(1), at: start)
            #expect(isNew == expected)
        }
        #expect(cache.contains(Actors.digest(1)) && !cache.contains(Actors.digest(2)))
    }

    @Test(arguments: [1, 2, 100])
    func theLastCapacityAreRememberedAndNeverMoreThanTwice(capacity: Int) {
        var cache = SeenCache(capacity: capacity)
        let digests = (0..<10 * capacity).map { Actors.digest($0) }
        for index in digests.indices {
            let isNew = cache.insert(digests[index], at: start)
            #expect(isNew)
            let held = digests.map { cache.contains($0) }
            #expect(held[max(0, index - capacity + 1)...index].allSatisfy { $0 })
            #expect(held.count { $0 } <= 2 * capacity)
        }
    }

    @Test func aFloodOfOneDigestForgetsNothingElse() {
        var cache = SeenCache(capacity: 4)
        for index in 0..<4 { _ = cache.insert(Actors.digest(index), at: start) }
        for _ in 0..<1_000 {
            let isNew = cache.insert(Actors.digest(0), at: start)
            #expect(!isNew)
        }
        for index in 0..<4 { #expect(cache.contains(Actors.digest(index))) }
    }

    @Test func aDigestLastsForItsLifetimeAndIsForgottenAfterTwo() {
        var cache = SeenCache(capacity: 10, lifetime: .seconds(60))
        _ = cache.insert(Actors.digest(1), at: start)
        let after60 = cache.insert(Actors.digest(1), at: start.adding(.seconds(60)))
        #expect(!after60)
        _ = cache.insert(Actors.digest(2), at: start.adding(.seconds(61)))
        #expect(cache.contains(Actors.digest(1)))
        _ = cache.insert(Actors.digest(3), at: start.adding(.seconds(122)))
        #expect(!cache.contains(Actors.digest(1)) && cache.contains(Actors.digest(2)))
    }

    @Test func silenceForgetsToo() {
        var cache = SeenCache(capacity: 10, lifetime: .seconds(60))
        _ = cache.insert(Actors.digest(1), at: start)
        let isNew = cache.insert(Actors.digest(1), at: start.adding(.seconds(121)))
        #expect(isNew)
    }
}
