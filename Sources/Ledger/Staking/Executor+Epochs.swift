import Consensus
import Primitives

/// What a block does to the validators themselves: it counts votes, punishes double votes, fixes the next set, and ends its epoch.
extension Executor {
    /// The members of this block's epoch.
    func epochRecord() throws -> EpochRecord {
        guard let record = try Query.epochRecord(overlay.chain.epoch, in: overlay.store) else {
            throw LedgerFault.corrupt("epoch \(overlay.chain.epoch) has no record")
        }
        return record
    }

    private func schedule() throws -> EpochSchedule {
        guard let start = try Query.epochStart(overlay.chain.epoch, in: overlay.store) else {
            throw LedgerFault.corrupt("epoch \(overlay.chain.epoch) has no start")
        }
        return EpochSchedule(start, parameters)
    }

    /// Before the transactions: who voted, and who voted twice. Signatures were checked by those who voted for the block.
    mutating func takeVotes(_ votes: BlockVotes, _ record: EpochRecord) throws {
        try notePresence([header.proposer] + (votes.certificate?.signers ?? []), record)
        for evidence in votes.evidence { try punish(evidence) }
    }

    /// One bit a member: whether a vote or a block of its own was seen in this epoch.
    private mutating func notePresence(_ members: [UInt16], _ record: EpochRecord) throws {
        var bits =
            try overlay.bytes(StateKey.presence) ?? [UInt8](repeating: 0, count: (record.members.count + 7) / 8)
        let before = bits
        for member in members where Int(member) < record.members.count {
            bits[Int(member) / 8] |= 1 << UInt8(member % 8)
        }
        if bits != before { try overlay.set(bytes: bits, StateKey.presence) }
    }

    /// Slashes and tombstones who signed two things. Once: a tombstone has no stake that votes.
    private mutating func punish(_ evidence: Evidence) throws {
        guard let record = try Query.epochRecord(evidence.epoch, in: overlay.store),
            Int(evidence.signer) < record.members.count
        else { return }
        let key = record.members[Int(evidence.signer)].consensusKey
        guard var validator = try overlay.object(StakedValidator.self, StateKey.validator(key)) else { return }
        validator.stake = try slash(validator.stake, parameters.equivocationSlashPerMille, over: 1000)
        for entry in try overlay.scan(prefix: StateKey.unbondings(of: key), limit: 64) {
            var unbonding = try Unbonding(canonicalBytes: entry.value)
            unbonding.amount = try slash(unbonding.amount, parameters.equivocationSlashPerMille, over: 1000)
            try overlay.set(unbonding, entry.key)
        }
        validator.isTombstoned = true
        try overlay.set(bytes: nil, StateKey.validator(key))
        try overlay.set(validator, StateKey.tombstone(key))
        overlay.chain.candidates -= 1
        events.append(.tombstoned(key))
    }

    /// Burns a share of a stake and returns what is left.
    private mutating func slash(_ stake: Amount, _ share: UInt64, over whole: UInt64) throws -> Amount {
        let lost = try stake.scaled(share, over: whole)
        try lower(\.staked, lost)
        try raise(\.burned, lost)
        return try stake.subtracting(lost)
    }

    /// After the transactions: the next set is fixed at the snapshot, and the epoch's last block begins the next.
    mutating func passEpoch(_ record: EpochRecord) throws {
        let schedule = try schedule()
        if header.height == schedule.snapshotHeight {
            let present = try presentMembers(record)
            try jailAbsent(record, present, blocks: header.height.value - schedule.firstHeight.value + 1)
            try reward(record, present)
            let next = EpochRecord(
                network: record.network, epoch: record.epoch.next(), parameters: record.parameters,
                members: try nextMembers(after: record))
            try overlay.set(next, StateKey.epochRecord(next.epoch))
            events.append(.epochFixed(next.epoch))
        }
        if schedule.endsWith(header) {
            let start = EpochStart(after: header, clock: clock)
            try overlay.set(start, StateKey.epochStart(start.epoch))
            try overlay.set(bytes: nil, StateKey.presence)
            overlay.chain.epoch = start.epoch
            events.append(.epochBegan(start.epoch))
        }
    }

    private mutating func presentMembers(_ record: EpochRecord) throws -> [Bool] {
        let bits = try overlay.bytes(StateKey.presence) ?? []
        return record.members.indices.map { $0 / 8 < bits.count && bits[$0 / 8] & 1 << UInt8($0 % 8) != 0 }
    }

    /// Who was not seen at all is out of the next sets until it says that it is back. In a very short epoch some had no turn and no luck.
    private mutating func jailAbsent(_ record: EpochRecord, _ present: [Bool], blocks: UInt64) throws {
        if blocks < 4 * UInt64(record.members.count) { return }
        for (member, isPresent) in zip(record.members, present) where !isPresent {
            guard var validator = try overlay.object(StakedValidator.self, StateKey.validator(member.consensusKey)),
                validator.jailedUntil == nil
            else { continue }
            validator.stake = try slash(validator.stake, parameters.downtimeSlashPerMillion, over: 1_000_000)
            validator.jailedUntil = clock.addingReportingOverflow(parameters.jailMilliseconds).partialValue
            try store(validator)
        }
    }

    /// Mints what the time since the last rewards brought, and gives it and the stakers' share of fees to those present, by weight.
    private mutating func reward(_ record: EpochRecord, _ present: [Bool]) throws {
        let minted = try Inflation.minted(
            supply: overlay.totals.supply, from: overlay.chain.rewardedThrough, to: clock, parameters)
        overlay.chain.rewardedThrough = clock
        let toTreasury = try minted.scaled(parameters.inflationTreasuryPerMille, over: 1000)
        try raise(\.supply, minted)
        try raise(\.treasury, toTreasury)
        try raise(\.stakersPool, try minted.subtracting(toTreasury))
        // At most 2^62 in all, by the rule of validator sets.
        let weight = zip(record.members, present).reduce(UInt64(0)) { $0 + ($1.1 ? $1.0.weight : 0) }
        if weight == 0 { return }
        let pool = overlay.totals.stakersPool
        for (member, isPresent) in zip(record.members, present) where isPresent {
            let share = try pool.scaled(member.weight, over: weight)
            try lower(\.stakersPool, share)
            try credit(member.operatorAddress, share)
        }
    }

    /// The eligible validators with the highest stakes; those that are in the set keep their order, so that places seldom change.
    private mutating func nextMembers(after record: EpochRecord) throws -> [EpochMember] {
        var eligible: [StakedValidator] = []
        for entry in try overlay.scan(prefix: StateKey.validators, limit: StakedValidator.maximumCandidates) {
            let validator = try StakedValidator(canonicalBytes: entry.value)
            if validator.isEligible { eligible.append(validator) }
        }
        eligible.sort { $0.stake != $1.stake ? $0.stake > $1.stake : $0.consensusKey < $1.consensusKey }
        let chosen = eligible.prefix(Genesis.maximumValidators)
        // A chain without validators could never get any: the old ones go on.
        if chosen.isEmpty { return record.members }
        var places: [PublicKey: Int] = [:]
        for (place, member) in record.members.enumerated() { places[member.consensusKey] = place }
        return chosen.sorted {
            let (x, y) = (places[$0.consensusKey] ?? .max, places[$1.consensusKey] ?? .max)
            return x != y ? x < y : $0.consensusKey < $1.consensusKey
        }.map {
            EpochMember(
                consensusKey: $0.consensusKey, vrfKey: $0.vrfKey, operatorAddress: $0.operatorAddress,
                weight: StakedValidator.weight(of: $0.stake))
        }
    }
}
