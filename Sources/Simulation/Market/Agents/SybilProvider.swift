import Ledger
import Primitives

/// One purse with several providers, each with as small a bond as may be: a ring of its own, that offers its one machine several times over. Of a provider
/// that was convicted it takes what is left, and goes on under a new name.
final class SybilProvider: ColludingProvider {
    static let names: UInt64 = 3

    override func isFriend(_ address: Address) -> Bool { market.provider(of: address) === self }

    private var bond: Amount {
        Amount(baseUnits: Amount.xpl(market.settings.bond).baseUnits / UInt128(SybilProvider.names))
    }

    override func register() throws {
        try addSeat(purse.key, bond: bond, offers: try offers())
        for _ in 1..<SybilProvider.names { try beginAnew() }
    }

    /// Accounts are filled a block before they are used.
    private var begun: [(key: SecretKey, at: UInt64)] = []

    private func beginAnew() throws {
        let key = try purse.addKey()
        let amount = try bond.adding(.xpl(2))
        market.chain.submit(.transfer(to: key.publicKey.address, amount: amount, memo: []), by: purse.key)
        begun.append((key, market.chain.clock))
    }

    override func attend() throws {
        for (key, at) in begun where at < market.chain.clock {
            let balance = try Query.account(key.publicKey.address, in: market.chain.state).balance
            if balance < bond { continue }
            begun.removeAll { $0.key.publicKey == key.publicKey }
            try addSeat(key, bond: bond, offers: try offers())
        }
        for seat in seats {
            guard let provider = try Query.provider(seat.address, in: market.chain.state), !provider.isWithdrawn else {
                continue
            }
            if provider.convictions > 0, !seat.isLeft {
                seat.isLeft = true
                for offer in seat.offers { market.chain.submit(.pauseOffer(device: offer.device), by: seat.key) }
            } else if seat.isLeft, provider.locked == .zero {
                market.chain.submit(.withdrawProvider, by: seat.key)
            }
        }
        // What came back of a bond goes into the next name.
        for seat in seats where seat.isLeft && seat.key.publicKey != purse.key.publicKey {
            let balance = try Query.account(seat.address, in: market.chain.state).balance
            if let spare = try? balance.subtracting(.xpl(1)), spare > .xpl(1) {
                market.chain.submit(.transfer(to: purse.key.publicKey.address, amount: spare, memo: []), by: seat.key)
            }
        }
        let standing = seats.count { !$0.isLeft } + begun.count
        let purseBalance = try Query.account(purse.key.publicKey.address, in: market.chain.state).balance
        if market.isOpen, standing < Int(SybilProvider.names), purseBalance >= (try bond.adding(.xpl(4))) {
            try beginAnew()
        }
    }
}
