public import Ledger

/// What is assumed of the world around the chain, and how much is simulated.
public struct MarketSettings: Sendable {
    /// Jobs of honest requesters, over all markets.
    public var jobs = 10_000
    /// Markets that know nothing of each other, each begun anew: what is told of a mean comes of their differences.
    public var markets = 20
    public var seed: UInt64 = 1
    /// The purses of each market.
    public var cast = MarketSettings.everybody
    /// The rules of the chain.
    public var parameters = MarketSettings.rules
    /// How jobs are checked, each as often as it stands here.
    public var policies: [AuditPolicy] = [
        .sampled(perMille: 50), .sampled(perMille: 50), .sampled(perMille: 50), .sampled(perMille: 50),
        .sampled(perMille: 200), .sampled(perMille: 200), .sampled(perMille: 200),
        .audited, .audited, .replicated(count: 2),
    ]

    // Money, in XPL
    /// What the smallest job costs at the market's price; the largest is four times as large.
    public var smallestPrice = 0.5
    /// What a provider spends to run a job, of the market's price.
    public var costShare = 0.7
    /// What a requester pays at most, of the market's price, and what a right result is worth to it. A wrong one is worth nothing.
    public var ceilingShare = 1.25
    public var valueShare = 2.0
    /// What somebody outside gives for a lie that is paid for, of the market's price.
    public var gainShare = 0.5
    /// What each provider's purse puts at stake, and what it keeps besides.
    public var bond: UInt64 = 300
    public var liquid: UInt64 = 100

    // Behaviour, in thousandths
    /// Jobs that liars, rings and sybils lie about.
    public var liePerMille: UInt64 = 500
    /// Jobs whose inputs are those of an earlier job.
    public var repeatPerMille: UInt64 = 50
    /// Jobs that a silent provider leaves, and opened results that a false challenger challenges.
    public var silencePerMille: UInt64 = 300
    public var challengePerMille: UInt64 = 20
    /// What a cheap liar asks, of the market's price.
    public var cheapPerMille: UInt64 = 50
    /// Blocks, of a thousand, in which a griefing requester posts a job.
    public var griefPerMille: UInt64 = 100

    // The chain
    public var blockMilliseconds: UInt64 = 1000
    /// Jobs at a time, of each provider's one machine.
    public var capacity: UInt16 = 4
    /// How long the smallest job runs.
    public var smallestMilliseconds: UInt64 = 1000

    public init() {}

    /// The default ones, but that devices are what they say: agents have no machines.
    private static var rules: ChainParameters {
        var rules = ChainParameters()
        rules.deviceChallengeInterval = 0
        return rules
    }

    /// Everybody at once: 31 purses with equal bonds, of which a ring has a third.
    public static let everybody: [MarketStrategy: Int] = [
        .honest: 10, .ring: 10, .liar: 2, .lazyProvider: 1, .lazyAuditor: 1, .sybil: 1, .newcomers: 1, .washTrader: 1,
        .dearWashTrader: 1, .silentProvider: 1, .falseAuditor: 1, .falseChallenger: 1, .requester: 4,
        .cancellingRequester: 1,
        .unrunnableRequester: 1,
    ]

    /// One dishonest strategy with a third of all bonds, or a requester, among honest ones.
    public static func alone(_ strategy: MarketStrategy) -> [MarketStrategy: Int] {
        if strategy.isHonest { return [.honest: 30, .requester: 4] }
        if strategy.isRequester { return [.honest: 30, .requester: 4, strategy: 1] }
        return [.honest: 20, strategy: 10, .requester: 4]
    }

    /// What a machine has, and what an ordinary job needs.
    static let memory: UInt64 = 1 << 30

    /// One in a row's place of `strategy`, so that each run has the same order.
    var players: [MarketStrategy] {
        MarketStrategy.allCases.flatMap { [MarketStrategy](repeating: $0, count: cast[$0] ?? 0) }
    }
}
