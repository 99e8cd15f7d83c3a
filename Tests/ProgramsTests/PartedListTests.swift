import Primitives
import Programs
import Testing

/// Lists of tensors under one root, parted in other ways than the steps that gave them out.
@Suite struct PartedListTests {
    private static func list(_ counts: [Int]) -> [[Digest]] {
        var next = 0
        return counts.map { count in
            (0..<count).map { _ in
                next += 1
                return Digest.of(Domain("parted"), [UInt8(next)])
            }
        }
    }

    /// All ways in which a list can be parted into steps, by the number of tensors in each.
    private static func ways(_ count: Int) -> [[Int]] {
        if count == 0 { return [[]] }
        return (1...count).flatMap { first in ways(count - first).map { [first] + $0 } }
    }

    /// Of all ways to part up to eight tensors: those that share a root and a number of steps are one, and each is found from every other under its root.
    @Test func theNumberOfStepsSaysHowAListIsParted() {
        for count in 1...8 {
            var byRoot: [Digest: [[[Digest]]]] = [:]
            for way in Self.ways(count) {
                let list = Self.list(way)
                byRoot[ResultRoots.outputRoot(list), default: []].append(list)
            }
            for lists in byRoot.values {
                #expect(Set(lists.map(\.count)).count == lists.count)
                for steps in lists {
                    for list in lists { #expect(ResultRoots.parted(list, into: UInt64(steps.count)) == steps) }
                }
            }
        }
    }

    @Test func aNumberOfStepsThatNoListUnderTheRootHasIsRefused() {
        let list = Self.list([3, 1, 2])
        for count in [0, 1, 2, 4, 5, 6, 7, 1 << 20, UInt64.max] {
            #expect(ResultRoots.parted(list, into: count) == nil)
        }
        #expect(ResultRoots.parted(list, into: 3) == list)
        #expect(ResultRoots.parted([], into: 0) == [])
        #expect(ResultRoots.parted([], into: 1) == nil)
    }
}
