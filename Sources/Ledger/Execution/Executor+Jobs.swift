import Primitives

/// The moves that a requester, a provider and an auditor make in a job.
extension Executor {
    /// The job for a move, at the attempt it names, not late by the block's own clock.
    private mutating func job(_ id: Digest, attempt: UInt32, in state: JobState) throws -> Job {
        guard let job = try overlay.object(Job.self, StateKey.job(id)) else {
            throw TransactionFailure(reason: "there is no job \(id)")
        }
        if job.state != state { throw TransactionFailure(reason: "the job is \(job.state), not \(state)") }
        if job.attempt != attempt {
            throw TransactionFailure(reason: "the job is at attempt \(job.attempt), not \(attempt)")
        }
        if let timer = job.timer, clock > timer {
            throw TransactionFailure(reason: "the deadline was \(timer) ms of chain clock, it is \(clock)")
        }
        return job
    }

    private mutating func ownJob(_ id: Digest, _ attempt: UInt32, in state: JobState, _ sender: Address) throws -> (
        Job, Assignment
    ) {
        let job = try job(id, attempt: attempt, in: state)
        guard let assignment = job.assignment, assignment.provider == sender else {
            throw TransactionFailure(reason: "the job is not assigned to the sender")
        }
        return (job, assignment)
    }

    mutating func cancel(_ id: Digest, _ sender: Address) throws {
        guard var job = try overlay.object(Job.self, StateKey.job(id)), job.requester == sender else {
            throw TransactionFailure(reason: "the sender has no job \(id)")
        }
        if let gang = job.boundGang {
            throw TransactionFailure(
                reason: "the job is placed with its gang or not at all: cancel gang \(gang.gang), all \(gang.count)")
        }
        switch job.state {
        case .waiting: try waitNoMore(&job)
        case .open: try overlay.set(bytes: nil, StateKey.queued(job.number))
        case .assigned:
            guard let assignment = job.assignment else { throw LedgerFault.corrupt("assigned to nobody") }
            try cancelAssigned(&job, assignment)
        default: throw TransactionFailure(reason: "the job is \(job.state): it can be cancelled only before its start")
        }
        try close(&job, .cancelled)
    }

    /// Who says that nobody could run the job is not blamed for it, unless witnesses say that it can be. A newcomer's word, or one given after another, starts no question.
    mutating func decline(_ id: Digest, _ attempt: UInt32, _ reason: DeclineReason, _ sender: Address) throws {
        var (job, assignment) = try ownJob(id, attempt, in: .assigned, sender)
        if job.isClaimed {
            throw TransactionFailure(reason: "witnesses look for the job's inputs: wait for their word")
        }
        let hasReported = job.claim?.attempt == attempt
        if reason.blamesJob, !hasReported, !assignment.isStaged,
            try overlay.object(Provider.self, StateKey.provider(sender))?.newcomer == nil
        {
            return try ask(&job, assignment, reason)
        }
        job.reason = "declined: \(reason)"
        try release(&job)
        if hasReported { try penaliseReport(assignment) }
        if assignment.isStaged { try penaliseSilence(sender) } else { try countDecline(sender) }
        try reopen(&job, without: sender)
    }

    /// Two are free in an epoch of declines.
    mutating func countDecline(_ address: Address) throws {
        guard var provider = try overlay.object(Provider.self, StateKey.provider(address)) else {
            throw LedgerFault.corrupt("a provider that declined is missing")
        }
        if clock - min(clock, provider.declinesSince) >= parameters.declineEpochMilliseconds {
            provider.declines = 0
            provider.declinesSince = clock
        }
        provider.declines += 1
        try store(provider)
        if provider.declines > parameters.freeDeclines { try penaliseSilence(address) }
    }

    mutating func penaliseSilence(_ address: Address) throws {
        let bond = try overlay.object(Provider.self, StateKey.provider(address))?.bond ?? .zero
        try penalise(address, try bond.scaled(parameters.silencePenaltyPerMille, over: 1000), to: nil)
        try strike(address)
    }

    mutating func stage(_ id: Digest, _ attempt: UInt32, _ sender: Address) throws {
        var (job, assignment) = try ownJob(id, attempt, in: .assigned, sender)
        try stage(&job, assignment)
    }

    mutating func reportSlow(_ id: Digest, _ attempt: UInt32, _ sender: Address) throws {
        var (job, assignment) = try ownJob(id, attempt, in: .running, sender)
        try reportSlow(&job, assignment)
    }

    /// How long a run may take.
    func runWindow(_ assignment: Assignment) -> UInt64 { later(parameters.runBase, times(4, assignment.milliseconds)) }

    mutating func start(_ id: Digest, _ attempt: UInt32, _ sender: Address) throws {
        var (job, assignment) = try ownJob(id, attempt, in: .assigned, sender)
        if job.roots == nil {
            throw TransactionFailure(reason: "the job reads what others left: its start must show where that stands")
        }
        try start(&job, assignment)
    }

    /// The first start of a job that reads what others left.
    mutating func start(_ id: Digest, _ attempt: UInt32, showing resolution: Resolution, _ sender: Address) throws {
        var (job, assignment) = try ownJob(id, attempt, in: .assigned, sender)
        if job.roots != nil { throw TransactionFailure(reason: "it is known what the job reads: start it without") }
        let results = try parentResults(of: job.spec)
        do throws(ResolutionFault) { job.found = try resolution.roots(of: job.spec, reading: results) } catch {
            throw TransactionFailure(reason: error.description)
        }
        try endQuestion(&job)
        if resolution.flag?.isSet == true { return try settleUnrun(&job, assignment) }
        try start(&job, assignment)
    }

    private mutating func start(_ job: inout Job, _ running: Assignment) throws {
        var assignment = running
        try endQuestion(&job)
        assignment.runDeadline = later(clock, runWindow(assignment))
        job.assignment = assignment
        enter(&job, .running)
        try setTimer(&job, min(later(clock, parameters.heartbeatWindow), assignment.runDeadline))
        try save(job)
    }

    mutating func heartbeat(_ id: Digest, _ attempt: UInt32, _ sender: Address) throws {
        var (job, assignment) = try ownJob(id, attempt, in: .running, sender)
        let due = min(later(clock, parameters.heartbeatWindow), assignment.runDeadline)
        // A heartbeat that moves the deadline by less than a quarter of its window would only spend the allowance.
        if due < later(job.timer ?? 0, parameters.heartbeatWindow / 4), due < assignment.runDeadline {
            throw TransactionFailure(reason: "the last heartbeat is too fresh")
        }
        try setTimer(&job, due)
        try save(job)
    }

    mutating func commit(_ id: Digest, _ attempt: UInt32, _ masked: Digest, _ sender: Address) throws {
        var (job, assignment) = try ownJob(id, attempt, in: .running, sender)
        assignment.masked = masked
        assignment.committedHeight = height
        job.assignment = assignment
        job.stage = .draw
        enter(&job, .committed)
        try setTimer(&job, nil)
        try overlay.set(bytes: [], StateKey.draw(height.advanced(by: parameters.auditLag), id))
        try save(job)
    }

    mutating func commitAudit(_ id: Digest, _ attempt: UInt32, _ masked: Digest, _ sender: Address) throws {
        var job = try job(id, attempt: attempt, in: .committed)
        guard job.stage == .auditors,
            let index = job.audits.firstIndex(where: { $0.auditor == sender && !$0.isSilent && $0.masked == nil })
        else { throw TransactionFailure(reason: "no audit of this job waits for the sender") }
        job.audits[index].masked = masked
        if !job.audits.contains(where: { !$0.isSilent && $0.masked == nil }) { try awaitOpening(&job) }
        try save(job)
    }

    /// What no run could have taken is no result: the job's pay is computed from it.
    private func checkSteps(_ commitment: ResultCommitment, _ job: Job) throws {
        if !job.spec.allows(steps: commitment.steps) {
            throw TransactionFailure(reason: "no run of this job takes these steps")
        }
    }

    /// A mask holds a decoy where the draw says so, and there alone. Where nobody was drawn to fall into it, nobody asks.
    private func checkTrap(_ opening: ResultOpening, _ job: Job, _ assignment: Assignment) throws {
        if let decoy = opening.decoy {
            if decoy == opening.commitment {
                throw TransactionFailure(reason: "a decoy is another result than the true one")
            }
            try checkSteps(decoy, job)
        }
        guard let trap = opening.trap else {
            if job.audits.isEmpty { return }
            throw TransactionFailure(reason: "auditors were drawn: the opening must prove whether it holds a trap")
        }
        if job.audits.isEmpty {
            throw TransactionFailure(reason: "no auditor was drawn: the opening needs no proof")
        }
        if trap.beacon != assignment.beacon {
            throw TransactionFailure(reason: "the proof is on another beacon than that of the job's assignment")
        }
        switch (trap.isSet(perMille: parameters.trapPerMille), opening.decoy) {
        case (true, nil): throw TransactionFailure(reason: "the draw set a trap: the mask must hold a decoy")
        case (false, .some):
            throw TransactionFailure(reason: "the draw set no trap: the mask must hold the result alone")
        default: break
        }
    }

    /// All auditors have answered or fallen silent: the result lies open for as long as it may be challenged, and longer where it is, or where its output is claimed.
    mutating func rest(_ job: inout Job, _ assignment: Assignment) throws {
        if job.openDisputes > 0 {
            if job.state != .disputed { enter(&job, .disputed) }
            try setTimer(&job, nil)
        } else {
            try creditAtStake(&job)
            // A claim's end sets it.
            try setTimer(&job, job.isClaimed ? nil : chainTime(of: restsUntil(job, assignment)))
        }
    }

    /// That a proof is the sender's on the beacon it names was seen where its signature was.
    mutating func open(_ id: Digest, _ attempt: UInt32, _ opening: ResultOpening, _ sender: Address) throws {
        var (job, assignment) = try ownJob(id, attempt, in: .committed, sender)
        if job.stage != .opening { throw TransactionFailure(reason: "the auditors have not all committed yet") }
        try checkSteps(opening.commitment, job)
        try checkTrap(opening, job, assignment)
        if assignment.masked != opening.masked(provider: sender, job: id, attempt: attempt) {
            throw TransactionFailure(reason: "this does not open the commitment that was posted")
        }
        assignment.commitment = opening.commitment
        assignment.decoy = opening.decoy
        assignment.openedClock = disputeClock
        job.assignment = assignment
        job.stage = .none
        if isCheckpoint(job) { try askHolders(&job, assignment) }
        if job.audits.contains(where: { !$0.isSilent }) {
            enter(&job, .auditing)
            try setTimer(&job, later(clock, parameters.revealWindow))
        } else {
            enter(&job, .opened)
            try creditAtStake(&job)
            try setTimer(&job, chainTime(of: windowEnd(job, assignment)))
        }
        try save(job)
    }

    mutating func reveal(
        _ id: Digest, _ attempt: UInt32, _ commitment: ResultCommitment, _ salt: Digest, _ sender: Address
    ) throws {
        var job = try job(id, attempt: attempt, in: .auditing)
        guard let assignment = job.assignment,
            let index = job.audits.firstIndex(where: { $0.auditor == sender && !$0.isSilent && $0.commitment == nil })
        else { throw TransactionFailure(reason: "no audit of this job waits for the sender") }
        try checkSteps(commitment, job)
        if job.audits[index].masked != commitment.masked(salt: salt, provider: sender, job: id, attempt: attempt) {
            throw TransactionFailure(reason: "this does not open the commitment that was posted")
        }
        job.audits[index].commitment = commitment
        // Nobody's vote decides: it has to show where the provider is wrong.
        if commitment != assignment.commitment {
            job.audits[index].challengeBy = later(disputeClock, parameters.challengeWindow)
        }
        if !job.awaitsReveals { try rest(&job, assignment) }
        try save(job)
    }
}
