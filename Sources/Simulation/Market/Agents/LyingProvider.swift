import Ledger
import Primitives

/// Runs the program, turns a bit in a share of its results for somebody outside, and stands by it in a dispute.
class LyingProvider: HonestProvider {
    var liePerMille: UInt64 { market.settings.liePerMille }

    override func result(of job: Job, as role: MarketSeat.Role, _ seat: MarketSeat) throws -> (
        claim: MarketClaim, effort: Double
    ) {
        role == .executor && purse.chance(liePerMille) ? (.turned, 1) : (.truth, 1)
    }
}

/// The same in every job, for so little that all jobs come to it: what it may lose of its bond is a multiple of the price.
final class CheapLiar: LyingProvider {
    override var liePerMille: UInt64 { 1000 }

    override func offers() throws -> [OfferTerms] { [try market.offer(perMille: market.settings.cheapPerMille)] }
}
