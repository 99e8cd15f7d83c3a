/// A network of real engines in one thread, in virtual time, all chance from one seed.
///
/// Messages are lost, doubled and delayed (hence reordered), links fail one way, applications are slow; nodes crash at any step, lose what
/// the journal had not synced, and start again from it; one validator may run twice. `FinalityOracle` watches every output and shares no code with the engine. A run's digest is equal on every machine.
public import Consensus
public import Primitives

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
    /// Milliseconds that the application takes for an answer.
    public var answer: ClosedRange<Int64>
    /// Whether the first validator runs twice (a *twin*): two correct engines with one key, each with a part of the network, drawn anew every
    /// second. It equivocates in every way that correct engines can, and never heals.
    public var twin: Bool
    /// When loss, duplication and crashes end, so that liveness can be judged.
    public var healsAt: Interval
    public var ends: Interval

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
    /// Pieces of evidence that nodes gave.
    public let accusations: Int
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

    private struct Scheduled {
        let node: Int
        let life: Int
        let event: Event
    }

    private struct Node {
        var engine: Simplex?
        var journal: [JournalRecord] = []
        /// Grows with each crash: what was under way in an earlier life is lost.
        var life = 0
        var timer: Instant?
        /// How much of the journal a crash can no longer take: what was there when something was sent.
        var synced = 0
    }

    private let seed: UInt64
    private let profile: SimulationProfile
    private var random: SplitMix64
    private var queue = EventQueue<Scheduled>()
    private var nodes: [Node]
    /// The key of each node; a twin's stands twice.
    private let keys: [PublicKey]
    /// Links that are down this second, by sender and receiver, and the side of each node that the twin's first half talks to.
    private var down: [Bool] = []
    private var sides: [Bool] = []
    private var second: Int64 = -1
    private let validators: ValidatorSet
    private var now = Instant(nanoseconds: 0)
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
        validators = try ValidatorSet(keys.map { Validator(publicKey: $0, weight: 1) })
        self.keys = keys + (profile.twin ? keys.prefix(1) : [])
        nodes = [Node](repeating: Node(), count: self.keys.count)
        oracle = FinalityOracle(
            weights: [UInt64](repeating: 1, count: profile.nodes), dishonest: profile.twin ? [0, profile.nodes] : [])
    }

    /// Runs to the end of the profile.
    public mutating func run() -> SimulationReport {
        for index in nodes.indices { boot(index) }
        var events = 0
        let end = Instant(nanoseconds: profile.ends.nanoseconds)
        while let (at, next) = queue.popFirst(), at <= end {
            now = at
            drawLinks()
            if case .restart = next.event {
                if nodes[next.node].engine == nil { boot(next.node) }
                continue
            }
            if next.life != nodes[next.node].life || nodes[next.node].engine == nil { continue }
            events += 1
            step(next)
            if isFaulty, random.next() % 1_000_000 < profile.crash { crash(next.node) }
        }
        oracle.judgeLiveness(
            healedAt: Instant(nanoseconds: profile.healsAt.nanoseconds), within: .seconds(10),
            finalized: nodes.map { $0.engine?.lastFinalized ?? 0 })
        return SimulationReport(
            seed: seed, digest: trace, finalized: nodes.map { $0.engine?.lastFinalized ?? 0 },
            violations: oracle.violations, events: events, crashes: crashes,
            accusations: oracle.accusations)
    }

    private var isFaulty: Bool { now.nanoseconds < profile.healsAt.nanoseconds }

    /// Draws, once a second, which links are down and whom each half of the twin talks to.
    private mutating func drawLinks() {
        let current = now.nanoseconds / 1_000_000_000
        if current == second { return }
        second = current
        if profile.partition > 0 {
            down = (0..<nodes.count * nodes.count).map { _ in isFaulty && random.next() % 1000 < profile.partition }
        }
        if profile.twin { sides = nodes.indices.map { _ in random.next() % 2 == 0 } }
    }

    /// Whether a message from one node can reach another now.
    private func connected(_ sender: Int, _ target: Int) -> Bool {
        if profile.partition > 0, down[sender * nodes.count + target] { return false }
        guard profile.twin else { return true }
        // The halves of the twin never meet, and each node hears one of them.
        let halves = [0, profile.nodes]
        switch (halves.contains(sender), halves.contains(target)) {
        case (true, true): return false
        case (true, false): return sides[target] == (sender == 0)
        case (false, true): return sides[sender] == (target == 0)
        case (false, false): return true
        }
    }

    private mutating func boot(_ index: Int) {
        var engine = Simplex(
            network: Self.network, epoch: 0, validators: validators, seed: Self.genesis, parameters: Self.parameters,
            ownIndex: index % profile.nodes, signer: SymbolicScheme(keys[index]), floor: .genesis(Self.genesis),
            amnesiac: false)
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
        let unsynced = UInt64(nodes[index].journal.count - nodes[index].synced)
        nodes[index].journal.removeLast(Int(random.next() % (unsynced + 1)))
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
            if isFaulty, profile.crash > 0, random.next() % 1_000_000 < profile.crash {
                // At this boundary: what stands before it happened, what stands after it did not.
                crash(index)
                return
            }
            switch output {
            case .persist(let record):
                nodes[index].journal.append(record)
            case .broadcast(let message):
                nodes[index].synced = nodes[index].journal.count
                oracle.sent(message, by: index, journal: nodes[index].journal)
                for peer in nodes.indices where peer != index { transmit(message, from: index, to: peer) }
            case .send(let message, let peer):
                nodes[index].synced = nodes[index].journal.count
                oracle.sent(message, by: index, journal: nodes[index].journal)
                for target in nodes.indices where keys[target] == peer && target != index {
                    transmit(message, from: index, to: target)
                }
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
                schedule(index, after: answerTime(), .payload(view, digest))
            case .verifyProposal(let proposal, _): schedule(index, after: answerTime(), .verdict(proposal))
            case .certify(let proposal, _): schedule(index, after: answerTime(), .certified(proposal))
            case .finalized(let proposal, let certificate): oracle.finalized(proposal, certificate, by: index, at: now)
            case .notarized(_, let certificate): oracle.certificate(certificate)
            case .evidence(let evidence): oracle.accused(evidence, by: index)
            case .entered, .timeout: break
            }
        }
    }

    private mutating func transmit(_ message: ConsensusMessage, from sender: Int, to target: Int) {
        if !connected(sender, target) { return }
        if isFaulty, random.next() % 1000 < profile.loss { return }
        var copies = 1
        if isFaulty, random.next() % 1000 < profile.duplication { copies = 2 }
        for _ in 0..<copies {
            schedule(target, after: draw(profile.delay), .deliver(message, from: sender))
        }
    }

    private mutating func draw(_ range: ClosedRange<Int64>) -> Interval {
        let span = UInt64(range.upperBound - range.lowerBound + 1)
        return .milliseconds(range.lowerBound + Int64(random.next() % span))
    }

    private mutating func answerTime() -> Interval { draw(profile.answer) }

    private mutating func schedule(_ node: Int, after delay: Interval, _ event: Event) {
        queue.insert(Scheduled(node: node, life: nodes[node].life, event: event), at: now.adding(delay))
    }
}
