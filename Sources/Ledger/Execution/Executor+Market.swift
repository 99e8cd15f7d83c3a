import Primitives

/// What happens to jobs without a transaction: draws and timers. Matches are in `Executor+Matching`.
extension Executor {
    // MARK: Audits

    /// Draws the auditors of the jobs whose height has come, and the witnesses of claims.
    mutating func drawAuditors() throws {
        let entries = try overlay.scan(prefix: StateKey.draws, limit: Int(parameters.matchesPerBlock))
        let due = entries.filter { StateKey.number($0.key.dropFirst()) <= height.value }
        if due.isEmpty { return }
        let offers = try market().offers
        for entry in due {
            try overlay.set(bytes: nil, entry.key)
            let id = try Digest(bytes: entry.key.suffix(32))
            guard var job = try overlay.object(Job.self, StateKey.job(id)), let assignment = job.assignment else {
                continue
            }
            if job.stage == .draw {
                try drawAuditors(of: &job, assignment, offers)
            } else if job.isClaimed {
                try drawWitnesses(of: &job, offers)
            } else {
                continue
            }
            try save(job)
        }
    }

    private mutating func drawAuditors(
        of job: inout Job, _ assignment: Assignment, _ offers: [Offer]
    ) throws {
        let chance = Matching.draw(header.beacon, job.id, UInt64.max, below: 1000)
        if job.redraws == 0, chance >= UInt128(job.spec.policy.perMille) {
            try awaitOpening(&job)
            return
        }
        let answering = job.audits.count { !$0.isSilent }
        let wanted = Int(job.spec.policy.auditors) - answering
        var candidates: [(provider: Provider, price: Amount, share: Amount)] = []
        for offer in offers {
            let ask = offer.terms.pricePer1000CUf32
            guard offer.memory >= job.spec.memory, !offer.isPaused, !offer.hasFailed, offer.activeFrom <= height,
                offer.terms.expiry >= height, ask <= job.spec.maximumPricePer1000CU,
                let price = try? job.spec.computeUnits.price(perThousandUnits: ask),
                let share = try? DisputeTerms.bond(price, parameters),
                // As it is now: another job of this block may have taken of its bond.
                let provider = try overlay.object(Provider.self, StateKey.provider(offer.provider)),
                !provider.isWithdrawn, provider.address != assignment.provider, provider.free >= share,
                provider.bond > .zero, provider.newcomer == nil,
                // Who gave this job up, or fell silent over it, would be silent again.
                !job.excluded.contains(provider.address),
                !job.audits.contains(where: { $0.auditor == provider.address }),
                candidates.last?.provider.address != provider.address
            else { continue }
            candidates.append((provider, price, share))
        }
        for round in 0..<max(0, wanted) where !candidates.isEmpty {
            let salt = job.redraws << 32 | UInt64(job.attempt) << 8 | UInt64(round)
            let index = placeByBond(candidates.map(\.provider.bond), of: job.id, salt)
            var (drawn, price, share) = candidates.remove(at: index)
            drawn.locked = try drawn.locked.adding(share)
            try store(drawn)
            let auditor = drawn.address
            job.audits.append(Audit(auditor: auditor, height: height, price: price, share: share))
            events.append(.auditorDrawn(job: job.id, auditor: auditor))
        }
        if job.audits.contains(where: { !$0.isSilent && $0.masked == nil }) {
            job.stage = .auditors
            try setTimer(&job, later(clock, parameters.auditBase, times(4, assignment.slowestMilliseconds)))
        } else {
            try awaitOpening(&job)
        }
    }

    /// Which of these is drawn, each as often as it has bond, by this block's beacon.
    func placeByBond(_ bonds: [Amount], of job: Digest, _ salt: UInt64) -> Int {
        Matching.placeByBond(bonds, beacon: header.beacon, of: job, salt)
    }

    /// The auditors have committed, or there are none: the provider may open.
    mutating func awaitOpening(_ job: inout Job) throws {
        job.stage = .opening
        try setTimer(&job, later(clock, parameters.openWindow))
    }

    // MARK: Timers

    /// Acts on the timers whose time is over, oldest first, up to the cap.
    mutating func runTimers() throws {
        var left = Int(parameters.timersPerBlock)
        for entry in try overlay.scan(prefix: StateKey.timers, limit: left) where left > 0 {
            // At its deadline a move is still in time, so the timer acts after it.
            let due = StateKey.number(entry.key.dropFirst())
            if due >= clock { break }
            let id = try Digest(bytes: entry.key.suffix(32))
            guard var job = try overlay.object(Job.self, StateKey.job(id)) else {
                throw LedgerFault.corrupt("a timed job is missing")
            }
            // The end of its gang has ended it.
            if job.timer != due { continue }
            left -= Int(job.boundGang?.count ?? 1)
            try setTimer(&job, nil)
            try timeOut(&job)
        }
    }

    private mutating func timeOut(_ job: inout Job) throws {
        switch (job.state, job.assignment) {
        case (.open, _):
            if let gang = job.boundGang {
                try save(job)
                let reason = "its gang had no places all at once before the queue deadline of member \(gang.index + 1)"
                return try close(gang, .expired, reason)
            }
            try overlay.set(bytes: nil, StateKey.queued(job.number))
            job.reason = "no offer matched before its queue deadline"
            try close(&job, .expired)
        case (.assigned, let assignment?): try startMissed(&job, assignment)
        case (.running, let assignment?): try runLost(&job, assignment)
        case (.committed, _?) where job.stage == .auditors: try auditorsSilent(&job)
        case (.committed, let assignment?): try convict(&job, assignment)
        case (.opened, let assignment?), (.auditing, let assignment?): try auditOver(&job, assignment)
        default: throw LedgerFault.corrupt("a timer on a job that is \(job.state)")
        }
    }

    private mutating func startMissed(_ job: inout Job, _ assignment: Assignment) throws {
        try release(&job)
        if job.claim?.attempt == job.attempt { try penaliseReport(assignment) }
        try penaliseSilence(assignment.provider)
        if var offer = try offer(assignment.provider, assignment.device) {
            offer.isPaused = true
            try store(offer)
        }
        job.reason = "the provider did not start in time"
        try reopen(&job, without: assignment.provider)
    }

    /// A newcomer's attempts are not among those that a job has.
    mutating func loseAttempt(_ job: inout Job, _ assignment: Assignment) throws {
        if !assignment.isNewcomer { job.lost += 1 }
        if var provider = try overlay.object(Provider.self, StateKey.provider(assignment.provider)) {
            provider.lost += 1
            provider.reputation.lose(assignment.price, at: clock)
            try store(provider)
        }
    }

    private mutating func runLost(_ job: inout Job, _ assignment: Assignment) throws {
        try loseRun(
            &job, assignment, clock > assignment.runDeadline ? "the run took too long" : "the provider fell silent")
    }

    /// The provider is not paid, pays for the outage, and the attempt is lost.
    mutating func loseRun(_ job: inout Job, _ assignment: Assignment, _ reason: String) throws {
        try release(&job)
        let outage = try assignment.price.scaled(parameters.outagePricePerMille, over: 1000)
        try penalise(assignment.provider, outage, to: job.requester)
        try strike(assignment.provider)
        try loseAttempt(&job, assignment)
        job.reason = reason
        try reopen(&job, without: assignment.provider)
    }

    /// Not opened in time: the share goes half to the requester, at most the price, and is burned for the rest.
    private mutating func convict(_ job: inout Job, _ assignment: Assignment) throws {
        try release(&job)
        if assignment.isNewcomer {
            try convictNewcomer(job, assignment, bountyTo: [])
        } else {
            let compensation = min(try assignment.share.scaled(1, over: 2), assignment.price)
            try penalise(assignment.provider, compensation, to: job.requester)
            try penalise(assignment.provider, try assignment.share.subtracting(compensation), to: nil)
        }
        try loseAttempt(&job, assignment)
        if var provider = try overlay.object(Provider.self, StateKey.provider(assignment.provider)) {
            provider.convictions += 1
            provider.reputation.disgrace()
            try store(provider)
        }
        job.reason = "the provider did not open its result in time"
        try reopen(&job, without: assignment.provider)
    }

    private mutating func silence(_ job: inout Job, _ index: Int) throws {
        job.audits[index].isSilent = true
        let outage = try job.audits[index].price.scaled(parameters.outagePricePerMille, over: 1000)
        try releaseAuditor(&job, index)
        try penalise(job.audits[index].auditor, outage, to: nil)
    }

    /// An auditor that stands by the decoy and has not shown that the result is a lie, or that will not say what it had found: for whoever ran the job
    /// there is a jackpot in saying so. Its bond goes, to the provider whose trap it was where it has named the decoy.
    private mutating func trap(_ job: inout Job, _ index: Int, _ assignment: Assignment) throws {
        let audit = job.audits[index]
        job.audits[index].isSilent = true
        try releaseAuditor(&job, index)
        let bounty =
            audit.commitment == nil ? .zero : try audit.share.scaled(parameters.bountyPerMille, over: 1000)
        try penalise(audit.auditor, bounty, to: assignment.provider)
        try penalise(audit.auditor, try audit.share.subtracting(bounty), to: nil)
        try disgrace(audit.auditor)
    }

    private mutating func auditorsSilent(_ job: inout Job) throws {
        for index in job.audits.indices where !job.audits[index].isSilent && job.audits[index].masked == nil {
            try silence(&job, index)
        }
        if job.redraws < parameters.maximumRedraws {
            job.redraws += 1
            job.stage = .draw
            try overlay.set(bytes: [], StateKey.draw(height.advanced(by: parameters.auditLag), job.id))
        } else {
            try awaitOpening(&job)
        }
        try save(job)
    }

    /// The reveals' deadline or the window's end. Opened results are open to copying, so nobody is drawn again here. Who says that the result is another and
    /// does not show where is as good as silent.
    private mutating func auditOver(_ job: inout Job, _ assignment: Assignment) throws {
        for index in job.audits.indices where !job.audits[index].isSilent {
            let audit = job.audits[index]
            let isIdle = audit.disagrees(with: assignment) && audit.challengeBy < disputeClock && job.openDisputes == 0
            if audit.commitment != nil, !isIdle { continue }
            if audit.agreesWithDecoy(of: assignment) || audit.commitment == nil && assignment.decoy != nil {
                try trap(&job, index, assignment)
            } else {
                try silence(&job, index)
            }
        }
        if job.openDisputes > 0 || job.isClaimed || restsUntil(job, assignment) >= disputeClock {
            try rest(&job, assignment)
            try save(job)
        } else if let claim = job.claim, claim.subject == .output, claim.state == .undelivered,
            claim.attempt == job.attempt
        {
            try convictUndelivered(&job, assignment)
        } else if assignment.isNewcomer, !job.audits.contains(where: { !$0.isSilent }) {
            try leaveUnaudited(&job, assignment)
        } else {
            try settle(&job)
        }
    }

    /// A newcomer's result is not paid on its word alone: where no auditor has answered, the job runs elsewhere, and nobody is blamed.
    private mutating func leaveUnaudited(_ job: inout Job, _ assignment: Assignment) throws {
        try release(&job)
        try overlay.set(bytes: [], StateKey.sweep(job.id, job.attempt))
        job.reason = "no auditor has answered, and the provider is a newcomer"
        try reopen(&job, without: assignment.provider)
    }
}
