public import Ledger
public import Primitives
internal import Programs

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
    /// What the jobs that others read have ended in.
    public var results: [Digest: ResultCommitment] = [:]
    /// Jobs whose start must show where what they read of others stands.
    public var unresolved: Set<Digest> = []

    public init(
        registered: Bool, offer: OfferTerms?, items: [WorkItem], disputes: [DisputeItem] = [],
        jobs: [Digest: JobSpec], maximumMoves: Int = .max, beacons: [WorkTask: Digest] = [:],
        trapPerMille: UInt64 = 0
    ) {
        self.maximumMoves = maximumMoves
        self.registered = registered
        self.offer = offer
        self.items = items
        self.disputes = disputes
        self.jobs = jobs
        self.beacons = beacons
        self.trapPerMille = trapPerMille
    }

    /// The jobs that give this provider something to do, from an executed state. Looks at each job that is not over.
    public init(of provider: Address, in state: any StateStore) throws(LedgerFault) {
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
        let clock = try Query.chain(in: state).clock
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
            if job.roots == nil { unresolved.insert(job.id) }
            for parent in job.spec.parents where results[parent] == nil {
                results[parent] = try Query.receipt(job: parent, in: state)?.commitment
            }
        }
    }

    /// What a shell needs to work on a job.
    func order(for job: Digest) -> WorkOrder? {
        guard let spec = jobs[job] else { return nil }
        let parents = Set(spec.parents)
        return WorkOrder(spec: spec, results: parents.isEmpty ? [:] : results.filter { parents.contains($0.key) })
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
        else { return [item(.challenge, nil)] }
        guard dispute.state == .open, dispute.walk.turn == .challenger else { return [] }
        return [item(.pick(round: dispute.round), dispute.walk)]
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
