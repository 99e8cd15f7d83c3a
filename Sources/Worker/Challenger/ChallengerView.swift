public import Ledger
public import Primitives
public import Programs

/// What somebody who looks after others' results looks at, and what it may cost.
public struct ChallengerRules: Hashable, Sendable {
    /// Of the results, how many in a thousand are run again.
    public var sharePerMille: UInt64
    /// What may lie in deposits at a time, all together.
    public var depositLimit: Amount
    /// Longer jobs are left alone; in compute units.
    public var longest: ComputeUnits?
    /// Only jobs of this requester, and of this model (its manifest); nil for all.
    public var requester: Address?
    public var manifest: Digest?

    public init(
        sharePerMille: UInt64, depositLimit: Amount, longest: ComputeUnits? = nil, requester: Address? = nil,
        manifest: Digest? = nil
    ) {
        self.sharePerMille = sharePerMille
        self.depositLimit = depositLimit
        self.longest = longest
        self.requester = requester
        self.manifest = manifest
    }

    func wants(_ job: Job) -> Bool {
        if let requester, job.requester != requester { return false }
        if let manifest, job.spec.manifest != manifest { return false }
        if let longest, job.spec.computeUnits > longest { return false }
        return true
    }
}

/// The latest state as somebody sees it who challenges with a deposit.
public struct ChallengerView: Sendable {
    /// A provider's result that may be run again.
    public struct Result: Sendable {
        public let attempt: DisputeDesk.Attempt
        public let order: WorkOrder
        /// What the provider is bound to, and on what terms it can be challenged; nil before it has opened, and where it cannot be challenged (any more).
        public let subject: DisputeSubject?
        public let terms: ChallengeTerms?

        public init(
            attempt: DisputeDesk.Attempt, order: WorkOrder, subject: DisputeSubject?, terms: ChallengeTerms?
        ) {
            self.attempt = attempt
            self.order = order
            self.subject = subject
            self.terms = terms
        }
    }

    /// What is due soonest comes first.
    public var results: [Result]
    /// Own disputes that wait for a move, with their jobs.
    public var disputes: [DisputeItem]
    public var orders: [Digest: WorkOrder]
    public var balance: Amount
    /// What lies in deposits now.
    public var locked: Amount
    public var disputeClock: UInt64
    public var revealed: [DisputeDesk.Attempt: [RevealPoint: Reveal]]

    public init(
        results: [Result], disputes: [DisputeItem] = [], orders: [Digest: WorkOrder] = [:], balance: Amount,
        locked: Amount = .zero, disputeClock: UInt64 = 0,
        revealed: [DisputeDesk.Attempt: [RevealPoint: Reveal]] = [:]
    ) {
        self.results = results
        self.disputes = disputes
        self.orders = orders
        self.balance = balance
        self.locked = locked
        self.disputeClock = disputeClock
        self.revealed = revealed
    }

    /// From an executed state. Results of the account itself, and those that it audits, are its provider's to look after.
    public init(
        of account: Address, _ rules: ChallengerRules, watching watched: [DisputeDesk.Attempt: [RevealPoint]] = [:],
        in state: any StateStore
    ) throws(LedgerFault) {
        self.init(
            results: [], balance: try Query.account(account, in: state).balance,
            disputeClock: try Query.disputeClock(in: state), revealed: try ProviderView.revealed(watched, in: state))
        for job in try Query.movingJobs(in: state) where job.state == .committed || job.isDisputable {
            guard let assignment = job.assignment, assignment.provider != account,
                !job.audits.contains(where: { $0.auditor == account })
            else { continue }
            let attempt = DisputeDesk.Attempt(job: job.id, number: job.attempt)
            if let own = try Query.dispute(job: job.id, attempt: job.attempt, challenger: account, in: state) {
                try take(own, job, in: state)
            } else if rules.wants(job) {
                var terms: ChallengeTerms?
                if case .success(let right) = try Query.challengeRight(of: job, by: account, in: state) {
                    terms = try ChallengeTerms(of: job, right, in: state)
                }
                results.append(
                    Result(
                        attempt: attempt, order: try WorkOrder(of: job, in: state), subject: job.disputeSubject,
                        terms: terms))
            }
        }
    }

    private mutating func take(
        _ dispute: Dispute, _ job: Job, in state: any StateStore
    ) throws(LedgerFault) {
        guard dispute.state == .open, let subject = job.disputeSubject else { return }
        do throws(AmountFault) { locked = try locked.adding(dispute.deposit) } catch {
            throw .corrupt("deposits above all there is")
        }
        orders[job.id] = try WorkOrder(of: job, in: state)
        if dispute.walk.turn != .challenger { return }
        let duty = DisputeDuty(job: job.id, attempt: job.attempt, move: .pick(round: dispute.round))
        disputes.append(DisputeItem(duty: duty, subject: subject, walk: dispute.walk))
    }
}
