public import Ledger
public import Primitives

/// What a simulation of the market came to. Floating point is for people: nothing on the chain knows of it.
public struct MarketReport: Sendable {
    public enum Verdict: String, Sendable {
        /// The whole interval of the difference to honest purses lies below zero.
        case below
        case notToldApart = "not told apart"
        case above
    }

    /// One strategy.
    public struct Row: Sendable {
        public let strategy: MarketStrategy
        /// Of each market.
        public let purses: Int
        /// XPL for a purse, of a thousand jobs posted on its market.
        public let profit: MarketEstimate
        /// The same less what an honest provider's purse of the same market got; of a requester, less nothing.
        public let difference: MarketEstimate
        /// Nil for the honest.
        public let verdict: Verdict?
        /// Sums over all purses and markets.
        public let counts: [(name: String, count: Int)]
        /// What it spent on running jobs and what it got outside the chain, in XPL, over all purses and markets.
        public let cost: Double
        public let gain: Double
        /// What a lie that is paid for must bring from outside, in prices, for this strategy to do as well as the honest; nil where it lied too seldom to say.
        public let gainToPay: MarketEstimate?

        /// Whether it speaks against the rules.
        public var isUnsound: Bool { verdict != nil && verdict != .below && !strategy.isBorne }
    }

    /// What became of lies under one policy.
    public struct LieRow: Sendable {
        public let strategy: MarketStrategy
        public let policy: AuditPolicy
        public let told: Int
        public let convicted: Int
        public let paid: Int
    }

    public let seed: UInt64
    public let jobs: Int
    public let markets: Int
    /// Over all blocks and states.
    public let digest: Digest
    public let rows: [Row]
    public let lies: [LieRow]
    /// How jobs ended, all that anybody posted.
    public let states: [String: Int]
    public let blocks: Int
    public let transactions: Int
    /// Transactions that failed on chain, by why.
    public let failures: [String: Int]
    /// Where money was not what it must be.
    public let violations: [String]
    /// The most by which a bond was below what jobs held of it, in XPL.
    public let mostUncovered: Double
    public let burned: Double
    /// What was assumed that somebody outside gives for a lie, in prices.
    public let gainShare: Double

    /// Whether every dishonest strategy does worse than the honest, those apart that are borne, and no money was wrong.
    public var isSound: Bool { violations.isEmpty && !rows.contains { $0.isUnsound } }

    init(_ settings: MarketSettings, _ outcomes: [MarketOutcome]) {
        seed = settings.seed
        gainShare = settings.gainShare
        jobs = outcomes.reduce(0) { $0 + $1.jobs }
        markets = outcomes.count
        digest = outcomes.reduce(.zero) { Digest.of(Domain("sim.markets"), $0, $1.digest) }
        let thousands = outcomes.map { Double(max(1, $0.jobs)) / 1000 }
        func means(_ strategy: MarketStrategy) -> [Double] {
            zip(outcomes, thousands).map { outcome, thousand in
                let found = outcome.purses.filter { $0.strategy == strategy }
                return found.reduce(0) { $0 + $1.profit } / Double(max(1, found.count)) / thousand
            }
        }
        let honest = means(.honest)
        rows = MarketStrategy.allCases.compactMap { strategy in
            let number = settings.cast[strategy] ?? 0
            if number == 0 { return nil }
            let own = means(strategy)
            // A requester that has no use for a result might as well stay away, and have nothing.
            let difference = strategy.isRequester ? own : zip(own, honest).map { $0 - $1 }
            let purses = outcomes.flatMap(\.purses).filter { $0.strategy == strategy }
            let tally = purses.reduce(MarketTally()) { $0 + $1.tally }
            // What lies were worth at the market's price, a purse and a thousand jobs: profit grows by this for each price that somebody gives for a lie.
            let sold = zip(outcomes, thousands).map { outcome, thousand in
                outcome.lies.reduce(0) { $0 + ($1.strategy == strategy && $1.isPaid ? $1.worth : 0) } / Double(number)
                    / thousand
            }
            return Row(
                strategy: strategy, purses: number, profit: MarketEstimate(own),
                difference: MarketEstimate(difference),
                verdict: strategy.isHonest ? nil : MarketReport.verdict(MarketEstimate(difference)),
                counts: tally.named, cost: tally.cost, gain: tally.gain,
                gainToPay: strategy.sellsLies
                    ? MarketReport.gainToPay(difference, sold, already: settings.gainShare) : nil)
        }
        lies = MarketReport.lies(outcomes)
        states = outcomes.reduce(into: [:]) { $0.merge($1.states, uniquingKeysWith: +) }
        blocks = outcomes.reduce(0) { $0 + $1.blocks }
        transactions = outcomes.reduce(0) { $0 + $1.transactions }
        failures = outcomes.reduce(into: [:]) { $0.merge($1.failures, uniquingKeysWith: +) }
        violations = outcomes.enumerated().flatMap { number, outcome in
            outcome.violations.map { "market \(number), \($0)" }
        }
        mostUncovered = outcomes.map(\.mostUncovered).max() ?? 0
        burned = outcomes.reduce(0) { $0 + $1.burned }
    }

    private static func verdict(_ difference: MarketEstimate) -> Verdict {
        difference.high < 0 ? .below : difference.low > 0 ? .above : .notToldApart
    }

    /// The gain at which the difference is zero: the ratio of two sums, with the interval of the residuals of its numerator.
    private static func gainToPay(_ difference: [Double], _ sold: [Double], already: Double) -> MarketEstimate? {
        let all = sold.reduce(0, +) / Double(max(1, sold.count))
        if all <= 0 || sold.count < 2 { return nil }
        let ratio = -(difference.reduce(0, +) / Double(difference.count)) / all
        let residuals = zip(difference, sold).map { -($0 + ratio * $1) / all }
        let spread = MarketEstimate(residuals)
        return MarketEstimate(mean: already + ratio, halfWidth: spread.halfWidth, count: sold.count)
    }

    private static func lies(_ outcomes: [MarketOutcome]) -> [LieRow] {
        struct Kind: Hashable {
            let strategy: MarketStrategy
            let policy: AuditPolicy
        }
        let all = Dictionary(grouping: outcomes.flatMap(\.lies)) { Kind(strategy: $0.strategy, policy: $0.policy) }
        return all.map { kind, lies in
            LieRow(
                strategy: kind.strategy, policy: kind.policy, told: lies.count,
                convicted: lies.count(where: \.isConvicted),
                paid: lies.count(where: \.isPaid))
        }.sorted {
            ($0.strategy.rawValue, $0.policy.perMille, $0.policy.auditors)
                < ($1.strategy.rawValue, $1.policy.perMille, $1.policy.auditors)
        }
    }
}

extension MarketTally {
    /// With the names that they have in a report; those that are zero left out.
    var named: [(name: String, count: Int)] {
        [
            ("assigned", assigned), ("settled", settled), ("audits", audits), ("auditsNotRun", unworked),
            ("lies", lies), ("liesPaid", deceived), ("convicted", convicted), ("disputesWon", wonDisputes),
            ("disputesLost", lostDisputes), ("left", missed), ("declined", declined), ("posted", posted),
            ("answered", answered), ("wronged", wronged),
        ].filter { $0.1 > 0 }.map { (name: $0.0, count: $0.1) }
    }
}
