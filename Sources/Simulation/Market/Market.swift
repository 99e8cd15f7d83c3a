import Ledger
import Primitives
import Programs

/// How a lie about a job ended.
struct MarketLie: Sendable, Equatable {
    let strategy: MarketStrategy
    let policy: AuditPolicy
    /// In XPL, at the market's price.
    let worth: Double
    var isPaid = false
    var isConvicted = false
}

/// What one market came to.
struct MarketOutcome: Sendable {
    struct Purse: Sendable {
        let strategy: MarketStrategy
        /// All that it owns at the end less what it owned at the beginning, and what it got and spent outside the chain, in XPL.
        let profit: Double
        /// The part of it that is on the chain.
        let onChain: Double
        let tally: MarketTally
    }

    let purses: [Purse]
    let lies: [MarketLie]
    let jobs: Int
    let states: [String: Int]
    let violations: [String]
    let digest: Digest
    let blocks: Int
    let transactions: Int
    let failures: [String: Int]
    /// The most by which a bond was below what jobs held of it, in XPL.
    let mostUncovered: Double
    /// What the protocol burned and gave to its pools, in XPL.
    let burned: Double
}

/// One market from its beginning: a chain, and everybody on it.
final class Market {
    let settings: MarketSettings
    let chain: MarketChain
    let work: MarketWork
    private let jobs: Int
    private var providers: [HonestProvider] = []
    private var requesters: [HonestRequester] = []
    private var seats: [Address: (seat: MarketSeat, owner: HonestProvider)] = [:]
    private var requestersByAddress: [Address: HonestRequester] = [:]
    private var random: SplitMix64
    private var money: MoneyCount
    private let price: Amount
    private let rate: UInt64
    /// Opened results, as the chain shows them: by inputs, and the last of each size.
    private var publishedByInputs: [Digest: ResultCommitment] = [:]
    private var publishedByRows: [UInt64: ResultCommitment] = [:]
    private var inputs: [(root: Digest, rows: UInt64)] = []
    private var liesUnderWay: [Digest: MarketLie] = [:]
    private var lies: [MarketLie] = []
    /// Disputes that are open, by what the chain has told.
    private var disputes: [DisputeName: Bool] = [:]
    private(set) var posted = 0
    private var states: [String: Int] = [:]
    private var moving: [Job] = []

    private struct DisputeName: Hashable, Comparable {
        let job: Digest
        let attempt: UInt32
        let challenger: Address

        static func < (x: Self, y: Self) -> Bool {
            (x.job, x.attempt, x.challenger) < (y.job, y.attempt, y.challenger)
        }
    }

    /// Whether there is still something to be posted.
    var isOpen: Bool { posted < jobs }

    init(_ settings: MarketSettings, jobs: Int, seed: UInt64) throws {
        self.settings = settings
        self.jobs = jobs
        random = SplitMix64(seed: seed)
        work = try MarketWork(seed: random.next())
        let operations = try work.operations(rows: 1)
        price = Amount(baseUnits: UInt128(settings.smallestPrice * 1e9) * 1_000_000_000_000 / UInt128(operations))
        rate = operations * 1000 / settings.smallestMilliseconds
        let purseSeed = random.next()
        let purses = try settings.players.enumerated().map { try MarketPurse($0, $1, seed: purseSeed) }
        let accounts = purses.map {
            GenesisAccount(
                address: $0.key.publicKey.address,
                balance: $0.strategy.isRequester ? .xpl(1_000_000) : .xpl(settings.bond + settings.liquid))
        }
        guard let anybody = accounts.first else { throw MarketFault(description: "a market without anybody") }
        money = MoneyCount(anybody: anybody.address)
        chain = try MarketChain(
            settings.parameters, accounts: accounts, pace: settings.blockMilliseconds, seed: random.next())
        for purse in purses { add(purse) }
    }

    private func add(_ purse: MarketPurse) {
        let provider: HonestProvider.Type
        switch purse.strategy {
        case .honest: provider = HonestProvider.self
        case .lazyProvider: provider = LazyProvider.self
        case .liar: provider = LyingProvider.self
        case .cheapLiar: provider = CheapLiar.self
        case .lazyAuditor: provider = LazyAuditingProvider.self
        case .ring: provider = ColludingProvider.self
        case .sharingRing: provider = SharingProvider.self
        case .sybil: provider = SybilProvider.self
        case .newcomers: provider = NewcomerLiars.self
        case .washTrader: provider = WashTrader.self
        case .dearWashTrader: provider = DearWashTrader.self
        case .dustTrader: provider = DustTrader.self
        case .silentProvider: provider = SilentProvider.self
        case .falseAuditor: provider = FalseAuditor.self
        case .falseChallenger: provider = FalseChallenger.self
        case .requester, .cancellingRequester, .unrunnableRequester:
            let requester: HonestRequester
            switch purse.strategy {
            case .cancellingRequester: requester = CancellingRequester(purse, in: self)
            case .unrunnableRequester: requester = UnrunnableRequester(purse, in: self)
            default: requester = HonestRequester(purse, in: self)
            }
            requesters.append(requester)
            requestersByAddress[purse.key.publicKey.address] = requester
            return
        }
        providers.append(provider.init(purse, in: self))
    }

    // MARK: What agents ask

    func seat(_ seat: MarketSeat, of owner: HonestProvider) { seats[seat.address] = (seat, owner) }

    func provider(of address: Address) -> HonestProvider? { seats[address]?.owner }

    /// What an executor has told its friends of a job.
    func claim(of job: Job, by executor: Address) -> MarketClaim? {
        guard let (seat, owner) = seats[executor] else { return nil }
        return owner.claim(of: job, seat, as: .executor)
    }

    func published(like job: JobSpec) -> ResultCommitment? { job.inputs.first?.root.flatMap { publishedByInputs[$0] } }

    func published(rows: UInt64) -> ResultCommitment? { publishedByRows[rows] }

    /// A machine like all others, at a part of the market's price.
    func offer(perMille: UInt64 = 1000) throws -> OfferTerms {
        let ask = perMille == 0 ? Amount(baseUnits: 1) : try price.scaled(perMille, over: 1000)
        return OfferTerms(
            device: 0, pricePer1000CUf32: ask, pricePer1000CUi8: ask, memory: MarketSettings.memory,
            capacity: settings.capacity, expiry: Height(UInt64.max / 2), measuredRate: rate)
    }

    /// The most that a requester pays for 1,000 CU.
    var ceiling: Amount { (try? price.scaled(UInt64(settings.ceilingShare * 1000), over: 1000)) ?? price }

    func spec(
        policy: AuditPolicy, ceiling: Amount, memory: UInt64, by key: SecretKey, repeats: Bool = false,
        canBeRun: Bool = true
    ) throws -> JobSpec {
        let body: (root: Digest, rows: UInt64)
        if repeats, !inputs.isEmpty {
            body = inputs[Int(random.next() % UInt64(inputs.count))]
        } else {
            body = work.makeInputs(canBeRun: canBeRun)
            if canBeRun { inputs.append(body) }
        }
        return try work.spec(body, policy: policy, ceiling: ceiling, memory: memory, hint: key.publicKey)
    }

    /// A job at the market's price, in XPL.
    func worth(of job: JobSpec) -> Double {
        Double((try? job.computeUnits.price(perThousandUnits: price))?.baseUnits ?? 0) / 1e9
    }

    /// What it takes to run a job, in XPL.
    func cost(of job: JobSpec) -> Double { worth(of: job) * settings.costShare }

    // MARK: Running

    /// Runs until every job is over.
    func run() throws -> MarketOutcome {
        for provider in providers { try provider.register() }
        let before = try wealth()
        var blocks = 0
        // Offers become active some blocks after they are made.
        let first = Int(settings.parameters.offerActivationHeights) + 8
        let last = first + jobs * 20 + 20_000
        while isOpen || !moving.isEmpty || blocks < first {
            if blocks > last { throw MarketFault(description: "\(moving.count) jobs do not come to an end") }
            if blocks >= first, isOpen { try post() }
            try step(isWhole: false)
            blocks += 1
        }
        // Deposits of disputes that another decided go back at their deadlines.
        while !disputes.isEmpty {
            if blocks > last { throw MarketFault(description: "a dispute does not come to an end") }
            try step(isWhole: false)
            blocks += 1
        }
        try step(isWhole: true)
        let after = try wealth()
        let totals = try Query.totals(in: chain.state)
        return MarketOutcome(
            purses: zip(purses, zip(before, after)).map { purse, wealth in
                let onChain = Double(Int128(wealth.1) - Int128(wealth.0)) / 1e9
                return MarketOutcome.Purse(
                    strategy: purse.strategy, profit: onChain + purse.tally.gain - purse.tally.cost, onChain: onChain,
                    tally: purse.tally)
            }, lies: lies, jobs: posted, states: states, violations: money.violations, digest: chain.digest,
            blocks: blocks + 1, transactions: chain.transactions, failures: chain.failures,
            mostUncovered: Double(money.mostUncovered) / 1e9, burned: Double(totals.burned.baseUnits) / 1e9)
    }

    private var purses: [MarketPurse] { providers.map(\.purse) + requesters.map(\.purse) }

    private func wealth() throws -> [UInt128] { try purses.map { try $0.wealth(in: chain.state) } }

    /// New jobs of honest requesters: one a block on average.
    private func post() throws {
        let honest = requesters.filter { $0.purse.strategy == .requester }
        for _ in 0..<random.next() % 3 where isOpen && !honest.isEmpty {
            posted += 1
            try honest[Int(random.next() % UInt64(honest.count))].post()
        }
    }

    /// A block, and what everybody does about the state after it.
    private func step(isWhole: Bool) throws {
        let (result, transactions) = try chain.advance()
        for (signed, receipt) in zip(transactions, result.receipts) where receipt.succeeded {
            guard case .submitJob = signed.transaction.payload else { continue }
            requestersByAddress[signed.transaction.sender.address]?.purse.tally.posted += 1
        }
        for event in result.events { try heed(event) }
        var seen: Set<Digest> = []
        moving = try Query.movingJobs(in: chain.state).filter { !$0.state.isTerminal && seen.insert($0.id).inserted }
        let open = try disputes.keys.sorted().compactMap {
            try Query.dispute(job: $0.job, attempt: $0.attempt, challenger: $0.challenger, in: chain.state)
        }
        try money.count(
            chain.state, jobs: isWhole ? try Query.jobs(limit: .max, in: chain.state) : moving,
            disputes: isWhole ? try Query.allDisputes(in: chain.state) : open)
        let standing = Dictionary(grouping: try Query.offers(in: chain.state), by: \.provider)
        for provider in try Query.providers(in: chain.state) {
            guard let (seat, owner) = seats[provider.address] else { continue }
            try owner.keepUp(seat, provider, standing[provider.address] ?? [])
        }
        for job in moving { try act(on: job) }
        for provider in providers { try provider.attend() }
        for requester in requesters {
            let address = requester.purse.key.publicKey.address
            try requester.attend(moving.filter { $0.requester == address })
        }
    }

    private func act(on job: Job) throws {
        guard let assignment = job.assignment else { return }
        if let (seat, owner) = seats[assignment.provider] { try owner.execute(job, seat) }
        for audit in job.audits {
            if let (seat, owner) = seats[audit.auditor] { try owner.audit(job, audit, seat) }
        }
        for witness in job.claim?.witnesses ?? [] {
            if let (seat, owner) = seats[witness.provider] { owner.attest(job, seat) }
        }
        if job.isDisputable { for provider in providers { try provider.watch(job) } }
        if job.openDisputes == 0 { return }
        var points: Set<RevealPoint> = []
        for dispute in try Query.openDisputes(of: job.id, attempt: job.attempt, in: chain.state) {
            switch dispute.walk.turn {
            case .defender:
                // One reveal serves all that wait for it.
                guard let point = dispute.walk.point, points.insert(point).inserted,
                    let (seat, owner) = seats[dispute.defender]
                else { continue }
                try owner.defend(job, dispute, seat)
            case .challenger:
                if let (seat, owner) = seats[dispute.challenger] { try owner.accuse(job, dispute, seat) }
            case nil: continue
            }
        }
    }

    // MARK: Counting

    private func heed(_ event: LedgerEvent) throws {
        switch event {
        case .assigned(_, let provider, _): seats[provider]?.owner.purse.tally.assigned += 1
        case .job(let id, .opened, _), .job(let id, .auditing, _): try heedOpening(id)
        case .job(let id, .settled, _): try heedSettlement(id)
        case .job(let id, let state, _) where state.isTerminal: try heedEnd(id, state)
        case .dispute(let job, let attempt, let challenger, let state):
            let name = DisputeName(job: job, attempt: attempt, challenger: challenger)
            disputes[name] = state == .open ? true : nil
            let owner = seats[challenger]?.owner
            if state == .acquitted { owner?.purse.tally.lostDisputes += 1 }
            if state != .convicted { return }
            owner?.purse.tally.wonDisputes += 1
            if let dispute = try Query.dispute(job: job, attempt: attempt, challenger: challenger, in: chain.state) {
                seats[dispute.defender]?.owner.purse.tally.convicted += 1
            }
            if var lie = liesUnderWay.removeValue(forKey: job) {
                lie.isConvicted = true
                lies.append(lie)
            }
        default: return
        }
    }

    private func heedOpening(_ id: Digest) throws {
        // A job comes back to "opened" after a dispute.
        guard let job = try Query.job(id, in: chain.state), let assignment = job.assignment,
            let commitment = assignment.commitment, let input = job.spec.inputs.first?.root, liesUnderWay[id] == nil,
            let (_, owner) = seats[assignment.provider]
        else { return }
        publishedByInputs[input] = commitment
        publishedByRows[work.rows(of: job.spec)] = commitment
        if commitment == (try work.truth(job.spec)) { return }
        owner.purse.tally.lies += 1
        liesUnderWay[id] = MarketLie(
            strategy: owner.purse.strategy, policy: job.spec.policy, worth: worth(of: job.spec))
    }

    private func heedSettlement(_ id: Digest) throws {
        guard let job = try Query.job(id, in: chain.state),
            let receipt = try Query.receipt(job: id, in: chain.state), let (_, owner) = seats[receipt.provider]
        else { return }
        states["settled", default: 0] += 1
        owner.purse.tally.settled += 1
        let requester = requestersByAddress[job.requester]?.purse
        if receipt.commitment == (try work.truth(job.spec)) {
            requester?.tally.answered += 1
            // A griefer has no use for what it asked for.
            if requester?.strategy == .requester {
                requester?.tally.gain += worth(of: job.spec) * settings.valueShare
            }
        } else {
            requester?.tally.wronged += 1
            owner.purse.tally.deceived += 1
            if owner.purse.strategy.sellsLies { owner.purse.tally.gain += worth(of: job.spec) * settings.gainShare }
            if var lie = liesUnderWay.removeValue(forKey: id) {
                lie.isPaid = true
                lies.append(lie)
            }
        }
    }

    private func heedEnd(_ id: Digest, _ state: JobState) throws {
        states[state.description, default: 0] += 1
    }
}
