import Ledger
import Primitives

/// Starts jobs, and leaves a share of them there.
final class SilentProvider: HonestProvider {
    private var decided: [MarketSeat.Task: Bool] = [:]

    override func goesOn(_ job: Job, _ seat: MarketSeat) -> Bool {
        // It answers where it audits: what it wants is to hold up jobs.
        guard job.assignment?.provider == seat.address else { return true }
        let task = MarketSeat.Task(job: job.id, attempt: job.attempt, role: .executor)
        if let known = decided[task] { return known }
        let goesOn = !purse.chance(market.settings.silencePerMille)
        if !goesOn { purse.tally.missed += 1 }
        decided[task] = goesOn
        return goesOn
    }
}
