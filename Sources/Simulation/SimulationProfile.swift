public import Primitives

/// The trouble that a network is put through.
public struct SimulationProfile: Sendable {
    public var nodes: Int
    /// In thousandths.
    public var loss: UInt64
    public var duplication: UInt64
    /// Chance of a crash of some node at a step, in millionths.
    public var crash: UInt64
    /// Chance that a link is down, each direction by itself, for one second; in thousandths.
    public var partition: UInt64
    /// Milliseconds.
    public var delay: ClosedRange<Int64>
    /// Nodes stand in ten regions and messages take as long as light in a cable; `delay` comes on top.
    public var regions = false
    /// Milliseconds that the application takes for an answer.
    public var answer: ClosedRange<Int64>
    /// The engines' Δ.
    public var delta = Interval.milliseconds(50)
    /// There is never work: leaders put forward a payload a heartbeat, a second, after their turn began.
    public var isIdle = false
    /// Whether the first validator runs twice (a *twin*): two correct engines with one key, each with a part of the network, drawn anew every
    /// second. It equivocates in every way that correct engines can, and never heals.
    public var twin: Bool
    /// Validators that lie, from the first on.
    public var actors: [ByzantineActor] = []
    /// Whether each node has a clock of its own: anywhere to begin with, up to a twentieth fast or slow, leaping ahead now and then.
    public var clocks = false
    /// Chance that a node handles nothing for up to two seconds, drawn anew every second; in thousandths. What comes meanwhile waits.
    public var pause: UInt64 = 0
    /// Whether one honest node is slow: what comes to it, and what its application answers, is up to `slowness` late.
    public var slow = false
    static let slowness: ClosedRange<Int64> = 20...120
    /// Chance that a crash takes the whole journal, in thousandths: the node comes back as amnesiac, and counts as a fault until it votes again. No more
    /// are wiped at a time than the network bears beside those that lie.
    public var wipe: UInt64 = 0
    /// One crash, at exactly this of all outputs that nodes carry out, taking everything that is not synced.
    public var crashAtBoundary: Int?
    /// When loss, duplication and crashes end, so that liveness can be judged.
    public var healsAt: Interval
    public var ends: Interval
    /// Views that every honest node is to finalize under trouble. The network heals when they have, and at `healsAt` at the latest; it is then
    /// watched for `aftermath` more, and `ends` does not count.
    public var views: UInt64?
    public var aftermath = Interval.seconds(12)

    public init(
        nodes: Int = 4, loss: UInt64 = 0, duplication: UInt64 = 0, crash: UInt64 = 0, partition: UInt64 = 0,
        delay: ClosedRange<Int64> = 1...20, answer: ClosedRange<Int64> = 1...1, twin: Bool = false,
        healsAt: Interval = .seconds(20), ends: Interval = .seconds(40)
    ) {
        self.nodes = nodes
        self.loss = loss
        self.duplication = duplication
        self.crash = crash
        self.partition = partition
        self.delay = delay
        self.answer = answer
        self.twin = twin
        self.healsAt = healsAt
        self.ends = ends
    }

    /// What `named` knows, with a word on each.
    public static let names: [(name: String, what: String)] = [
        ("quiet", "nothing goes wrong"), ("steady", "the same, every message takes 50 ms"),
        ("heartbeat", "the same, and there is no work: a block a second"),
        ("lossy", "six of ten messages are lost, two of ten doubled"),
        ("partition", "a third of the links is down, each way by itself, drawn anew every second; slow applications"),
        ("crash", "nodes crash at any output and lose what was not synced"),
        ("wipe", "crashes, three of ten of which take the whole journal"),
        ("twin", "the first validator runs twice, each half before a part of the network"),
        ("byzantine", "as many validators lie as the network bears, each in its own way"),
        ("wan", "ten regions, light in cables"),
        (
            "chaos",
            "loss, duplicates, reorder, one-way partitions, crashes and a liar; clocks that differ, drift and leap, pauses, a slow node, lost journals"
        ),
    ]

    /// A profile of a name for so many nodes, or nil.
    public static func named(_ name: String, nodes: Int, seed: UInt64) -> SimulationProfile? {
        var profile = SimulationProfile(nodes: nodes, delay: 1...40)
        let bearable = max(0, (nodes - 1) / 3)
        /// As many actors as are bearable, another row of them for each seed.
        func actors(_ count: Int) -> [ByzantineActor] {
            let all = ByzantineActor.allCases
            return (0..<count).map { all[Int((seed &+ UInt64($0) &* 3) % UInt64(all.count))] }
        }
        switch name {
        case "quiet": profile.delay = 1...20
        case "steady", "heartbeat":
            profile.delay = 50...50
            profile.delta = .milliseconds(100)
            profile.isIdle = name == "heartbeat"
        case "lossy":
            profile.loss = 600
            profile.duplication = 200
            profile.delay = 1...60
        case "partition":
            profile.loss = 50
            profile.partition = 300
            profile.answer = 1...80
        case "crash":
            profile.crash = 500
            profile.loss = 50
        case "wipe":
            profile.crash = 300
            profile.loss = 50
            profile.wipe = 300
        case "twin":
            if bearable == 0 { return nil }
            profile.twin = true
            profile.loss = 50
        case "byzantine":
            profile.actors = actors(bearable)
            profile.loss = 20
        case "wan":
            profile.regions = true
            profile.delay = 0...3
            profile.delta = .milliseconds(250)
        case "chaos":
            profile.loss = 200
            profile.duplication = 200
            profile.partition = 150
            profile.crash = 100
            profile.delay = 1...60
            profile.actors = actors(min(1, bearable))
            profile.clocks = true
            profile.pause = 20
            profile.slow = true
            // Beside the liar only seven or more bear one that has forgotten its votes.
            profile.wipe = 200
        default: return nil
        }
        return profile
    }
}
