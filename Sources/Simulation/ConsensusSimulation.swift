public import Consensus
internal import Primitives

/// A network of real engines. Messages are lost, doubled and delayed (hence reordered), links fail one way, applications are slow; nodes crash at
/// any step, lose what the journal had not synced, and start again from it; they pause, are slow, and have clocks of their own; some lie, and one may
/// run twice.
public struct ConsensusSimulation {
    /// What was said, with its digest: made once for all who hear it.
    private final class Parcel: Sendable {
        let message: ConsensusMessage
        let digest: Digest

        init(_ message: ConsensusMessage) {
            self.message = message
            digest = Digest.of(Domain("sim.message"), encoding: message)
        }
    }

    /// Nearly all are deliveries; the others are kept elsewhere, so that an event is small.
    private enum Event {
        case deliver(Parcel, from: Int)
        case timer
        indirect case verified(UInt64, [Bool])
        indirect case payload(View, Digest)
        indirect case verdict(Proposal)
        indirect case certified(Proposal)
        case restart

        /// For the trace.
        var kind: UInt8 {
            switch self {
            case .deliver: 0
            case .timer: 1
            case .verified: 2
            case .payload: 3
            case .verdict: 4
            case .certified: 5
            case .restart: 6
            }
        }
    }

    private struct Scheduled {
        let node: Int32
        let life: Int32
        let event: Event
    }

    private struct Node {
        var engine: Simplex?
        /// Whether there is an engine.
        var isUp = false
        var journal: [JournalRecord] = []
        /// Grows with each crash: what was under way in an earlier life is lost.
        var life = 0
        var timer: Instant?
        /// How much of the journal a crash can no longer take: what was there when it last promised something.
        var synced = 0
        var clock = MonotonicClock.exact
        /// Until then it handles nothing.
        var pausedUntil = Instant(nanoseconds: 0)
        /// Its journal was lost, and it has not voted since.
        var isWiped = false
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
    private let dishonest: Set<Int>
    private var now = Instant(nanoseconds: 0)
    private var oracle: FinalityOracle
    /// What happened since `trace`, to be digested together.
    private var recent = ByteWriter(capacity: ConsensusSimulation.traceBytes + 64)
    private var trace: Digest = .zero
    private static let traceBytes = 16 << 10
    private var crashes = 0
    private var pauses = 0
    private var wipes = 0
    private var slowNode: Int?
    private var liars: [Int: (liar: any Liar, context: LiarContext)] = [:]
    private var healsAt: Instant
    private var endsAt: Instant
    private var reached = false
    /// Whether a node has finalized something since it was last looked whether all have.
    private var hasFinalized = false
    /// Outputs carried out so far, by all nodes.
    private var boundaries = 0
    /// When a proposal first left its leader, by payload, and how long nodes then took to finalize it.
    private var proposedAt: [Digest: (at: Instant, leader: Int)] = [:]
    private var finalityTimes: [Int64] = []
    private var quorumDelays: [Int64] = []

    static let genesis = Digest.of(Domain("sim.genesis"), [])
    static let network = Digest.of(Domain("sim.network"), [])
    private var parameters: ConsensusParameters {
        ConsensusParameters(
            delta: profile.delta, heartbeat: profile.isIdle ? .seconds(1) : profile.delta.scaled(10),
            retry: profile.delta.scaled(4))
    }

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
        var dishonest: Set<Int> = profile.twin ? [0, profile.nodes] : []
        // A twin is the first validator; liars stand behind it.
        let first = profile.twin ? 1 : 0
        for (place, actor) in profile.actors.enumerated() {
            let own = first + place
            dishonest.insert(own)
            liars[own] = (
                actor.make(),
                LiarContext(
                    own: own, key: self.keys[own], network: Self.network,
                    peers: self.keys.indices.filter { $0 != own },
                    random: SplitMix64(seed: seed &* 31 &+ UInt64(own)))
            )
        }
        self.dishonest = dishonest
        healsAt = Instant(nanoseconds: profile.healsAt.nanoseconds)
        endsAt = Instant(
            nanoseconds: (profile.views == nil ? profile.ends : profile.healsAt + profile.aftermath).nanoseconds)
        oracle = FinalityOracle(weights: [UInt64](repeating: 1, count: profile.nodes), dishonest: dishonest)
        if profile.clocks {
            for index in nodes.indices {
                let offset = Interval.milliseconds(Int64(random.next() % 1_000_000_000))
                nodes[index].clock = MonotonicClock(offset: offset, drift: Int64(random.next() % 101) - 50)
            }
        }
        let honest = nodes.indices.filter { !dishonest.contains($0) }
        if profile.slow, !honest.isEmpty { slowNode = honest[Int(random.next() % UInt64(honest.count))] }
    }

    /// Runs to the end of the profile.
    public mutating func run() -> SimulationReport {
        for index in nodes.indices { boot(index) }
        var events = 0
        while let (at, next) = queue.popFirst(), at <= endsAt {
            now = at
            drawLinks()
            let index = Int(next.node)
            if nodes[index].pausedUntil > now {
                // It waits, in the order in which it came.
                queue.insert(next, at: nodes[index].pausedUntil)
                continue
            }
            if case .restart = next.event {
                if !nodes[index].isUp { boot(index) }
                continue
            }
            if Int(next.life) != nodes[index].life || !nodes[index].isUp { continue }
            events += 1
            step(next.event, at: index)
            if isFaulty, profile.crash > 0, random.next() % 1_000_000 < profile.crash { crash(index) }
            healWhenReached()
        }
        digestRecent()
        let finalized = nodes.map { $0.engine?.lastFinalized ?? 0 }
        oracle.judgeLiveness(healedAt: healsAt, within: .seconds(10), finalized: finalized)
        return SimulationReport(
            seed: seed, digest: trace, finalized: finalized, violations: oracle.violations, events: events,
            crashes: crashes, accusations: oracle.accusations, elapsed: now.interval(since: Instant(nanoseconds: 0)),
            reached: reached || profile.views == nil,
            finality: ConsensusSimulation.median(finalityTimes).map { Interval(nanoseconds: $0) },
            quorumDelay: .milliseconds(ConsensusSimulation.median(quorumDelays) ?? 0), boundaries: boundaries,
            pauses: pauses, wipes: wipes)
    }

    private static func median(_ values: [Int64]) -> Int64? { values.isEmpty ? nil : values.sorted()[values.count / 2] }

    private var isFaulty: Bool { now < healsAt }

    /// Ends the trouble once every honest node has finalized what was asked for.
    private mutating func healWhenReached() {
        guard hasFinalized, !reached, let views = profile.views else { return }
        hasFinalized = false
        for index in nodes.indices where !dishonest.contains(index) {
            guard let last = nodes[index].engine?.lastFinalized, last.value >= views else { return }
        }
        reached = true
        if now < healsAt {
            healsAt = now
            endsAt = now.adding(profile.aftermath)
        }
    }

    /// Draws, once a second, which links are down and whom each half of the twin talks to.
    private mutating func drawLinks() {
        let current = now.nanoseconds / 1_000_000_000
        if current == second { return }
        second = current
        if profile.partition > 0 {
            down = (0..<nodes.count * nodes.count).map { _ in isFaulty && random.next() % 1000 < profile.partition }
        }
        if profile.twin { sides = nodes.indices.map { _ in random.next() % 2 == 0 } }
        if isFaulty { drawPausesAndLeaps() }
    }

    private mutating func drawPausesAndLeaps() {
        for index in nodes.indices {
            if profile.pause > 0, nodes[index].pausedUntil <= now, random.next() % 1000 < profile.pause {
                pauses += 1
                nodes[index].pausedUntil = now.adding(draw(200...2_000))
            }
            if profile.clocks, random.next() % 1000 < ConsensusSimulation.leaps {
                nodes[index].clock.leap(draw(10...3_000), at: now)
                // A deadline that the clock leapt over is due.
                if nodes[index].timer != nil { schedule(index, after: Interval(nanoseconds: 1), .timer) }
            }
        }
    }

    /// Chance that a clock leaps in a second, in thousandths.
    private static let leaps: UInt64 = 10

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
            network: Self.network, epoch: 0, validators: validators, seed: Self.genesis, parameters: parameters,
            ownIndex: index % profile.nodes, signer: SymbolicScheme(keys[index]), floor: .genesis(Self.genesis),
            challenge: nodes[index].isWiped ? challenge(of: index) : nil)
        engine.restore(nodes[index].journal)
        let outputs = engine.start(at: nodes[index].clock.reading(at: now))
        nodes[index].engine = engine
        nodes[index].isUp = true
        carryOut(outputs, index)
        if !profile.isIdle { feed(index, .work(true)) }
    }

    /// A nonce for a node's present life.
    private func challenge(of index: Int) -> Digest {
        Digest.of(
            Domain("sim.challenge"),
            seed.canonicalBytes + UInt64(index).canonicalBytes + UInt64(nodes[index].life).canonicalBytes)
    }

    private mutating func crash(_ index: Int, losesAll: Bool = false) {
        crashes += 1
        nodes[index].engine = nil
        nodes[index].isUp = false
        nodes[index].life += 1
        nodes[index].timer = nil
        let unsynced = UInt64(nodes[index].journal.count - nodes[index].synced)
        nodes[index].journal.removeLast(losesAll ? Int(unsynced) : Int(random.next() % (unsynced + 1)))
        let isLost = profile.wipe > 0 && mayBeWiped(index) && random.next() % 1000 < profile.wipe
        if isLost {
            wipes += 1
            nodes[index].journal = []
            nodes[index].synced = 0
            nodes[index].isWiped = true
        }
        let wait = losesAll ? .milliseconds(200) : Interval.milliseconds(Int64(random.next() % 3_000) + 1)
        schedule(index, after: wait, .restart)
    }

    /// Who has forgotten its votes is as good as absent until it votes again: with those that lie, no more than the network bears.
    private mutating func mayBeWiped(_ index: Int) -> Bool {
        if dishonest.contains(index) { return false }
        let forgetful = nodes.indices.filter { $0 != index && nodes[$0].isWiped }.count
        let liars = dishonest.filter { $0 < profile.nodes }.count
        return liars + forgetful + 1 <= (profile.nodes - 1) / 3
    }

    private mutating func feed(_ index: Int, _ input: Input) {
        let reading = nodes[index].clock.reading(at: now)
        // In place: an engine is large.
        guard let outputs = nodes[index].engine?.handle(input, at: reading) else { return }
        if nodes[index].isWiped, nodes[index].engine?.isAmnesiac == false { nodes[index].isWiped = false }
        carryOut(outputs, index)
    }

    /// Notes an event in the trace.
    private mutating func note(_ event: Event, at index: Int) {
        recent.write(UInt64(bitPattern: now.nanoseconds))
        recent.write(UInt16(truncatingIfNeeded: index))
        recent.write(event.kind)
        if case .deliver(let parcel, _) = event { recent.write(parcel.digest) }
        if recent.count >= ConsensusSimulation.traceBytes { digestRecent() }
    }

    private mutating func digestRecent() {
        trace = Digest.of(Domain("sim.trace"), trace, Digest.of(Domain("sim.trace"), recent.bytes))
        recent.removeAll()
    }

    private mutating func step(_ event: Event, at index: Int) {
        note(event, at: index)
        switch event {
        case .deliver(let parcel, let sender):
            feed(index, .message(parcel.message, from: keys[sender]))
            if var (liar, context) = liars[index] {
                let lies = liar.heard(parcel.message, &context)
                liars[index] = (liar, context)
                for lie in lies { transmit(Parcel(lie.message), from: index, to: lie.target) }
            }
        case .timer:
            nodes[index].timer = nil
            feed(index, .timer)
        case .verified(let id, let results): feed(index, .signaturesVerified(id, results))
        case .payload(let view, let digest): feed(index, .payloadProposed(view, digest))
        case .verdict(let proposal):
            feed(index, .proposalVerdict(proposal, InvalidProposer.isValid(proposal.payloadDigest)))
        case .certified(let proposal):
            feed(index, .certified(proposal, InvalidProposer.isValid(proposal.payloadDigest)))
        case .restart: break
        }
    }

    /// The shell: a step's records become durable together, unless the crash comes in the middle of them.
    private mutating func carryOut(_ outputs: [Output], _ index: Int) {
        for output in outputs {
            boundaries += 1
            if boundaries == profile.crashAtBoundary {
                crash(index, losesAll: true)
                return
            }
            if isFaulty, profile.crash > 0, random.next() % 1_000_000 < profile.crash {
                // At this boundary: what stands before it happened, what stands after it did not.
                crash(index)
                return
            }
            switch output {
            case .persist(let record):
                nodes[index].journal.append(record)
            case .broadcast(let message):
                say(message, by: index, to: nodes.indices.filter { $0 != index })
            case .send(let message, let peer):
                say(message, by: index, to: nodes.indices.filter { keys[$0] == peer && $0 != index })
            case .setTimer(let instant):
                let clock = nodes[index].clock
                if nodes[index].timer.map({ instant < $0 || $0 <= clock.reading(at: now) }) ?? true {
                    nodes[index].timer = instant
                    schedule(index, after: clock.wait(until: instant, at: now), .timer)
                }
            case .verifySignatures(let id, let items):
                schedule(index, after: .milliseconds(1), .verified(id, SymbolicScheme.verify(items)))
            case .propose(let view, let parent):
                var payload = ByteWriter()
                payload.write(view)
                payload.write(parent.digest)
                payload.write(UInt32(index))
                let digest = Digest.of(Domain("sim.payload"), payload.bytes)
                schedule(index, after: profile.isIdle ? parameters.heartbeat : answerTime(), .payload(view, digest))
            case .verifyProposal(let proposal, _): schedule(index, after: answerTime(), .verdict(proposal))
            case .certify(let proposal, _): schedule(index, after: answerTime(), .certified(proposal))
            case .finalized(let proposal, let certificate):
                hasFinalized = true
                if let (at, leader) = proposedAt[proposal.payloadDigest] {
                    finalityTimes.append(now.interval(since: at).nanoseconds)
                    if profile.regions { quorumDelays.append(Regions.quorumDelay(of: leader, nodes: profile.nodes)) }
                }
                oracle.finalized(proposal, certificate, by: index, at: now)
            case .notarized(_, let certificate): oracle.certificate(certificate)
            case .keyInUseElsewhere: oracle.foundItsTwin(index)
            case .evidence(let evidence): oracle.accused(evidence, by: index)
            case .entered, .timeout: break
            }
        }
    }

    /// A message leaves a node, for the targets that it was meant for or those that a liar prefers.
    private mutating func say(_ message: ConsensusMessage, by index: Int, to targets: [Int]) {
        // Only what it promises has to be durable first, with all before it.
        if nodes[index].journal[nodes[index].synced...].contains(where: \.isPromise) {
            nodes[index].synced = nodes[index].journal.count
        }
        if case .vote(let vote) = message, case .notarize(let proposal) = vote.subject,
            validators.leader(of: proposal.view, seed: Self.genesis) == index, proposedAt[proposal.payloadDigest] == nil
        {
            proposedAt[proposal.payloadDigest] = (now, index)
        }
        if targets.isEmpty { return }
        if var (liar, context) = liars[index] {
            let said = liar.say(message, to: targets, &context)
            liars[index] = (liar, context)
            for one in said { transmit(Parcel(one.message), from: index, to: one.target) }
            return
        }
        oracle.sent(message, by: index, journal: nodes[index].journal)
        let parcel = Parcel(message)
        for target in targets { transmit(parcel, from: index, to: target) }
    }

    private mutating func transmit(_ parcel: Parcel, from sender: Int, to target: Int) {
        if !connected(sender, target) { return }
        if isFaulty, random.next() % 1000 < profile.loss { return }
        var copies = 1
        if isFaulty, random.next() % 1000 < profile.duplication { copies = 2 }
        for _ in 0..<copies {
            var delay = draw(profile.delay)
            if profile.regions { delay = delay + .milliseconds(Regions.delay(sender, target)) }
            schedule(target, after: delay, .deliver(parcel, from: sender))
        }
    }

    private mutating func draw(_ range: ClosedRange<Int64>) -> Interval {
        let span = UInt64(range.upperBound - range.lowerBound + 1)
        return .milliseconds(range.lowerBound + Int64(random.next() % span))
    }

    private mutating func answerTime() -> Interval { draw(profile.answer) }

    private mutating func schedule(_ node: Int, after wait: Interval, _ event: Event) {
        var delay = wait
        if node == slowNode, isFaulty {
            switch event {
            case .timer, .restart: break
            default: delay = delay + draw(SimulationProfile.slowness)
            }
        }
        queue.insert(
            Scheduled(node: Int32(node), life: Int32(nodes[node].life), event: event), at: now.adding(delay))
    }
}
