internal import Consensus
internal import Gossip
internal import Ledger
public import Primitives
internal import Replica
internal import Worker

/// What a run of whole nodes came to.
public struct NodeSimulationReport: Sendable {
    public let seed: UInt64
    /// Of every event in order.
    public let digest: Digest
    /// Highest finalized view, by node.
    public let finalized: [View]
    public let violations: [String]
    public let events: Int
    public let crashes: Int
    /// Whole disks lost.
    public let wipes: Int
    /// Processes that ended because their disk was full.
    public let fullDisks: Int
    /// Records that crashes cut through.
    public let tornRecords: Int
    /// Pieces of evidence that nodes gave.
    public let accusations: Int
    /// Transactions in final blocks, and the height of the highest.
    public let transactions: Int
    public let blocks: UInt64
    /// The newest epoch that a node has begun.
    public let epochs: UInt64
    /// Virtual time.
    public let elapsed: Interval
    /// Whether the views that were asked for were finalized by every honest node.
    public let reached: Bool
    /// Places where a crash could have come.
    public let boundaries: Int
    /// What each node waited for at the end.
    public let waiting: [String]
    /// Ed25519 checks, each counted once for the network.
    public let signatureChecks: Int
    package let market: JobOracle.Counts
    /// Sessions that began, counted on each side, and discovery's datagrams that were not lost: none where everyone is connected from the start.
    public let sessions: Int
    public let datagrams: Int
    /// Providers' processes that ended by themselves and came back.
    public let providerRestarts: Int
    /// Convictions by one transaction: a walk that the provider had signed, and two words for one thing.
    public let settledByTranscript: Int
    public let contradictions: Int

    /// Jobs on chain, and how they ended; of those that were paid, for a wrong result that nobody honest was drawn to audit.
    public var jobs: Int { market.jobs }
    public var settled: Int { market.settled }
    /// Disputes that ended with the provider's conviction, and with the challenger's.
    public var convicted: Int { market.convicted }
    public var acquitted: Int { market.acquitted }
    public var deceived: Int { market.deceived }
    public var traps: Int { market.traps }
    public var trapped: Int { market.trapped }
    public var jackpots: Int { market.jackpots }
    public var expired: Int { market.expired }
    public var cancelled: Int { market.cancelled }
    public var failed: Int { market.failed }
    /// Members of gangs that were placed, and jobs settled that read what others left.
    public var ganged: Int { market.ganged }
    public var children: Int { market.children }
    /// Claims of outputs that have ended, and those of them in which nobody could have one.
    public var claims: Int { market.claims }
    public var undelivered: Int { market.undelivered }
    /// Jobs that failed since nobody could have their inputs, and since two providers found their numbers slow.
    public var unavailable: Int { market.unavailable }
    public var slow: Int { market.slow }
    /// Checkpoints that others hold.
    public var held: Int { market.held }
    /// Whether the oracle knew the balances of all who trade to the base unit, to the end.
    public var isExact: Bool { market.isExact }
}

/// A network of whole nodes: real replicas over disks that forget what was not synced, in one thread and virtual time. Clients submit
/// transactions, messages are lost, doubled and delayed, processes crash between any two outputs, disks fail, clocks are wrong, some lie.
///
/// Each node's shell does what the real one does, in its order: all that came in is handed to the machine, blocks are written and synced, then
/// the journal, every eight blocks the state, then words are sent.
public struct NodeSimulation {
    enum Event {
        case word(Word, from: Int, link: UInt64)
        case peers(PeerEvent)
        case session(peer: Int, life: Int, isUp: Bool)
        /// A peer asks for blocks.
        case request(BlockRequest, id: UInt64, from: Int, life: Int)
        /// What came of a request: an answer, or the end of patience.
        case answer(id: UInt64, ReplicaInput)
        case verified(ReplicaInput)
        case timer
        /// A follower has kept something for long enough.
        case relay
        case wake
        case restart
        case submit
        case second
        /// A peer asks for blobs.
        case blobRequest([Digest], id: UInt64, from: Int, life: Int)
        /// What came of such a request.
        case blobs(id: UInt64, [BlobPart])
        case provider(Int, life: Int, ProviderEvent)
        /// A challenger asks a provider here for a reveal.
        case walkAsk(WalkAsk, id: UInt64, from: Int, life: Int)
        /// A requester posts a job; the last ones after the healing; one takes its job back.
        case order
        case lastOrder(Int, left: Int)
        case cancel(Payload, by: Int)
        /// A requester looks for what a result of its job has left.
        case claim(Digest, attempt: UInt32, by: Int)
        /// All have come up, and what the trouble has done is over.
        case calm
    }

    struct Scheduled {
        /// -1: the world's own.
        let node: Int
        let life: Int
        let event: Event
    }

    let seed: UInt64
    let profile: NodeProfile
    let genesis: Genesis
    var random: SplitMix64
    var queue = EventQueue<Scheduled>()
    var nodes: [SimulatedNode] = []
    let indexOfKey: [PublicKey: Int]
    let signatures = SignatureMemory()
    var load: TransferLoad
    var liars: [Int: (liar: any NodeLiar, context: NodeLiarContext)] = [:]
    let dishonest: Set<Int>
    var now = Instant(nanoseconds: 0)
    var finality: FinalityOracle
    var chain: ChainOracle
    let jobs: JobLoad
    var providers: [SimulatedProvider] = []
    var requesters: [SimulatedRequester] = []
    /// Jobs on whose numbers every machine is far slower than their cost says.
    var subnormalJobs: Set<Digest> = []
    /// Watches the market, where there is one.
    var market: JobOracle?
    var marketRandom: SplitMix64
    /// Whose balances the market's oracle follows.
    let followed: [Address]
    var lastOrdersLeft = 0
    /// The newest height whose books the market's oracle has seen.
    var marketHeight: Height = 0
    var providerRestarts = 0
    var settledByTranscript = 0
    var contradictions = 0
    var trace: Digest = .zero
    var events = 0
    var crashes = 0
    var wipes = 0
    var fullDisks = 0
    var tornRecords = 0
    var boundaries = 0
    var requests: UInt64 = 0
    /// Connections tried, sessions that stood on one side, datagrams that came across.
    var links: UInt64 = 0
    var sessionsBegun = 0
    var datagrams = 0
    /// Links that are down this second, by sender and receiver.
    var down: [Bool] = []
    /// The part that each node is in while the network is split.
    var sides: [Bool] = []
    var splitUntil = Instant(nanoseconds: 0)
    var healsAt: Instant
    var endsAt: Instant
    var healed = false
    var reached = false
    /// When each node first executed a block that nobody had when the network healed.
    var resumed: [Int: Interval] = [:]
    var heightAtHealing: Height = 0

    public init(seed: UInt64, profile: NodeProfile) throws {
        self.seed = seed
        self.profile = profile
        random = SplitMix64(seed: seed)
        marketRandom = SplitMix64(seed: seed ^ 0x6D61_726B_6574)
        load = TransferLoad(accounts: profile.accounts)
        jobs = try JobLoad()
        let count = profile.nodes + profile.followers
        let keys = try (0..<count).map { try SecretKey(seed: Digest.of(Domain("sim.node"), [UInt8($0)]).bytes) }
        let stake = Amount.xpl(1_000_000)
        let traders = try Traders(profile, seed: seed, dishonest: profile.actors.count)
        let accounts = load.accounts + traders.accounts
        var rest = try Genesis.totalSupply.subtracting(try stake.multiplied(by: UInt64(profile.nodes)))
        for account in accounts { rest = try rest.subtracting(account.balance) }
        var parameters = ChainParameters.devnet
        parameters.deltaMilliseconds = UInt64(profile.delta.milliseconds)
        parameters.heartbeatMilliseconds = 1_000
        parameters.epochLength = profile.epochLength
        parameters.epochMargin = 4
        // The oracle's books are of transfers alone; who is convicted loses its seat all the same.
        parameters.equivocationSlashPerMille = 0
        parameters.downtimeSlashPerMillion = 0
        parameters.inflationPerMille = 0
        parameters.inflationFloorPerMille = 0
        // A device is what it says, but where a market is.
        parameters.deviceChallengeInterval = 0
        if profile.providers > 0 { NodeSimulation.market(&parameters) }
        genesis = Genesis(
            chainName: "simulation", timestamp: Timestamp(milliseconds: 1_000_000), parameters: parameters,
            validators: keys.prefix(profile.nodes).map {
                Ledger.Validator(
                    consensusKey: $0.publicKey, vrfKey: $0.publicKey, stake: stake,
                    operatorAddress: $0.publicKey.address)
            }, accounts: accounts, treasury: rest)
        var indexOfKey: [PublicKey: Int] = [:]
        for (index, key) in keys.enumerated() { indexOfKey[key.publicKey] = index }
        self.indexOfKey = indexOfKey
        dishonest = Set(profile.actors.indices)
        finality = FinalityOracle(weights: [UInt64](repeating: 1, count: profile.nodes), dishonest: dishonest)
        // What a market's fees give the stakers comes to the operators.
        chain = ChainOracle(
            genesis: genesis,
            market: profile.providers > 0
                ? traders.addresses.union(genesis.validators.map(\.operatorAddress)) : [])
        providers = traders.providers
        requesters = traders.requesters
        followed = traders.followed
        if profile.providers > 0 {
            market = JobOracle(
                parameters: parameters, providers: traders.parties, requesters: traders.balances)
            market?.isCalm = profile.isCalm
        }
        healsAt = Instant(nanoseconds: profile.healsAt.nanoseconds)
        endsAt = Instant(nanoseconds: (profile.healsAt + profile.aftermath).nanoseconds)
        for (index, key) in keys.enumerated() {
            let clock = NodeClock(
                skew: drawSigned(profile.skew), drift: drawSigned(profile.drift), genesis: genesis.timestamp)
            nodes.append(
                SimulatedNode(
                    index: index, key: key, place: index < profile.nodes ? index : nil,
                    disk: try SimulatedDisk(genesis: genesis), clock: clock, nodes: count))
        }
        for (index, actor) in profile.actors.enumerated() {
            liars[index] = (
                actor.make(),
                NodeLiarContext(
                    own: index, place: UInt16(index), key: keys[index], network: genesis.digest,
                    parameters: parameters, peers: nodes.indices.filter { $0 != index },
                    random: SplitMix64(seed: seed &* 31 &+ UInt64(index)))
            )
        }
    }

    /// Runs to the end of the profile.
    public mutating func run() -> NodeSimulationReport {
        for index in nodes.indices { boot(index) }
        schedule(-1, after: .zero, .second)
        if profile.submissionInterval > 0 { schedule(-1, after: .milliseconds(50), .submit) }
        if !requesters.isEmpty { schedule(-1, after: .seconds(1), .order) }
        while let (at, next) = queue.popFirst(), at <= endsAt || isTrading(at) {
            now = at
            if !healed, now >= healsAt { heal() }
            take(next)
            healWhenReached()
        }
        chain.judgePromises()
        chain.judgeLife(
            nodes.filter { !dishonest.contains($0.index) }.map { node in
                ChainOracle.Ending(
                    node: node.index, height: node.process?.replica.executed.height ?? 0, resumed: resumed[node.index])
            }, within: profile.bound)
        market?.judgeEnd()
        return NodeSimulationReport(
            seed: seed, digest: trace, finalized: nodes.map(\.finalizedView),
            violations: finality.violations + chain.violations + (market?.violations ?? []), events: events,
            crashes: crashes, wipes: wipes,
            fullDisks: fullDisks, tornRecords: tornRecords, accusations: finality.accusations,
            transactions: chain.transactions, blocks: chain.height.value,
            epochs: nodes.compactMap { $0.process?.replica.epoch.epoch.value }.max() ?? 0,
            elapsed: now.interval(since: Instant(nanoseconds: 0)), reached: reached, boundaries: boundaries,
            waiting: nodes.map { NodeSimulation.wait($0, at: now) },
            signatureChecks: signatures.checks, market: market?.counts ?? JobOracle.Counts(),
            sessions: sessionsBegun, datagrams: datagrams, providerRestarts: providerRestarts,
            settledByTranscript: settledByTranscript, contradictions: contradictions)
    }

    /// The last jobs may still be paid.
    private func isTrading(_ instant: Instant) -> Bool {
        guard healed, let market else { return false }
        return (market.isBusy || lastOrdersLeft > 0)
            && instant.interval(since: healsAt) <= NodeSimulation.marketBound
    }

    private static func wait(_ node: SimulatedNode, at now: Instant) -> String {
        guard let replica = node.process?.replica else { return "node \(node.index) is down" }
        let status = replica.engineStatus
        let wall = Int64(clamping: node.clock.read(at: now).wall.milliseconds)
        let age = wall - Int64(clamping: replica.tree.finalizedHeader.time.milliseconds)
        return "node \(node.index) at height \(replica.executed.height), final \(replica.tree.finalizedHeader.height): "
            + "\(status); lacks certificates of \(status.missing), blocks of \(status.outstanding); final block of view "
            + "\(replica.tree.finalizedHeader.view), \(age) ms old; final view \(status.lastFinalized), \(replica.tree.count) blocks above, "
            + "\(replica.peerCount) peers; last given up: "
            + replica.givenUp.suffix(4).map { "\($0.view) of \($0.leader), \($0.reason.rawValue)" }.joined(
                separator: "; ")
    }

    var isFaulty: Bool { !healed }

    private mutating func take(_ scheduled: Scheduled) {
        switch scheduled.event {
        case .second: return second()
        case .submit: return submit()
        case .order: return order()
        case .lastOrder(let place, let left): return lastOrder(place, left: left)
        case .cancel(let payload, let place): return cancel(payload, by: place)
        case .claim(let job, let attempt, let place): return claim(job, attempt: attempt, by: place)
        case .calm:
            market?.isCalm = true
            return
        case .restart:
            // Of several that were arranged the first does it.
            if !nodes[scheduled.node].isUp, scheduled.life == nodes[scheduled.node].life { boot(scheduled.node) }
            return
        default: break
        }
        let node = nodes[scheduled.node]
        if scheduled.life != node.life || !node.isUp { return }
        if case .provider(let index, let life, _) = scheduled.event, providers[index].life != life { return }
        events += 1
        var writer = ByteWriter()
        writer.write(trace)
        writer.write(UInt64(bitPattern: now.nanoseconds))
        writer.write(UInt32(node.index))
        switch scheduled.event {
        case .word(let word, let sender, let link):
            word.encode(into: &writer)
            arrived(word, from: sender, link: link, at: node)
        case .peers(let event):
            event.encode(into: &writer)
            happened(event, to: node)
        case .session(let peer, let life, let isUp): session(of: node, with: peer, life: life, isUp: isUp)
        case .request(let request, let id, let asker, let life):
            writer.write(request)
            answer(request, id: id, for: asker, life: life, by: node)
        case .answer(let id, let input):
            guard node.openRequests.remove(id) != nil else { return }
            writer.write(id)
            node.inbox.append(input)
        case .verified(let input): node.inbox.append(input)
        case .wake: wake(node)
        case .relay: passOnHeld(node)
        case .timer: if let alarm = node.alarm, alarm <= now { node.alarm = nil }
        case .blobRequest(let ids, let id, let asker, let life):
            writer.write(list: ids)
            answer(blobs: ids, id: id, for: asker, life: life, by: node)
        case .blobs(let id, let parts):
            guard node.blobRequests[id] != nil else { return }
            writer.write(id)
            writer.write(list: parts)
            took(parts, id: id, at: node)
        case .walkAsk(let ask, let id, let asker, let life):
            writer.write(ask)
            asked(ask, id: id, from: asker, life: life, at: node)
        case .provider(let index, _, let event):
            writer.write(UInt32(index))
            writer.write(event.code)
            happened(event, to: providers[index], in: node)
        case .restart, .submit, .second, .order, .lastOrder, .cancel, .claim, .calm: break
        }
        trace = Digest.of(Domain("sim.trace"), writer.bytes)
        step(node)
    }

    // MARK: Clients

    private mutating func submit() {
        if healed { return }
        schedule(-1, after: .milliseconds(Int64(1 + random.next() % (2 * profile.submissionInterval))), .submit)
        let able = nodes.filter { $0.isUp && !dishonest.contains($0.index) }
        if able.isEmpty { return }
        let node = able[Int(random.next() % UInt64(able.count))]
        guard let submission = load.next(at: node, network: genesis.digest, random: &random) else { return }
        // What the node's RPC does before it lets a transaction in.
        guard signatures.isSigned(submission.transaction) else { return }
        guard (try? node.process?.replica.check(submission.transaction)) != nil else { return }
        if let flaw = submission.flaw { return chain.accepted(flawed: flaw, by: node.index) }
        node.submitted.append(submission.transaction)
        node.inbox.append(.transactions([submission.transaction], local: true))
        step(node)
    }

    // MARK: Healing

    /// Ends the trouble once every honest node has finalized what was asked for.
    private mutating func healWhenReached() {
        if reached { return }
        for node in nodes where !dishonest.contains(node.index) {
            if !node.isUp || node.finalizedView.value < profile.views { return }
        }
        reached = true
        if !healed { heal() }
    }

    private mutating func heal() {
        healed = true
        healsAt = now
        endsAt = now.adding(profile.aftermath)
        heightAtHealing = chain.height
        down = []
        sides = []
        for node in nodes { relieve(node) }
        if market != nil {
            arrangeLastOrders()
            schedule(-1, after: NodeSimulation.calming, .calm)
        }
    }

    // MARK: Chance

    mutating func chance(_ thousandths: UInt64) -> Bool { thousandths > 0 && random.next() % 1000 < thousandths }

    mutating func draw(_ range: ClosedRange<Int64>) -> Interval {
        let span = UInt64(range.upperBound - range.lowerBound + 1)
        return .milliseconds(range.lowerBound + Int64(random.next() % span))
    }

    private mutating func drawSigned(_ bound: Int64) -> Int64 {
        bound == 0 ? 0 : Int64(random.next() % UInt64(2 * bound + 1)) - bound
    }

    mutating func schedule(_ node: Int, after delay: Interval, _ event: Event) {
        let life = node < 0 ? 0 : nodes[node].life
        queue.insert(Scheduled(node: node, life: life, event: event), at: now.adding(delay))
    }
}

extension Word {
    /// What the digest of a run is made of.
    func encode(into writer: inout ByteWriter) {
        switch self {
        case .consensus(let message): writer.write(message)
        case .block(let bytes): writer.write(raw: bytes)
        case .transactions(let transactions):
            for transaction in transactions { writer.write(transaction.id) }
        }
    }
}
