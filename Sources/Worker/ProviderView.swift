public import Ledger
public import Primitives
public import Programs

/// The latest state as one provider sees it.
public struct ProviderView: Sendable {
    public var registered: Bool
    /// The offer of this provider's device 0 that stands; nil where there is none, or the chain has paused it because a start was missed.
    public var offer: OfferTerms?
    public var items: [WorkItem]
    /// Moves in disputes that wait for this provider.
    public var disputes: [DisputeItem]
    public var jobs: [Digest: JobSpec]
    /// Moves that the chain lets wait at a time.
    public var maximumMoves: Int
    /// Of the blocks that assigned the jobs which this provider is to run: what their traps are drawn by.
    public var beacons: [WorkTask: Digest]
    public var trapPerMille: UInt64
    /// The clock of disputes.
    public var disputeClock: UInt64
    /// What stands on chain at the points that are watched, of each attempt that can still be disputed.
    public var revealed: [DisputeDesk.Attempt: [RevealPoint: Reveal]]

    public init(
        registered: Bool, offer: OfferTerms?, items: [WorkItem], disputes: [DisputeItem] = [],
        jobs: [Digest: JobSpec], maximumMoves: Int = .max, beacons: [WorkTask: Digest] = [:],
        trapPerMille: UInt64 = 0, disputeClock: UInt64 = 0,
        revealed: [DisputeDesk.Attempt: [RevealPoint: Reveal]] = [:]
    ) {
        self.disputeClock = disputeClock
        self.revealed = revealed
        self.maximumMoves = maximumMoves
        self.registered = registered
        self.offer = offer
        self.items = items
        self.disputes = disputes
        self.jobs = jobs
        self.beacons = beacons
        self.trapPerMille = trapPerMille
    }

    /// The jobs that give this provider something to do, from an executed state. Looks at each job that is not over. `watched`: where its machine holds others' words.
    public init(
        of provider: Address, watching watched: [DisputeDesk.Attempt: [RevealPoint]] = [:], in state: any StateStore
    ) throws(LedgerFault) {
        revealed = try ProviderView.revealed(watched, in: state)
        registered = try Query.provider(provider, in: state) != nil
        offer = try Query.offers(in: state).first {
            $0.provider == provider && $0.terms.device == 0 && !$0.isPaused
        }?.terms
        items = []
        disputes = []
        jobs = [:]
        beacons = [:]
        let parameters = try Query.parameters(in: state)
        trapPerMille = parameters.trapPerMille
        maximumMoves = Int(clamping: parameters.maximumPendingMoves)
        let chain = try Query.chain(in: state)
        let clock = chain.clock
        disputeClock = chain.disputeClock
        for job in try Query.movingJobs(in: state) {
            let found = [
                ProviderView.executorItem(job, provider, clock, parameters), ProviderView.auditorItem(job, provider),
            ].compactMap { $0 }
            if found.isEmpty { continue }
            items += found
            if let assignment = job.assignment, assignment.provider == provider {
                beacons[WorkTask(job: job.id, attempt: job.attempt, role: .executor)] = assignment.beacon
            }
            disputes += try ProviderView.disputes(job, provider, in: state)
            jobs[job.id] = job.spec
        }
    }

    private static func disputes(
        _ job: Job, _ provider: Address, in state: any StateStore
    ) throws(LedgerFault) -> [DisputeItem] {
        guard job.isDisputable, let assignment = job.assignment, let subject = job.disputeSubject else { return [] }
        func item(_ move: DisputeDuty.Move, _ walk: Walk?) -> DisputeItem {
            DisputeItem(
                duty: DisputeDuty(job: job.id, attempt: job.attempt, move: move), subject: subject, walk: walk)
        }
        if assignment.provider == provider {
            if job.openDisputes == 0 { return [] }
            var items: [DisputeItem] = []
            var points: Set<RevealPoint> = []
            for dispute in try Query.openDisputes(of: job.id, attempt: job.attempt, in: state) {
                // One reveal serves all that wait at its point.
                guard let point = dispute.walk.point, points.insert(point).inserted else { continue }
                items.append(item(.reveal(to: dispute.challenger, at: point), dispute.walk))
            }
            return items
        }
        guard let audit = job.audits.first(where: { $0.auditor == provider }), !audit.isSilent,
            audit.disagrees(with: assignment)
        else { return [] }
        guard
            let dispute = try Query.dispute(
                job: job.id, attempt: job.attempt, challenger: provider, in: state)
        else {
            guard case .success(let right) = try Query.challengeRight(of: job, by: provider, in: state) else {
                return []
            }
            let duty = DisputeDuty(job: job.id, attempt: job.attempt, move: .challenge)
            let terms = try ChallengeTerms(of: job, right, in: state)
            return [DisputeItem(duty: duty, subject: subject, walk: nil, terms: terms)]
        }
        guard dispute.state == .open, dispute.walk.turn == .challenger else { return [] }
        return [item(.pick(round: dispute.round), dispute.walk)]
    }

    /// What providers have revealed on chain at these points, of the attempts among them that can still be disputed.
    static func revealed(
        _ watched: [DisputeDesk.Attempt: [RevealPoint]], in state: any StateStore
    ) throws(LedgerFault) -> [DisputeDesk.Attempt: [RevealPoint: Reveal]] {
        var revealed: [DisputeDesk.Attempt: [RevealPoint: Reveal]] = [:]
        for (attempt, points) in watched {
            guard let job = try Query.job(attempt.job, in: state), job.attempt == attempt.number, job.isDisputable
            else {
                continue
            }
            var found: [RevealPoint: Reveal] = [:]
            for point in points {
                found[point] = try Query.reveal(job: attempt.job, attempt: attempt.number, at: point, in: state)
            }
            revealed[attempt] = found
        }
        return revealed
    }

    private static func executorItem(
        _ job: Job, _ provider: Address, _ clock: UInt64, _ parameters: ChainParameters
    ) -> WorkItem? {
        guard let assignment = job.assignment, assignment.provider == provider else { return nil }
        let task = WorkTask(job: job.id, attempt: job.attempt, role: .executor)
        switch job.state {
        case .assigned:
            // A third of the time is left: enough to say that it will not be.
            let isLate = job.timer.map { $0 < clock + parameters.startWindow / 3 } ?? false
            return WorkItem(task: task, stage: .assigned(isLate: isLate))
        case .running:
            // Two thirds of the silence that is allowed have passed.
            let due = job.timer.map { $0 < clock + parameters.heartbeatWindow / 3 } ?? false
            return WorkItem(task: task, stage: .running(heartbeatDue: due))
        case .committed: return WorkItem(task: task, stage: .committed(mayOpen: job.stage == .opening))
        default: return WorkItem(task: task, stage: .finished)
        }
    }

    private static func auditorItem(_ job: Job, _ auditor: Address) -> WorkItem? {
        guard let audit = job.audits.first(where: { $0.auditor == auditor }), !audit.isSilent else { return nil }
        let task = WorkTask(job: job.id, attempt: job.attempt, role: .auditor)
        if audit.commitment != nil { return WorkItem(task: task, stage: .finished) }
        if audit.masked == nil {
            return job.state == .committed && job.stage == .auditors ? WorkItem(task: task, stage: .drawn) : nil
        }
        return WorkItem(task: task, stage: .masked(mayReveal: job.state == .auditing))
    }
}
