internal import Primitives

/// One run: a scenario and the seed of its delays.
public struct TwinCase: Hashable, Sendable {
    public let scenario: TwinScenario
    public let seed: UInt64

    public init(scenario: TwinScenario, seed: UInt64) {
        self.scenario = scenario
        self.seed = seed
    }
}

/// A numbered list of cases: all of four validators, some of them, or drawn ones of more.
public struct TwinCases: Sendable {
    public let count: Int
    public let seed: UInt64
    private let validators: Int
    private let enumeration: TwinEnumeration?
    /// Which of the enumeration's, in which order.
    private let chosen: [UInt32]

    /// Without a count, every scenario of four validators. With one, so many of them, each at most once and in an order drawn from the seed, then
    /// drawn ones. Nil where `validators` bear no twin or there is no end to draw to.
    public init?(validators: Int, count: Int?, seed: UInt64) {
        let bearable = (validators - 1) / 3
        guard bearable >= 1, validators + bearable <= TwinScenario.maximumNodes else { return nil }
        self.validators = validators
        self.seed = seed
        if validators == TwinEnumeration.validators {
            let enumeration = TwinEnumeration()
            self.enumeration = enumeration
            var chosen = enumeration.representatives
            if let count, count < chosen.count {
                var random = SplitMix64(seed: seed)
                for place in 0..<count {
                    chosen.swapAt(place, place + Int(random.next() % UInt64(chosen.count - place)))
                }
                chosen.removeLast(chosen.count - count)
            }
            self.chosen = chosen
            self.count = count ?? chosen.count
        } else {
            guard let count else { return nil }
            enumeration = nil
            chosen = []
            self.count = count
        }
    }

    /// Case `number`, the same however many others are asked for.
    public subscript(number: Int) -> TwinCase {
        var random = SplitMix64(seed: seed &+ UInt64(number) &* 0xD134_2543_DE82_EF95)
        let own = random.next()
        if let enumeration, number < chosen.count {
            return TwinCase(scenario: enumeration.scenario(chosen[number]), seed: own)
        }
        return TwinCase(scenario: TwinCases.draw(validators: validators, &random), seed: own)
    }

    /// One to f twins. Partitions that can matter are drawn more often: few parts, the halves of a twin apart, a twin leading.
    private static func draw(validators: Int, _ random: inout SplitMix64) -> TwinScenario {
        let bearable = UInt64((validators - 1) / 3)
        let twins = Int(random.next() % bearable) + 1
        var rounds: [TwinScenario.Round] = []
        for _ in 0..<TwinEnumeration.views {
            let leads = random.next() % 2 == 0 ? UInt64(twins) : UInt64(validators)
            let leader = Int(random.next() % leads)
            let partCounts: [UInt64] = [1, 2, 2, 2, 2, 3, 3, UInt64(validators + twins)]
            let partCount = partCounts[Int(random.next() % UInt64(partCounts.count))]
            var parts = (0..<validators + twins).map { _ in UInt8(random.next() % partCount) }
            if random.next() % 2 == 0 {
                for twin in 0..<twins {
                    parts[twin] = 0
                    parts[validators + twin] = 1
                }
            }
            rounds.append(TwinScenario.Round(leader: leader, parts: parts))
        }
        guard let scenario = TwinScenario(validators: validators, twins: twins, rounds: rounds) else {
            preconditionFailure("the parts are drawn for these nodes")
        }
        return scenario
    }
}
