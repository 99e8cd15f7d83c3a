import Ledger
import Primitives

/// What binds jobs to each other, and what a claim may do.
extension JobOracle {
    /// One attempt at a job.
    struct Attempt: Hashable {
        let job: Digest
        let number: UInt32
    }

    // MARK: Gangs

    /// All of a gang get their first providers in one block, or none ever has one and all end at once.
    mutating func judgeGangs(_ books: MarketBooks, _ counts: inout Counts) {
        var gangs: [Digest: [Job]] = [:]
        for job in books.jobs {
            guard let first = entries[job.id]?.gang.first else { continue }
            gangs[first, default: []].append(job)
        }
        for (first, members) in gangs.sorted(by: { $0.key < $1.key }) {
            let count = entries[first]?.gang.count ?? 0
            if members.count != count { blame("of the gang of job \(first) \(members.count) of \(count) are there") }
            let placed = members.map { job in job.history.first { $0.state == .assigned }?.height }
            if Set(placed).count > 1 { blame("the gang of job \(first) was not placed in one block") }
            counts.ganged += placed.count { $0 != nil }
            if placed.contains(where: { $0 != nil }) { continue }
            if Set(members.map(\.state)).subtracting([.waiting, .open]).count > 1
                || Set(members.map { JobOracle.isOver($0.state) }).count > 1
            {
                blame("the gang of job \(first) was never placed, and its members end in different ways")
            }
        }
    }

    // MARK: Parents

    /// A job that reads what others leave is open to nobody before all of them are settled.
    mutating func judgeParents(_ job: Job, _ books: MarketBooks) {
        guard let opened = job.history.first(where: { $0.state == .open })?.height else { return }
        for parent in job.spec.parents {
            guard let receipt = books.receipts[parent], receipt.settledHeight <= opened else {
                blame("job \(job.id) was open before job \(parent) was settled, whose result it reads")
                return
            }
        }
    }

    /// What comes out of a job; nil where something that it reads was paid for and is wrong.
    func truth(of id: Digest, _ books: MarketBooks) -> ResultCommitment? {
        guard let order = orders[id] else { return nil }
        for parent in order.parents {
            guard let truth = truth(of: parent, books), books.receipts[parent]?.commitment == truth else { return nil }
        }
        return order.truth
    }

    /// All providers that have had a part in a job.
    func involved(in job: Job) -> [Address] {
        job.excluded + job.audits.map(\.auditor) + [job.assignment?.provider].compactMap { $0 }
    }

    /// Whether a job and all that it reads are settled, by the honest alone.
    func isCleanlySettled(_ id: Digest) -> Bool {
        guard let job = entries[id]?.last, job.state == .settled, involved(in: job).allSatisfy(isHonest) else {
            return false
        }
        return orders[id]?.parents.allSatisfy(isCleanlySettled) ?? false
    }

    // MARK: Claims

    /// A claim as a state has it: it ends once, by what its witnesses say, and none of these is a party to it.
    mutating func note(_ claim: DeliveryClaim?, of job: Job, _ entry: inout Entry) {
        guard let claim else { return }
        let before = entry.claims[claim.subject]?[claim.attempt]
        entry.claims[claim.subject, default: [:]][claim.attempt] = claim
        if before == claim { return }
        if claim.subject == .output, before == nil { endCheckpoint(claim.attempt, &entry) }
        if let before, before.state != .open {
            return blame(
                "a claim about the \(claim.subject) of job \(job.id) was \(before.state) and changed after that")
        }
        if claim.subject == .output, entry.deposits[claim.attempt] != claim.deposit.baseUnits {
            blame("the deposit of the claim about job \(job.id) is not what its claimant gave")
        }
        let executor = (job.attempt == claim.attempt ? job.assignment : nil) ?? entry.assignments[claim.attempt]
        let names = claim.witnesses.map(\.provider)
        if Set(names).count < names.count
            || names.contains(where: { $0 == executor?.provider || $0 == entry.requester })
        {
            blame("a witness of the claim about job \(job.id) is a party to it, or drawn twice")
        }
        judgeWords(claim, of: job, executor)
    }

    /// A claim of an output takes the place of the question who holds the checkpoint, which may have been answered in the same block.
    private func endCheckpoint(_ attempt: UInt32, _ entry: inout Entry) {
        guard var checkpoint = entry.claims[.checkpoint]?[attempt], checkpoint.state == .open else { return }
        let holders = entry.holdersBefore[attempt] ?? []
        for place in checkpoint.witnesses.indices where holders.contains(checkpoint.witnesses[place].provider) {
            checkpoint.witnesses[place].holds = true
        }
        let held = checkpoint.witnesses.count { $0.holds == true }
        checkpoint.state = held > 0 && 2 * held >= checkpoint.witnesses.count ? .delivered : .moot
        entry.claims[.checkpoint]?[attempt] = checkpoint
    }

    private mutating func judgeWords(_ claim: DeliveryClaim, of job: Job, _ executor: Assignment?) {
        let held = claim.witnesses.count { $0.holds == true }
        let lacked = claim.witnesses.count { $0.holds == false }
        let isRight =
            switch claim.state {
            case .undelivered: lacked > held
            // Who starts after all needs no word of anybody.
            case .delivered: claim.subject == .inputs || held >= max(1, lacked)
            case .lapsed: held + lacked == 0
            case .open, .posted, .moot: true
            }
        if !isRight { blame("the claim about job \(job.id) is \(claim.state), its witnesses do not say so") }
        guard isCalm, claim.state == .undelivered, claim.subject == .output, let executor, isHonest(executor.provider)
        else { return }
        blame("honest provider \(executor.provider) has served its output of job \(job.id), and a claim says not")
    }

    // MARK: Bonds

    /// Where nothing goes wrong, whoever keeps to the rules loses nothing.
    mutating func judgeBond(of provider: Provider) {
        guard isCalm, isHonest(provider.address), let before = bonds[provider.address],
            provider.bond.baseUnits < before
        else { return }
        let lost = before - provider.bond.baseUnits
        blame("honest provider \(provider.address) lost \(lost) base units of its bond at height \(height)")
    }
}
