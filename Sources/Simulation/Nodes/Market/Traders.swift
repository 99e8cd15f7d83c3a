import Ledger
import Primitives

/// Everybody on the market: made of the profile alone.
struct Traders {
    private(set) var providers: [SimulatedProvider] = []
    private(set) var requesters: [SimulatedRequester] = []

    private static let providerBalance = Amount.xpl(2_000)
    private static let requesterBalance = Amount.xpl(50_000)

    /// `dishonest`: how many validators lie, from the first on. No provider lives in those: what they do to it is not the market's doing.
    init(_ profile: NodeProfile, seed: UInt64, dishonest: Int) throws {
        if profile.providers == 0 { return }
        func key(_ name: StaticString, _ place: Int) throws -> SecretKey {
            try SecretKey(seed: Digest.of(Domain(name), [UInt8(clamping: place)]).bytes)
        }
        let homes = Array(dishonest..<profile.nodes + profile.followers)
        let actors = profile.marketActors.filter(\.isProvider)
        for place in 0..<profile.providers {
            providers.append(
                SimulatedProvider(
                    index: place, key: try key("sim.provider", place),
                    payout: try key("sim.payout", place).publicKey.address,
                    home: homes[(place + Int(seed % 7)) % homes.count],
                    actor: place < actors.count ? actors[place] : nil))
        }
        let others = profile.marketActors.filter { !$0.isProvider }
        for place in 0..<profile.requesters + others.count {
            requesters.append(
                SimulatedRequester(
                    key: try key("sim.requester", place), actor: place < others.count ? others[place] : nil))
        }
    }

    var accounts: [GenesisAccount] {
        providers.map { GenesisAccount(address: $0.key.publicKey.address, balance: Traders.providerBalance) }
            + balances.sorted { $0.key < $1.key }.map { GenesisAccount(address: $0.key, balance: $0.value) }
    }

    var balances: [Address: Amount] {
        Dictionary(
            uniqueKeysWithValues: requesters.map { ($0.key.publicKey.address, Traders.requesterBalance) })
    }

    /// All whose money moves by the market's rules.
    var addresses: Set<Address> {
        Set(providers.flatMap { [$0.key.publicKey.address, $0.payout] } + requesters.map(\.key.publicKey.address))
    }

    /// Those whose balances are known to the base unit.
    var followed: [Address] { providers.map(\.payout) + requesters.map(\.key.publicKey.address) }

    var parties: [JobOracle.Party] {
        providers.map {
            JobOracle.Party(address: $0.key.publicKey.address, payout: $0.payout, isHonest: $0.actor == nil)
        }
    }
}
