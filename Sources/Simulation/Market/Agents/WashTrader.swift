import Ledger
import Primitives

/// Settles jobs of its own so as to be known for work, before and while it takes those of others. Nobody else runs them: it asks so much less for them that
/// others are not in the draw, on a second device that is too small for other jobs. Their result it knows beforehand, so they cost it no run.
class WashTrader: HonestProvider {
    private static let smallMemory: UInt64 = 1 << 10
    private static let atATime = 6
    private var washed = 0
    private var requester: SecretKey?

    /// What it pays itself, of the market's price; next to nothing where it is 0.
    var washPerMille: UInt64 { 850 }
    var policy: AuditPolicy { .sampled(perMille: 200) }
    /// Jobs, twice as many as what is drawn by can grow by.
    private var wanted: Int { 2 * Int(market.settings.parameters.reputationCap) }
    /// So much that others may be drawn to audit them.
    var ceiling: Amount { market.ceiling }

    override func offers() throws -> [OfferTerms] {
        var small = try market.offer(perMille: washPerMille)
        small.device = 1
        small.memory = WashTrader.smallMemory
        small.capacity = UInt16(WashTrader.atATime)
        return [try market.offer(), small]
    }

    override func register() throws {
        try super.register()
        let key = try purse.addKey()
        requester = key
        let half = Amount.xpl(market.settings.liquid / 2)
        market.chain.submit(.transfer(to: key.publicKey.address, amount: half, memo: []), by: purse.key)
    }

    override func result(of job: Job, as role: MarketSeat.Role, _ seat: MarketSeat) throws -> (
        claim: MarketClaim, effort: Double
    ) {
        (.truth, role == .executor && job.spec.memory == WashTrader.smallMemory ? 0 : 1)
    }

    override func attend() throws {
        guard market.isOpen, let requester, washed < wanted else { return }
        let needed = Amount.xpl(washPerMille == 0 ? 1 : 7)
        let balance = try Query.account(requester.publicKey.address, in: market.chain.state).balance
        let own = seats[0].address
        let running = try Query.offers(in: market.chain.state).first { $0.provider == own && $0.terms.device == 1 }
        if balance < needed || Int(running?.running ?? 0) >= WashTrader.atATime { return }
        let spec = try market.spec(
            policy: policy, ceiling: ceiling, memory: WashTrader.smallMemory, by: requester)
        market.chain.submit(.submitJob(spec), by: requester)
        washed += 1
    }
}

/// Has each of them audited by others: what it is known for then is verified.
final class DearWashTrader: WashTrader {
    override var policy: AuditPolicy { .audited }
}

/// Trades with itself for next to nothing.
final class DustTrader: WashTrader {
    override var washPerMille: UInt64 { 0 }
    override var ceiling: Amount { Amount(baseUnits: 1) }
}
