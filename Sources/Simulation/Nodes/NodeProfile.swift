public import Primitives

/// The trouble that a network of whole nodes is put through.
public struct NodeProfile: Sendable {
    /// Validators.
    public var nodes: Int
    /// Nodes that follow and pass on what they hear.
    public var followers = 0

    // The network. Chances in thousandths.
    public var loss: UInt64 = 0
    public var duplication: UInt64 = 0
    /// Chance that a link is down, each direction by itself, for one second.
    public var partition: UInt64 = 0
    /// Chance a second that the network falls into two parts for a second up to so many milliseconds, other ones each time.
    public var split: UInt64 = 0
    public var longestSplit: Int64 = 4_000
    /// Nodes know one address each at first and find the rest by themselves; else everyone is connected to everyone.
    public var discovers = false
    /// Milliseconds.
    public var delay: ClosedRange<Int64> = 1...20
    /// Nodes stand in ten regions and messages take as long as light in a cable; `delay` comes on top.
    public var regions = false

    // The nodes. Chances of each node in each second, in thousandths, but for `crash`.
    /// Chance of a crash at a write, a sync or a send, in millionths.
    public var crash: UInt64 = 0
    public var pause: UInt64 = 0
    public var wipe: UInt64 = 0
    public var slowDisk: UInt64 = 0
    public var readError: UInt64 = 0
    public var fullDisk: UInt64 = 0
    public var clockJump: UInt64 = 0
    /// Milliseconds by which wall clocks are off at most.
    public var skew: Int64 = 50
    /// Parts in a million by which monotonic clocks run wrong at most.
    public var drift: Int64 = 100
    /// Validators that lie, from the first on.
    public var actors: [NodeActor] = []
    /// One crash, at exactly this of all places where one can come, taking everything that is not synced.
    public var crashAtBoundary: Int?

    /// Mean milliseconds between two transactions that clients submit; zero for none.
    public var submissionInterval: UInt64 = 60
    public var accounts = 12
    // The market. Without providers there is none.
    public var providers = 0
    public var requesters = 2
    /// Mean milliseconds between two jobs.
    public var jobInterval: UInt64 = 1_000
    /// Who does not keep to its rules: providers from the first on, and requesters.
    public var marketActors: [MarketActor] = []
    /// What lying providers say to challengers that ask them without the chain; nil: another thing in each job.
    public var liarsWord: LiarsWord?
    /// Chance that a provider does not hear that the state has changed, in thousandths.
    public var droppedLooks: UInt64 = 0
    /// Chance a second that a provider's process begins anew, in thousandths.
    public var providerRestart: UInt64 = 0
    /// The engines' Δ.
    public var delta = Interval.milliseconds(100)

    /// Views that every honest node is to finalize under trouble.
    public var views: UInt64 = 25
    /// Heights of an epoch. Short ones jail nobody, however long it is away.
    public var epochLength: UInt64 = 16
    /// When the trouble ends at the latest; it ends before where the views were reached.
    public var healsAt = Interval.seconds(150)
    /// How long the network is watched after that.
    public var aftermath = Interval.seconds(14)
    /// Within this of the healing every honest node sees a new final block.
    public var bound = Interval.seconds(13)

    public init(nodes: Int = 4) { self.nodes = nodes }

    /// Whether nothing goes wrong but for what actors on the market do.
    var isCalm: Bool {
        [
            loss, partition, split, crash, pause, wipe, slowDisk, readError, fullDisk, clockJump, droppedLooks,
            providerRestart,
        ].allSatisfy { $0 == 0 } && actors.isEmpty && crashAtBoundary == nil
    }

    /// What `named` knows, with a word on each.
    public static let names: [(name: String, what: String)] = [
        ("quiet", "nothing goes wrong"), ("lossy", "six of ten messages are lost, two of ten doubled"),
        ("partition", "links fail one way, the network falls apart into two, other parts each time; clocks jump"),
        (
            "crash",
            "nodes crash at any write, sync or send; disks are slow, full, unreadable or gone; processes stand still"
        ),
        ("byzantine", "as many validators lie as the network bears, each in its own way"),
        ("wan", "ten regions, light in cables, clocks 400 ms off"),
        ("chaos", "all of it, and a liar"),
        (
            "market",
            "jobs among providers that lie, are lazy or vanish, whose processes begin anew and miss half of what they are told"
        ),
        ("market-chaos", "the same in chaos"),
    ]

    /// A profile of a name for so many validators, or nil.
    public static func named(_ name: String, nodes: Int, seed: UInt64) -> NodeProfile? {
        var profile = NodeProfile(nodes: nodes)
        profile.followers = nodes < 30 ? Int(seed % 2) : 0
        let bearable = max(0, (nodes - 1) / 3)
        /// Another row of actors for each seed.
        func actors(_ count: Int) -> [NodeActor] {
            let all = NodeActor.allCases
            return (0..<count).map { all[Int((seed &+ UInt64($0) &* 2) % UInt64(all.count))] }
        }
        // Real signatures on datagrams cost as much as all else: each fourth seed must do.
        profile.discovers = ["partition", "crash", "byzantine", "chaos"].contains(name) && seed % 4 == 1 && nodes <= 10
        switch name {
        case "quiet": break
        case "gossip":
            profile.discovers = true
            profile.loss = 330
            profile.split = 60
            profile.longestSplit = 15_000
            profile.crash = 100
            profile.delay = 1...40
        case "market": profile.trade(seed)
        case "market-chaos":
            guard let chaos = named("chaos", nodes: nodes, seed: seed) else { return nil }
            profile = chaos
            profile.trade(seed)
            return profile
        case "lossy":
            profile.loss = 600
            profile.duplication = 200
            profile.delay = 1...60
        case "partition":
            profile.loss = 50
            profile.partition = 200
            profile.split = 150
            profile.clockJump = 30
            profile.skew = 200
            profile.delay = 1...40
        case "crash":
            profile.crash = 800
            profile.loss = 20
            profile.pause = 30
            profile.wipe = 10
            profile.slowDisk = 50
            profile.readError = 40
            profile.fullDisk = 30
        case "byzantine":
            profile.actors = actors(bearable)
            profile.loss = 20
            profile.delay = 1...40
        case "wan":
            profile.regions = true
            profile.delay = 0...3
            profile.delta = .milliseconds(250)
            profile.skew = 400
        case "chaos":
            profile.loss = 150
            profile.duplication = 100
            profile.partition = 80
            profile.split = 50
            profile.crash = 200
            profile.pause = 20
            profile.wipe = 8
            profile.slowDisk = 30
            profile.readError = 20
            profile.fullDisk = 15
            profile.clockJump = 20
            profile.skew = 400
            profile.drift = 500
            profile.delay = 1...60
            profile.actors = actors(min(1, bearable))
        default: return nil
        }
        if seed % 3 == 0 { profile.epochLength = 1 << 32 }
        return profile
    }

    /// Adds a market: five honest providers, one or two actors, other ones for each seed, and none on every fifth seed.
    private mutating func trade(_ seed: UInt64) {
        let all = MarketActor.allCases
        if seed % 5 != 0 {
            marketActors = [all[Int(seed % UInt64(all.count))]]
            if seed % 2 == 1 { marketActors.append(all[Int((seed / 4) % UInt64(all.count))]) }
        }
        providers = 5 + marketActors.count(where: \.isProvider)
        droppedLooks = 500
        providerRestart = 20
        delay = 1...40
    }
}
