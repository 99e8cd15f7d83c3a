import Primitives

/// Jobs whose inputs somebody has fetched, or cannot have (`docs/ledger.md`). The requester's staging deposit is a part of the job's escrow: what is paid of it
/// is taken from there, and the rest goes back with it.
extension Executor {
    func staging(_ assignment: Assignment) throws(AmountFault) -> StagingTerms {
        try StagingTerms(price: assignment.price, parameters)
    }

    mutating func payout(of provider: Address) throws -> Address {
        try overlay.object(Provider.self, StateKey.provider(provider))?.payout ?? provider
    }

    /// Pays a part of the staging deposit, as far as the escrow has it: what is for runs and audits is never touched.
    mutating func payStaging(_ owed: Amount, to provider: Address, from job: inout Job) throws {
        let all = try Escrow(job.spec, parameters).staging
        let amount = min(owed, (try? all.subtracting(job.stagingPaid)) ?? .zero)
        job.escrow = try job.escrow.subtracting(amount)
        job.stagingPaid = try job.stagingPaid.adding(amount)
        try lower(\.escrowed, amount)
        try credit(try payout(of: provider), amount)
    }

    // MARK: Staged

    /// The inputs are here, and the run waits for its turn: who cancels from here on pays for the fetching. Who says so must start: all else costs it what
    /// silence does.
    mutating func stage(_ job: inout Job, _ running: Assignment) throws {
        var assignment = running
        if job.claim?.attempt == job.attempt {
            throw TransactionFailure(reason: "the sender has said that it cannot have the inputs: it can start")
        }
        if assignment.isStaged { throw TransactionFailure(reason: "the inputs were staged before") }
        assignment.isStaged = true
        job.assignment = assignment
        try save(job)
    }

    mutating func cancelAssigned(_ job: inout Job, _ assignment: Assignment) throws {
        if job.isClaimed {
            throw TransactionFailure(reason: "witnesses look for the job's inputs: wait for their word")
        }
        if assignment.isStaged {
            try payStaging(try staging(assignment).deposit, to: assignment.provider, from: &job)
            job.reason = "its inputs were staged already"
        }
        try release(&job)
    }

    // MARK: Inputs that cannot be had

    /// One provider says that nobody can run the job; witnesses are asked. It keeps the job meanwhile, and with it its bond share: it answers for its word.
    mutating func ask(_ job: inout Job, _ assignment: Assignment, _ reason: DeclineReason) throws {
        let terms = try staging(assignment)
        let drawHeight = height.advanced(by: parameters.auditLag)
        job.claim = DeliveryClaim(
            subject: .inputs, claimant: assignment.provider, attempt: job.attempt, deposit: terms.deposit,
            fee: terms.fee, drawHeight: drawHeight)
        job.reason = "its provider reports: \(reason)"
        try overlay.set(bytes: [], StateKey.draw(drawHeight, job.id))
        try setTimer(&job, nil)
        try save(job)
    }

    /// What becomes of the job once its witnesses have spoken.
    mutating func answer(_ job: inout Job, _ claim: DeliveryClaim) throws {
        guard let assignment = job.assignment else { throw LedgerFault.corrupt("inputs without a provider") }
        switch claim.state {
        case .delivered:
            // Whoever holds them hands them out: also to the provider, if they were kept from it alone. It starts, or pays for its word.
            for witness in claim.witnesses where witness.holds == true {
                try penalise(assignment.provider, claim.fee, to: try payout(of: witness.provider))
            }
            job.reason = ""
            try setTimer(&job, later(clock, parameters.startWindow))
        case .undelivered:
            try release(&job)
            var left = claim.deposit
            let lacking = claim.witnesses.filter { $0.holds == false }
            for witness in lacking {
                let fee = min(claim.fee, left)
                left = try left.subtracting(fee)
                try payStaging(fee, to: witness.provider, from: &job)
            }
            try payStaging(left, to: assignment.provider, from: &job)
            job.reason = "\(job.reason); \(lacking.count) of \(claim.witnesses.count) witnesses say the same"
            job.assignment = nil
            try close(&job, .failed)
        // Nobody was asked, or nobody has answered: nobody is blamed.
        case .open, .posted, .lapsed, .moot:
            try release(&job)
            job.reason = "\(job.reason), and nobody could be asked"
            try reopen(&job, without: assignment.provider)
        }
    }

    /// Whoever has reported what others could have, and has not started then either, pays what it might have won.
    mutating func penaliseReport(_ assignment: Assignment) throws {
        try penalise(assignment.provider, try staging(assignment).deposit, to: nil)
    }

    /// The provider has the inputs after all: witnesses are not needed any more, and those who have helped are paid.
    mutating func endQuestion(_ job: inout Job) throws { if job.isClaimed { try endClaim(&job, .delivered) } }

    // MARK: Slow numbers

    /// A run is far slower than the machine. The provider is not paid and the job goes on elsewhere; if a provider of another operator says the same, the job
    /// is over, and both share the deposit. If somebody is paid for the run, the first was wrong.
    mutating func reportSlow(_ job: inout Job, _ assignment: Assignment) throws {
        let started = assignment.runDeadline - min(assignment.runDeadline, runWindow(assignment))
        let soonest = later(started, assignment.milliseconds)
        if clock < soonest {
            throw TransactionFailure(
                reason: "a run is slow after the job's own time, at \(soonest) ms of chain clock, it is \(clock)")
        }
        let provider = assignment.provider
        let terms = try staging(assignment)
        if let first = job.slowReport {
            if try payout(of: first.provider) == payout(of: provider) {
                return try loseRun(&job, assignment, "its provider finds it slow, as another of one owner did")
            }
            try release(&job)
            // No more than the first has staked: else one that asks next to nothing would stake next to nothing.
            let half = min(try terms.half(), first.stake)
            for finder in [first.provider, provider] { try payStaging(half, to: finder, from: &job) }
            job.reason = "two providers find its numbers far slower than others"
            job.assignment = nil
            return try close(&job, .failed)
        }
        try release(&job)
        if assignment.isNewcomer {
            // Its word is one among many names'.
            try countDecline(provider)
        } else {
            let stake = min(try terms.half(), assignment.share)
            try hold(stake, of: provider)
            job.slowReport = SlowReport(provider: provider, stake: stake)
        }
        job.reason = "its provider finds its numbers far slower than others"
        try reopen(&job, without: provider)
    }

    private mutating func hold(_ stake: Amount, of address: Address) throws {
        guard var provider = try overlay.object(Provider.self, StateKey.provider(address)) else {
            throw LedgerFault.corrupt("a provider that reports is missing")
        }
        provider.locked = try provider.locked.adding(stake)
        try store(provider)
    }

    /// The job is over: whoever found it slow has its stake back, unless somebody was paid for the run.
    mutating func endSlowReport(_ job: inout Job, wasRun: Bool) throws {
        guard let report = job.slowReport else { return }
        job.slowReport = nil
        if var provider = try overlay.object(Provider.self, StateKey.provider(report.provider)) {
            provider.locked = (try? provider.locked.subtracting(report.stake)) ?? .zero
            try store(provider)
        }
        overlay.chain.marketChange = max(overlay.chain.marketChange, height.next())
        if !wasRun { return }
        try penalise(report.provider, report.stake, to: nil)
        try countDecline(report.provider)
    }
}
