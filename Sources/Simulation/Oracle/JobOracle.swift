package import Ledger
package import Primitives

/// Watches the market of a network of whole nodes and says what no correct one does. It keeps its own books of each job, computed here from the
/// transactions in the blocks and from the terms that the jobs state, and holds them against what the nodes have in their states. Of the machines it uses
/// plain values alone.
package struct JobOracle {
    /// One provider, as the simulation knows it.
    package struct Party {
        package let address: Address
        package let payout: Address
        package let isHonest: Bool

        package init(address: Address, payout: Address, isHonest: Bool) {
            self.address = address
            self.payout = payout
            self.isHonest = isHonest
        }
    }

    /// How the jobs stand in the last books.
    package struct Counts: Sendable, Equatable {
        package var jobs = 0
        package var settled = 0
        /// In dispute now.
        package var disputed = 0
        /// Disputes that a liar has lost, and that a challenger has.
        package var convicted = 0
        package var acquitted = 0
        package var expired = 0
        package var cancelled = 0
        package var failed = 0
        /// Settled with a wrong result that nobody honest was drawn to audit.
        package var deceived = 0
        /// Settled whose mask held a decoy beside the result; auditors that lost their bond over one; jackpots that were paid.
        package var traps = 0
        package var trapped = 0
        package var jackpots = 0

        package init() {}
    }

    package private(set) var violations: [String] = []
    package private(set) var height: Height = 0
    package private(set) var counts = Counts()

    private struct Order {
        let truth: ResultCommitment
        let mustSettle: Bool
    }

    /// What is known of a job on chain.
    private struct Entry {
        let requester: Address
        /// What it locked at first.
        let posted: UInt128
        /// Fees of moves that it has paid.
        var moves: UInt128 = 0
        /// As last seen.
        var last: Job?
        var assignments: [UInt32: Assignment] = [:]
        /// Questions about its inputs that are answered.
        var questions: [UInt32: DeliveryClaim] = [:]
        /// What its requester got for attempts that were lost.
        var compensation: UInt128 = 0
        /// Steps of the history that were looked at.
        var steps = 0
        var attempts: UInt32 = 0
        var isBlamed = false
    }

    private let parameters: ChainParameters
    private let parties: [Address: Party]
    private var initial: [Address: UInt128]
    private var spent: [Address: UInt128] = [:]
    private var orders: [Digest: Order] = [:]
    private var entries: [Digest: Entry] = [:]
    private var bonds: [Address: UInt128] = [:]
    /// Whether every attempt that was lost was seen before, so that the requesters' books are exact.
    private var isExact = true

    /// `requesters` with what they have at first.
    package init(parameters: ChainParameters, providers: [Party], requesters: [Address: Amount]) {
        self.parameters = parameters
        var parties: [Address: Party] = [:]
        for party in providers { parties[party.address] = party }
        self.parties = parties
        initial = requesters.mapValues(\.baseUnits)
    }

    package mutating func blame(_ text: String) {
        if violations.count < 20 { violations.append(text) }
    }

    private func isHonest(_ address: Address) -> Bool { parties[address]?.isHonest ?? false }

    /// Somebody has given a node a job to post. `mustSettle`: its requester is there, its inputs are, and the network is well.
    package mutating func ordered(_ id: Digest, truth: ResultCommitment, mustSettle: Bool) {
        orders[id] = Order(truth: truth, mustSettle: mustSettle)
    }

    // MARK: Blocks

    /// A final block and what became of its transactions. Each height counts once.
    package mutating func executed(_ block: Block, _ receipts: [TransactionReceipt]) {
        guard block.header.height == height.next() else { return }
        height = block.header.height
        for (signed, receipt) in zip(block.transactions, receipts) {
            let transaction = signed.transaction
            let sender = transaction.sender.address
            if initial[sender] != nil { spent[sender, default: 0] += receipt.fee.baseUnits }
            let failed = Set(receipt.failures.map { Int($0.place) })
            if case .moves(let bundle) = transaction.payload {
                for (place, fee) in fees(of: bundle, in: transaction, block).enumerated() where !failed.contains(place)
                {
                    if let job = bundle.moves[place].job { entries[job]?.moves += fee }
                }
                continue
            }
            if !receipt.succeeded { continue }
            switch transaction.payload {
            case .submitJob(let spec):
                // Rounded up: nobody works for nothing.
                let product = UInt128(spec.computeUnits.weightedOperations) * spec.maximumPricePer1000CU.baseUnits
                let scale = UInt128(1_000_000_000_000)
                let ceiling = product / scale + (product % scale == 0 ? 0 : 1)
                let audits: UInt128 = if case .replicated(let count) = spec.policy { UInt128(count) } else { 1 }
                let staging = max(
                    parameters.minimumStaging.baseUnits, ceiling * UInt128(parameters.stagingPerMille) / 1000)
                let posted = ceiling * (1 + audits) + parameters.feeAllowance.baseUnits + staging
                entries[receipt.id] = Entry(requester: sender, posted: posted)
                if initial[sender] != nil {
                    spent[sender, default: 0] += posted + parameters.postingFee.baseUnits
                }
            case .startJob(let job, _), .heartbeatJob(let job, _), .commitResult(let job, _, _),
                .commitAudit(let job, _, _), .openResult(let job, _, _), .revealAudit(let job, _, _, _),
                .declineJob(let job, _, _), .revealDispute(let job, _, _, _, _), .attestDelivery(let job, _, _),
                .stageJob(let job, _), .reportSlow(let job, _):
                entries[job]?.moves += receipt.fee.baseUnits
            default: break
            }
        }
    }

    /// What each move of a bundle pays, out of its job's allowance or its mover's account.
    private func fees(of bundle: MoveBundle, in transaction: Transaction, _ block: Block) -> [UInt128] {
        bundle.weights(of: transaction, parameters).map { UInt128($0) * UInt128(block.header.baseFee) }
    }

    // MARK: States

    /// What may come after what.
    private static func isStep(from old: JobState?, to new: JobState) -> Bool {
        switch (old, new) {
        case (nil, .open): true
        case (.open, .assigned), (.open, .expired), (.open, .cancelled): true
        case (.assigned, .running), (.assigned, .open), (.assigned, .cancelled), (.assigned, .failed): true
        case (.running, .committed), (.running, .open), (.running, .failed): true
        case (.committed, .opened), (.committed, .auditing), (.committed, .open), (.committed, .failed): true
        case (.opened, .settled), (.opened, .disputed): true
        case (.auditing, .settled), (.auditing, .disputed): true
        // Convicted by one who did not wait for the auditors.
        case (.auditing, .open), (.auditing, .failed): true
        case (.disputed, .opened), (.disputed, .open), (.disputed, .failed): true
        default: false
        }
    }

    private static func isOver(_ state: JobState) -> Bool {
        switch state {
        case .settled, .expired, .cancelled, .failed: true
        default: false
        }
    }

    /// What a node's state says after the newest block.
    package mutating func holds(_ books: MarketBooks) {
        if books.height != height { return }
        var counts = Counts()
        var escrowed: UInt128 = 0
        var shares: [Address: UInt128] = [:]
        var atStake: [Address: UInt128] = [:]
        var running: [Address: UInt64] = [:]
        var paid: [Address: UInt128] = [:]
        if books.jobs.count != entries.count {
            blame("at height \(height) there are \(books.jobs.count) jobs, \(entries.count) were posted")
        }
        for job in books.jobs {
            judge(job, books.receipts[job.id])
            escrowed += job.escrow.baseUnits
            counts.jobs += 1
            switch job.state {
            case .settled: counts.settled += 1
            case .disputed: counts.disputed += 1
            case .expired: counts.expired += 1
            case .cancelled: counts.cancelled += 1
            case .failed: counts.failed += 1
            default: break
            }
            if !JobOracle.isOver(job.state) {
                for audit in job.audits where !audit.isReleased {
                    shares[audit.auditor, default: 0] += audit.share.baseUnits
                }
            }
            if let report = job.slowReport { shares[report.provider, default: 0] += report.stake.baseUnits }
            if let assignment = job.assignment, !JobOracle.isOver(job.state) {
                shares[assignment.provider, default: 0] += assignment.share.baseUnits
                atStake[assignment.provider, default: 0] += assignment.atStake.baseUnits
                running[assignment.provider, default: 0] += 1
            }
            payForInputs(job, &paid)
            guard job.state == .settled, let receipt = books.receipts[job.id] else { continue }
            if let truth = orders[job.id]?.truth, receipt.commitment != truth { counts.deceived += 1 }
            for (payee, amount) in payees(receipt, job) {
                // Four in a hundred, rounded down, are the protocol's.
                paid[payee, default: 0] += amount - amount * 40 / 1000
            }
            judgeTrap(job, receipt, &counts, &paid)
        }
        for dispute in books.disputes {
            if dispute.state == .convicted { counts.convicted += 1 }
            if dispute.state == .acquitted { counts.acquitted += 1 }
            if dispute.state == .open { escrowed += dispute.deposit.baseUnits }
            judge(dispute)
        }
        self.counts = counts
        for id in books.receipts.keys.sorted()
        where !books.jobs.contains(where: { $0.id == id && $0.state == .settled }) {
            blame("job \(id) has a receipt and is not settled")
        }
        if escrowed != books.escrowed.baseUnits {
            blame("the jobs at height \(height) hold \(escrowed) base units, the totals say \(books.escrowed)")
        }
        for provider in books.providers where provider.atStake.baseUnits != atStake[provider.address] ?? 0 {
            blame(
                "provider \(provider.address) has \(provider.atStake) XPL at stake at height \(height), its jobs another sum"
            )
        }
        judge(books.providers, books, shares, running)
        for party in parties.values.sorted(by: { $0.address < $1.address }) {
            if let balance = books.balances[party.payout], balance.baseUnits != paid[party.payout] ?? 0 {
                blame("provider \(party.address) has been paid \(balance) at height \(height), by our books not")
            }
        }
        if isExact { judgeRequesters(books) }
    }

    /// What came to providers besides pay: for inputs that were fetched for nothing, or looked for.
    private func payForInputs(_ job: Job, _ paid: inout [Address: UInt128]) {
        func pay(_ provider: Address, _ amount: UInt128) {
            if let party = parties[provider] { paid[party.payout, default: 0] += amount }
        }
        if job.state == .cancelled, let provider = job.assignment?.provider {
            pay(provider, job.stagingPaid.baseUnits)
        }
        for question in (entries[job.id]?.questions ?? [:]).values {
            let endsIt = question.state == .undelivered
            let right = question.witnesses.filter { $0.holds == !endsIt }
            if question.state != .delivered, !endsIt { continue }
            for witness in right { pay(witness.provider, question.fee.baseUnits) }
            if endsIt {
                pay(question.claimant, question.deposit.baseUnits - question.fee.baseUnits * UInt128(right.count))
            }
        }
    }

    /// A trap is another result than the one that is paid for; it catches nobody who has run the job, and pays those.
    private mutating func judgeTrap(
        _ job: Job, _ receipt: JobReceipt, _ counts: inout Counts, _ paid: inout [Address: UInt128]
    ) {
        let decoy = job.assignment?.decoy
        if decoy != nil { counts.traps += 1 }
        if decoy == receipt.commitment { blame("job \(job.id) is paid for its decoy") }
        for audit in job.audits {
            let isWinner = decoy != nil && !audit.isSilent && audit.commitment == receipt.commitment
            if audit.jackpot.baseUnits
                > (isWinner ? due(job, audit.price, receipt) * UInt128(parameters.jackpotPerMille) / 1000 : 0)
            {
                blame(
                    "auditor \(audit.auditor) got a jackpot of \(audit.jackpot) XPL in job \(job.id), by our books not")
            }
            if audit.jackpot > .zero { counts.jackpots += 1 }
            if let party = parties[audit.auditor] { paid[party.payout, default: 0] += audit.jackpot.baseUnits }
            guard decoy != nil, audit.isSilent, audit.masked != nil,
                audit.commitment == nil || audit.commitment == decoy
            else { continue }
            counts.trapped += 1
            if isHonest(audit.auditor), audit.commitment == decoy {
                blame("honest auditor \(audit.auditor) fell into the trap of job \(job.id)")
            }
        }
    }

    /// The arithmetic decides against nobody who has told the truth.
    private mutating func judge(_ dispute: Dispute) {
        let wasLate = dispute.reason.hasSuffix("in time")
        if dispute.state == .convicted, isHonest(dispute.defender), !wasLate {
            blame("honest provider \(dispute.defender) was convicted over job \(dispute.job): \(dispute.reason)")
        }
        if dispute.state == .acquitted, isHonest(dispute.challenger), !wasLate {
            blame("honest auditor \(dispute.challenger) lost its dispute over job \(dispute.job): \(dispute.reason)")
        }
    }

    /// Who is paid for a job, and what.
    private func payees(_ receipt: JobReceipt, _ job: Job) -> [(Address, UInt128)] {
        let fees = agreeing(job, receipt).map { ($0.auditor, due(job, $0.price, receipt)) }
        return ([(receipt.provider, receipt.amount.baseUnits)] + fees).compactMap { address, amount in
            parties[address].map { ($0.payout, amount) }
        }
    }

    private func agreeing(_ job: Job, _ receipt: JobReceipt) -> [Audit] {
        job.audits.filter { !$0.isSilent && $0.commitment == receipt.commitment }
    }

    private mutating func judge(_ job: Job, _ receipt: JobReceipt?) {
        guard var entry = entries[job.id] else { return blame("nobody posted job \(job.id)") }
        defer { entries[job.id] = entry }
        if let last = entry.last, JobOracle.isOver(last.state), last != job {
            blame("job \(job.id) was \(last.state) and changed after that")
        }
        walk(job, &entry)
        let isOver = JobOracle.isOver(job.state)
        if isOver {
            if job.escrow != .zero || job.allowance != .zero {
                blame("job \(job.id) is \(job.state) and still holds \(job.escrow) XPL")
            }
        } else if job.escrow.baseUnits != entry.posted - min(entry.posted, entry.moves + job.stagingPaid.baseUnits) {
            blame("job \(job.id) holds \(job.escrow) XPL, by our books not")
        }
        if let assignment = job.assignment { entry.assignments[job.attempt] = assignment }
        if let claim = job.claim, claim.subject == .inputs, claim.state != .open {
            entry.questions[claim.attempt] = claim
        }
        entry.last = job
        if job.state == .settled { judgeReceipt(job, receipt) }
        judgeResults(job, &entry)
    }

    /// The steps since the last look.
    private mutating func walk(_ job: Job, _ entry: inout Entry) {
        let known = entry.last?.history ?? []
        if !job.history.starts(with: known) { return blame("the history of job \(job.id) was rewritten") }
        for place in entry.steps..<job.history.count {
            let old = place > 0 ? job.history[place - 1].state : nil
            let new = job.history[place].state
            if !JobOracle.isStep(from: old, to: new) {
                blame("job \(job.id) went from \(old.map { "\($0)" } ?? "nothing") to \(new)")
            }
            if new == .assigned { entry.attempts += 1 }
            guard let old, new == .open || new == .failed,
                [.running, .committed, .auditing, .opened, .disputed].contains(old)
            else { continue }
            guard let lost = entry.assignments[entry.attempts] else {
                isExact = false
                continue
            }
            let price = lost.price.baseUnits
            // A tenth of the price for an outage; for a result that was not opened half the share, for a wrong one what the bounty leaves of it: at most the price.
            let share = lost.share.baseUnits
            switch old {
            case .running: entry.compensation += price * 100 / 1000
            case .committed: entry.compensation += min(share / 2, price)
            default: entry.compensation += min(share - share * UInt128(parameters.bountyPerMille) / 1000, price)
            }
        }
        entry.steps = job.history.count
        if job.history.last?.state != job.state { blame("job \(job.id) is \(job.state), its history does not say so") }
    }

    private mutating func judgeReceipt(_ job: Job, _ receipt: JobReceipt?) {
        guard let receipt else { return blame("job \(job.id) is settled without a receipt") }
        guard let assignment = job.assignment, receipt.provider == assignment.provider,
            receipt.commitment == assignment.commitment, receipt.amount.baseUnits == due(job, assignment.price, receipt)
        else { return blame("the receipt of job \(job.id) is not of what was done") }
        let agreeing = agreeing(job, receipt)
        if receipt.auditors != agreeing.map(\.auditor)
            || receipt.auditFees.baseUnits != agreeing.reduce(0, { $0 + due(job, $1.price, receipt) })
        {
            blame("the receipt of job \(job.id) pays others than those who audited it")
        }
    }

    /// The part of a price for the steps that were taken, rounded up.
    private func due(_ job: Job, _ price: Amount, _ receipt: JobReceipt) -> UInt128 {
        let all = UInt128(job.spec.computeUnits.weightedOperations)
        var run = all
        for (scan, taken) in zip(job.spec.scans, receipt.commitment.steps) where taken < scan.steps {
            run -= UInt128(scan.weightedOperations) * UInt128(scan.steps - taken)
        }
        // Prices here are far below 2^64 base units.
        return (price.baseUnits * run + all - 1) / all
    }

    /// Who says what is not so.
    private mutating func judgeResults(_ job: Job, _ entry: inout Entry) {
        guard !entry.isBlamed, let truth = orders[job.id]?.truth, let assignment = job.assignment else { return }
        var said = [(who: assignment.provider, what: assignment.commitment)]
        said += job.audits.map { ($0.auditor, $0.commitment) }
        let wrong = said.filter { $0.what != nil && $0.what != truth }
        for one in wrong where isHonest(one.who) {
            entry.isBlamed = true
            blame("honest provider \(one.who) found what is not the result of job \(job.id)")
        }
        switch job.state {
        case .settled where assignment.commitment != truth:
            // Whoever is drawn and answers has run it.
            if job.audits.contains(where: { !$0.isSilent && isHonest($0.auditor) }) {
                entry.isBlamed = true
                blame("job \(job.id) is paid for a wrong result that an honest auditor has seen")
            }
        case .disputed where wrong.isEmpty:
            entry.isBlamed = true
            blame("job \(job.id) is disputed, and all say what is so")
        default: break
        }
    }

    private mutating func judge(
        _ providers: [Provider], _ books: MarketBooks, _ shares: [Address: UInt128], _ running: [Address: UInt64]
    ) {
        var bonded: UInt128 = 0
        for provider in providers {
            bonded += provider.bond.baseUnits
            if provider.locked.baseUnits != shares[provider.address] ?? 0 {
                blame(
                    "provider \(provider.address) has \(provider.locked) XPL locked at height \(height), its jobs hold another sum"
                )
            }
            if let before = bonds[provider.address], provider.bond.baseUnits > before {
                blame("the bond of provider \(provider.address) grew by itself")
            }
            bonds[provider.address] = provider.bond.baseUnits
        }
        for address in Set(running.keys).union(books.running.keys).sorted()
        where running[address] ?? 0 != books.running[address] ?? 0 {
            blame("the offers of provider \(address) count other jobs than it has at height \(height)")
        }
        if bonded != books.bonded.baseUnits {
            blame("the bonds at height \(height) are \(bonded) base units, the totals say \(books.bonded)")
        }
    }

    private mutating func judgeRequesters(_ books: MarketBooks) {
        var returned: [Address: UInt128] = [:]
        for (id, entry) in entries {
            returned[entry.requester, default: 0] += entry.compensation
            guard let job = entry.last, JobOracle.isOver(job.state) else { continue }
            var kept = min(entry.posted, entry.moves)
            if let receipt = books.receipts[id] { kept += receipt.amount.baseUnits + receipt.auditFees.baseUnits }
            // What providers got who fetched for nothing, or found that nobody can run it.
            kept += job.stagingPaid.baseUnits
            returned[entry.requester, default: 0] += entry.posted - min(entry.posted, kept)
        }
        for requester in initial.keys.sorted() {
            guard let balance = books.balances[requester], let first = initial[requester] else { continue }
            if balance.baseUnits + (spent[requester] ?? 0) != first + (returned[requester] ?? 0) {
                blame("requester \(requester) has \(balance) XPL at height \(height), by our books not")
            }
        }
    }

    // MARK: The end

    /// Whether a job waits for something that can still come.
    package var isBusy: Bool {
        orders.contains { id, order in
            guard let job = entries[id]?.last else { return order.mustSettle }
            return !JobOracle.isOver(job.state)
        }
    }

    /// When the network has long been well.
    package mutating func judgeEnd() {
        for (id, order) in orders.sorted(by: { $0.key < $1.key }) {
            guard let job = entries[id]?.last else {
                if order.mustSettle { blame("job \(id) was given to a node and never posted") }
                continue
            }
            if !JobOracle.isOver(job.state) {
                blame("job \(id) is still \(job.state), long after the network healed")
                continue
            }
            if !order.mustSettle { continue }
            let involved = job.excluded + job.audits.map(\.auditor) + [job.assignment?.provider].compactMap { $0 }
            if job.state != .settled, involved.allSatisfy(isHonest) {
                blame("job \(id), honest among the honest, is \(job.state): \(job.reason)")
            }
            for provider in job.excluded where isHonest(provider) {
                blame("honest provider \(provider) lost job \(id) in a network that is well: \(job.reason)")
            }
            for audit in job.audits where audit.isSilent && isHonest(audit.auditor) {
                blame("honest auditor \(audit.auditor) missed job \(id) in a network that is well")
            }
        }
    }
}
