import Primitives

/// What becomes of a job's money, its timer and its place.
extension Executor {
    func later(_ clock: UInt64, _ spans: UInt64...) -> UInt64 {
        spans.reduce(clock) { sum, span in
            let (next, overflow) = sum.addingReportingOverflow(span)
            return overflow ? .max : next
        }
    }

    func times(_ factor: UInt64, _ span: UInt64) -> UInt64 {
        let (product, overflow) = span.multipliedReportingOverflow(by: factor)
        return overflow ? .max : product
    }

    func windowEnd(_ job: Job, _ assignment: Assignment) -> UInt64 { job.windowEnd(assignment, parameters) }

    mutating func save(_ job: Job) throws { try overlay.set(job, StateKey.job(job.id)) }

    mutating func enter(_ job: inout Job, _ state: JobState) {
        job.state = state
        if job.history.count < Job.maximumHistory {
            job.history.append(JobStep(state: state, height: height, time: header.time))
        }
        events.append(.job(id: job.id, state: state, attempt: job.attempt))
    }

    /// A job has at most one timer.
    mutating func setTimer(_ job: inout Job, _ due: UInt64?) throws {
        if let old = job.timer { try overlay.set(bytes: nil, StateKey.timer(old, job.id)) }
        job.timer = due
        if let due { try overlay.set(bytes: [], StateKey.timer(due, job.id)) }
    }

    /// Puts a job into the queue; matched by the next block's beacon. A gang has one entry, its first member's.
    mutating func enqueue(_ job: inout Job) throws {
        if job.attempt == 0 { job.openClock = clock }
        enter(&job, .open)
        job.stage = .none
        if (job.boundGang?.index ?? 0) == 0 {
            try overlay.set(QueueEntry(job: job.id), StateKey.queued(job.number))
        }
        try setTimer(&job, later(clock, job.spec.queueMilliseconds))
    }

    /// Gives the provider its bond share and its place back; what it had at stake goes to whom the attempt's end gives it.
    mutating func release(_ job: inout Job) throws {
        guard let assignment = job.assignment else { return }
        if var provider = try overlay.object(Provider.self, StateKey.provider(assignment.provider)) {
            provider.locked = (try? provider.locked.subtracting(assignment.share)) ?? .zero
            provider.atStake = (try? provider.atStake.subtracting(assignment.atStake)) ?? .zero
            try store(provider)
        }
        job.assignment?.atStake = .zero
        let key = StateKey.offer(assignment.provider, assignment.device)
        if var offer = try overlay.object(Offer.self, key) {
            offer.running -= min(offer.running, 1)
            try overlay.set(offer, key)
        }
        overlay.chain.marketChange = max(overlay.chain.marketChange, height.next())
    }

    /// Takes a penalty from a bond, as far as it goes: to somebody, or burned.
    mutating func penalise(_ address: Address, _ amount: Amount, to receiver: Address?) throws {
        guard var provider = try overlay.object(Provider.self, StateKey.provider(address)) else { return }
        let taken = min(amount, provider.bond)
        provider.bond = try provider.bond.subtracting(taken)
        try store(provider)
        try lower(\.bonded, taken)
        if let receiver { try credit(receiver, taken) } else { try raise(\.burned, taken) }
    }

    /// After an attempt is over: back into the queue without its provider, or failed where nothing more is allowed.
    mutating func reopen(_ job: inout Job, without provider: Address) throws {
        if !job.excluded.contains(provider) { job.excluded.append(provider) }
        try voidClaim(&job)
        try releaseAuditors(&job)
        job.assignment = nil
        job.audits = []
        job.redraws = 0
        let isLate = clock > later(job.openClock, job.spec.deadlineMilliseconds)
        if job.lost >= parameters.maximumAttempts || isLate || job.excluded.count >= Job.maximumExcluded {
            if isLate { job.reason = "its deadline is over" }
            try close(&job, .failed)
        } else {
            try enqueue(&job)
            try save(job)
        }
    }

    /// Ends a job: what is left of its escrow goes back to the requester.
    mutating func close(_ job: inout Job, _ state: JobState) throws {
        try endSlowReport(&job, wasRun: false)
        try lower(\.escrowed, job.escrow)
        try credit(job.requester, job.escrow)
        job.escrow = .zero
        job.allowance = .zero
        job.stage = .none
        enter(&job, state)
        try setTimer(&job, nil)
        try save(job)
        if job.isAwaited { try overlay.set(bytes: [], StateKey.end(job.id)) }
    }

    /// Pays from a job's escrow; a `newcomer` gets its bond first.
    private mutating func pay(
        _ amount: Amount, to payee: Address, from job: inout Job, royaltyTo: Address?, newcomer: Address? = nil
    ) throws {
        job.escrow = try job.escrow.subtracting(amount)
        try lower(\.escrowed, amount)
        let parts = try Payment(
            amount, royaltyBasisPoints: royaltyTo == nil ? 0 : job.royaltyBasisPoints, parameters)
        try raise(\.burned, parts.burned)
        try raise(\.stakersPool, parts.stakers)
        try raise(\.treasury, parts.treasury)
        try raise(\.auditPool, parts.auditPool)
        if let royaltyTo, parts.royalty > .zero { try credit(royaltyTo, parts.royalty) }
        if let newcomer { try withhold(parts.payee, newcomer) } else { try credit(payee, parts.payee) }
    }

    /// The part of the price of the whole job for what was really run, rounded up: nobody works for nothing.
    static func price(of units: ComputeUnits, _ job: Job, whole: Amount) throws(AmountFault) -> Amount {
        let all = job.spec.computeUnits.weightedOperations
        if units.weightedOperations >= all { return whole }
        let part = try whole.scaled(units.weightedOperations, over: all)
        let rest = whole.baseUnits.multipliedFullWidth(by: UInt128(units.weightedOperations))
        let back = part.baseUnits.multipliedFullWidth(by: UInt128(all))
        return rest == back ? part : try part.adding(Amount(baseUnits: 1))
    }

    /// Whoever found the true result of a trap gets the jackpot on top, a part of its own fee, from the audit pool; where that has less than all of them, each
    /// gets its part of what there is.
    private mutating func payJackpots(_ job: inout Job, _ commitment: ResultCommitment, _ units: ComputeUnits) throws {
        var jackpots: [(index: Int, amount: Amount)] = []
        for (index, audit) in job.audits.enumerated() where !audit.isSilent && audit.commitment == commitment {
            let fee = try Executor.price(of: units, job, whole: audit.price)
            jackpots.append((index, try fee.scaled(parameters.jackpotPerMille, over: 1000)))
        }
        let pool = overlay.totals.auditPool.baseUnits
        let all = try jackpots.reduce(Amount.zero) { try $0.adding($1.amount) }.baseUnits
        for (index, owed) in jackpots {
            var amount = owed
            if all > pool {
                // Less than what is owed, since the pool is less than all.
                let product = pool.multipliedFullWidth(by: owed.baseUnits)
                amount = Amount(baseUnits: all.dividingFullWidth((product.high, product.low)).quotient)
            }
            let auditor = job.audits[index].auditor
            let payout = try overlay.object(Provider.self, StateKey.provider(auditor))?.payout ?? auditor
            try lower(\.auditPool, amount)
            try credit(payout, amount)
            job.audits[index].jackpot = amount
        }
    }

    /// Pays provider and auditors for the steps that were taken, refunds the rest, writes the receipt.
    mutating func settle(_ job: inout Job) throws {
        guard let assignment = job.assignment, let commitment = assignment.commitment,
            let provider = try overlay.object(Provider.self, StateKey.provider(assignment.provider))
        else { throw LedgerFault.corrupt("a job settles without its result") }
        let units = job.spec.computeUnits(taken: commitment.steps)
        let price = try Executor.price(of: units, job, whole: assignment.price)
        try pay(
            price, to: provider.payout, from: &job, royaltyTo: job.royaltyTo,
            newcomer: provider.newcomer == nil ? nil : provider.address)
        var auditors: [Address] = []
        var auditFees = Amount.zero
        for audit in job.audits where !audit.isSilent && audit.commitment == commitment {
            let payout = try overlay.object(Provider.self, StateKey.provider(audit.auditor))?.payout ?? audit.auditor
            // Of its own ask: what the executor is content with says nothing of what a run costs others.
            let fee = try Executor.price(of: units, job, whole: audit.price)
            try pay(fee, to: payout, from: &job, royaltyTo: nil)
            auditFees = try auditFees.adding(fee)
            auditors.append(audit.auditor)
        }
        if assignment.decoy != nil { try payJackpots(&job, commitment, units) }
        try release(&job)
        try releaseAuditors(&job)
        try endSlowReport(&job, wasRun: true)
        try overlay.set(bytes: [], StateKey.sweep(job.id, job.attempt))
        if var provider = try overlay.object(Provider.self, StateKey.provider(assignment.provider)) {
            provider.settled += 1
            provider.reputation.settle(price, isVerified: !auditors.isEmpty, at: clock)
            try store(provider)
        }
        let receipt = JobReceipt(
            job: job.id, requester: job.requester, provider: assignment.provider, attempt: job.attempt,
            commitment: commitment, computeUnits: units, amount: price, auditFees: auditFees, auditors: auditors,
            submittedHeight: job.submittedHeight, committedHeight: assignment.committedHeight,
            settledHeight: height)
        try overlay.set(receipt, StateKey.receipt(job.id))
        try close(&job, .settled)
    }
}
