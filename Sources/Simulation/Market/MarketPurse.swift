import Ledger
import Primitives

/// What one owner has done and earned off the chain, beside what stands in its accounts.
struct MarketTally: Sendable, Equatable {
    /// Runs paid for, in XPL.
    var cost = 0.0
    /// Got for lies that were paid on chain, and for right results that were wanted, in XPL.
    var gain = 0.0
    var assigned = 0
    var settled = 0
    var audits = 0
    /// Results that were opened and are wrong; of these, what was paid for and what was convicted.
    var lies = 0
    var deceived = 0
    var convicted = 0
    /// Audits answered without a run.
    var unworked = 0
    /// Disputes that it began and lost, and that it began and won.
    var lostDisputes = 0
    var wonDisputes = 0
    /// Starts missed, declines, runs and audits that were never ended.
    var missed = 0
    var declined = 0
    /// Jobs posted; of these, answered rightly, wrongly, not at all.
    var posted = 0
    var answered = 0
    var wronged = 0

    static func + (x: MarketTally, y: MarketTally) -> MarketTally {
        var sum = x
        sum.cost += y.cost
        sum.gain += y.gain
        for path in MarketTally.counts { sum[keyPath: path] += y[keyPath: path] }
        return sum
    }

    static let counts: [any WritableKeyPath<MarketTally, Int> & Sendable] = [
        \.assigned, \.settled, \.audits, \.lies, \.deceived, \.convicted, \.unworked, \.lostDisputes, \.wonDisputes,
        \.missed, \.declined, \.posted, \.answered, \.wronged,
    ]
}

/// What one owner has: accounts, and a strategy that all of them follow.
final class MarketPurse {
    let index: Int
    let strategy: MarketStrategy
    /// The first is the one that was there from the start.
    private(set) var keys: [SecretKey] = []
    var tally = MarketTally()
    var random: SplitMix64
    private let seed: UInt64

    init(_ index: Int, _ strategy: MarketStrategy, seed: UInt64) throws {
        self.index = index
        self.strategy = strategy
        self.seed = seed
        var writer = ByteWriter(capacity: 16)
        writer.write(seed)
        writer.write(UInt64(index))
        let start = Digest.of(Domain("sim.purse"), writer.bytes)
        random = SplitMix64(seed: start.bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) })
        _ = try addKey()
    }

    /// One more account of the same owner.
    func addKey() throws -> SecretKey {
        var writer = ByteWriter(capacity: 24)
        writer.write(seed)
        writer.write(UInt64(index))
        writer.write(UInt64(keys.count))
        let key = try SecretKey(seed: Digest.of(Domain("sim.purse.key"), writer.bytes).bytes)
        keys.append(key)
        return key
    }

    var key: SecretKey { keys[0] }

    func chance(_ perMille: UInt64) -> Bool { random.next() % 1000 < perMille }

    /// All that it owns on a chain on which no job is under way.
    func wealth(in state: SimulatedState) throws -> UInt128 {
        var sum: UInt128 = 0
        for key in keys {
            let address = key.publicKey.address
            sum += try Query.account(address, in: state).balance.baseUnits
            sum += try Query.provider(address, in: state)?.bond.baseUnits ?? 0
        }
        return sum
    }
}

/// One provider on the chain: a purse has one or more.
final class MarketSeat {
    enum Role: Hashable { case executor, auditor }

    struct Task: Hashable {
        let job: Digest
        let attempt: UInt32
        let role: Role
    }

    /// What it has decided to say of a job, and when it can have run it.
    struct Plan {
        let claim: MarketClaim
        let commitment: ResultCommitment
        let readyAt: UInt64
        /// It has run its steps again for a dispute.
        var hasRunAgain = false
    }

    let key: SecretKey
    let address: Address
    let purse: MarketPurse
    let bond: Amount
    /// What it offers; set anew where the chain has paused it.
    let offers: [OfferTerms]
    var plans: [Task: Plan] = [:]
    /// Nothing more comes from it.
    var isLeft = false

    init(_ key: SecretKey, _ purse: MarketPurse, bond: Amount, offers: [OfferTerms]) {
        self.key = key
        self.purse = purse
        self.bond = bond
        self.offers = offers
        address = key.publicKey.address
    }

    func salt(_ job: Digest) -> Digest {
        Digest.of(Domain("sim.salt"), Digest.of(Domain("sim.salt"), job.bytes), address.digest)
    }
}

extension Address {
    fileprivate var digest: Digest { Digest.of(Domain("sim.salt"), bytes) }
}
