/// What one account has to do in disputes, as a machine: moves on chain that the state asks for, and walks with providers alone before a challenge is made
/// there.
///
/// 1. What the state asks for is found out by a run of the job, posted, and posted again until the state no longer asks for it.
/// 2. A challenge is tried before the provider alone first (`PeerWalk`), where its terms say who that is; it is posted where the walk says so.
/// 3. Whose own run has nothing to say falls silent: it makes no challenge that it would lose.
/// 4. What a provider has signed is held against what it reveals on chain for as long as its result can be disputed.
public import Ledger
public import Primitives
public import Programs

public struct DisputeDesk: Sendable {
    public enum Output: Sendable {
        case play(DisputeItem)
        case submit(Payload, DisputeDuty)
        /// Ask the provider's node, and give back what it says (`answered`).
        case ask(WalkAsk, of: PublicKey, after: Interval)
    }

    /// A result that a walk is about.
    public struct Attempt: Hashable, Sendable, Comparable {
        public let job: Digest
        public let number: UInt32

        public init(job: Digest, number: UInt32) {
            self.job = job
            self.number = number
        }

        public static func < (x: Attempt, y: Attempt) -> Bool { x.job != y.job ? x.job < y.job : x.number < y.number }
    }

    /// Duties that are computed at a time: anybody may open disputes, and each takes a machine's time.
    public static let maximumPlays = 4

    private let key: SecretKey
    public private(set) var duties: [DisputeDuty: DisputeProgress] = [:]
    private var underWay: Set<DisputeDuty> = []
    private var walks: [Attempt: PeerWalk] = [:]

    public init(key: SecretKey) { self.key = key }

    /// Points at which this account holds a provider's signed word: what stands there on chain is asked of the state.
    public var watched: [Attempt: [RevealPoint]] { walks.mapValues { $0.signed.map(\.point) } }

    /// Everything to do now. `revealed`: what stands on chain at the points that are watched, of each attempt that can still be disputed. `clock`: the dispute
    /// clock.
    public mutating func look(
        at items: [DisputeItem], revealed: [Attempt: [RevealPoint: Reveal]], clock: UInt64
    ) -> [Output] {
        var outputs: [Output] = []
        let asked = Set(items.map(\.duty))
        let challenged = Set(items.filter { $0.duty.move == .challenge }.map(\.attempt))
        walks = walks.filter { challenged.contains($0.key) || revealed[$0.key] != nil }
        duties = duties.filter { duty, _ in
            // A walk's own questions live with it.
            if case .name = duty.move { challenged.contains(duty.result) } else { asked.contains(duty) }
        }
        for item in items { act(on: item, clock, &outputs) }
        contradict(revealed, &outputs)
        return outputs
    }

    private mutating func act(on item: DisputeItem, _ clock: UInt64, _ outputs: inout [Output]) {
        guard let answer = answer(to: item, &outputs) else { return }
        guard item.duty.move == .challenge, case .opening(let opening) = answer, let terms = item.terms else {
            return post(item.payload(answer), item.duty, &outputs)
        }
        walk(item, terms, opening, answer, clock, &outputs)
    }

    /// Rule 2.
    private mutating func walk(
        _ item: DisputeItem, _ terms: ChallengeTerms, _ opening: DisputeOpening, _ answer: DisputeAnswer,
        _ clock: UInt64, _ outputs: inout [Output]
    ) {
        let attempt = item.attempt
        // What the program does not open the chain would refuse too.
        guard var walk = walks[attempt] ?? (try? PeerWalk(item, terms, opening: opening, by: key, clock: clock)) else {
            return
        }
        defer { walks[attempt] = walk }
        while true {
            switch walk.next(at: clock) {
            case .wait: return
            case .ask(let ask, let pause): return outputs.append(.ask(ask, of: terms.node, after: pause))
            case .pick(let round, let place):
                let named = DisputeItem(
                    duty: DisputeDuty(job: attempt.job, attempt: attempt.number, move: .name(round: round)),
                    subject: item.subject, walk: place)
                guard case .pick(let pick)? = self.answer(to: named, &outputs) else {
                    // Rule 3.
                    if case .refused(let refusal)? = duties[named.duty], !refusal.isPassing {
                        duties[item.duty] = .refused(refusal)
                    }
                    return
                }
                walk.picked(pick, round: round)
            case .settle(let transcript, let key, let signature):
                return post(
                    .settleByTranscript(
                        job: attempt.job, attempt: attempt.number, transcript: transcript, key: key,
                        signature: signature),
                    DisputeDuty(job: attempt.job, attempt: attempt.number, move: .settle), &outputs)
            case .giveUp(let reason):
                if walk.isLost {
                    duties[item.duty] = .refused(.failed(reason))
                    return
                }
                return post(item.payload(answer), item.duty, &outputs)
            }
        }
    }

    /// Rule 1: what the own run says, once it is known.
    private mutating func answer(to item: DisputeItem, _ outputs: inout [Output]) -> DisputeAnswer? {
        switch duties[item.duty] {
        case nil:
            // The most urgent come first.
            if duties.values.count(where: { $0 == .computing }) < DisputeDesk.maximumPlays {
                duties[item.duty] = .computing
                outputs.append(.play(item))
            }
            return nil
        case .done(let answer): return answer
        case .computing, .refused: return nil
        }
    }

    private mutating func post(_ payload: Payload?, _ duty: DisputeDuty, _ outputs: inout [Output]) {
        guard let payload, underWay.insert(duty).inserted else { return }
        outputs.append(.submit(payload, duty))
    }

    /// Rule 4.
    private mutating func contradict(
        _ revealed: [Attempt: [RevealPoint: Reveal]], _ outputs: inout [Output]
    ) {
        for attempt in walks.keys.sorted() {
            guard let known = revealed[attempt], let payload = walks[attempt]?.contradiction(known) else { continue }
            post(payload, DisputeDuty(job: attempt.job, attempt: attempt.number, move: .contradict), &outputs)
        }
    }

    // MARK: What came of it

    /// The answer to a duty was found, or none. Returns whether it is to be looked for again after a pause, by `retry`.
    public mutating func finished(_ duty: DisputeDuty, _ outcome: DisputeProgress) -> Bool {
        // Nobody waits for it any more.
        if duties[duty] == nil { return false }
        duties[duty] = outcome
        if case .refused(let refusal) = outcome { return refusal.isPassing }
        return false
    }

    public mutating func retry(_ duty: DisputeDuty) {
        if case .refused(let refusal)? = duties[duty], refusal.isPassing { duties[duty] = nil }
    }

    /// What was submitted is final, refused, or was waited for long enough.
    public mutating func ended(_ duty: DisputeDuty) { underWay.remove(duty) }

    /// What came of an ask; nil where the node was not reached, or what it said cannot be read.
    public mutating func answered(_ ask: WalkAsk, _ answer: WalkAnswer?) {
        walks[Attempt(job: ask.job, number: ask.attempt)]?.answered(ask, answer)
    }
}

extension DisputeDuty {
    var result: DisputeDesk.Attempt { DisputeDesk.Attempt(job: job, number: attempt) }
}

extension DisputeItem {
    var attempt: DisputeDesk.Attempt { duty.result }
}

extension WorkRefusal {
    /// Whether it may be otherwise soon.
    var isPassing: Bool { if case .unavailable = self { true } else { false } }
}
