import Ledger
import Primitives

/// Posts for a job what the chain shows of another one: at best of the same inputs, else of the same size. It audits honestly.
final class LazyProvider: HonestProvider {
    override func result(of job: Job, as role: MarketSeat.Role, _ seat: MarketSeat) throws -> (
        claim: MarketClaim, effort: Double
    ) {
        if role == .auditor { return (.truth, 1) }
        let known = market.published(like: job.spec) ?? market.published(rows: market.work.rows(of: job.spec))
        return (.guess(known ?? MarketWork.noise(job.id)), 0)
    }
}
