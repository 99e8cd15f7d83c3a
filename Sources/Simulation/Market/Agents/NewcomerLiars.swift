import Ledger
import Primitives

/// One purse with a provider that has its bond and works, and beside it names that have none and lie in every job: where the provider is drawn to audit them,
/// it agrees. A name that was convicted is left behind for a fresh one.
final class NewcomerLiars: ColludingProvider {
    static let names = 3

    override func isFriend(_ address: Address) -> Bool { market.provider(of: address) === self }

    override func result(of job: Job, as role: MarketSeat.Role, _ seat: MarketSeat) throws -> (
        claim: MarketClaim, effort: Double
    ) {
        if role == .executor, seat === seats[0] { return (.truth, 1) }
        return try super.result(of: job, as: role, seat)
    }

    override var liePerMille: UInt64 { 1000 }

    override func challenges(_ job: Job, _ seat: MarketSeat) -> Bool {
        seat === seats[0] && super.challenges(job, seat)
    }

    override func keepUp(_ seat: MarketSeat, _ provider: Provider, _ standing: [Offer]) throws {
        // A name's bond is to fill from pay.
        if seat === seats[0] { try super.keepUp(seat, provider, standing) }
    }

    /// Names whose registration is on its way: their offers are set once their accounts have what that costs.
    private var begun: [SecretKey] = []

    private func beginAnew() throws {
        let key = try purse.addKey()
        let registration = Registration(
            key: key, nonce: 0, name: "newcomer", node: key.publicKey, payout: key.publicKey.address,
            network: market.chain.genesis.digest)
        market.chain.submit(.sponsorProvider(registration, gift: .xpl(1)), by: purse.key)
        begun.append(key)
    }

    override func attend() throws {
        for key in begun where try Query.provider(key.publicKey.address, in: market.chain.state) != nil {
            begun.removeAll { $0.publicKey == key.publicKey }
            try addSeat(key, bond: .zero, offers: try offers(), registers: false)
        }
        for seat in seats.dropFirst() where !seat.isLeft {
            let provider = try Query.provider(seat.address, in: market.chain.state)
            if provider?.newcomer?.standing == .zero { seat.isLeft = true }
        }
        let standing = seats.dropFirst().count { !$0.isLeft } + begun.count
        let needed = try market.settings.parameters.newcomerFee.adding(.xpl(3))
        let balance = try Query.account(purse.key.publicKey.address, in: market.chain.state).balance
        // One at a time, so that each finds its money there.
        if market.isOpen, begun.isEmpty, standing < NewcomerLiars.names, balance >= needed { try beginAnew() }
    }
}
