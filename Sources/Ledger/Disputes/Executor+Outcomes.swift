import Primitives
import Programs

/// How disputes end, and who pays (`docs/verification.md`).
extension Executor {
    var disputeClock: UInt64 { overlay.chain.disputeClock }

    // MARK: The provider has lied

    /// Its share goes to the challenger (bounty), to the requester (compensation) and up; so do those of auditors who said the same. The job runs again
    /// elsewhere.
    mutating func convict(_ dispute: Dispute, _ reason: String) throws {
        guard var job = try overlay.object(Job.self, StateKey.job(dispute.job)), let assignment = job.assignment else {
            throw LedgerFault.corrupt("a dispute without its job")
        }
        try close(dispute, .convicted, reason)
        try convict(&job, assignment, bountyTo: [dispute.challenger], "the provider's result was wrong: \(reason)")
    }

    /// The same for whoever has shown it. A bounty for more than one is shared equally, the first of them gets what does not divide.
    mutating func convict(
        _ job: inout Job, _ assignment: Assignment, bountyTo finders: [Address], _ reason: String
    ) throws {
        try release(&job)
        if assignment.isNewcomer {
            try convictNewcomer(job, assignment, bountyTo: finders)
        } else {
            let bounty = try assignment.share.scaled(parameters.bountyPerMille, over: 1000)
            let rest = try assignment.share.subtracting(bounty)
            let compensation = min(rest, assignment.price)
            try penalise(assignment.provider, bounty, toEach: finders)
            try penalise(assignment.provider, compensation, to: job.requester)
            try penalise(assignment.provider, try rest.subtracting(compensation), to: nil)
        }
        try disgrace(assignment.provider)
        for index in job.audits.indices where !job.audits[index].isSilent {
            let audit = job.audits[index]
            try releaseAuditor(&job, index)
            if audit.commitment == nil || audit.commitment != assignment.commitment { continue }
            let part = try audit.share.scaled(parameters.bountyPerMille, over: 1000)
            try penalise(audit.auditor, part, toEach: finders)
            try penalise(audit.auditor, try audit.share.subtracting(part), to: nil)
            try disgrace(audit.auditor)
        }
        try loseAttempt(&job, assignment)
        job.openDisputes = 0
        job.reason = reason
        // Nobody asks for its reveals any more.
        try overlay.set(bytes: [], StateKey.sweep(job.id, job.attempt))
        try setTimer(&job, nil)
        try reopen(&job, without: assignment.provider)
    }

    mutating func penalise(_ address: Address, _ amount: Amount, toEach finders: [Address]) throws {
        var left = amount
        for finder in finders.dropFirst() {
            let part = try amount.scaled(1, over: UInt64(finders.count))
            try penalise(address, part, to: finder)
            left = try left.subtracting(part)
        }
        try penalise(address, left, to: finders.first)
    }

    mutating func disgrace(_ address: Address) throws {
        guard var provider = try overlay.object(Provider.self, StateKey.provider(address)) else { return }
        provider.convictions += 1
        provider.reputation.disgrace()
        try store(provider)
    }

    // MARK: The challenger was wrong

    /// What it staked compensates the provider in part and is burned for the rest. It says nothing about other challengers.
    mutating func acquit(_ dispute: Dispute, _ reason: String) throws {
        guard var job = try overlay.object(Job.self, StateKey.job(dispute.job)), let assignment = job.assignment else {
            throw LedgerFault.corrupt("a dispute without its job")
        }
        try close(dispute, .acquitted, reason)
        if dispute.isAuditor, let index = job.audits.firstIndex(where: { $0.auditor == dispute.challenger }) {
            let share = job.audits[index].share
            try releaseAuditor(&job, index)
            let part = try share.scaled(parameters.compensationPerMille, over: 1000)
            try penalise(dispute.challenger, part, to: assignment.provider)
            try penalise(dispute.challenger, try share.subtracting(part), to: nil)
            try disgrace(dispute.challenger)
            // Its audit is as good as none: others have longer to look.
            job.audits[index].isSilent = true
            job.assignment?.windowFloor = later(
                disputeClock, parameters.unauditedWindow, times(2, assignment.slowestMilliseconds))
        } else {
            let part = try dispute.deposit.scaled(parameters.compensationPerMille, over: 1000)
            try lower(\.escrowed, dispute.deposit)
            try credit(assignment.provider, part)
            try raise(\.burned, try dispute.deposit.subtracting(part))
        }
        job.openDisputes -= min(job.openDisputes, 1)
        if job.openDisputes == 0, job.state == .disputed, let assignment = job.assignment {
            enter(&job, .opened)
            try rest(&job, assignment)
        }
        try save(job)
    }

    /// Ends a dispute. Its deposit goes back, but for one that is lost.
    private mutating func close(_ dispute: Dispute, _ state: DisputeState, _ reason: String) throws {
        var dispute = dispute
        dispute.state = state
        dispute.reason = reason
        try keep(dispute)
        if state != .acquitted, dispute.deposit > .zero {
            try lower(\.escrowed, dispute.deposit)
            try credit(dispute.challenger, dispute.deposit)
        }
        events.append(
            .dispute(job: dispute.job, attempt: dispute.attempt, challenger: dispute.challenger, state: state))
    }

    // MARK: Auditors' bonds

    /// Gives an auditor the part of its bond back that the job held.
    mutating func releaseAuditor(_ job: inout Job, _ index: Int) throws {
        let audit = job.audits[index]
        job.audits[index].isReleased = true
        if audit.isReleased { return }
        if var provider = try overlay.object(Provider.self, StateKey.provider(audit.auditor)) {
            provider.locked = (try? provider.locked.subtracting(audit.share)) ?? .zero
            try store(provider)
        }
        overlay.chain.marketChange = max(overlay.chain.marketChange, height.next())
    }

    mutating func releaseAuditors(_ job: inout Job) throws {
        for index in job.audits.indices { try releaseAuditor(&job, index) }
    }

    // MARK: Time

    /// The soonest that the dispute clock can be at a time of its own, in chain clock.
    func chainTime(of time: UInt64) -> UInt64 { later(clock, time - min(time, disputeClock)) }

    /// Until when an opened result may still be challenged, in dispute clock: by its window, and by auditors that have found another and have not challenged
    /// yet.
    func restsUntil(_ job: Job, _ assignment: Assignment) -> UInt64 {
        job.audits.filter { !$0.isSilent && $0.disagrees(with: assignment) }.map(\.challengeBy)
            .reduce(windowEnd(job, assignment), max)
    }

    /// Acts on disputes whose mover is late, oldest first, up to the cap; clears away what decided attempts have left.
    mutating func runDisputeTimers() throws {
        for entry in try overlay.scan(prefix: StateKey.disputeTimers, limit: Int(parameters.timersPerBlock)) {
            // At its deadline a move is still in time.
            if StateKey.number(entry.key.dropFirst()) >= disputeClock { break }
            let key = StateKey.disputes + entry.key.dropFirst(9)
            guard var dispute = try overlay.object(Dispute.self, key) else {
                throw LedgerFault.corrupt("a timed dispute is missing")
            }
            try overlay.set(bytes: nil, entry.key)
            try timeOut(&dispute)
        }
        try sweep()
    }

    private mutating func timeOut(_ dispute: inout Dispute) throws {
        guard let job = try overlay.object(Job.self, StateKey.job(dispute.job)), job.attempt == dispute.attempt,
            job.isDisputable, let assignment = job.assignment, let subject = job.disputeSubject
        else { return try close(dispute, .moot, "another dispute decided the attempt") }
        let (id, attempt) = (dispute.job, dispute.attempt)
        try dispute.advance(subject, try DisputeTerms(assignment, parameters)) { point in
            try overlay.object(KnownReveal.self, StateKey.reveal(id, attempt, point))
        }
        if case .convicted(let reason)? = dispute.walk.outcome { return try convict(dispute, reason) }
        if dispute.deadline >= disputeClock { return try keep(dispute) }
        switch dispute.walk.turn {
        case .defender: try convict(dispute, "the provider did not answer in time")
        case .challenger, nil: try acquit(dispute, "the challenger did not go on in time")
        }
    }

    private static let sweptPerBlock = 64

    /// Reveals of attempts that are decided are of no more use.
    private mutating func sweep() throws {
        guard let entry = try overlay.scan(prefix: StateKey.sweeps, limit: 1).first else { return }
        let reveals = try overlay.scan(
            prefix: StateKey.reveals + entry.key.dropFirst(), limit: Executor.sweptPerBlock)
        for reveal in reveals { try overlay.set(bytes: nil, reveal.key) }
        if reveals.count < Executor.sweptPerBlock { try overlay.set(bytes: nil, entry.key) }
    }

    /// The dispute clock stands still in a block whose lane was full: whoever did not get in is not late.
    mutating func passDisputeTime(_ block: Block, from clock: UInt64) {
        var weights: [UInt64] = []
        for signed in block.transactions where signed.transaction.payload.isDisputeMove {
            weights.append(Fees.weight(signed.transaction, parameters))
        }
        if !Fees.isLaneFull(weights.reduce(0, +), parameters) {
            overlay.chain.disputeClock = later(overlay.chain.disputeClock, overlay.chain.clock - clock)
        }
    }
}
