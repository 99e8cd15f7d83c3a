import Ledger
import Primitives

/// Posts jobs that it has a use for.
class HonestRequester {
    let purse: MarketPurse
    unowned let market: Market

    required init(_ purse: MarketPurse, in market: Market) {
        self.purse = purse
        self.market = market
    }

    /// The next of the market's jobs is this one's.
    func post() throws {
        let policies = market.settings.policies
        let policy = policies[Int(purse.random.next() % UInt64(policies.count))]
        market.chain.submit(
            .submitJob(
                try market.spec(
                    policy: policy, ceiling: market.ceiling, memory: MarketSettings.memory, by: purse.key,
                    repeats: purse.chance(market.settings.repeatPerMille))), by: purse.key)
    }

    /// What else it does after a block.
    func attend(_ own: [Job]) throws {}
}

/// Posts jobs and takes them back as soon as somebody has them.
final class CancellingRequester: HonestRequester {
    override func attend(_ own: [Job]) throws {
        for job in own where job.state == .assigned { market.chain.submit(.cancelJob(job: job.id), by: purse.key) }
        if market.isOpen, purse.chance(market.settings.griefPerMille) { try post() }
    }
}

/// Posts jobs whose inputs nobody can have: each provider that is given one has to give it back.
final class UnrunnableRequester: HonestRequester {
    override func attend(_ own: [Job]) throws {
        if market.isOpen, purse.chance(market.settings.griefPerMille) {
            market.chain.submit(
                .submitJob(
                    try market.spec(
                        policy: .audited, ceiling: market.ceiling, memory: MarketSettings.memory, by: purse.key,
                        canBeRun: false)), by: purse.key)
        }
    }
}
