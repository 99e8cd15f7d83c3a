import Primitives

/// The economics tried: markets of agents, honest and not, on the real chain.
///
/// Words: a *purse* is all that one owner has; its *strategy* is how it plays; a *market* is one chain from its beginning with everybody on it; *profit* is
/// what a purse owns more at the end than at the beginning, less what it spent on running jobs, and with what it got outside the chain.
///
/// Agents read state and submit transactions, and nothing else: matching, draws, bonds, audits, disputes, timers, fees and burns are the ledger's own, block by
/// block. All chance comes from one seed; time is virtual; there is one thread.
public struct MarketSimulation: Sendable {
    public let settings: MarketSettings

    public init(_ settings: MarketSettings) { self.settings = settings }

    /// Runs all markets, one after the other. `progress` is told how many are over.
    public func run(progress: (Int) -> Void = { _ in }) throws -> MarketReport {
        var seeds = SplitMix64(seed: settings.seed)
        let each = settings.jobs / max(1, settings.markets)
        let more = settings.jobs % max(1, settings.markets)
        var outcomes: [MarketOutcome] = []
        for number in 0..<settings.markets {
            let market = try Market(settings, jobs: each + (number < more ? 1 : 0), seed: seeds.next())
            outcomes.append(try market.run())
            progress(number + 1)
        }
        return MarketReport(settings, outcomes)
    }
}
