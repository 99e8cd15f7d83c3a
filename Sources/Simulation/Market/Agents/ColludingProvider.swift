import Ledger
import Primitives

/// A member of a ring: guesses in a share of its jobs, and says of a friend's job whatever the friend has said. Other people's jobs it audits honestly: their
/// lies are its bounty.
class ColludingProvider: HonestProvider {
    var liePerMille: UInt64 { market.settings.liePerMille }

    override func isFriend(_ address: Address) -> Bool {
        market.provider(of: address)?.purse.strategy == purse.strategy
    }

    override func result(of job: Job, as role: MarketSeat.Role, _ seat: MarketSeat) throws -> (
        claim: MarketClaim, effort: Double
    ) {
        switch role {
        case .executor:
            return purse.chance(liePerMille) ? (.guess(MarketWork.noise(job.id)), 0) : (.truth, 1)
        case .auditor:
            guard let executor = job.assignment?.provider, isFriend(executor),
                let said = market.claim(of: job, by: executor)
            else { return (.truth, 1) }
            return (said, 0)
        }
    }

    override func challenges(_ job: Job, _ seat: MarketSeat) -> Bool {
        guard let executor = job.assignment?.provider else { return false }
        return !isFriend(executor)
    }
}

/// A ring that lies about nothing. Its members spare themselves the audits of each other.
final class SharingProvider: ColludingProvider {
    override var liePerMille: UInt64 { 0 }
}
