internal import Consensus
internal import Primitives

/// What one case came to.
public struct TwinVerdict: Sendable {
    public let violations: [String]
    public let events: Int
    /// Pieces of evidence that nodes gave.
    public let accusations: Int
    /// Whether an honest node finalized something before the network healed.
    public let finalizedBefore: Bool
    /// Virtual milliseconds from healing until every honest node had finalized a view that began after it.
    public let recovery: Int64
}

/// Runs one twins case: real engines in virtual time, judged by the oracle.
///
/// A view's partition holds for what a node sends while it stands in that view: it reaches the node's own part, after small drawn delays. Nodes past
/// the last prescribed view reach everyone. The network heals once all are past it, or after `patience`; what crossed a partition is then lost or
/// delivered late, by the seed.
public struct TwinSimulation {
    private enum Event {
        case deliver(ConsensusMessage, from: Int)
        case timer
        case payload(View, Digest)
        case verdict(Proposal)
        case certified(Proposal)
        case heal
    }

    private struct Node {
        var engine: Simplex
        var journal: [JournalRecord] = []
        var timer: Instant?
        /// Whether it has finalized a view that began after the network healed.
        var isBack = false
    }

    private let scenario: TwinScenario
    private let keys: [PublicKey]
    private var random: SplitMix64
    private var queue = EventQueue<(node: Int, event: Event)>()
    private var nodes: [Node] = []
    private var now = Instant(nanoseconds: 0)
    private var oracle: FinalityOracle
    private var healedAt: Instant?
    /// The highest view that any node had entered when the network healed.
    private var viewAtHealing: View = 0
    /// What crossed a partition, to come when it is gone.
    private var held: [(message: ConsensusMessage, from: Int, to: Int)] = []
    private let holdsBack: Bool
    /// Whether the twins' shells keep from them that their key is in use elsewhere: with it they would fall silent as soon as they meet.
    private let isDeaf: Bool
    private var finalizedBefore = false
    private var accusations: Int { oracle.accusations }

    private static let delta = Interval.milliseconds(50)
    private static let patience = Interval.milliseconds(900)
    /// After healing every honest node has finalized a new view by then, or liveness is violated.
    static let bound = Interval.seconds(10)

    /// The parts that do not differ between the cases of one set of validators.
    public struct Setting: Sendable {
        let validators: ValidatorSet
        let keys: [PublicKey]
        var leaders: TwinLeaders

        public init(validators count: Int) {
            keys = (0..<count).map { index in
                guard let key = try? PublicKey(bytes: Digest.of(Domain("sim.key"), [UInt8(index)]).bytes) else {
                    preconditionFailure("a digest has the size of a key")
                }
                return key
            }
            guard let validators = try? ValidatorSet(keys.map { Validator(publicKey: $0, weight: 1) }) else {
                preconditionFailure("keys that differ, with weight, are a set")
            }
            self.validators = validators
            leaders = TwinLeaders(validators)
        }
    }

    public init(_ twinCase: TwinCase, in setting: inout Setting) {
        scenario = twinCase.scenario
        random = SplitMix64(seed: twinCase.seed)
        holdsBack = random.next() % 2 == 0
        isDeaf = random.next() % 8 != 0
        keys = setting.keys + setting.keys.prefix(scenario.twins)
        let dishonest = Set(0..<scenario.twins).union(scenario.validators..<scenario.nodes)
        oracle = FinalityOracle(
            weights: [UInt64](repeating: 1, count: scenario.validators), dishonest: dishonest)
        let seed = setting.leaders.seed(for: scenario.rounds.map(\.leader))
        let parameters = ConsensusParameters(
            delta: TwinSimulation.delta, heartbeat: .milliseconds(500), retry: .milliseconds(200))
        for index in 0..<scenario.nodes {
            nodes.append(
                Node(
                    engine: Simplex(
                        network: ConsensusSimulation.network, epoch: 0, validators: setting.validators, seed: seed,
                        parameters: parameters, ownIndex: index % scenario.validators,
                        signer: SymbolicScheme(keys[index]), floor: .genesis(ConsensusSimulation.genesis),
                        challenge: nil)))
        }
    }

    private func isHonest(_ node: Int) -> Bool { node >= scenario.twins && node < scenario.validators }

    public mutating func run() -> TwinVerdict {
        for index in nodes.indices {
            carryOut(nodes[index].engine.start(at: now), index)
            feed(index, .work(true))
        }
        queue.insert((0, .heal), at: now.adding(TwinSimulation.patience))
        var events = 0
        while let (at, next) = queue.popFirst() {
            now = at
            events += 1
            step(next.node, next.event)
            if let healedAt {
                if nodes.indices.allSatisfy({ !isHonest($0) || nodes[$0].isBack }) { break }
                if now.interval(since: healedAt) > TwinSimulation.bound { break }
            } else if nodes.allSatisfy({ $0.engine.view.value > UInt64(scenario.rounds.count) }) {
                heal()
            }
        }
        let healing = healedAt ?? now
        for index in nodes.indices where isHonest(index) && !nodes[index].isBack {
            oracle.blame("node \(index) finalized no new view within \(TwinSimulation.bound) of the healing")
        }
        return TwinVerdict(
            violations: oracle.violations, events: events, accusations: oracle.accusations,
            finalizedBefore: finalizedBefore, recovery: now.interval(since: healing).milliseconds)
    }

    private mutating func heal() {
        if healedAt != nil { return }
        healedAt = now
        viewAtHealing = nodes.map(\.engine.view).max() ?? 0
        for (message, sender, target) in held {
            queue.insert((target, .deliver(message, from: sender)), at: now.adding(delay()))
        }
        held.removeAll()
    }

    private mutating func delay() -> Interval { .milliseconds(1 + Int64(random.next() % 10)) }

    private mutating func step(_ node: Int, _ event: Event) {
        switch event {
        case .deliver(let message, let sender): feed(node, .message(message, from: keys[sender]))
        case .timer:
            nodes[node].timer = nil
            feed(node, .timer)
        case .payload(let view, let digest): feed(node, .payloadProposed(view, digest))
        case .verdict(let proposal): feed(node, .proposalVerdict(proposal, true))
        case .certified(let proposal): feed(node, .certified(proposal, true))
        case .heal: heal()
        }
    }

    private mutating func feed(_ node: Int, _ input: Input) {
        carryOut(nodes[node].engine.handle(input, at: now), node)
    }

    private mutating func carryOut(_ outputs: [Output], _ index: Int) {
        for output in outputs {
            switch output {
            case .persist(let record): nodes[index].journal.append(record)
            case .broadcast(let message):
                say(message, by: index, to: nodes.indices.filter { $0 != index })
            case .send(let message, let peer):
                say(message, by: index, to: nodes.indices.filter { $0 != index && keys[$0] == peer })
            case .setTimer(let instant):
                if nodes[index].timer.map({ instant < $0 || $0 <= now }) ?? true {
                    nodes[index].timer = instant
                    queue.insert((index, .timer), at: max(instant, now.adding(Interval(nanoseconds: 1))))
                }
            case .verifySignatures(let id, let items):
                // Nobody forges here. A deaf twin is told that a vote in its own name, asked about alone, is none.
                let concernsItself = items.count == 1 && items[0].key == keys[index]
                let good = isHonest(index) || !isDeaf || !concernsItself
                feed(index, .signaturesVerified(id, [Bool](repeating: good, count: items.count)))
            case .propose(let view, let parent):
                var payload = ByteWriter()
                payload.write(view)
                payload.write(parent.digest)
                payload.write(UInt32(index))
                let digest = Digest.of(Domain("sim.payload"), payload.bytes)
                queue.insert((index, .payload(view, digest)), at: now.adding(delay()))
            case .verifyProposal(let proposal, _):
                queue.insert((index, .verdict(proposal)), at: now.adding(delay()))
            case .certify(let proposal, _):
                queue.insert((index, .certified(proposal)), at: now.adding(delay()))
            case .finalized(let proposal, let certificate):
                oracle.finalized(proposal, certificate, by: index, at: now)
                if healedAt == nil {
                    if isHonest(index) { finalizedBefore = true }
                } else if proposal.view > viewAtHealing {
                    nodes[index].isBack = true
                }
            case .notarized(_, let certificate): oracle.certificate(certificate)
            case .keyInUseElsewhere: oracle.foundItsTwin(index)
            case .evidence(let evidence): oracle.accused(evidence, by: index)
            case .entered, .timeout: break
            }
        }
    }

    private mutating func say(_ message: ConsensusMessage, by sender: Int, to targets: [Int]) {
        if targets.isEmpty { return }
        oracle.sent(message, by: sender, journal: nodes[sender].journal)
        let view = Int(clamping: nodes[sender].engine.view.value)
        for target in targets {
            if healedAt == nil, view >= 1, view <= scenario.rounds.count {
                let parts = scenario.rounds[view - 1].parts
                if parts[sender] != parts[target] {
                    if holdsBack { held.append((message, sender, target)) }
                    continue
                }
            }
            queue.insert((target, .deliver(message, from: sender)), at: now.adding(delay()))
        }
    }
}
