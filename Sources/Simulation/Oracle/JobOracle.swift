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
        /// Members of gangs that were placed, and jobs settled that read what others left.
        package var ganged = 0
        package var children = 0
        /// Claims of outputs that have ended, and of those the ones in which witnesses could not have them.
        package var claims = 0
        package var undelivered = 0
        /// Jobs that failed since nobody could have their inputs, and since two found their numbers slow.
        package var unavailable = 0
        package var slow = 0
        /// Checkpoints that others hold.
        package var held = 0
        /// Whether all balances were known to the base unit to the end.
        package var isExact = true

        package init() {}
    }

    package private(set) var violations: [String] = []
    package internal(set) var height: Height = 0
    package private(set) var counts = Counts()

    struct Order {
        let truth: ResultCommitment
        let parents: [Digest]
        let mustSettle: Bool
    }

    /// What is known of a job on chain.
    struct Entry {
        let requester: Address
        /// The members of its gang, itself among them; none where it is in none.
        var gang: [Digest] = []
        /// What it locked at first.
        let posted: UInt128
        /// Fees of moves that it has paid.
        var moves: UInt128 = 0
        /// As last seen.
        var last: Job?
        var assignments: [UInt32: Assignment] = [:]
        var audits: [UInt32: [Audit]] = [:]
        /// Claims of each subject as last seen, by attempt.
        var claims: [ClaimSubject: [UInt32: DeliveryClaim]] = [:]
        /// What was deposited for claims of outputs, by attempt.
        var deposits: [UInt32: UInt128] = [:]
        /// Who has said to hold what an attempt has left, and who had when its output was claimed.
        var holders: [UInt32: [Address]] = [:]
        var holdersBefore: [UInt32: [Address]] = [:]
        /// Attempts that their providers found slow, in their order, and those that a signed walk has convicted.
        var slow: [UInt32] = []
        var settledByWords: Set<UInt32> = []
        /// Attempts that were lost to a claim, with what the requester got of each.
        var claimed: Set<UInt32> = []
        /// What its requester got for attempts that were lost.
        var compensation: UInt128 = 0
        /// Steps of the history that were looked at.
        var steps = 0
        var attempts: UInt32 = 0
        var isBlamed = false
    }

    let parameters: ChainParameters
    let parties: [Address: Party]
    var initial: [Address: UInt128]
    var spent: [Address: UInt128] = [:]
    var orders: [Digest: Order] = [:]
    var entries: [Digest: Entry] = [:]
    var bonds: [Address: UInt128] = [:]
    /// The height of the books that it has seen last.
    var seen: Height = 0
    /// Whether all that moves the balances was seen, so that the books of them are exact.
    var isExact = true
    /// Nothing goes wrong any more: whoever is honest loses nothing from here on.
    package var isCalm = false

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

    func isHonest(_ address: Address) -> Bool { parties[address]?.isHonest ?? false }

    /// Somebody has given a node a job to post, which reads what its parents leave. `mustSettle`: its requester is there, its inputs are, and the network is
    /// well.
    package mutating func ordered(
        _ id: Digest, truth: ResultCommitment, parents: [Digest] = [], mustSettle: Bool
    ) {
        orders[id] = Order(truth: truth, parents: parents, mustSettle: mustSettle)
    }

    // MARK: States

    /// What may come after what.
    private static func isStep(from old: JobState?, to new: JobState) -> Bool {
        switch (old, new) {
        case (nil, .open), (nil, .waiting): true
        case (.waiting, .open), (.waiting, .failed), (.waiting, .cancelled): true
        case (.open, .assigned), (.open, .expired), (.open, .cancelled): true
        case (.assigned, .running), (.assigned, .open), (.assigned, .cancelled), (.assigned, .failed): true
        case (.running, .committed), (.running, .open), (.running, .failed): true
        case (.committed, .opened), (.committed, .auditing), (.committed, .open), (.committed, .failed): true
        case (.opened, .settled), (.opened, .disputed): true
        // Convicted, where nobody could have its output.
        case (.opened, .open), (.opened, .failed): true
        case (.auditing, .settled), (.auditing, .disputed): true
        // Convicted by one who did not wait for the auditors.
        case (.auditing, .open), (.auditing, .failed): true
        case (.disputed, .opened), (.disputed, .open), (.disputed, .failed): true
        default: false
        }
    }

    static func isOver(_ state: JobState) -> Bool {
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
        let convicted = Set(
            books.disputes.filter { $0.state == .convicted }.map { Attempt(job: $0.job, number: $0.attempt) })
        for job in books.jobs {
            judge(job, books, convicted)
            escrowed += job.escrow.baseUnits
            if let claim = job.claim, claim.subject == .output, claim.state == .open {
                escrowed += claim.deposit.baseUnits
            }
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
            payForClaims(job, &counts, &paid)
            guard job.state == .settled, let receipt = books.receipts[job.id] else { continue }
            if let truth = orders[job.id]?.truth, receipt.commitment != truth { counts.deceived += 1 }
            if !job.spec.parents.isEmpty { counts.children += 1 }
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
        judgeGangs(books, &counts)
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
        judgeBalances(books, paid)
        seen = height
        self.counts.isExact = isExact
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
    func payees(_ receipt: JobReceipt, _ job: Job) -> [(Address, UInt128)] {
        let fees = agreeing(job, receipt).map { ($0.auditor, due(job, $0.price, receipt)) }
        return ([(receipt.provider, receipt.amount.baseUnits)] + fees).compactMap { address, amount in
            parties[address].map { ($0.payout, amount) }
        }
    }

    func agreeing(_ job: Job, _ receipt: JobReceipt) -> [Audit] {
        job.audits.filter { !$0.isSilent && $0.commitment == receipt.commitment }
    }

    private mutating func judge(_ job: Job, _ books: MarketBooks, _ convicted: Set<Attempt>) {
        let receipt = books.receipts[job.id]
        guard var entry = entries[job.id] else { return blame("nobody posted job \(job.id)") }
        defer { entries[job.id] = entry }
        if let last = entry.last, JobOracle.isOver(last.state), last != job {
            blame("job \(job.id) was \(last.state) and changed after that")
        }
        walk(job, &entry, convicted)
        let isOver = JobOracle.isOver(job.state)
        if isOver {
            if job.escrow != .zero || job.allowance != .zero {
                blame("job \(job.id) is \(job.state) and still holds \(job.escrow) XPL")
            }
        } else if job.escrow.baseUnits != entry.posted - min(entry.posted, entry.moves + job.stagingPaid.baseUnits) {
            blame("job \(job.id) holds \(job.escrow) XPL, by our books not")
        }
        if let assignment = job.assignment {
            entry.assignments[job.attempt] = assignment
            entry.audits[job.attempt] = job.audits
        }
        judgeParents(job, books)
        entry.last = job
        if job.state == .settled { judgeReceipt(job, receipt) }
        judgeResults(job, books, &entry)
    }

    /// The steps since the last look.
    private mutating func walk(_ job: Job, _ entry: inout Entry, _ convicted: Set<Attempt>) {
        note(job.claim, of: job, &entry)
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
            let attempt = Attempt(job: job.id, number: entry.attempts)
            entry.compensation += compensation(for: lost, after: old, attempt, &entry, convicted)
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
    func due(_ job: Job, _ price: Amount, _ receipt: JobReceipt) -> UInt128 {
        due(job, price, taken: receipt.commitment.steps)
    }

    func due(_ job: Job, _ price: Amount, taken: [UInt64]) -> UInt128 {
        let all = UInt128(job.spec.computeUnits.weightedOperations)
        var run = all
        for (scan, taken) in zip(job.spec.scans, taken) where taken < scan.steps {
            run -= UInt128(scan.weightedOperations) * UInt128(scan.steps - taken)
        }
        // Prices here are far below 2^64 base units.
        return (price.baseUnits * run + all - 1) / all
    }

    /// Who says what is not so.
    private mutating func judgeResults(_ job: Job, _ books: MarketBooks, _ entry: inout Entry) {
        guard !entry.isBlamed, let truth = truth(of: job.id, books), let assignment = job.assignment else { return }
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
            judgeBond(of: provider)
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
                if order.mustSettle, order.parents.allSatisfy(isCleanlySettled) {
                    blame("job \(id) was given to a node and never posted")
                }
                continue
            }
            if !JobOracle.isOver(job.state) {
                blame("job \(id) is still \(job.state), long after the network healed")
                continue
            }
            if !order.mustSettle || !order.parents.allSatisfy(isCleanlySettled) { continue }
            if job.state != .settled, involved(in: job).allSatisfy(isHonest) {
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
