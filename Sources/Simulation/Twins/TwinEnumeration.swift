/// Every scenario of four validators, one of them twice, over three views, one of each kind that differ by names alone.
///
/// A view has 4 leaders and B(5) = 52 partitions of its five nodes: 208 rounds, 208³ = 8,998,912 scenarios. The three honest validators may be
/// renamed (6 ways) and the two halves of the twin exchanged (2 ways), in all views alike. Of the scenarios that these 12 renamings carry into one
/// another only the first in order is kept.
public struct TwinEnumeration: Sendable {
    public static let validators = 4
    public static let views = 3

    /// In order: by leader, then by partition.
    public let rounds: [TwinScenario.Round]
    /// For each renaming, the round that each round becomes.
    let images: [[Int]]
    /// The kept scenarios as numbers with three digits in base `rounds.count`, ascending.
    public let representatives: [UInt32]

    public init() {
        let partitions = TwinEnumeration.partitions(of: TwinEnumeration.validators + 1)
        var rounds: [TwinScenario.Round] = []
        for leader in 0..<TwinEnumeration.validators {
            for parts in partitions { rounds.append(TwinScenario.Round(leader: leader, parts: parts)) }
        }
        var places: [TwinScenario.Round: Int] = [:]
        for (place, round) in rounds.enumerated() { places[round] = place }
        self.rounds = rounds
        images = TwinEnumeration.renamings.map { names in
            rounds.map { round in
                var parts = round.parts
                for (node, part) in round.parts.enumerated() { parts[names[node]] = part }
                // Both halves of the twin are validator 0.
                let leader = round.leader == 0 ? 0 : names[round.leader]
                guard let place = places[TwinScenario.Round(leader: leader, parts: parts)] else {
                    preconditionFailure("a renamed round is a round")
                }
                return place
            }
        }
        representatives = TwinEnumeration.first(of: images, count: rounds.count)
    }

    /// All scenarios, those that differ by names alone counted each.
    public var rawCount: Int { rounds.count * rounds.count * rounds.count }

    /// How many kinds there must be by Burnside's lemma: the mean, over the renamings, of the scenarios that each leaves as they are.
    public var expectedCount: Int {
        let fixed = images.map { image in image.indices.filter { image[$0] == $0 }.count }
        return fixed.reduce(0) { $0 + $1 * $1 * $1 } / images.count
    }

    public func scenario(_ number: UInt32) -> TwinScenario {
        let base = UInt32(rounds.count)
        let digits = [number / base / base, number / base % base, number % base]
        guard
            let scenario = TwinScenario(
                validators: TwinEnumeration.validators, twins: 1, rounds: digits.map { rounds[Int($0)] })
        else { preconditionFailure("the rounds are of five nodes") }
        return scenario
    }

    /// All partitions of so many nodes, as lists of parts numbered in order of appearance.
    static func partitions(of count: Int) -> [[UInt8]] {
        var partitions: [[UInt8]] = [[]]
        for _ in 0..<count {
            partitions = partitions.flatMap { parts in
                let next = (parts.max().map { Int($0) } ?? -1) + 1
                return (0...next).map { parts + [UInt8($0)] }
            }
        }
        return partitions
    }

    /// Node 0 and node 4 are the halves of the twin.
    private static var renamings: [[Int]] {
        let honest = [[1, 2, 3], [1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]]
        return honest.flatMap { [[0] + $0 + [4], [4] + $0 + [0]] }
    }

    /// A scenario is the first of its kind if no renaming makes a smaller one of it; compared digit by digit, with the renamings that
    /// leave the digits before as they are.
    private static func first(of images: [[Int]], count: Int) -> [UInt32] {
        var kept: [UInt32] = []
        for a in 0..<count where images.allSatisfy({ $0[a] >= a }) {
            let keepingA = images.filter { $0[a] == a }
            for b in 0..<count where keepingA.allSatisfy({ $0[b] >= b }) {
                let keepingBoth = keepingA.filter { $0[b] == b }
                for c in 0..<count where keepingBoth.allSatisfy({ $0[c] >= c }) {
                    kept.append(UInt32((a * count + b) * count + c))
                }
            }
        }
        return kept
    }
}
