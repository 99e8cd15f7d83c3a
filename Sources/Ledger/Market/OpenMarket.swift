import Primitives

/// A job that looks for a place.
struct MarketWish {
    let spec: JobSpec
    var excluded: [Address] = []
    let job: Digest
    var attempt: UInt32 = 0
    /// Somebody has found it slow. Whoever says the same ends the job, so that who that could be is not to be had by asking less than others.
    var isByBond = false
}

/// Where a job is placed.
struct MarketPlace {
    let offer: EligibleOffer
    /// Of the offer in the market.
    let index: Int
    /// What it takes of the provider's bond; of a newcomer's what there is, since its fee stands for the rest.
    let share: Amount
    let slowestMilliseconds: UInt64
}

/// All offers and their providers, less what the matches of the block have taken so far.
struct OpenMarket {
    private(set) var offers: [Offer]
    private(set) var providers: [Address: Provider]
    let height: Height
    let clock: UInt64

    init(offers: [Offer], providers: [Address: Provider], height: Height, clock: UInt64) {
        self.offers = offers
        self.providers = providers
        self.height = height
        self.clock = clock
    }

    /// As it is in the committed state, for a block that would follow it.
    init(_ store: any StateStore) throws(LedgerFault) {
        let chain = try Query.chain(in: store)
        var providers: [Address: Provider] = [:]
        for provider in try Query.providers(in: store) { providers[provider.address] = provider }
        self.init(
            offers: try Query.offers(in: store), providers: providers, height: chain.height.next(), clock: chain.clock)
    }

    func plan(_ wish: MarketWish, _ parameters: ChainParameters) -> MatchPlan {
        Matching.plan(
            wish.spec, excluding: wish.excluded, offers: offers, providers: providers, height: height, clock: clock,
            parameters)
    }

    /// Takes the place that the beacon draws for one job.
    mutating func place(
        _ wish: MarketWish, by plan: MatchPlan, beacon: Digest, _ parameters: ChainParameters
    ) throws(AmountFault) -> MarketPlace? {
        guard
            let match = wish.isByBond
                ? pickByBond(plan, beacon: beacon, wish)
                : Matching.pick(plan, beacon: beacon, job: wish.job, attempt: wish.attempt, parameters),
            let index = offers.firstIndex(where: {
                $0.provider == match.provider && $0.terms.device == match.device
            }),
            var provider = providers[match.provider]
        else { return nil }
        let share = min(try plan.share(of: match, wish.spec.policy), provider.free)
        provider.locked = try provider.locked.adding(share)
        providers[match.provider] = provider
        offers[index].running += 1
        return MarketPlace(
            offer: match, index: index, share: share,
            slowestMilliseconds: plan.slowestMilliseconds ?? match.milliseconds)
    }

    /// Of all that could have the job at any price that its requester allows, and are not far slower than others, one drawn by bond.
    private func pickByBond(_ plan: MatchPlan, beacon: Digest, _ wish: MarketWish) -> EligibleOffer? {
        var seen: Set<Address> = []
        let candidates = plan.eligible.filter {
            !$0.isNewcomer && $0.milliseconds <= plan.slowestMilliseconds ?? .max && seen.insert($0.provider).inserted
        }
        if candidates.isEmpty { return nil }
        let bonds = candidates.map { providers[$0.provider]?.bond ?? .zero }
        let salt = 1 << 61 | UInt64(wish.attempt)
        return candidates[Matching.placeByBond(bonds, beacon: beacon, of: wish.job, salt)]
    }

    /// Places a job, or all of a gang or none.
    ///
    /// Each member is drawn as a job alone is, on what those before have left. First come those for which the fewest offers would do: else another takes the
    /// one place that a member can have. Members that are alike are placed wherever there are places for all; of others a draw may spoil what another would
    /// have found, and the gang is looked at again when the market has changed.
    mutating func place(
        _ wishes: [MarketWish], beacon: Digest, _ parameters: ChainParameters
    ) throws(AmountFault) -> MarketAttempt {
        var attempt = MarketAttempt(plans: wishes.map { _ in nil })
        var order = Array(wishes.indices)
        if wishes.count > 1 {
            for (index, wish) in wishes.enumerated() {
                let plan = attempt.note(plan(wish, parameters), of: index)
                if !plan.eligible.contains(where: \.isInDraw) { return attempt.failed(at: index) }
            }
            order.sort { (attempt.offers(of: $0), $0) < (attempt.offers(of: $1), $1) }
        }
        let before = wishes.count > 1 ? self : nil
        var places: [Int: MarketPlace] = [:]
        for index in order {
            let plan = attempt.note(plan(wishes[index], parameters), of: index)
            guard let place = try place(wishes[index], by: plan, beacon: beacon, parameters) else {
                if let before { self = before }
                return attempt.failed(at: index)
            }
            places[index] = place
        }
        attempt.places = wishes.indices.compactMap { places[$0] }
        return attempt
    }
}

/// What came of looking for the places of a job or a gang.
struct MarketAttempt {
    /// The last that each was told of the market, in the jobs' order; nil for one that was never asked for.
    private(set) var plans: [MatchPlan?]
    /// In the jobs' order; nil where there was none for one of them.
    var places: [MarketPlace]?
    /// Which one that was.
    private(set) var unplaced: Int?
    /// How often all offers were gone through.
    private(set) var looks = 0

    init(plans: [MatchPlan?]) { self.plans = plans }

    mutating func note(_ plan: MatchPlan, of index: Int) -> MatchPlan {
        plans[index] = plan
        looks += 1
        return plan
    }

    func offers(of index: Int) -> Int { plans[index]?.eligible.count ?? 0 }

    func failed(at index: Int) -> MarketAttempt {
        var failed = self
        failed.unplaced = index
        return failed
    }
}
