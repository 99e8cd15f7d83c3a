import Gossip
import Primitives
import Testing

@Suite struct RelayQueueTests {
    private static func at(_ milliseconds: Int64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }
    private static func place(_ epoch: UInt64, _ view: UInt64) -> ChainPlace {
        ChainPlace(epoch: Epoch(epoch), view: View(view))
    }

    /// Each follower passed on each vote at once, to everyone: nearly all that nodes said to one another had been heard before.
    @Test func whatTheChainHasLeftBehindIsNotPassedOn() {
        var queue = RelayQueue<String>()
        #expect(queue.due == nil)
        queue.hold("vote of view 7", bytes: 100, until: Self.place(1, 7), at: Self.at(0))
        queue.hold("finalization of view 7", bytes: 100, until: Self.place(1, 8), at: Self.at(1))
        queue.hold("vote of view 8", bytes: 100, until: Self.place(1, 8), at: Self.at(2))
        queue.hold("vote of view 9", bytes: 100, until: Self.place(1, 9), at: Self.at(150))
        #expect(queue.due == Self.at(100))
        let early = queue.take(at: Self.at(99), final: Self.place(1, 6))
        #expect(early.isEmpty)
        let later = queue.take(at: Self.at(149), final: Self.place(1, 7))
        #expect(later == ["finalization of view 7", "vote of view 8"])
        #expect(queue.due == Self.at(250))
        let last = queue.take(at: Self.at(250), final: Self.place(2, 1))
        #expect(last.isEmpty && queue.due == nil)
    }

    @Test func whereNothingBecomesFinalAllIsPassedOnInItsOrder() {
        var queue = RelayQueue<Int>()
        for number in 0..<1_000 {
            queue.hold(number, bytes: 10, until: Self.place(0, 5), at: Self.at(Int64(number)))
        }
        var passed: [Int] = []
        for time in stride(from: 0, through: 1_200, by: 7) as StrideThrough<Int64> {
            passed += queue.take(at: Self.at(time), final: Self.place(0, 4))
        }
        #expect(passed == Array(0..<1_000))
    }

    @Test func itsMemoryIsBounded() {
        var queue = RelayQueue<Int>()
        let large = RelayQueue<Int>.maximumBytes / 4
        for number in 0..<10 { queue.hold(number, bytes: large, until: Self.place(0, 5), at: Self.at(0)) }
        let kept = queue.take(at: Self.at(100), final: Self.place(0, 0))
        #expect(kept == [0, 1, 2, 3])
        queue.hold(10, bytes: large, until: Self.place(0, 5), at: Self.at(100))
        let next = queue.take(at: Self.at(200), final: Self.place(0, 0))
        #expect(next == [10])
    }
}
