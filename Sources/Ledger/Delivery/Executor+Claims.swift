import Primitives

/// Claims that bytes are handed to nobody (`docs/ledger.md`), a result's or, as `Executor+Inputs` has it, a job's inputs. A claim about a result keeps a result
/// from settling and changes nothing else about it: disputes go on, auditors have their time, and only where the result would settle does the verdict count.
extension Executor {
    private mutating func claimed(_ id: Digest, _ attempt: UInt32) throws -> (
        job: Job, claim: DeliveryClaim, assignment: Assignment
    ) {
        guard let job = try overlay.object(Job.self, StateKey.job(id)) else {
            throw TransactionFailure(reason: "there is no job \(id)")
        }
        guard let claim = job.claim, claim.attempt == attempt, job.attempt == attempt, let assignment = job.assignment
        else { throw TransactionFailure(reason: "nobody has claimed anything of attempt \(attempt)") }
        if claim.state != .open { throw TransactionFailure(reason: "the claim is \(claim.state)") }
        if claim.deadline > 0, clock > claim.deadline {
            throw TransactionFailure(
                reason: "the deadline was \(claim.deadline) ms of chain clock, it is \(clock)")
        }
        return (job, claim, assignment)
    }

    // MARK: Moves

    mutating func claimUndelivered(_ id: Digest, _ attempt: UInt32, _ deposit: Amount, _ sender: Address) throws {
        guard var job = try overlay.object(Job.self, StateKey.job(id)), job.requester == sender else {
            throw TransactionFailure(reason: "the sender has no job \(id): only its requester claims its output")
        }
        if job.attempt != attempt {
            throw TransactionFailure(reason: "the job is at attempt \(job.attempt), not \(attempt)")
        }
        guard job.isDisputable, let assignment = job.assignment, assignment.commitment != nil else {
            throw TransactionFailure(
                reason: "the job is \(job.state): there is no result whose output could be claimed")
        }
        if let claim = job.claim, claim.subject == .output, claim.attempt == attempt {
            throw TransactionFailure(reason: "this result was claimed before")
        }
        let end = windowEnd(job, assignment)
        if disputeClock > end {
            throw TransactionFailure(
                reason: "the window for claims ended at \(end) ms of dispute clock, it is \(disputeClock)")
        }
        let terms = try ClaimTerms(assignment, parameters)
        if deposit < terms.deposit {
            throw TransactionFailure(reason: "the deposit is \(deposit) XPL, the least is \(terms.deposit)")
        }
        // Others are asked to hold it: now they are asked with a deposit.
        if job.isClaimed { try voidClaim(&job) }
        try debit(sender, deposit)
        try raise(\.escrowed, deposit)
        let drawHeight = height.advanced(by: parameters.auditLag)
        job.claim = DeliveryClaim(
            claimant: sender, attempt: attempt, deposit: deposit, fee: terms.fee, drawHeight: drawHeight)
        try overlay.set(bytes: [], StateKey.draw(drawHeight, id))
        if !job.awaitsReveals { try rest(&job, assignment) }
        try save(job)
    }

    mutating func attestDelivery(_ id: Digest, _ attempt: UInt32, holds: Bool, _ sender: Address) throws {
        var (job, claim, _) = try claimed(id, attempt)
        guard let index = claim.witnesses.firstIndex(where: { $0.provider == sender && $0.holds == nil }) else {
            throw TransactionFailure(reason: "the claim waits for no word of the sender")
        }
        claim.witnesses[index].holds = holds
        job.claim = claim
        if let verdict = claim.verdict(atDeadline: false) { try endClaim(&job, verdict) }
        try save(job)
    }

    mutating func postOutput(_ id: Digest, _ attempt: UInt32, _ output: PostedOutput, _ sender: Address) throws {
        var (job, _, assignment) = try claimed(id, attempt)
        if assignment.provider != sender {
            throw TransactionFailure(reason: "the job is not assigned to the sender")
        }
        guard let commitment = assignment.commitment, output.isAll(of: commitment) else {
            throw TransactionFailure(reason: "these are not the bytes of the result")
        }
        try endClaim(&job, .posted)
        try save(job)
    }

    // MARK: What happens without a transaction

    /// Draws by bond those that are to say whether the bytes can be had: each has something to lose, and none is the executor's or the requester's by its
    /// payout.
    mutating func drawWitnesses(of job: inout Job, _ offers: [Offer]) throws {
        guard var claim = job.claim, let assignment = job.assignment,
            let executor = try overlay.object(Provider.self, StateKey.provider(assignment.provider))
        else { throw LedgerFault.corrupt("a claim without its provider") }
        let parties = [executor.address, executor.payout, job.requester]
        var candidates: [Provider] = []
        for offer in offers {
            guard !offer.isPaused, offer.activeFrom <= height, offer.terms.expiry >= height,
                // It is to hold as much as the job may leave.
                offer.memory >= job.spec.memory,
                candidates.last?.address != offer.provider,
                let provider = try overlay.object(Provider.self, StateKey.provider(offer.provider)),
                !provider.isWithdrawn, provider.newcomer == nil, provider.bond > .zero,
                !parties.contains(provider.address), !parties.contains(provider.payout),
                // Who gave this job up, or fell silent over it, would be silent again.
                !job.excluded.contains(provider.address)
            else { continue }
            candidates.append(provider)
        }
        let isCheckpoint = claim.subject == .checkpoint
        for round in 0..<(isCheckpoint ? parameters.checkpointHolders : parameters.deliveryWitnesses)
        where !candidates.isEmpty {
            let salt = 1 << 62 | UInt64(job.attempt) << 8 | round
            // Who has run a segment has what it leaves.
            let auditor = candidates.firstIndex { candidate in
                job.audits.contains { $0.auditor == candidate.address && !$0.isSilent }
            }
            let place = isCheckpoint ? auditor : nil
            let drawn = candidates[place ?? placeByBond(candidates.map(\.bond), of: job.id, salt)]
            claim.witnesses.append(DeliveryWitness(provider: drawn.address))
            // One of each operator, as far as its payout says.
            candidates.removeAll { $0.address == drawn.address || $0.payout == drawn.payout }
        }
        if !claim.witnesses.isEmpty {
            claim.deadline = later(clock, ClaimTerms.milliseconds(job.spec, parameters))
            try overlay.set(bytes: [], StateKey.claimTimer(claim.deadline, job.id))
        }
        job.claim = claim
        if claim.witnesses.isEmpty { try endClaim(&job, .lapsed) }
    }

    /// Acts on claims whose time is over, oldest first, up to the cap.
    mutating func runClaimTimers() throws {
        for entry in try overlay.scan(prefix: StateKey.claimTimers, limit: Int(parameters.timersPerBlock)) {
            // At the deadline a word is still in time.
            if StateKey.number(entry.key.dropFirst()) >= clock { break }
            guard var job = try overlay.object(Job.self, StateKey.job(try Digest(bytes: entry.key.suffix(32)))),
                let claim = job.claim, let verdict = claim.verdict(atDeadline: true)
            else { throw LedgerFault.corrupt("a timed claim is missing") }
            for witness in claim.witnesses where witness.holds == nil {
                try penalise(witness.provider, claim.fee, to: nil)
            }
            try endClaim(&job, verdict)
            try save(job)
        }
    }

    // MARK: Outcomes

    /// Ends a claim. Where an output can be had, the deposit pays the witnesses and is burned for the rest: none of it is the provider's, or who serves nobody
    /// before it is claimed against would live on that. Else it goes back. Holders of a checkpoint are paid by its requester, and it says nothing about the
    /// result.
    mutating func endClaim(_ job: inout Job, _ state: ClaimState) throws {
        guard var claim = job.claim, claim.state == .open else { return }
        if claim.deadline > 0 {
            try overlay.set(bytes: nil, StateKey.claimTimer(claim.deadline, job.id))
        } else {
            try overlay.set(bytes: nil, StateKey.draw(claim.drawHeight, job.id))
        }
        claim.state = state
        job.claim = claim
        switch claim.subject {
        case .inputs: return try answer(&job, claim)
        case .checkpoint: try payHolders(&job, claim)
        case .output: try payClaim(claim)
        }
        guard state != .moot, job.isDisputable, !job.awaitsReveals, let assignment = job.assignment else { return }
        try rest(&job, assignment)
    }

    private mutating func payClaim(_ claim: DeliveryClaim) throws {
        try lower(\.escrowed, claim.deposit)
        switch claim.state {
        case .delivered, .posted:
            var left = claim.deposit
            for witness in claim.witnesses where witness.holds == true {
                let fee = min(claim.fee, left)
                left = try left.subtracting(fee)
                try credit(try payout(of: witness.provider), fee)
            }
            try raise(\.burned, left)
        case .open, .undelivered, .lapsed, .moot: try credit(claim.claimant, claim.deposit)
        }
    }

    /// The attempt is over: nobody was right or wrong about its output.
    mutating func voidClaim(_ job: inout Job) throws { try endClaim(&job, .moot) }

    /// The result would settle, and nobody has its output. Unlike a lie this is found whenever somebody claims, so that the penalty need not stand for those
    /// that are not: it is twice the deposit, of which those that said so get their fees, auditors that have found the same what they ask, the requester half
    /// of the rest, at most the price; what remains is burned.
    mutating func convictUndelivered(_ job: inout Job, _ assignment: Assignment) throws {
        let penalty = try ClaimTerms(assignment, parameters).penalty
        try release(&job)
        var left = penalty
        for witness in job.claim?.witnesses ?? [] where witness.holds == false {
            let fee = min(job.claim?.fee ?? .zero, left)
            left = try left.subtracting(fee)
            try penalise(assignment.provider, fee, to: try payout(of: witness.provider))
        }
        try payAuditors(of: job, assignment, from: &left)
        if assignment.isNewcomer {
            try convictNewcomer(job, assignment, bountyTo: [])
        } else {
            let compensation = min(try left.scaled(1, over: 2), assignment.price)
            try penalise(assignment.provider, compensation, to: job.requester)
            try penalise(assignment.provider, try left.subtracting(compensation), to: nil)
        }
        try disgrace(assignment.provider)
        try loseAttempt(&job, assignment)
        job.reason = "the provider did not deliver its output"
        // Reveals of disputes that it has won are of no more use.
        try overlay.set(bytes: [], StateKey.sweep(job.id, job.attempt))
        try reopen(&job, without: assignment.provider)
    }

    /// Auditors have run what the requester does not pay for: the provider does, at most the locked price each.
    private mutating func payAuditors(of job: Job, _ assignment: Assignment, from left: inout Amount) throws {
        guard let commitment = assignment.commitment else { return }
        let units = job.spec.computeUnits(taken: commitment.steps)
        for audit in job.audits where !audit.isSilent && audit.commitment == commitment {
            let asked = try Executor.price(of: units, job, whole: audit.price)
            let fee = min(asked, assignment.price, left)
            left = try left.subtracting(fee)
            try penalise(assignment.provider, fee, to: try payout(of: audit.auditor))
        }
    }
}
