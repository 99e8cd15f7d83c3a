/// A network of real engines in one thread, in virtual time, all chance from one seed.
///
/// Messages are lost, doubled and delayed (hence reordered); nodes crash at any step, lose what the journal had not synced, and start again from it.
/// `FinalityOracle` watches every output and shares no code with the engine. A run's digest is equal on every machine.
public import Consensus
public import Primitives

public struct SimulationProfile: Sendable {
    public var nodes: Int
    /// In thousandths.
    public var loss: UInt64
    public var duplication: UInt64
    /// Chance of a crash of some node at a step, in millionths.
    public var crash: UInt64
    public var delay: ClosedRange<Int64>
    /// When loss, duplication and crashes end, so that liveness can be judged.
    public var healsAt: Interval
    public var ends: Interval

    public init(
        nodes: Int = 4, loss: UInt64 = 0, duplication: UInt64 = 0, crash: UInt64 = 0,
        delay: ClosedRange<Int64> = 1...20,
        healsAt: Interval = .seconds(20), ends: Interval = .seconds(40)
    ) {
        self.nodes = nodes
        self.loss = loss
        self.duplication = duplication
        self.crash = crash
        self.delay = delay
        self.healsAt = healsAt
        self.ends = ends
    }
}

/// What a run came to.
public struct SimulationReport: Sendable {
    public let seed: UInt64
    /// Of every event in order.
    public let digest: Digest
    /// Highest finalized view, by node.
    public let finalized: [View]
    public let violations: [String]
    public let events: Int
    public let crashes: Int
}

public struct ConsensusSimulation {
    private enum Event {
        case deliver(ConsensusMessage, from: Int)
        case timer
        case verified(UInt64, [Bool])
        case payload(View, Digest)
        case verdict(Proposal)
        case certified(Proposal)
        case restart
    }

    private struct Scheduled: Comparable {
        let at: Instant
        let order: UInt64
        let node: Int
        let life: Int
        let event: Event

        /// By time, then by the order of scheduling: no two are equal.
        static func < (x: Scheduled, y: Scheduled) -> Bool { x.at != y.at ? x.at < y.at : x.order < y.order }

        static func == (x: Scheduled, y: Scheduled) -> Bool { x.order == y.order }
    }

    private struct Node {
        var engine: Simplex?
        var journal: [JournalRecord] = []
        /// Grows with each crash: what was under way in an earlier life is lost.
        var life = 0
        var timer: Instant?
    }

    private let seed: UInt64
    private let profile: SimulationProfile
    private var random: SplitMix64
    private var queue = EventHeap<Scheduled>()
    private var nodes: [Node]
    private let keys: [PublicKey]
    private let validators: ValidatorSet
    private var now = Instant(nanoseconds: 0)
    private var order: UInt64 = 0
    private var oracle: FinalityOracle
    private var trace: Digest = .zero
    private var crashes = 0

    static let genesis = Digest.of(Domain("sim.genesis"), [])
    static let network = Digest.of(Domain("sim.network"), [])
    static let parameters = ConsensusParameters(
        delta: .milliseconds(50), heartbeat: .milliseconds(500), retry: .milliseconds(200))

    public init(seed: UInt64, profile: SimulationProfile) throws(ValidatorSetFault) {
        self.seed = seed
        self.profile = profile
        random = SplitMix64(seed: seed)
        var keys: [PublicKey] = []
        for index in 0..<profile.nodes {
            // 32 bytes are a key.
            guard let key = try? PublicKey(bytes: Digest.of(Domain("sim.key"), [UInt8(index)]).bytes) else {
                preconditionFailure("a digest has the size of a key")
            }
            keys.append(key)
        }
        self.keys = keys
        validators = try ValidatorSet(keys.map { Validator(publicKey: $0, weight: 1) })
        nodes = [Node](repeating: Node(), count: profile.nodes)
        oracle = FinalityOracle(weights: [UInt64](repeating: 1, count: profile.nodes))
    }

    /// Runs to the end of the profile.
    public mutating func run() -> SimulationReport {
        for index in nodes.indices { boot(index) }
        var events = 0
        let end = Instant(nanoseconds: profile.ends.nanoseconds)
        while let next = queue.popMin(), next.at <= end {
            now = next.at
            if case .restart = next.event {
                if nodes[next.node].engine == nil { boot(next.node) }
                continue
            }
            if next.life != nodes[next.node].life || nodes[next.node].engine == nil { continue }
            events += 1
            step(next)
            if now.nanoseconds < profile.healsAt.nanoseconds, random.next() % 1_000_000 < profile.crash {
                crash(next.node)
            }
        }
        oracle.judgeLiveness(healedAt: profile.healsAt, finalized: nodes.map { $0.engine?.lastFinalized ?? 0 })
        return SimulationReport(
            seed: seed, digest: trace, finalized: nodes.map { $0.engine?.lastFinalized ?? 0 },
            violations: oracle.violations, events: events, crashes: crashes)
    }

    private mutating func boot(_ index: Int) {
        var engine = Simplex(
            network: Self.network, epoch: 0, validators: validators, seed: Self.genesis, parameters: Self.parameters,
            ownIndex: index, signer: SymbolicScheme(keys[index]), floor: .genesis(Self.genesis), amnesiac: false)
        engine.restore(nodes[index].journal)
        let outputs = engine.start(at: now)
        nodes[index].engine = engine
        carryOut(outputs, index)
        feed(index, .work(true))
    }

    private mutating func crash(_ index: Int) {
        crashes += 1
        nodes[index].engine = nil
        nodes[index].life += 1
        nodes[index].timer = nil
        let wait = Interval.milliseconds(Int64(random.next() % 3_000) + 1)
        schedule(index, after: wait, .restart)
    }

    private mutating func feed(_ index: Int, _ input: Input) {
        guard var engine = nodes[index].engine else { return }
        nodes[index].engine = nil
        let outputs = engine.handle(input, at: now)
        nodes[index].engine = engine
        carryOut(outputs, index)
    }

    private mutating func step(_ scheduled: Scheduled) {
        let index = scheduled.node
        var writer = ByteWriter()
        writer.write(trace)
        writer.write(UInt64(bitPattern: now.nanoseconds))
        writer.write(UInt32(index))
        switch scheduled.event {
        case .deliver(let message, let sender):
            writer.write(message)
            trace = Digest.of(Domain("sim.trace"), writer.bytes)
            feed(index, .message(message, from: keys[sender]))
        case .timer:
            nodes[index].timer = nil
            feed(index, .timer)
        case .verified(let id, let results): feed(index, .signaturesVerified(id, results))
        case .payload(let view, let digest): feed(index, .payloadProposed(view, digest))
        case .verdict(let proposal): feed(index, .proposalVerdict(proposal, true))
        case .certified(let proposal): feed(index, .certified(proposal, true))
        case .restart: break
        }
    }

    /// The shell: a step's records become durable together, unless the crash comes in the middle of them.
    private mutating func carryOut(_ outputs: [Output], _ index: Int) {
        for output in outputs {
            if now.nanoseconds < profile.healsAt.nanoseconds, profile.crash > 0,
                random.next() % 1_000_000 < profile.crash
            {
                // At this boundary: what stands before it happened, what stands after it did not.
                crash(index)
                return
            }
            switch output {
            case .persist(let record):
                nodes[index].journal.append(record)
            case .broadcast(let message):
                oracle.sent(message, by: index, journal: nodes[index].journal)
                for peer in nodes.indices where peer != index { transmit(message, from: index, to: peer) }
            case .send(let message, let peer):
                oracle.sent(message, by: index, journal: nodes[index].journal)
                if let target = keys.firstIndex(of: peer) { transmit(message, from: index, to: target) }
            case .setTimer(let instant):
                if nodes[index].timer.map({ instant < $0 || $0 <= now }) ?? true {
                    nodes[index].timer = instant
                    schedule(
                        index, after: Interval(nanoseconds: max(1, instant.interval(since: now).nanoseconds)), .timer)
                }
            case .verifySignatures(let id, let items):
                let results = items.map { SymbolicScheme(keys[0]).verify($0.key, $0.signature, $0.message) }
                schedule(index, after: .milliseconds(1), .verified(id, results))
            case .propose(let view, let parent):
                var payload = ByteWriter()
                payload.write(view)
                payload.write(parent.digest)
                payload.write(UInt32(index))
                let digest = Digest.of(Domain("sim.payload"), payload.bytes)
                schedule(index, after: .milliseconds(1), .payload(view, digest))
            case .verifyProposal(let proposal, _): schedule(index, after: .milliseconds(1), .verdict(proposal))
            case .certify(let proposal, _): schedule(index, after: .milliseconds(1), .certified(proposal))
            case .finalized(let proposal, let certificate): oracle.finalized(proposal, certificate, by: index, at: now)
            case .notarized(let proposal, let certificate): oracle.certificate(certificate, proposal)
            case .evidence(let evidence): oracle.violations.append("honest node accused: \(evidence.first.signer)")
            case .entered, .timeout: break
            }
        }
    }

    private mutating func transmit(_ message: ConsensusMessage, from sender: Int, to target: Int) {
        let faulty = now.nanoseconds < profile.healsAt.nanoseconds
        if faulty, random.next() % 1000 < profile.loss { return }
        var copies = 1
        if faulty, random.next() % 1000 < profile.duplication { copies = 2 }
        for _ in 0..<copies {
            let span = UInt64(profile.delay.upperBound - profile.delay.lowerBound + 1)
            let delay = Interval.milliseconds(profile.delay.lowerBound + Int64(random.next() % span))
            schedule(target, after: delay, .deliver(message, from: sender))
        }
    }

    private mutating func schedule(_ node: Int, after delay: Interval, _ event: Event) {
        order += 1
        queue.insert(Scheduled(at: now.adding(delay), order: order, node: node, life: nodes[node].life, event: event))
    }
}
