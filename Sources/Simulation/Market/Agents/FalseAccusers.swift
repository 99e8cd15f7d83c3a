import Ledger
import Primitives

/// As an auditor says of every right result that it is another, and goes to the end with it.
final class FalseAuditor: HonestProvider {
    override func result(of job: Job, as role: MarketSeat.Role, _ seat: MarketSeat) throws -> (
        claim: MarketClaim, effort: Double
    ) {
        role == .auditor ? (.turned, 1) : (.truth, 1)
    }
}

/// Challenges a share of the right results on deposits.
final class FalseChallenger: HonestProvider {
    private var seen: Set<MarketSeat.Task> = []

    override func watch(_ job: Job) throws {
        let seat = seats[0]
        let task = MarketSeat.Task(job: job.id, attempt: job.attempt, role: .auditor)
        guard seen.insert(task).inserted, let assignment = job.assignment, assignment.provider != seat.address,
            !job.audits.contains(where: { $0.auditor == seat.address }),
            purse.chance(market.settings.challengePerMille), try market.work.truth(job.spec) == assignment.commitment
        else { return }
        let deposit = try DisputeTerms(assignment, market.settings.parameters).bond
        let balance = try Query.account(seat.address, in: market.chain.state).balance
        guard let needed = try? deposit.adding(.xpl(1)), balance >= needed else { return }
        accused.insert(task)
        purse.tally.cost += market.cost(of: job.spec)
        challenge(job, seat, deposit: deposit)
    }

    private var accused: Set<MarketSeat.Task> = []

    override func grounds(_ job: Job, _ seat: MarketSeat) -> MarketClaim? {
        let task = MarketSeat.Task(job: job.id, attempt: job.attempt, role: .auditor)
        return accused.contains(task) ? .turned : super.grounds(job, seat)
    }
}
