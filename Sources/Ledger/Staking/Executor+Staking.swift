import Primitives

/// Stakes: who puts them up, tops them up, takes them out (docs/staking.md).
extension Executor {
    private mutating func validator(_ key: PublicKey, of sender: Address) throws -> StakedValidator {
        guard let validator = try overlay.object(StakedValidator.self, StateKey.validator(key)) else {
            throw TransactionFailure(reason: "there is no validator with this consensus key")
        }
        return try owned(validator, by: sender)
    }

    private func owned(_ validator: StakedValidator, by sender: Address) throws -> StakedValidator {
        if validator.operatorAddress != sender {
            throw TransactionFailure(reason: "this validator is operated by \(validator.operatorAddress)")
        }
        return validator
    }

    mutating func store(_ validator: StakedValidator) throws {
        try overlay.set(validator, StateKey.validator(validator.consensusKey))
        events.append(.validator(validator.consensusKey))
    }

    mutating func registerValidator(
        _ key: PublicKey, _ vrfKey: PublicKey, _ stake: Amount, _ possession: Signature, _ sender: Address
    ) throws {
        if stake < parameters.minimumStake {
            throw TransactionFailure(reason: "the stake is \(stake) XPL, the least is \(parameters.minimumStake)")
        }
        if try overlay.object(StakedValidator.self, StateKey.validator(key)) != nil {
            throw TransactionFailure(reason: "this consensus key has a stake already: add to it instead")
        }
        if try overlay.object(StakedValidator.self, StateKey.tombstone(key)) != nil {
            throw TransactionFailure(reason: "this consensus key has signed two things: it never votes again")
        }
        // Stake of an earlier life of the key would otherwise unlock for somebody else.
        if try !overlay.scan(prefix: StateKey.unbondings(of: key), limit: 1).isEmpty {
            throw TransactionFailure(reason: "this consensus key has stake to be claimed: claim it first")
        }
        if overlay.chain.candidates >= StakedValidator.maximumCandidates {
            throw TransactionFailure(reason: "there are \(overlay.chain.candidates) validators: no more are taken")
        }
        let message = StakedValidator.possessionMessage(
            network: overlay.chain.network, operatorAddress: sender, vrfKey: vrfKey)
        if !key.verify(possession, of: message) {
            throw TransactionFailure(reason: "the consensus key has not signed for this operator and VRF key")
        }
        try debit(sender, stake)
        try raise(\.staked, stake)
        overlay.chain.candidates += 1
        try store(StakedValidator(consensusKey: key, vrfKey: vrfKey, operatorAddress: sender, stake: stake))
    }

    mutating func addStake(_ key: PublicKey, _ amount: Amount, _ sender: Address) throws {
        var validator = try validator(key, of: sender)
        try debit(sender, amount)
        try raise(\.staked, amount)
        validator.stake = try validator.stake.adding(amount)
        try store(validator)
    }

    mutating func unbondStake(_ key: PublicKey, _ amount: Amount, _ sender: Address) throws {
        let tombstone = try overlay.object(StakedValidator.self, StateKey.tombstone(key))
        var validator = try tombstone.map { try owned($0, by: sender) } ?? validator(key, of: sender)
        if amount == .zero || amount > validator.stake {
            throw TransactionFailure(
                reason: "the stake is \(validator.stake) XPL: unbond more than none and at most it")
        }
        validator.stake = try validator.stake.subtracting(amount)
        if tombstone == nil, validator.stake > .zero, validator.stake < parameters.minimumStake {
            throw TransactionFailure(
                reason: "what stays is below the least stake of \(parameters.minimumStake) XPL: unbond all of it")
        }
        let unlocks = overlay.chain.epoch.advanced(by: parameters.unbondingEpochs)
        let place = StateKey.unbonding(key, unlocks)
        var unbonding =
            try overlay.object(Unbonding.self, place)
            ?? Unbonding(consensusKey: key, unlocks: unlocks, amount: .zero)
        unbonding.amount = try unbonding.amount.adding(amount)
        try overlay.set(unbonding, place)
        if tombstone != nil {
            try overlay.set(validator, StateKey.tombstone(key))
            events.append(.validator(key))
        } else {
            // It stays, at nothing, until the stake is claimed: its operator is written here.
            try store(validator)
        }
    }

    mutating func claimStake(_ key: PublicKey, _ sender: Address) throws {
        let tombstone = try overlay.object(StakedValidator.self, StateKey.tombstone(key))
        let validator = try tombstone.map { try owned($0, by: sender) } ?? validator(key, of: sender)
        var claimed = Amount.zero
        var waits: Epoch?
        for entry in try overlay.scan(prefix: StateKey.unbondings(of: key), limit: 64) {
            let unbonding = try Unbonding(canonicalBytes: entry.value)
            if unbonding.unlocks > overlay.chain.epoch {
                waits = waits ?? unbonding.unlocks
                continue
            }
            claimed = try claimed.adding(unbonding.amount)
            try overlay.set(bytes: nil, entry.key)
        }
        if claimed == .zero {
            throw TransactionFailure(
                reason: waits.map { "the unbonded stake unlocks in epoch \($0), this is \(overlay.chain.epoch)" }
                    ?? "no stake of this validator is unbonding")
        }
        try lower(\.staked, claimed)
        try credit(sender, claimed)
        if tombstone == nil, validator.stake == .zero, waits == nil {
            // Nothing is left of it.
            try overlay.set(bytes: nil, StateKey.validator(key))
            overlay.chain.candidates -= 1
        }
        events.append(.validator(key))
    }

    mutating func unjail(_ key: PublicKey, _ sender: Address) throws {
        var validator = try validator(key, of: sender)
        guard let until = validator.jailedUntil else {
            throw TransactionFailure(reason: "this validator is not in jail")
        }
        if until > clock {
            throw TransactionFailure(reason: "its jail ends in \(until - clock) ms of the chain's clock")
        }
        validator.jailedUntil = nil
        try store(validator)
    }
}
