import Ledger
import Primitives

/// An executor like any other, that runs nothing where it is to audit. Masks name who posts them, so it has nobody to copy from: it posts the opened result of
/// an earlier job with the same inputs, or a guess. It does not challenge what it cannot refute.
final class LazyAuditingProvider: HonestProvider {
    override func result(of job: Job, as role: MarketSeat.Role, _ seat: MarketSeat) throws -> (
        claim: MarketClaim, effort: Double
    ) {
        if role == .executor { return (.truth, 1) }
        return (.guess(market.published(like: job.spec) ?? MarketWork.noise(job.id)), 0)
    }

    override func challenges(_ job: Job, _ seat: MarketSeat) -> Bool { false }
}
