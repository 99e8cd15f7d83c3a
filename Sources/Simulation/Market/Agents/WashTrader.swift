import Ledger
import Primitives

/// Settles jobs of its own, for next to nothing, before and while it takes those of others, so as to have the reputation of one that has done much. Nobody else gets
/// these jobs: they pay less than anybody asks, but for a second device of its own that is too small for other jobs.
final class WashTrader: HonestProvider {
    private static let smallMemory: UInt64 = 1 << 10
    private static let atATime = 6
    /// What is drawn by stops growing at the reputation cap.
    private var wanted: Int { Int(market.settings.parameters.reputationCap) }
    private var washed = 0
    private var requester: SecretKey?

    override func offers() throws -> [OfferTerms] {
        var small = try market.offer(perMille: 0)
        small.device = 1
        small.memory = WashTrader.smallMemory
        small.capacity = UInt16(WashTrader.atATime)
        return [try market.offer(), small]
    }

    override func register() throws {
        try super.register()
        let key = try purse.addKey()
        requester = key
        market.chain.submit(.transfer(to: key.publicKey.address, amount: .xpl(20), memo: []), by: purse.key)
    }

    override func attend() throws {
        guard market.isOpen, let requester, let provider = try Query.provider(seats[0].address, in: market.chain.state)
        else { return }
        let balance = try Query.account(requester.publicKey.address, in: market.chain.state).balance
        if provider.settled >= wanted || washed >= wanted * 4 || balance < .xpl(1) { return }
        for _ in 0..<WashTrader.atATime / 2 {
            let spec = try market.spec(
                policy: .sampled(perMille: 1000 / 8), ceiling: Amount(baseUnits: 1), memory: WashTrader.smallMemory,
                by: requester)
            market.chain.submit(.submitJob(spec), by: requester)
            washed += 1
        }
    }
}
