public import Ledger
public import Primitives
public import Programs

/// The jobs that concern one provider, kept between its looks at the state: a look reads what has changed since the last, not all that moves.
///
/// What was not told of is found by the next `readAll`: the state alone decides, and being told only spares time.
public struct ProviderJobs: Sendable {
    private let provider: Address
    /// Those that may give it something to do.
    private var jobs: [Digest: Job] = [:]
    /// Its own results that lie open, undisputed and unclaimed, by job: most of a busy provider's, and nothing to look at until a block writes them.
    private var resting: Set<DisputeDesk.Attempt> = []
    /// The attempt of each of them.
    private var attempts: [Digest: UInt32] = [:]

    public init(of provider: Address) { self.provider = provider }

    /// Reads each job that is not over: as long as all of them are.
    public mutating func readAll(in state: any StateStore) throws(LedgerFault) {
        jobs.removeAll(keepingCapacity: true)
        resting.removeAll(keepingCapacity: true)
        attempts.removeAll(keepingCapacity: true)
        for job in try Query.movingJobs(in: state) { keep(job) }
    }

    /// Reads these jobs again.
    public mutating func read(_ changed: Set<Digest>, in state: any StateStore) throws(LedgerFault) {
        for id in changed {
            jobs[id] = nil
            if let attempt = attempts.removeValue(forKey: id) {
                resting.remove(DisputeDesk.Attempt(job: id, number: attempt))
            }
            if let job = try Query.job(id, in: state) { keep(job) }
        }
    }

    private mutating func keep(_ job: Job) {
        if job.state.isTerminal { return }
        if job.assignment?.provider == provider, job.state == .opened || job.state == .auditing, job.isDisputable,
            job.openDisputes == 0, job.claim?.state != .open
        {
            resting.insert(DisputeDesk.Attempt(job: job.id, number: job.attempt))
            attempts[job.id] = job.attempt
            return
        }
        if job.assignment?.provider == provider || job.audits.contains(where: { $0.auditor == provider })
            || job.claim?.awaits(provider) == true
        {
            jobs[job.id] = job
        }
    }

    /// What they give this provider to do, in the state that they were read from.
    public func view(
        watching watched: [DisputeDesk.Attempt: [RevealPoint]] = [:], in state: any StateStore
    ) throws(LedgerFault) -> ProviderView {
        let parameters = try Query.parameters(in: state)
        let chain = try Query.chain(in: state)
        let clock = chain.clock
        let offer = try Query.offers(of: provider, in: state).first { $0.terms.device == 0 }
        var view = ProviderView(
            registered: try Query.provider(provider, in: state) != nil,
            offer: offer.flatMap { $0.isPaused ? nil : $0.terms },
            items: [], jobs: [:], maximumMoves: Int(clamping: parameters.maximumPendingMoves),
            trapPerMille: parameters.trapPerMille, disputeClock: chain.disputeClock,
            revealed: try ProviderView.revealed(watched, in: state))
        // A quarter of the least time that a run may take is left to say so.
        view.slowPatience = parameters.runBase / 4 * 3
        view.devices = try Query.deviceDuties(of: provider, in: state)
        view.deviceFailure = offer?.device.failure
        var disputes: [(deadline: UInt64, item: DisputeItem)] = []
        view.resting = resting
        // In no order: the machine sorts what it has to do.
        for job in jobs.values {
            if job.isDisputable, job.assignment?.provider == provider {
                view.disputable.insert(DisputeDesk.Attempt(job: job.id, number: job.attempt))
            }
            let due = try dueMoves(job, in: state)
            var items = [executorItem(job, clock, parameters), auditorItem(job)].compactMap { $0 }
            if let item = claimItem(job, clock, parameters) {
                items.append(item)
                if job.claim?.subject != .inputs { view.claimed[item.task] = job.assignment?.commitment }
            }
            if items.isEmpty && due.isEmpty { continue }
            view.items += items
            view.jobs[job.id] = job.spec
            if job.roots == nil { view.unresolved.insert(job.id) }
            for parent in job.spec.parents where view.results[parent] == nil {
                view.results[parent] = try Query.receipt(job: parent, in: state)?.commitment
            }
            disputes += due
            if let assignment = job.assignment, assignment.provider == provider {
                view.draws[WorkTask(job: job.id, attempt: job.attempt, role: .executor)] = TrapTerms(
                    beacon: assignment.beacon, isAudited: !job.audits.isEmpty)
            }
        }
        // The most urgent first.
        view.disputes = disputes.sorted { ($0.deadline, $0.item.duty.job) < ($1.deadline, $1.item.duty.job) }.map(
            \.item)
        return view
    }

    /// What disputes about a job ask of this provider, with the dispute clock by which it must come.
    private func dueMoves(_ job: Job, in state: any StateStore) throws(LedgerFault) -> [(
        deadline: UInt64, item: DisputeItem
    )] {
        guard job.isDisputable, let assignment = job.assignment, let subject = job.disputeSubject else { return [] }
        func item(_ move: DisputeDuty.Move, _ walk: Walk?) -> DisputeItem {
            DisputeItem(
                duty: DisputeDuty(job: job.id, attempt: job.attempt, move: move), subject: subject, walk: walk)
        }
        if assignment.provider == provider {
            if job.openDisputes == 0 { return [] }
            var due: [(deadline: UInt64, item: DisputeItem)] = []
            var points: Set<RevealPoint> = []
            for dispute in try Query.openDisputes(of: job.id, attempt: job.attempt, in: state) {
                // One reveal serves all that wait at its point.
                guard let point = dispute.walk.point, points.insert(point).inserted else { continue }
                due.append((dispute.deadline, item(.reveal(to: dispute.challenger, at: point), dispute.walk)))
            }
            return due
        }
        guard let audit = job.audits.first(where: { $0.auditor == provider }), !audit.isSilent,
            audit.disagrees(with: assignment)
        else { return [] }
        guard let dispute = try Query.dispute(job: job.id, attempt: job.attempt, challenger: provider, in: state) else {
            guard case .success(let right) = try Query.challengeRight(of: job, by: provider, in: state) else {
                return []
            }
            let duty = DisputeDuty(job: job.id, attempt: job.attempt, move: .challenge)
            let terms = try ChallengeTerms(of: job, right, in: state)
            return [(audit.challengeBy, DisputeItem(duty: duty, subject: subject, walk: nil, terms: terms))]
        }
        guard dispute.state == .open, dispute.walk.turn == .challenger else { return [] }
        return [(dispute.deadline, item(.pick(round: dispute.round), dispute.walk))]
    }

    private func executorItem(_ job: Job, _ clock: UInt64, _ parameters: ChainParameters) -> WorkItem? {
        guard let assignment = job.assignment, assignment.provider == provider else { return nil }
        let task = WorkTask(job: job.id, attempt: job.attempt, role: .executor)
        switch job.state {
        case .assigned:
            // A third of the time is left: enough to say that it will not be.
            let isLate = job.timer.map { $0 < clock + parameters.startWindow / 3 } ?? false
            let stage: WorkItem.Stage =
                if job.claim?.attempt == job.attempt {
                    .reported(isLate: isLate)
                } else {
                    assignment.isStaged ? .staged(isLate: isLate) : .assigned(isLate: isLate)
                }
            return WorkItem(task: task, stage: stage, milliseconds: assignment.milliseconds)
        case .running:
            // Two thirds of the silence that is allowed have passed.
            let due = job.timer.map { $0 < clock + parameters.heartbeatWindow / 3 } ?? false
            return WorkItem(task: task, stage: .running(heartbeatDue: due), milliseconds: assignment.milliseconds)
        case .committed: return WorkItem(task: task, stage: .committed(mayOpen: job.stage == .opening))
        default: return nil
        }
    }

    /// What a claim asks of a witness, or of the provider whose result it is about.
    private func claimItem(_ job: Job, _ clock: UInt64, _ parameters: ChainParameters) -> WorkItem? {
        guard let claim = job.claim, claim.state == .open, claim.attempt == job.attempt else { return nil }
        if job.assignment?.provider == provider {
            if claim.subject != .output { return nil }
            return WorkItem(
                task: WorkTask(job: job.id, attempt: job.attempt, role: .deliverer), stage: .claimed)
        }
        if !claim.awaits(provider) { return nil }
        return WorkItem(
            task: WorkTask(job: job.id, attempt: job.attempt, role: .witness),
            stage: .asked(isLate: claim.deadline < clock + parameters.deliveryBase / 3))
    }

    private func auditorItem(_ job: Job) -> WorkItem? {
        guard let audit = job.audits.first(where: { $0.auditor == provider }), !audit.isSilent,
            audit.commitment == nil
        else { return nil }
        let task = WorkTask(job: job.id, attempt: job.attempt, role: .auditor)
        if audit.masked == nil {
            return job.state == .committed && job.stage == .auditors ? WorkItem(task: task, stage: .drawn) : nil
        }
        return WorkItem(task: task, stage: .masked(mayReveal: job.state == .auditing))
    }
}
