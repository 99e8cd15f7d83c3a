import Primitives

/// What is done otherwise with providers whose bond is not full (`Newcomer`).
extension Executor {
    /// Somebody else pays the fee, and gives the account what its first transactions cost.
    mutating func sponsor(_ registration: Registration, _ gift: Amount, _ sender: Address) throws {
        let address = registration.key.address
        let next = try overlay.account(address).nonce
        if next != registration.nonce {
            throw TransactionFailure(
                reason:
                    "the registration is for nonce \(registration.nonce), its account's next is \(next): sign it anew")
        }
        try register(
            registration.name, registration.node, registration.payout, bond: .zero, at: address, paidBy: sender)
        try debit(sender, gift)
        try credit(address, gift)
    }

    mutating func register(
        _ name: String, _ node: PublicKey, _ payout: Address, bond: Amount, at address: Address, paidBy payer: Address
    ) throws {
        var provider = Provider(address: address, name: name, node: node, payout: payout, bond: bond)
        if bond < parameters.minimumBond {
            provider.newcomer = Newcomer(fee: parameters.newcomerFee)
            try debit(payer, parameters.newcomerFee)
            try raise(\.auditPool, parameters.newcomerFee)
        }
        try debit(payer, bond)
        if let old = try overlay.object(Provider.self, StateKey.provider(address)) {
            if !old.isWithdrawn { throw TransactionFailure(reason: "\(address) is already registered") }
            // It comes back with the reputation it left with.
            provider.reputation = old.reputation
            provider.settled = old.settled
            provider.lost = old.lost
            provider.convictions = old.convictions
        }
        try raise(\.bonded, bond)
        try store(provider)
        overlay.chain.marketChange = max(overlay.chain.marketChange, height.next())
    }

    /// A newcomer's bond is filled up from pay alone, or from its own account alone: one that was paid for a lie could else make the pay its own by lending
    /// itself the rest for a block.
    mutating func addBond(_ amount: Amount, _ sender: Address) throws {
        var provider = try ownProvider(sender)
        let withheld = min(provider.newcomer?.withheld ?? .zero, provider.bond)
        if withheld > .zero {
            throw TransactionFailure(
                reason: "\(withheld) XPL of the bond are withheld pay: it fills from pay alone now")
        }
        // Else the pay for the job at hand would be its own, and the loan could leave with it.
        if provider.newcomer != nil { try checkIsIdle(sender) }
        // What was withheld may have gone in penalties.
        provider.newcomer?.withheld = .zero
        try debit(sender, amount)
        provider.bond = try provider.bond.adding(amount)
        try raise(\.bonded, amount)
        if provider.bond >= parameters.minimumBond { provider.newcomer = nil }
        try store(provider)
        overlay.chain.marketChange = max(overlay.chain.marketChange, height.next())
    }

    /// Gives a provider its bond back, but for what a newcomer has not brought itself: that goes to the audit pool.
    mutating func withdrawProvider(_ sender: Address) throws {
        var provider = try ownProvider(sender)
        if provider.locked > .zero {
            throw TransactionFailure(reason: "\(provider.locked) XPL of the bond are held by outstanding jobs")
        }
        // A newcomer's jobs may hold nothing of its bond.
        try checkIsIdle(sender)
        try withdrawDevices(sender)
        let forfeited = min(provider.newcomer?.withheld ?? .zero, provider.bond)
        try lower(\.bonded, provider.bond)
        try raise(\.auditPool, forfeited)
        try credit(sender, try provider.bond.subtracting(forfeited))
        provider.bond = .zero
        provider.newcomer = nil
        provider.isWithdrawn = true
        try store(provider)
    }

    private func checkIsIdle(_ address: Address) throws {
        for entry in try overlay.scan(prefix: StateKey.offers(of: address), limit: Int(UInt16.max) + 1)
        where try Offer(canonicalBytes: entry.value).running > 0 {
            throw TransactionFailure(reason: "a job of the provider's is outstanding: wait until it is settled")
        }
    }

    /// Pay of a newcomer, which leaves the escrow: the bond is filled from it, and what it does not take goes to the payout address.
    mutating func withhold(_ amount: Amount, _ address: Address) throws {
        guard var provider = try overlay.object(Provider.self, StateKey.provider(address)) else {
            throw LedgerFault.corrupt("a newcomer that is paid is missing")
        }
        var held = Amount.zero
        if var newcomer = provider.newcomer {
            held = min(amount, try parameters.minimumBond.subtracting(min(provider.bond, parameters.minimumBond)))
            provider.bond = try provider.bond.adding(held)
            newcomer.withheld = try newcomer.withheld.adding(held)
            provider.newcomer = provider.bond < parameters.minimumBond ? newcomer : nil
            try raise(\.bonded, held)
            try store(provider)
        }
        try credit(provider.payout, try amount.subtracting(held))
    }

    /// A newcomer lost an attempt, missed a start, or declined too often: its standing bears what its bond may not.
    mutating func strike(_ address: Address) throws {
        try lowerStanding(
            of: address, by: try parameters.newcomerFee.scaled(parameters.newcomerStrikePerMille, over: 1000))
    }

    mutating func lowerStanding(of address: Address, by amount: Amount) throws {
        guard amount > .zero, var provider = try overlay.object(Provider.self, StateKey.provider(address)),
            var newcomer = provider.newcomer
        else { return }
        newcomer.standing = try newcomer.standing.subtracting(min(amount, newcomer.standing))
        provider.newcomer = newcomer
        try store(provider)
    }

    /// A newcomer's result was wrong, or was not opened: all of its bond goes, and its standing. The bounty is the same part of the same share as with others;
    /// what the bond lacks of it comes from the audit pool, where its fee is.
    mutating func convictNewcomer(_ job: Job, _ assignment: Assignment, bountyTo finders: [Address]) throws {
        guard let provider = try overlay.object(Provider.self, StateKey.provider(assignment.provider)) else { return }
        let share = try Matching.share(assignment.price, job.spec.policy)
        let bounty = finders.isEmpty ? .zero : try share.scaled(parameters.bountyPerMille, over: 1000)
        let fromBond = min(bounty, provider.bond)
        try penalise(assignment.provider, fromBond, toEach: finders)
        let fromPool = min(try bounty.subtracting(fromBond), overlay.totals.auditPool)
        try lower(\.auditPool, fromPool)
        var left = fromPool
        for finder in finders.dropFirst() {
            let part = try fromPool.scaled(1, over: UInt64(finders.count))
            try credit(finder, part)
            left = try left.subtracting(part)
        }
        if let first = finders.first { try credit(first, left) }
        let rest = try provider.bond.subtracting(fromBond)
        let compensation = min(rest, assignment.price)
        try penalise(assignment.provider, compensation, to: job.requester)
        try penalise(assignment.provider, try rest.subtracting(compensation), to: nil)
        guard var convicted = try overlay.object(Provider.self, StateKey.provider(assignment.provider)) else { return }
        if convicted.newcomer != nil {
            convicted.newcomer?.standing = .zero
            convicted.newcomer?.withheld = .zero
            try store(convicted)
        }
    }
}
