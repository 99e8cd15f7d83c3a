public import Primitives

/// An offer that could take a job.
public struct EligibleOffer: Hashable, Sendable, CanonicalCodable {
    public let provider: Address
    public let device: UInt16
    /// What the requester would pay.
    public let price: Amount
    /// The price over the provider's reliability: what offers are compared by.
    public let effectivePrice: Amount
    /// The job's time on the device.
    public let milliseconds: UInt64
    /// Free capacity times capped reputation: its weight in the draw.
    public let weight: UInt64
    /// Whether its provider's bond is not full: it is drawn among newcomers alone, and not every time.
    public let isNewcomer: Bool
    /// Whether its device has shown its rate.
    public let isMeasured: Bool
    /// Whether it lies within the band above the best.
    public var isInDraw: Bool

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        provider = try reader.read(Address.self)
        device = try reader.readUInt16()
        price = try reader.read(Amount.self)
        effectivePrice = try reader.read(Amount.self)
        milliseconds = try reader.readUInt64()
        weight = try reader.readUInt64()
        isNewcomer = try reader.readBool()
        isMeasured = try reader.readBool()
        isInDraw = try reader.readBool()
    }

    init(
        offer: Offer, price: Amount, effectivePrice: Amount, milliseconds: UInt64, weight: UInt64, isNewcomer: Bool
    ) {
        provider = offer.provider
        device = offer.terms.device
        self.price = price
        self.effectivePrice = effectivePrice
        self.milliseconds = milliseconds
        self.weight = weight
        self.isNewcomer = isNewcomer
        isMeasured = offer.device.measure != nil
        isInDraw = false
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(provider)
        writer.write(device)
        writer.write(price)
        writer.write(effectivePrice)
        writer.write(milliseconds)
        writer.write(weight)
        writer.write(bool: isNewcomer)
        writer.write(bool: isMeasured)
        writer.write(bool: isInDraw)
    }
}

/// An offer that could not, with the constraint in words and numbers.
public struct ExcludedOffer: Hashable, Sendable {
    public let provider: Address
    public let device: UInt16
    public let reason: String
}

/// What the market says of a job now.
public struct MatchPlan: Hashable, Sendable {
    public var eligible: [EligibleOffer] = []
    public var excluded: [ExcludedOffer] = []
    /// The ceiling, from the job's own numbers.
    public var maximumPrice: Amount = .zero
    /// What the requester must have liquid, fees of the transaction apart.
    public var escrowAndPosting: Amount = .zero
    /// Its parts, without the posting fee.
    public var escrow: Escrow?
    /// The exact price if the cheapest in the draw is drawn, newcomers apart; nil where none is.
    public var price: Amount? { eligible.filter { $0.isInDraw && !$0.isNewcomer }.map(\.price).min() }
    /// The job's time on the slowest device that could take it, newcomers' and those apart that are far slower than others.
    var slowestMilliseconds: UInt64?
    /// What the middle one of those that could take it would be paid.
    var usualPrice: Amount = .zero

    /// What the job holds of a provider's bond: by what is usually asked, where the provider asks less. Who asks next to nothing would have next to nothing to
    /// lose.
    func share(of offer: EligibleOffer, _ policy: AuditPolicy) throws(AmountFault) -> Amount {
        try Matching.share(max(offer.price, usualPrice), policy)
    }
}

extension MatchPlan {
    /// Takes out those that have not enough free of their bond.
    fileprivate mutating func excludeUncovered(_ providers: [Address: Provider], _ policy: AuditPolicy) {
        var covered: [EligibleOffer] = []
        for offer in eligible {
            let lack: String? =
                if let share = try? share(of: offer, policy) {
                    providers[offer.provider].flatMap { Matching.lack(of: share, $0) }
                } else { "the price is larger than any amount" }
            if let lack {
                excluded.append(ExcludedOffer(provider: offer.provider, device: offer.device, reason: lack))
            } else {
                covered.append(offer)
            }
        }
        eligible = covered
    }
}

/// What the market says of a gang now.
public struct GangPlan: Hashable, Sendable {
    /// What each member would find, once those that are placed before it have taken their places.
    public let members: [MatchPlan]
    /// The member, counted from 0, for which there would be no place; nil where all would be placed.
    public let unplaced: Int?

    /// What all are paid if each gets the cheapest that it could; nil where they cannot all be placed.
    public func price() throws(AmountFault) -> Amount? {
        if unplaced != nil { return nil }
        var sum = Amount.zero
        for member in members { sum = try sum.adding(member.price ?? .zero) }
        return sum
    }
}

/// Who gets a job. The same function for execution and for `job plan`.
public enum Matching {
    /// What a provider must have free of its bond for a job at this price. From S > c / D with a margin of two, at one auditor and
    /// a colluding share of 20%: 2.4 times the price over the audit probability.
    static func share(_ price: Amount, _ policy: AuditPolicy) throws(AmountFault) -> Amount {
        try price.scaled(2400, over: policy.perMille)
    }

    /// The job's time at a rate, in milliseconds, rounded up, at most 30 days.
    static func milliseconds(_ units: ComputeUnits, rate: UInt64) -> UInt64 {
        let exact = (UInt128(units.weightedOperations) * 1000 + UInt128(rate) - 1) / UInt128(max(rate, 1))
        return UInt64(min(exact, UInt128(JobSpec.maximumMilliseconds)))
    }

    /// The plan on the committed state, for a block that would follow it.
    public static func plan(_ spec: JobSpec, excluding: [Address] = [], in store: any StateStore) throws(LedgerFault)
        -> MatchPlan
    {
        try OpenMarket(store).plan(
            MarketWish(spec: spec, excluded: excluding, job: .zero), try Query.parameters(in: store))
    }

    /// The same for jobs that are placed all or none.
    public static func plan(gang specs: [JobSpec], in store: any StateStore) throws(LedgerFault) -> GangPlan {
        let parameters = try Query.parameters(in: store)
        var market = try OpenMarket(store)
        // Which block's beacon it will be nobody knows. Whether jobs that are alike find places does not depend on it.
        let wishes = zip(specs, GangPlace.jobs(of: .zero, count: specs.count)).map { MarketWish(spec: $0, job: $1) }
        do throws(AmountFault) {
            let attempt = try market.place(wishes, beacon: .zero, parameters)
            let plans = zip(attempt.plans, wishes).map { plan, wish in plan ?? market.plan(wish, parameters) }
            return GangPlan(members: plans, unplaced: attempt.unplaced)
        } catch { throw .money("\(error)") }
    }

    static func plan(
        _ spec: JobSpec, excluding: [Address], offers: [Offer], providers: [Address: Provider], height: Height,
        clock: UInt64, _ parameters: ChainParameters
    ) -> MatchPlan {
        var plan = MatchPlan()
        plan.maximumPrice =
            (try? spec.computeUnits.price(perThousandUnits: spec.maximumPricePer1000CU)) ?? Amount(baseUnits: .max)
        plan.escrow = try? Escrow(spec, parameters)
        plan.escrowAndPosting = (try? plan.escrow?.total().adding(parameters.postingFee)) ?? Amount(baseUnits: .max)
        var running: [Address: UInt64] = [:]
        for offer in offers { running[offer.provider, default: 0] += UInt64(offer.running) }
        for offer in offers {
            if let reason = exclusion(
                offer, spec, providers[offer.provider], running[offer.provider] ?? 0, excluding, plan.maximumPrice,
                height, clock, &plan.eligible, parameters
            ) {
                plan.excluded.append(
                    ExcludedOffer(provider: offer.provider, device: offer.terms.device, reason: reason))
            }
        }
        plan.usualPrice = median(\.price, of: plan.eligible.filter { !$0.isNewcomer }, providers) ?? .zero
        plan.excludeUncovered(providers, spec.policy)
        // Newcomers make neither the best price nor the time that others wait for, and who is far slower than others makes neither too. A rate that nobody has
        // measured makes no time where those that were measured have half of the bonds; where they have less, as when a network begins, all count.
        let settled = plan.eligible.filter { !$0.isNewcomer }
        let measured = settled.filter(\.isMeasured)
        let timing = bonds(of: measured, providers) * 2 < bonds(of: settled, providers) ? settled : measured
        guard let median = median(\.milliseconds, of: timing, providers) else { return plan }
        let longest = median.multipliedReportingOverflow(by: slowestOverMedian)
        func isTimely(_ offer: EligibleOffer) -> Bool {
            longest.overflow || offer.milliseconds <= longest.partialValue
        }
        // The best is one that can be drawn: no slower than the slowest of those that make the time.
        guard let slowest = timing.filter(isTimely).map(\.milliseconds).max(),
            let best = settled.filter({ $0.milliseconds <= slowest }).map(\.effectivePrice).min()
        else { return plan }
        plan.slowestMilliseconds = slowest
        let limit = (try? best.scaled(1000 + parameters.priceBandPerMille, over: 1000)) ?? best
        for index in plan.eligible.indices {
            let offer = plan.eligible[index]
            plan.eligible[index].isInDraw = offer.effectivePrice <= limit && offer.milliseconds <= slowest
        }
        return plan
    }

    /// Devices that say to take longer than so many times the median are not drawn, and nobody waits for them.
    static let slowestOverMedian: UInt64 = 4

    /// Of the providers of these, each once. Bonds are parts of the supply, so their sum fits, and twice of it.
    private static func bonds(of offers: [EligibleOffer], _ providers: [Address: Provider]) -> UInt128 {
        var seen: Set<Address> = []
        return offers.filter { seen.insert($0.provider).inserted }.reduce(UInt128(0)) {
            $0 + (providers[$1.provider]?.bond.baseUnits ?? 0)
        }
    }

    /// What the middle one of these says, each provider's first device as often as it has bond: who wants to move what all go by needs half of all bonds.
    private static func median<Value: Comparable>(
        _ value: KeyPath<EligibleOffer, Value>, of eligible: [EligibleOffer], _ providers: [Address: Provider]
    ) -> Value? {
        var seen: Set<Address> = []
        let first = eligible.filter { seen.insert($0.provider).inserted }
        let words = first.map { (value: $0[keyPath: value], bond: providers[$0.provider]?.bond.baseUnits ?? 0) }
            .sorted { ($0.value, $0.bond) < ($1.value, $1.bond) }
        // Bonds are parts of the supply, so their sum fits, and twice of it.
        var left = words.reduce(UInt128(0)) { $0 + $1.bond }
        left = (left + 1) / 2
        for (value, bond) in words {
            if left <= bond { return value }
            left -= bond
        }
        return words.last?.value
    }

    /// Adds the offer to `eligible` and returns nil, or returns why not.
    private static func exclusion(
        _ offer: Offer, _ spec: JobSpec, _ provider: Provider?, _ running: UInt64, _ excluding: [Address],
        _ ceiling: Amount, _ height: Height, _ clock: UInt64,
        _ eligible: inout [EligibleOffer], _ parameters: ChainParameters
    ) -> String? {
        let terms = offer.terms
        guard let provider, !provider.isWithdrawn else { return "the provider has withdrawn" }
        if offer.isPaused { return "the offer is paused" }
        if let newcomer = provider.newcomer, let reason = exclusion(newcomer, spec.policy, running) { return reason }
        if excluding.contains(offer.provider) { return "the provider has already given this job up" }
        if offer.activeFrom > height {
            return "the offer becomes active at height \(offer.activeFrom), the next is \(height)"
        }
        if terms.expiry < height { return "the offer expired at height \(terms.expiry), the next is \(height)" }
        if let reason = exclusion(offer, provider, parameters) { return reason }
        if offer.memory < spec.memory {
            return "the device has \(offer.memory) bytes of memory, the job needs \(spec.memory)"
        }
        if offer.running >= terms.capacity { return "all \(terms.capacity) places are taken" }
        if terms.pricePer1000CUf32 > spec.maximumPricePer1000CU {
            return
                "the ask is \(terms.pricePer1000CUf32) XPL per 1000 CU, the job pays at most \(spec.maximumPricePer1000CU)"
        }
        let reputation = provider.reputation.aged(to: clock)
        guard let price = try? spec.computeUnits.price(perThousandUnits: terms.pricePer1000CUf32),
            let effective = try? price.scaled(1000, over: reputation.reliabilityPerMille(at: price))
        else { return "the price is larger than any amount" }
        let isNewcomer = provider.newcomer != nil
        let weight =
            (isNewcomer ? 1 : UInt64(terms.capacity - offer.running))
            * reputation.weight(at: price, cap: parameters.reputationCap)
        eligible.append(
            EligibleOffer(
                offer: offer, price: price, effectivePrice: effective,
                milliseconds: milliseconds(spec.computeUnits, rate: offer.rate), weight: weight,
                isNewcomer: isNewcomer))
        return nil
    }

    fileprivate static func lack(of share: Amount, _ provider: Provider) -> String? {
        if provider.cover >= share { return nil }
        let also = provider.newcomer.map { ", \($0.standing) of its fee stand for it" } ?? ""
        return "\(provider.free) XPL of its bond are free\(also), the job needs \(share)"
    }

    /// Why a newcomer cannot have a job, besides what holds for all.
    private static func exclusion(_ newcomer: Newcomer, _ policy: AuditPolicy, _ running: UInt64) -> String? {
        if policy.perMille < 1000 { return "its bond is not full, and the job is not audited always" }
        if newcomer.standing == .zero { return "its bond is not full, and nothing of its registration fee is left" }
        if running > 0 { return "its bond is not full, and it has a job already" }
        return nil
    }

    /// Why a device gets no job, by what it has shown.
    private static func exclusion(_ offer: Offer, _ provider: Provider, _ parameters: ChainParameters) -> String? {
        if offer.hasFailed {
            return "its device has not shown what it said in the last challenge: it gets no job before another"
        }
        if provider.newcomer == nil || parameters.deviceChallengeInterval == 0 { return nil }
        guard let measure = offer.device.measure else {
            return "its bond is not full, and its device was not measured yet"
        }
        if offer.isAsFastAsItSays { return nil }
        return
            "its bond is not full, and its device has shown \(measure.rate) operations a second, not the \(offer.terms.measuredRate) that it offers"
    }

    /// A number below `bound` from the beacon and what it decides about.
    static func draw(_ beacon: Digest, _ about: Digest, _ salt: UInt64, below bound: UInt128) -> UInt128 {
        var writer = ByteWriter(capacity: 72)
        writer.write(beacon)
        writer.write(about)
        writer.write(salt)
        var reader = ByteReader(Digest.of(.draw, writer.bytes).bytes)
        // 32 bytes always hold 16. The bound is far below 2¹²⁸, so the remainder's bias is nothing.
        let word = (try? reader.readUInt128()) ?? 0
        return bound == 0 ? 0 : word % bound
    }

    /// Which of these is drawn, each as often as it has bond.
    static func placeByBond(_ bonds: [Amount], beacon: Digest, of job: Digest, _ salt: UInt64) -> Int {
        // Bonds are parts of the supply, so their sum fits.
        let total = bonds.reduce(UInt128(0)) { $0 &+ $1.baseUnits }
        var ticket = draw(beacon, job, salt, below: total)
        var index = 0
        while index < bonds.count - 1, ticket >= bonds[index].baseUnits {
            ticket -= bonds[index].baseUnits
            index += 1
        }
        return index
    }

    /// The offer drawn, by weight. Whether it is the newcomers' turn is drawn first; where none of them is there it is the others'.
    static func pick(
        _ plan: MatchPlan, beacon: Digest, job: Digest, attempt: UInt32, _ parameters: ChainParameters
    ) -> EligibleOffer? {
        var candidates = plan.eligible.filter { $0.isInDraw && $0.weight > 0 }
        let turn = draw(beacon, job, 1 << 63 | UInt64(attempt), below: 1000)
        let isTheirs = turn < UInt128(parameters.newcomerSharePerMille) && candidates.contains(where: \.isNewcomer)
        candidates.removeAll { $0.isNewcomer != isTheirs }
        let total = candidates.reduce(UInt128(0)) { $0 + UInt128($1.weight) }
        var ticket = draw(beacon, job, UInt64(attempt), below: total)
        for candidate in candidates {
            if ticket < UInt128(candidate.weight) { return candidate }
            ticket -= UInt128(candidate.weight)
        }
        return nil
    }
}
