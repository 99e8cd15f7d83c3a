import Primitives

/// Who gets the jobs in the queue.
extension Executor {
    private static let maximumOffers = 65_536

    /// Matches the queue by this block's beacon, one after the other from where the block before has stopped. Jobs that the market as it is was already asked
    /// about are passed over; of the others so many are looked at, a gang counting as all its looks.
    mutating func matchOpenJobs() throws {
        let limit = Int(parameters.matchesPerBlock)
        var entries = try overlay.scan(
            prefix: StateKey.queue, after: StateKey.queued(overlay.chain.matchCursor), limit: limit)
        if entries.count < limit, overlay.chain.matchCursor > 0 {
            let seen = Set(entries.map(\.key))
            let first = try overlay.scan(prefix: StateKey.queue, limit: limit - entries.count)
            entries += first.filter { !seen.contains($0.key) }
        }
        var market: OpenMarket?
        var left = limit
        for entry in entries {
            let queued = try QueueEntry(canonicalBytes: entry.value)
            if queued.isDue(overlay.chain) {
                if left <= 0 { break }
                var open = try market ?? self.market()
                // One owner alone, so that no match copies all offers.
                market = nil
                left -= try match(queued, entry.key, on: &open)
                market = open
            }
            overlay.chain.matchCursor = StateKey.number(entry.key.dropFirst())
        }
    }

    /// Looks for places for a job, or for all of its gang; gives how often it went through the market.
    private mutating func match(_ queued: QueueEntry, _ key: [UInt8], on market: inout OpenMarket) throws -> Int {
        guard let job = try overlay.object(Job.self, StateKey.job(queued.job)) else {
            throw LedgerFault.corrupt("a queued job is missing")
        }
        let jobs = try job.boundGang.map { try members(of: $0) } ?? [job]
        // The timer of one, later in this block, will end all.
        if jobs.contains(where: { job in job.timer.map { clock > $0 } ?? false }) { return 1 }
        let wishes = jobs.map {
            MarketWish(
                spec: $0.spec, excluded: $0.excluded, job: $0.id, attempt: $0.attempt, isByBond: $0.slowReport != nil)
        }
        let attempt = try market.place(wishes, beacon: header.beacon, parameters)
        guard let places = attempt.places else {
            var entry = queued
            entry.tried = height
            try overlay.set(entry, key)
            return attempt.looks
        }
        try overlay.set(bytes: nil, key)
        for (place, job) in zip(places, jobs) { try assign(job, place, on: market) }
        return attempt.looks
    }

    private mutating func assign(_ found: Job, _ place: MarketPlace, on market: OpenMarket) throws {
        var job = found
        let match = place.offer
        if let provider = market.providers[match.provider] { try store(provider) }
        try overlay.set(market.offers[place.index], StateKey.offer(match.provider, match.device))
        job.attempt += 1
        job.assignment = Assignment(
            provider: match.provider, device: match.device, price: match.price, share: place.share,
            milliseconds: match.milliseconds, slowestMilliseconds: place.slowestMilliseconds, height: height,
            beacon: header.beacon, isNewcomer: match.isNewcomer)
        enter(&job, .assigned)
        events.append(.assigned(job: job.id, provider: match.provider, price: match.price))
        try setTimer(&job, later(clock, parameters.startWindow))
        try save(job)
    }

    mutating func market() throws -> OpenMarket {
        var offers: [Offer] = []
        var providers: [Address: Provider] = [:]
        for entry in try overlay.scan(prefix: StateKey.offers, limit: Executor.maximumOffers) {
            let offer = try Offer(canonicalBytes: entry.value)
            offers.append(offer)
            if providers[offer.provider] == nil {
                providers[offer.provider] = try overlay.object(Provider.self, StateKey.provider(offer.provider))
            }
        }
        return OpenMarket(offers: offers, providers: providers, height: height, clock: clock)
    }
}
