import Ledger
import Primitives

/// Who has got what, by sums of the oracle's own.
extension JobOracle {
    /// What came to providers besides pay: for inputs that were fetched for nothing, looked for or slow, and for outputs and checkpoints that they hold or
    /// could not have.
    func payForClaims(_ job: Job, _ counts: inout Counts, _ paid: inout [Address: UInt128]) {
        guard let entry = entries[job.id] else { return }
        func pay(_ provider: Address, _ amount: UInt128) {
            if let party = parties[provider] { paid[party.payout, default: 0] += amount }
        }
        if job.state == .cancelled, let provider = job.assignment?.provider {
            pay(provider, job.stagingPaid.baseUnits)
        }
        for question in (entry.claims[.inputs] ?? [:]).values {
            let endsIt = question.state == .undelivered
            let right = question.witnesses.filter { $0.holds == !endsIt }
            if question.state != .delivered, !endsIt { continue }
            for witness in right { pay(witness.provider, question.fee.baseUnits) }
            if endsIt {
                counts.unavailable += 1
                pay(question.claimant, question.deposit.baseUnits - question.fee.baseUnits * UInt128(right.count))
            }
        }
        for claim in (entry.claims[.checkpoint] ?? [:]).values where claim.state == .delivered || claim.state == .posted
        {
            counts.held += 1
            for witness in claim.witnesses where witness.holds == true { pay(witness.provider, claim.fee.baseUnits) }
        }
        for (attempt, claim) in entry.claims[.output] ?? [:] {
            if claim.state != .open { counts.claims += 1 }
            if claim.state == .undelivered { counts.undelivered += 1 }
            let isLost = entry.claimed.contains(attempt)
            let isPaid = claim.state == .delivered || claim.state == .posted
            for witness in claim.witnesses where isPaid && witness.holds == true || isLost && witness.holds == false {
                pay(witness.provider, claim.fee.baseUnits)
            }
            if isLost { for (auditor, fee) in feesOfTheRight(job, attempt, entry) { pay(auditor, fee) } }
        }
        if let half = slowHalf(entry) {
            counts.slow += 1
            for attempt in entry.slow.prefix(2) {
                if let provider = entry.assignments[attempt]?.provider { pay(provider, half) }
            }
        }
    }

    /// What each of two that found a job slow gets: half of the deposit, at most what the first has staked. Nil where fewer have said so.
    private func slowHalf(_ entry: Entry) -> UInt128? {
        guard entry.slow.count > 1, let first = entry.assignments[entry.slow[0]],
            let second = entry.assignments[entry.slow[1]]
        else { return nil }
        return min(
            staging(second.price.baseUnits) / 2, staging(first.price.baseUnits) / 2, first.share.baseUnits)
    }

    /// What auditors get that have run what its provider handed to nobody: what they ask, at most its price.
    private func feesOfTheRight(_ job: Job, _ attempt: UInt32, _ entry: Entry) -> [(Address, UInt128)] {
        guard let lost = entry.assignments[attempt], let result = lost.commitment else { return [] }
        return (entry.audits[attempt] ?? []).filter { !$0.isSilent && $0.commitment == result }.map {
            ($0.auditor, min(due(job, $0.price, taken: result.steps), lost.price.baseUnits))
        }
    }

    /// What the requester gets of a provider whose attempt was lost after a state.
    mutating func compensation(
        for lost: Assignment, after state: JobState, _ attempt: Attempt, _ entry: inout Entry,
        _ convicted: Set<Attempt>
    ) -> UInt128 {
        let (price, share) = (lost.price.baseUnits, lost.share.baseUnits)
        // Slow numbers are nobody's fault.
        if entry.slow.contains(attempt.number) { return 0 }
        // A tenth of the price for an outage; for a result that was not opened half the share.
        if state == .running { return price * 100 / 1000 }
        if state == .committed { return min(share / 2, price) }
        if let claim = entry.claims[.output]?[attempt.number], claim.state == .undelivered,
            !convicted.contains(attempt), !entry.settledByWords.contains(attempt.number), let job = entry.last
        {
            entry.claimed.insert(attempt.number)
            // Twice the least deposit; of what witnesses and auditors leave of it half, at most the price.
            let least = max(
                parameters.minimumChallengeBond.baseUnits, price * UInt128(parameters.claimBondPerMille) / 1000)
            let fees =
                claim.fee.baseUnits * UInt128(claim.witnesses.count { $0.holds == false })
                + feesOfTheRight(job, attempt.number, entry).reduce(0) { $0 + $1.1 }
            let penalty = min(share, 2 * least)
            return min((penalty - min(penalty, fees)) / 2, price)
        }
        // For a wrong result what the bounty leaves of the share.
        return min(share - share * UInt128(parameters.bountyPerMille) / 1000, price)
    }

    /// Holds the balances against what should have come of all that was seen. Where heights were passed over, something may have come and gone unseen: then
    /// they say no more.
    mutating func judgeBalances(_ books: MarketBooks, _ paid: [Address: UInt128]) {
        if !isExact { return }
        var wrong: [String] = []
        for party in parties.values.sorted(by: { $0.address < $1.address }) {
            if let balance = books.balances[party.payout], balance.baseUnits != paid[party.payout] ?? 0 {
                wrong.append("provider \(party.address) has been paid \(balance) at height \(height), by our books not")
            }
        }
        let returned = returned(books)
        for requester in initial.keys.sorted() {
            guard let balance = books.balances[requester], let first = initial[requester] else { continue }
            if balance.baseUnits + (spent[requester] ?? 0) != first + (returned[requester] ?? 0) {
                wrong.append("requester \(requester) has \(balance) XPL at height \(height), by our books not")
            }
        }
        if !wrong.isEmpty, height > seen.next() { isExact = false } else { wrong.forEach { blame($0) } }
    }

    /// What has come back to each requester, or to it for what others did.
    private func returned(_ books: MarketBooks) -> [Address: UInt128] {
        var returned: [Address: UInt128] = [:]
        for (id, entry) in entries {
            returned[entry.requester, default: 0] += entry.compensation
            for claim in (entry.claims[.output] ?? [:]).values {
                switch claim.state {
                case .undelivered, .lapsed, .moot: returned[claim.claimant, default: 0] += claim.deposit.baseUnits
                case .open, .delivered, .posted: break
                }
            }
            guard let job = entry.last, JobOracle.isOver(job.state) else { continue }
            var kept = min(entry.posted, entry.moves)
            if let receipt = books.receipts[id] { kept += receipt.amount.baseUnits + receipt.auditFees.baseUnits }
            // What providers got who fetched for nothing, found that nobody can run it, or hold what it leaves.
            kept += job.stagingPaid.baseUnits
            returned[entry.requester, default: 0] += entry.posted - min(entry.posted, kept)
        }
        return returned
    }
}
