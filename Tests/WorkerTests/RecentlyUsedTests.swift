import Testing
import Worker

@Suite struct RecentlyUsedTests {
    private var cache: RecentlyUsed<Int, String> { RecentlyUsed(maximumCount: 3, maximumBytes: 100) }

    @Test func theOneThatWasUsedLongestAgoGoes() {
        var cache = cache
        for key in 1...3 { cache.keep("\(key)", for: key, bytes: 1) }
        let used = cache.value(for: 1)
        #expect(used == "1")
        cache.keep("4", for: 4, bytes: 1)
        let found = (1...4).map { cache.value(for: $0) }
        #expect(found == ["1", nil, "3", "4"])
        #expect(cache.count == 3)
    }

    @Test func bytesAreBoundedToo() {
        var cache = cache
        cache.keep("a", for: 1, bytes: 60)
        cache.keep("b", for: 2, bytes: 40)
        #expect(cache.count == 2)
        #expect(cache.bytes == 100)
        cache.keep("c", for: 3, bytes: 61)
        let found = (1...3).map { cache.value(for: $0) }
        #expect(found == [nil, nil, "c"])
        #expect(cache.bytes == 61)
    }

    @Test func whatIsAboveTheBoundAloneIsNotKeptAndPutsNothingOut() {
        var cache = cache
        cache.keep("a", for: 1, bytes: 60)
        cache.keep("b", for: 2, bytes: 101)
        let found = (1...2).map { cache.value(for: $0) }
        #expect(found == ["a", nil])
        cache.keep("c", for: 3, bytes: .max)
        #expect(cache.count == 1)
        cache.keep("d", for: 4, bytes: 100)
        #expect(cache.count == 1)
    }

    @Test func aKeyIsKeptOnce() {
        var cache = cache
        cache.keep("a", for: 1, bytes: 60)
        cache.keep("b", for: 1, bytes: 70)
        let found = cache.value(for: 1)
        #expect(found == "b")
        #expect(cache.bytes == 70)
    }
}
