internal import Consensus
internal import Primitives

/// Every state that one honest validator was seen in, and what each event makes of it. The real engine is asked once for each state and event; it
/// is deterministic and the fingerprint covers all that it will ever read, so the answer holds wherever the same comes again.
struct NodeStates: Sendable {
    /// What may happen to a node: a message by its number, or one of these.
    static let timeout = 255
    static let firstAnswer = 240

    struct State: Sendable {
        var engine: Simplex
        /// The node's own clock: it moves by time-outs alone.
        var clock: Instant
        var timer: Instant?
        /// What the application is to say yet.
        var answers: [Answer] = []
        /// The subjects for which it has voted, and those of which it holds a certificate.
        var said: UInt64 = 0
        var certified: UInt64 = 0
        var canTimeOut = false
        /// Messages that change nothing here.
        var idle = MessageSet()
    }

    enum Answer: Hashable, Sendable {
        case payload(View, Digest)
        case certified(Proposal)
    }

    private struct Key: Hashable {
        let fingerprint: Digest
        let answers: [Answer]
        let said: UInt64
        let certified: UInt64
    }

    /// Whether states that can only differ in evidence, in what is said again and in times are one.
    private let onlyDecisions: Bool

    let own: Int
    private(set) var states: [State] = []
    private var numbers: [Key: UInt32] = [:]
    /// By state × 256 + event.
    private var successors: [UInt64: UInt32] = [:]
    /// What a node did that no correct one does, and the state and event of it.
    private(set) var faults: [(text: String, state: Int, event: Int)] = []
    /// How often the engine was asked.
    private(set) var steps = 0

    /// A node's numbers fit 20 bits, so that three of them fit a word.
    static let capacity = 1 << 20

    init(own: Int, _ words: SearchWords, seed: Digest, onlyDecisions: Bool) {
        self.own = own
        self.onlyDecisions = onlyDecisions
        // Nothing is ever due by itself but a time-out: without work every deadline lies a heartbeat ahead.
        let parameters = ConsensusParameters(
            delta: .milliseconds(50), heartbeat: .seconds(1), retry: .milliseconds(200), growth: 0,
            inactivity: .max)
        let engine = Simplex(
            network: ConsensusSimulation.network, epoch: 0, validators: words.validators, seed: seed,
            parameters: parameters, ownIndex: own, signer: SymbolicScheme(words.keys[own]),
            floor: .genesis(ConsensusSimulation.genesis), challenge: nil)
        var state = State(engine: engine, clock: Instant(nanoseconds: 0))
        var faults: [String] = []
        let outputs = state.engine.start(at: state.clock)
        carryOut(outputs, &state, words, &faults)
        _ = number(of: &state, words)
    }

    var isFull: Bool { states.count >= NodeStates.capacity }

    /// The events besides messages that are possible in a state.
    func events(in state: Int) -> [Int] {
        let answers = states[state].answers.indices.map { NodeStates.firstAnswer + $0 }
        return states[state].canTimeOut ? answers + [NodeStates.timeout] : answers
    }

    /// The state after an event, or nil where it changes nothing.
    mutating func successor(of number: Int, after event: Int, _ words: SearchWords) -> Int? {
        let place = UInt64(number) << 8 | UInt64(event)
        if let known = successors[place] { return Int(known) }
        steps += 1
        var state = states[number]
        state.idle = MessageSet()
        var found: [String] = []
        if event == NodeStates.timeout {
            // The timer may be for saying things again first; the view's own deadline comes within a few.
            let view = state.engine.view
            for _ in 0..<8 where state.engine.view == view && state.engine.status.reason == nil {
                state.clock = max(state.clock, state.timer ?? state.clock)
                carryOut(state.engine.handle(.timer, at: state.clock), &state, words, &found)
            }
        } else {
            let input = input(event, &state, words)
            carryOut(state.engine.handle(input, at: state.clock), &state, words, &found)
        }
        for text in found { faults.append((text, number, event)) }
        let next = self.number(of: &state, words)
        if next == number && event < NodeStates.firstAnswer {
            states[number].idle.insert(event)
            return nil
        }
        successors[place] = UInt32(next)
        return next == number ? nil : next
    }

    private func input(_ event: Int, _ state: inout State, _ words: SearchWords) -> Input {
        if event < NodeStates.firstAnswer { return .message(words.messages[event], from: words.senders[event]) }
        return switch state.answers.remove(at: event - NodeStates.firstAnswer) {
        case .payload(let view, let digest): .payloadProposed(view, digest)
        case .certified(let proposal): .certified(proposal, true)
        }
    }

    private mutating func number(of state: inout State, _ words: SearchWords) -> Int {
        // Answers that the engine no longer waits for are never listened to.
        let view = state.engine.view
        let final = state.engine.lastFinalized
        state.answers.removeAll { answer in
            switch answer {
            case .payload(let of, _): of < view
            case .certified(let proposal): proposal.view <= final
            }
        }
        let fingerprint =
            onlyDecisions ? state.engine.decisionFingerprint() : state.engine.fingerprint(at: state.clock)
        let key = Key(
            fingerprint: fingerprint, answers: state.answers, said: state.said, certified: state.certified)
        if let known = numbers[key] { return Int(known) }
        let status = state.engine.status
        state.canTimeOut = status.reason == nil && status.view.value <= UInt64(words.views)
        states.append(state)
        numbers[key] = UInt32(states.count - 1)
        return states.count - 1
    }

    /// The shell. Signatures are checked at once, and all are good: nobody forges. Proposals are judged valid at once. Payloads and certifications
    /// are events of their own. Requests are dropped: what they would bring can come without them.
    private func carryOut(
        _ outputs: [Output], _ state: inout State, _ words: SearchWords, _ faults: inout [String]
    ) {
        var waiting = outputs[...]
        var journaled: Set<Subject> = []
        while let output = waiting.popFirst() {
            switch output {
            case .persist(.vote(let vote)): journaled.insert(vote.subject)
            case .persist(.certificate(let certificate)):
                guard let number = words.number(of: certificate.subject) else {
                    faults.append("holds a certificate of what nobody said")
                    continue
                }
                state.certified |= 1 << UInt64(number)
            case .persist(.certification): break
            case .broadcast(.vote(let vote)), .send(.vote(let vote), _):
                guard Int(vote.signer) == own else { continue }
                guard let number = words.number(of: vote.subject) else {
                    faults.append("votes for what nobody proposed")
                    continue
                }
                let bit: UInt64 = 1 << UInt64(number)
                if state.said & bit == 0, !journaled.contains(vote.subject) {
                    faults.append("sends its \(words.describe(vote.subject)) before the journal has it")
                }
                state.said |= bit
                if state.said & words.forbidden[number] != 0 {
                    faults.append("says \(words.describe(vote.subject)) beside what forbids it")
                }
            case .setTimer(let instant): state.timer = instant
            case .verifySignatures(let id, let items):
                let good = [Bool](repeating: true, count: items.count)
                waiting += state.engine.handle(.signaturesVerified(id, good), at: state.clock)
            case .verifyProposal(let proposal, _):
                waiting += state.engine.handle(.proposalVerdict(proposal, true), at: state.clock)
            case .propose(let view, let parent):
                if view.value <= UInt64(words.views) {
                    state.answers.append(.payload(view, words.payload(view, on: parent.digest)))
                }
            case .certify(let proposal, _): state.answers.append(.certified(proposal))
            case .evidence(let evidence):
                // Of states that decide alike one stands for all; what another of them had heard is evidence of nothing here.
                if !onlyDecisions, Int(evidence.first.signer) >= words.byzantine {
                    faults.append("accuses an honest validator")
                }
            case .keyInUseElsewhere: faults.append("believes that another has its key")
            case .broadcast, .send, .entered, .notarized, .finalized, .timeout: break
            }
        }
    }

    func describe(_ event: Int, in state: Int, _ words: SearchWords) -> String {
        if event == NodeStates.timeout { return "node \(own) times out" }
        if event < NodeStates.firstAnswer { return "node \(own) hears \(words.describe(event))" }
        switch states[state].answers[event - NodeStates.firstAnswer] {
        case .payload(let view, _): return "node \(own) has its payload for view \(view)"
        case .certified(let proposal): return "node \(own) certifies \(words.names[proposal] ?? "an unknown proposal")"
        }
    }
}
