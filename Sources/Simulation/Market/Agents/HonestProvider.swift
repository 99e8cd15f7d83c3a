import Ledger
import Primitives
import Programs
import Runtime

/// A provider's owner that keeps to the rules. The others are this one with something changed: each overrides what it does otherwise.
///
/// It acts on the chain's state alone, once after each block.
class HonestProvider {
    let purse: MarketPurse
    private(set) var seats: [MarketSeat] = []
    unowned let market: Market

    required init(_ purse: MarketPurse, in market: Market) {
        self.purse = purse
        self.market = market
    }

    // MARK: What others do otherwise

    /// What to do about a job that was given to it: run it, give it back, or nothing.
    enum Answer { case start, decline(DeclineReason), nothing }

    func answer(_ job: Job, _ seat: MarketSeat) -> Answer {
        market.work.canRun(job.spec) ? .start : .decline(.inputsUnavailable)
    }

    /// What it will say that a job came to, and the part of a run's cost that it spent to know.
    func result(of job: Job, as role: MarketSeat.Role, _ seat: MarketSeat) throws -> (
        claim: MarketClaim, effort: Double
    ) {
        (.truth, 1)
    }

    /// Whether it goes on with a job that it has started, or an audit.
    func goesOn(_ job: Job, _ seat: MarketSeat) -> Bool { true }

    /// Whether as an auditor it shows where a result is wrong that it has found to be.
    func challenges(_ job: Job, _ seat: MarketSeat) -> Bool { true }

    /// What else it does after a block.
    func attend() throws {}

    /// A result lies open to which it has no part.
    func watch(_ job: Job) throws {}

    /// What it offers at its first provider.
    func offers() throws -> [OfferTerms] { [try market.offer()] }

    /// Its providers at the beginning.
    func register() throws {
        try addSeat(purse.key, bond: .xpl(market.settings.bond), offers: try offers())
    }

    // MARK: What all do

    /// `registers`: nobody else has registered it.
    func addSeat(_ key: SecretKey, bond: Amount, offers: [OfferTerms], registers: Bool = true) throws {
        let seat = MarketSeat(key, purse, bond: bond, offers: offers)
        seats.append(seat)
        market.seat(seat, of: self)
        if registers {
            market.chain.submit(
                .registerProvider(
                    name: "\(purse.strategy.rawValue) \(purse.index)", node: key.publicKey,
                    payout: key.publicKey.address, bond: bond), by: key)
        }
        for offer in offers { market.chain.submit(.setOffer(offer), by: key) }
    }

    /// Whether two providers have one owner, or owners that help each other.
    func isFriend(_ address: Address) -> Bool { market.provider(of: address) === self }

    /// Sets paused offers anew, and fills the bond up from what is left.
    func keepUp(_ seat: MarketSeat, _ provider: Provider, _ standing: [Offer]) throws {
        if seat.isLeft || provider.isWithdrawn { return }
        for offer in standing where offer.isPaused {
            if let terms = seat.offers.first(where: { $0.device == offer.terms.device }) {
                market.chain.submit(.setOffer(terms), by: seat.key)
            }
        }
        let fee = Amount.xpl(1)
        if provider.bond < seat.bond, let missing = try? seat.bond.subtracting(provider.bond) {
            let balance = try Query.account(seat.address, in: market.chain.state).balance
            guard let spare = try? balance.subtracting(fee), spare > .zero else { return }
            market.chain.submit(.addBond(amount: min(missing, spare)), by: seat.key)
        }
    }

    private func plan(_ job: Job, as role: MarketSeat.Role, _ seat: MarketSeat) throws -> MarketSeat.Plan {
        let task = MarketSeat.Task(job: job.id, attempt: job.attempt, role: role)
        if let plan = seat.plans[task] { return plan }
        let (claim, effort) = try result(of: job, as: role, seat)
        purse.tally.cost += effort * market.cost(of: job.spec)
        if role == .auditor {
            purse.tally.audits += 1
            if effort == 0 { purse.tally.unworked += 1 }
        }
        // A machine that does nothing takes as long as one that works, so as not to be known by it.
        let plan = MarketSeat.Plan(
            claim: claim, commitment: try market.work.commitment(of: claim, job.spec),
            readyAt: market.chain.clock + (job.assignment?.milliseconds ?? 0))
        seat.plans[task] = plan
        return plan
    }

    /// What it has said of a job, once it has decided that.
    func claim(of job: Job, _ seat: MarketSeat, as role: MarketSeat.Role) -> MarketClaim? {
        seat.plans[MarketSeat.Task(job: job.id, attempt: job.attempt, role: role)]?.claim
    }

    private func masked(_ plan: MarketSeat.Plan, _ job: Job, _ seat: MarketSeat) -> Digest {
        plan.commitment.masked(
            salt: seat.salt(job.id), provider: seat.address, job: job.id, attempt: job.attempt)
    }

    /// What its mask holds as an executor: beside a decoy where its draw has set a trap.
    private func opening(_ plan: MarketSeat.Plan, _ job: Job, _ seat: MarketSeat) -> ResultOpening {
        let trap = TrapProof(job: job.id, beacon: job.assignment?.beacon ?? .zero, key: seat.key)
        let isSet = trap.isSet(perMille: market.settings.parameters.trapPerMille)
        return ResultOpening(
            commitment: plan.commitment, decoy: isSet ? MarketWork.noise(seat.salt(job.id)) : nil,
            salt: seat.salt(job.id), trap: job.audits.isEmpty ? nil : trap)
    }

    // MARK: As executor

    func execute(_ job: Job, _ seat: MarketSeat) throws {
        let (id, attempt) = (job.id, job.attempt)
        switch job.state {
        case .assigned:
            // Witnesses look for its inputs.
            if job.isClaimed { return }
            switch answer(job, seat) {
            case .start: market.chain.submit(.startJob(job: id, attempt: attempt), by: seat.key)
            case .decline(let reason):
                purse.tally.declined += 1
                market.chain.submit(.declineJob(job: id, attempt: attempt, reason: reason), by: seat.key)
            case .nothing: return
            }
        case .running:
            if !goesOn(job, seat) { return }
            let plan = try plan(job, as: .executor, seat)
            if market.chain.clock < plan.readyAt { return }
            market.chain.submit(
                .commitResult(
                    job: id, attempt: attempt,
                    masked: opening(plan, job, seat).masked(provider: seat.address, job: id, attempt: attempt)),
                by: seat.key)
        case .committed where job.stage == .opening:
            let plan = try plan(job, as: .executor, seat)
            market.chain.submit(
                .openResult(job: id, attempt: attempt, opening: opening(plan, job, seat)), by: seat.key)
        default: return
        }
    }

    // MARK: As auditor

    func audit(_ job: Job, _ audit: Audit, _ seat: MarketSeat) throws {
        let (id, attempt) = (job.id, job.attempt)
        if audit.isSilent || !goesOn(job, seat) { return }
        switch job.state {
        case .committed where job.stage == .auditors && audit.masked == nil:
            if !market.work.canRun(job.spec) { return }
            let plan = try plan(job, as: .auditor, seat)
            if market.chain.clock < plan.readyAt { return }
            market.chain.submit(
                .commitAudit(job: id, attempt: attempt, masked: masked(plan, job, seat)), by: seat.key)
        case .auditing where audit.masked != nil && audit.commitment == nil:
            let plan = try plan(job, as: .auditor, seat)
            market.chain.submit(
                .revealAudit(job: id, attempt: attempt, commitment: plan.commitment, salt: seat.salt(id)), by: seat.key)
        default: break
        }
        guard job.isDisputable, let assignment = job.assignment, audit.disagrees(with: assignment),
            challenges(job, seat),
            try Query.dispute(job: id, attempt: attempt, challenger: seat.address, in: market.chain.state) == nil
        else { return }
        challenge(job, seat, deposit: .zero)
    }

    func challenge(_ job: Job, _ seat: MarketSeat, deposit: Amount) {
        market.chain.submit(
            .challenge(job: job.id, attempt: job.attempt, opening: market.work.opening, deposit: deposit), by: seat.key)
    }

    // MARK: As witness

    /// What it says of inputs that it was drawn to look for; nil for nothing.
    func word(on job: Job, _ seat: MarketSeat) -> Bool? { market.work.canRun(job.spec) }

    func attest(_ job: Job, _ seat: MarketSeat) {
        guard job.claim?.awaits(seat.address) == true, let holds = word(on: job, seat) else { return }
        market.chain.submit(.attestDelivery(job: job.id, attempt: job.attempt, holds: holds), by: seat.key)
    }

    // MARK: In a dispute

    /// Who runs again what a dispute asks for pays for that, once.
    private func runAgain(_ job: Job, as role: MarketSeat.Role, _ seat: MarketSeat) {
        let task = MarketSeat.Task(job: job.id, attempt: job.attempt, role: role)
        if seat.plans[task]?.hasRunAgain ?? true { return }
        seat.plans[task]?.hasRunAgain = true
        purse.tally.cost += market.cost(of: job.spec)
    }

    /// What it stands by a claim with; nil where there is nothing.
    private func run(_ claim: MarketClaim, _ job: Job) throws -> DisputeRun? {
        switch claim {
        case .truth: try market.work.run(job.spec)
        case .turned: try market.work.lie(job.spec)
        case .guess: nil
        }
    }

    func defend(_ job: Job, _ dispute: Dispute, _ seat: MarketSeat) throws {
        guard let point = dispute.walk.point, let claim = claim(of: job, seat, as: .executor),
            let run = try run(claim, job)
        else { return }
        runAgain(job, as: .executor, seat)
        market.chain.submit(
            .revealDispute(
                job: job.id, attempt: job.attempt, challenger: dispute.challenger, point: point,
                reveal: try run.reveal(at: point)), by: seat.key)
    }

    /// What it holds against a result that it has challenged.
    func grounds(_ job: Job, _ seat: MarketSeat) -> MarketClaim? { claim(of: job, seat, as: .auditor) }

    func accuse(_ job: Job, _ dispute: Dispute, _ seat: MarketSeat) throws {
        guard let subject = job.disputeSubject, let claim = grounds(job, seat), let run = try run(claim, job) else {
            return
        }
        runAgain(job, as: .auditor, seat)
        // A false accuser's own run may have nothing to say against what it is shown: it is silent then, and loses.
        guard let pick = try? run.pick(for: dispute.walk, subject) else { return }
        market.chain.submit(
            .pickDispute(job: job.id, attempt: job.attempt, round: dispute.round, pick: pick), by: seat.key)
    }
}
