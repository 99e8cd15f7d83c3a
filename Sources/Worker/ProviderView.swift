public import Ledger
public import Primitives
public import Programs

/// What an executor's trap is drawn by.
public struct TrapTerms: Hashable, Sendable {
    /// Of the block that assigned the job.
    public let beacon: Digest
    /// Whether auditors were drawn, who must see the proof.
    public let isAudited: Bool

    public init(beacon: Digest, isAudited: Bool) {
        self.beacon = beacon
        self.isAudited = isAudited
    }
}

/// The latest state as one provider sees it.
public struct ProviderView: Sendable {
    public var registered: Bool
    /// The offer of this provider's device 0 that stands; nil where there is none, or the chain has paused it because a start was missed.
    public var offer: OfferTerms?
    public var items: [WorkItem]
    /// Moves in disputes that wait for this provider, the most urgent first.
    public var disputes: [DisputeItem]
    public var jobs: [Digest: JobSpec]
    /// Moves that the chain lets wait at a time.
    public var maximumMoves: Int
    /// What the traps of the jobs are drawn by which this provider is to run.
    public var draws: [WorkTask: TrapTerms]
    public var trapPerMille: UInt64
    /// The clock of disputes.
    public var disputeClock: UInt64
    /// What stands on chain at the points that are watched, of each attempt that can still be disputed.
    public var revealed: [DisputeDesk.Attempt: [RevealPoint: Reveal]]
    /// Own results that can still be disputed, beside those that rest.
    public var disputable: Set<DisputeDesk.Attempt> = []
    /// Own results that can be disputed and that nobody disputes or claims: a busy provider has many, so they are shared with what was read, not copied.
    public var resting: Set<DisputeDesk.Attempt> = []
    /// What the jobs that others read have ended in.
    public var results: [Digest: ResultCommitment] = [:]
    /// Jobs whose start must show where what they read of others stands.
    public var unresolved: Set<Digest> = []
    /// Results that are claimed, of those whose bytes this provider is to fetch as a witness, or to show as its own.
    public var claimed: [WorkTask: ResultCommitment] = [:]
    /// How long a run goes on before it may be called slow, in milliseconds.
    public var slowPatience: UInt64 = .max
    /// What challenges ask of its devices.
    public var devices: [DeviceDuty] = []
    /// How the last challenge of device 0 ended, where it was not passed.
    public var deviceFailure: DeviceRecord.Failure?

    public init(
        registered: Bool, offer: OfferTerms?, items: [WorkItem], disputes: [DisputeItem] = [],
        jobs: [Digest: JobSpec], maximumMoves: Int = .max, draws: [WorkTask: TrapTerms] = [:],
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
        self.draws = draws
        self.trapPerMille = trapPerMille
    }

    /// What gives this provider something to do, from an executed state. Looks at each job that is not over. `watched`: where its machine holds others' words.
    public init(
        of provider: Address, watching watched: [DisputeDesk.Attempt: [RevealPoint]] = [:], in state: any StateStore
    ) throws(LedgerFault) {
        var jobs = ProviderJobs(of: provider)
        try jobs.readAll(in: state)
        self = try jobs.view(watching: watched, in: state)
    }

    /// What providers have revealed on chain at these points, of the attempts among them that can still be disputed.
    static func revealed(
        _ watched: [DisputeDesk.Attempt: [RevealPoint]], in state: any StateStore
    ) throws(LedgerFault) -> [DisputeDesk.Attempt: [RevealPoint: Reveal]] {
        var revealed: [DisputeDesk.Attempt: [RevealPoint: Reveal]] = [:]
        for (attempt, points) in watched {
            guard let job = try Query.job(attempt.job, in: state), job.attempt == attempt.number, job.isDisputable
            else { continue }
            var found: [RevealPoint: Reveal] = [:]
            for point in points {
                found[point] = try Query.reveal(job: attempt.job, attempt: attempt.number, at: point, in: state)
            }
            revealed[attempt] = found
        }
        return revealed
    }

    /// What a shell needs to work on a job.
    func order(for job: Digest) -> WorkOrder? {
        guard let spec = jobs[job] else { return nil }
        let parents = Set(spec.parents)
        return WorkOrder(spec: spec, results: parents.isEmpty ? [:] : results.filter { parents.contains($0.key) })
    }
}
