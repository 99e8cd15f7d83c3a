/// Somebody who runs others' jobs again and challenges, with a deposit, those that come out otherwise: a machine over the chain's state, as `ProviderMachine`
/// is.
///
/// 1. Which results it looks at is its own secret draw, of all that its rules let through, so that no provider can tell which will be looked at.
/// 2. A job is run again as soon as its provider has committed: when the result is opened the own one is there, and the window is long enough.
/// 3. A result that is the own one is done with. Another is disputed by `DisputeDesk`: with the provider alone first, then on chain.
/// 4. Deposits, those that are about to be made with them, are never above the rules' limit nor above the balance.
/// 5. What cannot be fetched or run is left alone: nothing is challenged without an own result.
public import Ledger
public import Primitives
public import Programs

public struct ChallengerMachine: Sendable {
    public enum Output: Sendable {
        /// Fetch what the job reads and run it (`checked`).
        case check(DisputeDesk.Attempt, WorkOrder)
        case play(DisputeItem, WorkOrder)
        case ask(WalkAsk, of: PublicKey, after: Interval)
        case submit(Payload, DisputeDuty)
    }

    /// What it has found of a result.
    public enum Finding: Sendable, Equatable {
        /// Not drawn.
        case passed
        case checking
        /// What came out here, while the provider's is not open.
        case ready(ResultCommitment)
        case agrees
        case differs
        /// The same, and it can no longer be challenged, or not within the deposits.
        case differsBeyondLimit
        case notRun(WorkRefusal)
    }

    /// Counted since the process began.
    public struct Tally: Sendable, Equatable {
        public var passed = 0
        public var checked = 0
        public var agreed = 0
        public var differed = 0
        public var notRun = 0
    }

    /// Jobs that are run at a time.
    public static let maximumChecks = 2

    private let key: SecretKey
    private let rules: ChallengerRules
    private var desk: DisputeDesk
    public private(set) var findings: [DisputeDesk.Attempt: Finding] = [:]
    public private(set) var tally = Tally()
    private var own: [DisputeDesk.Attempt: ResultCommitment] = [:]
    /// Results that were other ones, the newest last: for people to see what became of them.
    public private(set) var disputed: [DisputeDesk.Attempt] = []
    private static let maximumDisputed = 256

    public init(key: SecretKey, rules: ChallengerRules) {
        self.key = key
        self.rules = rules
        desk = DisputeDesk(key: key)
    }

    public var address: Address { key.publicKey.address }

    public var watched: [DisputeDesk.Attempt: [RevealPoint]] { desk.watched }

    /// The state may have changed, or something has ended: everything to do now.
    public mutating func look(at view: ChallengerView) -> [Output] {
        var outputs: [Output] = []
        let current = Set(view.results.map(\.attempt)).union(view.disputes.map(\.attempt))
        findings = findings.filter { current.contains($0.key) }
        own = own.filter { current.contains($0.key) }
        var items = view.disputes
        var orders = view.orders
        var free = free(view)
        for result in view.results {
            orders[result.attempt.job] = result.order
            begin(result, &outputs)
            if let item = item(of: result, &free) { items.append(item) }
        }
        for output in desk.look(at: items, revealed: view.revealed, clock: view.disputeClock) {
            switch output {
            case .play(let item):
                guard let order = orders[item.duty.job] else { continue }
                outputs.append(.play(item, order))
            case .submit(let payload, let duty): outputs.append(.submit(payload, duty))
            case .ask(let ask, let node, let pause): outputs.append(.ask(ask, of: node, after: pause))
            }
        }
        return outputs
    }

    /// Rule 4: what may still be deposited.
    private func free(_ view: ChallengerView) -> Amount {
        let left = (try? rules.depositLimit.subtracting(view.locked)) ?? .zero
        return min(left, view.balance)
    }

    /// Rules 1 and 2.
    private mutating func begin(_ result: ChallengerView.Result, _ outputs: inout [Output]) {
        if findings[result.attempt] != nil { return }
        if !isDrawn(result.attempt) {
            findings[result.attempt] = .passed
            tally.passed += 1
            return
        }
        if findings.values.count(where: { $0 == .checking }) >= ChallengerMachine.maximumChecks { return }
        findings[result.attempt] = .checking
        outputs.append(.check(result.attempt, result.order))
    }

    private func isDrawn(_ attempt: DisputeDesk.Attempt) -> Bool {
        var writer = ByteWriter(capacity: 80)
        writer.write(raw: key.seed)
        writer.write(attempt.job)
        writer.write(attempt.number)
        let bytes = Digest.of(Domain("plasma.watch"), writer.bytes).bytes
        return bytes[..<8].reduce(UInt64(0)) { $0 << 8 | UInt64($1) } % 1000 < rules.sharePerMille
    }

    /// Rule 3: what to dispute, as far as the deposits reach.
    private mutating func item(of result: ChallengerView.Result, _ free: inout Amount) -> DisputeItem? {
        guard let subject = result.subject, let own = own[result.attempt] else { return nil }
        let isSame =
            own.steps == subject.steps && own.outputRoot == subject.outputRoot && own.stateRoot == subject.stateRoot
        if isSame {
            note(result.attempt, .agrees)
            return nil
        }
        guard let terms = result.terms, let rest = try? free.subtracting(terms.deposit) else {
            note(result.attempt, .differsBeyondLimit)
            return nil
        }
        free = rest
        note(result.attempt, .differs)
        let duty = DisputeDuty(job: result.attempt.job, attempt: result.attempt.number, move: .challenge)
        return DisputeItem(duty: duty, subject: subject, walk: nil, terms: terms)
    }

    private mutating func note(_ attempt: DisputeDesk.Attempt, _ finding: Finding) {
        if case .ready? = findings[attempt] {
            if finding == .agrees { tally.agreed += 1 } else { tally.differed += 1 }
        }
        if finding == .differs, !disputed.contains(attempt) {
            disputed = disputed.suffix(ChallengerMachine.maximumDisputed - 1) + [attempt]
        }
        findings[attempt] = finding
    }

    // MARK: What came of it

    /// A job was run again, or could not be.
    public mutating func checked(_ attempt: DisputeDesk.Attempt, _ outcome: Result<ResultCommitment, WorkRefusal>) {
        // Its time is over.
        if findings[attempt] != .checking { return }
        switch outcome {
        case .success(let result):
            own[attempt] = result
            findings[attempt] = .ready(result)
            tally.checked += 1
        case .failure(let refusal):
            findings[attempt] = .notRun(refusal)
            tally.notRun += 1
        }
    }

    /// The answer to a duty was found, or none. Returns whether it is to be looked for again after a pause, by `retry`.
    public mutating func finished(_ duty: DisputeDuty, _ outcome: DisputeProgress) -> Bool {
        desk.finished(duty, outcome)
    }

    public mutating func retry(_ duty: DisputeDuty) { desk.retry(duty) }

    public mutating func ended(_ duty: DisputeDuty) { desk.ended(duty) }

    public mutating func answered(_ ask: WalkAsk, _ answer: WalkAnswer?) { desk.answered(ask, answer) }
}
