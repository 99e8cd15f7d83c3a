public import Primitives
internal import Programs

/// Every number the protocol reads. Fixed in genesis; times are milliseconds of chain clock.
public struct ChainParameters: Hashable, Sendable, CanonicalCodable {
    // Blocks
    /// The network's δ, in milliseconds.
    public var deltaMilliseconds: UInt64 = 500
    /// The pace of a network without work.
    public var heartbeatMilliseconds: UInt64 = 2000
    /// The least time from one block to the next.
    public var blockPaceMilliseconds: UInt64 = 100
    public var blockWeightLimit: UInt64 = 4_000_000
    /// Bytes that one transaction may carry for others to read, ordered and not executed; none where it is 0.
    public var opaqueByteLimit: UInt64 = 0
    /// Heights that execution may lie behind before only empty blocks are valid.
    public var executionLagLimit: UInt64 = 32
    /// Heights between a commitment and its auditors' draw.
    public var auditLag: UInt64 = 16
    // Fees
    /// Base units per weight unit: the least, and the first.
    public var minimumBaseFee: UInt64 = 10
    public var weightPerTransaction: UInt64 = 200
    public var weightPerByte: UInt64 = 1
    public var weightPerMarketPayload: UInt64 = 400
    public var weightPerJob: UInt64 = 2000
    /// A check takes as long as some eight of signatures.
    public var weightPerVRFProof: UInt64 = 1600
    public var postingFee = Amount(baseUnits: 1_000_000)
    public var feeAllowance = Amount(baseUnits: 100_000_000)
    /// A provider's market moves in blocks not yet executed.
    public var maximumPendingMoves: UInt64 = 64
    // Pay, in thousandths
    public var protocolFeePerMille: UInt64 = 40
    public var burnedPerMille: UInt64 = 400
    public var stakersPerMille: UInt64 = 300
    public var treasuryPerMille: UInt64 = 200
    public var maximumRoyaltyBasisPoints: UInt16 = 2000
    // Market
    public var minimumBond = Amount.xpl(100)
    /// What it costs to register with less than that. It goes to the audit pool, and stands for what the bond lacks.
    public var newcomerFee = Amount.xpl(5)
    /// Attempts of jobs that are always audited for which a newcomer is drawn, in thousandths.
    public var newcomerSharePerMille: UInt64 = 100
    /// What is left of a newcomer's standing less with each attempt that it loses, start that it misses, and decline beyond the free ones: of the fee, in
    /// thousandths.
    public var newcomerStrikePerMille: UInt64 = 100
    public var offerActivationHeights: UInt64 = 10
    public var priceBandPerMille: UInt64 = 100
    public var reputationCap: UInt64 = 10
    public var silencePenaltyPerMille: UInt64 = 1
    public var outagePricePerMille: UInt64 = 100
    public var freeDeclines: UInt64 = 2
    public var declineEpochMilliseconds: UInt64 = 3_600_000
    public var maximumAttempts: UInt64 = 3
    public var maximumRedraws: UInt64 = 2
    /// Assignments that a provider misses the start of are given to another after this.
    public var startWindow: UInt64 = 20_000
    public var heartbeatWindow: UInt64 = 10_000
    /// A run may take this and four times the time that the device's rate gives.
    public var runBase: UInt64 = 20_000
    public var auditBase: UInt64 = 30_000
    public var openWindow: UInt64 = 20_000
    public var revealWindow: UInt64 = 20_000
    public var settleBase: UInt64 = 3000
    public var unauditedWindow: UInt64 = 10_000
    // Disputes
    /// What a move may take beside the time to run steps again, and how many times that.
    public var disputeBase: UInt64 = 20_000
    public var disputeFactor: UInt64 = 4
    /// How long an auditor that found another result has to challenge.
    public var challengeWindow: UInt64 = 20_000
    /// What a challenger stakes, of the locked price.
    public var challengeBondPerMille: UInt64 = 2000
    /// Of a bond that is lost: what whoever was right gets of it, the provider or the challenger.
    public var compensationPerMille: UInt64 = 500
    public var bountyPerMille: UInt64 = 300
    public var minimumChallengeBond = Amount(baseUnits: 10_000_000)
    // Delivery
    /// How many providers are drawn to say whether a claimed output can be had.
    public var deliveryWitnesses: UInt64 = 5
    /// How long they have for that, beside the time to carry it at the least rate, in bytes a second.
    public var deliveryBase: UInt64 = 20_000
    public var deliveryRate: UInt64 = 4 << 20
    /// What a claimant stakes, of the locked price, and what each witness gets, of the least stake.
    public var claimBondPerMille: UInt64 = 1000
    public var witnessFeePerMille: UInt64 = 50
    // Staging
    /// What a requester answers for with that its inputs can be had and are not fetched for nothing: of the price, and at least.
    public var stagingPerMille: UInt64 = 100
    public var minimumStaging = Amount(baseUnits: 50_000_000)
    /// How many providers are drawn to hold what a segment leaves for the next.
    public var checkpointHolders: UInt64 = 3
    // Traps
    /// Openings whose mask must hold a decoy, in thousandths.
    public var trapPerMille: UInt64 = 15
    /// What an auditor that found the true result of one gets on top, of its own fee.
    public var jackpotPerMille: UInt64 = 1000
    /// The moves of disputes in a block: what they weigh, and the most that they may weigh together.
    public var weightPerDisputeMove: UInt64 = 40_000
    public var weightPerDisputeByte: UInt64 = 8
    public var disputeWeightLimit: UInt64 = 3_000_000
    public var timersPerBlock: UInt64 = 256
    public var matchesPerBlock: UInt64 = 64
    // Epochs and stakes
    /// Heights from an epoch's first block to the first that may be its last: a day of heartbeats.
    public var epochLength: UInt64 = 43_200
    /// By how many heights the next set is fixed before that.
    public var epochMargin: UInt64 = 64
    /// Epochs until unbonded stake can be claimed; evidence must be younger.
    public var unbondingEpochs: UInt64 = 21
    public var evidenceEpochs: UInt64 = 20
    public var minimumStake = Amount.xpl(10_000)
    public var equivocationSlashPerMille: UInt64 = 50
    /// In millionths of the stake.
    public var downtimeSlashPerMillion: UInt64 = 100
    public var jailMilliseconds: UInt64 = 600_000
    /// New XPL a year of chain clock, in thousandths of the supply: at first, by how much less each year, and the least.
    public var inflationPerMille: UInt64 = 50
    public var inflationStepPerMille: UInt64 = 5
    public var inflationFloorPerMille: UInt64 = 30
    /// Of new XPL, what goes to the treasury.
    public var inflationTreasuryPerMille: UInt64 = 20
    // Device challenges
    /// From one challenge of all devices to the next, and of those that nobody has measured, on average; none where the first is 0.
    public var deviceChallengeInterval: UInt64 = 86_400_000
    public var deviceFirstInterval: UInt64 = 60_000
    /// How long a challenge takes a machine of the rate that its owner says, beside what the network may take, and how much longer an answer still counts.
    public var deviceChallengeTime: UInt64 = 10_000
    public var deviceChallengeAllowance: UInt64 = 5000
    public var deviceChallengePatience: UInt64 = 100_000
    /// Bytes that a challenge fills, at the most.
    public var deviceChallengeMemory: UInt64 = 1 << 30
    /// Numbers of an answer that are drawn to be shown, and what each weighs.
    public var deviceChallengeSamples: UInt64 = 8
    public var weightPerDeviceSample: UInt64 = 250
    /// What is lost of the bond where an answer is not shown to be right.
    public var deviceFalsePerMille: UInt64 = 10

    public init() {}

    /// Seconds where a network of strangers would take minutes.
    public static var devnet: ChainParameters {
        var parameters = ChainParameters()
        // All nodes are one loopback away: a leader that is gone costs 400 ms.
        parameters.deltaMilliseconds = 200
        parameters.heartbeatMilliseconds = 1000
        // A draw of auditors comes 16 blocks after a result, transactions or not.
        parameters.blockPaceMilliseconds = 30
        parameters.epochLength = 600
        parameters.epochMargin = 16
        parameters.unbondingEpochs = 3
        parameters.evidenceEpochs = 2
        parameters.jailMilliseconds = 10_000
        // A tenth of a second of one core, seldom. All nodes share a machine that may be busy with anything: an answer has much time.
        parameters.deviceChallengeInterval = 14_400_000
        parameters.deviceFirstInterval = 3000
        parameters.deviceChallengeTime = 100
        parameters.deviceChallengeAllowance = 10_000
        parameters.deviceChallengePatience = 10_000
        parameters.deviceChallengeMemory = 2 << 20
        return parameters
    }

    /// All whole numbers in the order of the encoding, with their names in a genesis file.
    public static let wholeNumbers: [(name: String, path: any WritableKeyPath<ChainParameters, UInt64> & Sendable)] = [
        ("delta_ms", \.deltaMilliseconds),
        ("heartbeat_ms", \.heartbeatMilliseconds),
        ("block_pace_ms", \.blockPaceMilliseconds),
        ("block_weight_limit", \.blockWeightLimit),
        ("opaque_byte_limit", \.opaqueByteLimit),
        ("execution_lag_limit", \.executionLagLimit),
        ("audit_lag", \.auditLag),
        ("minimum_base_fee", \.minimumBaseFee),
        ("weight_per_transaction", \.weightPerTransaction),
        ("weight_per_byte", \.weightPerByte),
        ("weight_per_market_payload", \.weightPerMarketPayload),
        ("weight_per_job", \.weightPerJob),
        ("weight_per_vrf_proof", \.weightPerVRFProof),
        ("maximum_pending_moves", \.maximumPendingMoves),
        ("protocol_fee_per_mille", \.protocolFeePerMille),
        ("burned_per_mille", \.burnedPerMille),
        ("stakers_per_mille", \.stakersPerMille),
        ("treasury_per_mille", \.treasuryPerMille),
        ("offer_activation_heights", \.offerActivationHeights),
        ("price_band_per_mille", \.priceBandPerMille),
        ("newcomer_share_per_mille", \.newcomerSharePerMille),
        ("newcomer_strike_per_mille", \.newcomerStrikePerMille),
        ("reputation_cap", \.reputationCap),
        ("silence_penalty_per_mille", \.silencePenaltyPerMille),
        ("outage_price_per_mille", \.outagePricePerMille),
        ("free_declines", \.freeDeclines),
        ("decline_epoch_ms", \.declineEpochMilliseconds),
        ("maximum_attempts", \.maximumAttempts),
        ("maximum_redraws", \.maximumRedraws),
        ("start_window", \.startWindow),
        ("heartbeat_window", \.heartbeatWindow),
        ("run_base", \.runBase),
        ("audit_base", \.auditBase),
        ("open_window", \.openWindow),
        ("reveal_window", \.revealWindow),
        ("settle_base", \.settleBase),
        ("unaudited_window", \.unauditedWindow),
        ("dispute_base", \.disputeBase),
        ("dispute_factor", \.disputeFactor),
        ("challenge_window", \.challengeWindow),
        ("challenge_bond_per_mille", \.challengeBondPerMille),
        ("compensation_per_mille", \.compensationPerMille),
        ("bounty_per_mille", \.bountyPerMille),
        ("delivery_witnesses", \.deliveryWitnesses),
        ("delivery_base", \.deliveryBase),
        ("delivery_rate", \.deliveryRate),
        ("claim_bond_per_mille", \.claimBondPerMille),
        ("witness_fee_per_mille", \.witnessFeePerMille),
        ("staging_per_mille", \.stagingPerMille),
        ("checkpoint_holders", \.checkpointHolders),
        ("trap_per_mille", \.trapPerMille),
        ("jackpot_per_mille", \.jackpotPerMille),
        ("weight_per_dispute_move", \.weightPerDisputeMove),
        ("weight_per_dispute_byte", \.weightPerDisputeByte),
        ("dispute_weight_limit", \.disputeWeightLimit),
        ("timers_per_block", \.timersPerBlock),
        ("matches_per_block", \.matchesPerBlock),
        ("epoch_length", \.epochLength),
        ("epoch_margin", \.epochMargin),
        ("unbonding_epochs", \.unbondingEpochs),
        ("evidence_epochs", \.evidenceEpochs),
        ("equivocation_slash_per_mille", \.equivocationSlashPerMille),
        ("downtime_slash_per_million", \.downtimeSlashPerMillion),
        ("jail_ms", \.jailMilliseconds),
        ("inflation_per_mille", \.inflationPerMille),
        ("inflation_step_per_mille", \.inflationStepPerMille),
        ("inflation_floor_per_mille", \.inflationFloorPerMille),
        ("inflation_treasury_per_mille", \.inflationTreasuryPerMille),
        ("device_challenge_interval", \.deviceChallengeInterval),
        ("device_first_interval", \.deviceFirstInterval),
        ("device_challenge_time", \.deviceChallengeTime),
        ("device_challenge_allowance", \.deviceChallengeAllowance),
        ("device_challenge_patience", \.deviceChallengePatience),
        ("device_challenge_memory", \.deviceChallengeMemory),
        ("device_challenge_samples", \.deviceChallengeSamples),
        ("weight_per_device_sample", \.weightPerDeviceSample),
        ("device_false_per_mille", \.deviceFalsePerMille),
    ]
    /// The same for amounts.
    public static let amounts: [(name: String, path: any WritableKeyPath<ChainParameters, Amount> & Sendable)] = [
        ("posting_fee", \.postingFee),
        ("fee_allowance", \.feeAllowance),
        ("minimum_bond", \.minimumBond),
        ("newcomer_fee", \.newcomerFee),
        ("minimum_stake", \.minimumStake),
        ("minimum_challenge_bond", \.minimumChallengeBond),
        ("minimum_staging", \.minimumStaging),
    ]

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        for (_, path) in ChainParameters.wholeNumbers { self[keyPath: path] = try reader.readUInt64() }
        for (_, path) in ChainParameters.amounts { self[keyPath: path] = try reader.read(Amount.self) }
        maximumRoyaltyBasisPoints = try reader.readUInt16()
        if let problem { throw .invalid(problem) }
    }

    public func encode(into writer: inout ByteWriter) {
        for (_, path) in ChainParameters.wholeNumbers { writer.write(self[keyPath: path]) }
        for (_, path) in ChainParameters.amounts { writer.write(self[keyPath: path]) }
        writer.write(maximumRoyaltyBasisPoints)
    }

    /// What is out of bounds, in words; nil where nothing is.
    public var problem: String? {
        if protocolFeePerMille > 200 { return "the protocol's fee is at most 200 in a thousand" }
        if burnedPerMille > 1000 || stakersPerMille > 1000 || treasuryPerMille > 1000
            || burnedPerMille + stakersPerMille + treasuryPerMille > 1000
        {
            return "the shares of the protocol's fee add up to more than all of it"
        }
        if maximumRoyaltyBasisPoints > 2000 { return "a royalty is at most 2000 basis points" }
        if silencePenaltyPerMille > 1000 || outagePricePerMille > 1000 { return "a penalty is at most the whole" }
        if newcomerSharePerMille > 1000 || newcomerStrikePerMille > 1000 {
            return "a newcomers' share or strike is at most the whole"
        }
        if priceBandPerMille > 1000 || reputationCap < 1 || reputationCap > 1000 {
            return "the price band or the reputation cap is out of bounds"
        }
        if heartbeatMilliseconds < 1 || heartbeatMilliseconds > 3_600_000 { return "the heartbeat is 1 ms to an hour" }
        if blockWeightLimit < 10_000 || blockWeightLimit > 1 << 40 { return "the block weight limit is out of bounds" }
        if opaqueByteLimit > UInt64(OpaqueBytes.maximumBytes) {
            return "a transaction carries at most \(OpaqueBytes.maximumBytes) opaque bytes"
        }
        if minimumBaseFee < 1 || minimumBaseFee > 1 << 40 { return "the least base fee is out of bounds" }
        if max(weightPerTransaction, weightPerByte, weightPerMarketPayload, max(weightPerJob, weightPerVRFProof))
            > 1 << 32
        {
            return "a weight is out of bounds"
        }
        if weightPerDisputeMove > 1 << 32 || weightPerDisputeByte > 1 << 16 || disputeFactor > 1 << 32
            || challengeBondPerMille > 1_000_000
        {
            return "a dispute's weight, factor or bond is out of bounds"
        }
        if trapPerMille > 1000 || jackpotPerMille > 1_000_000 {
            return "a trap's share or its jackpot is out of bounds"
        }
        // Who is requester, provider and auditor at once pays the fee on each audit, of which as a staker it may get a part back, and gets the jackpots.
        if trapPerMille * jackpotPerMille > protocolFeePerMille * (1000 - stakersPerMille) {
            return "jackpots pay more than the protocol's fee takes: trading with oneself would pay"
        }
        if deliveryWitnesses < 1 || deliveryWitnesses > UInt64(DeliveryClaim.maximumWitnesses)
            || witnessFeePerMille > 1000 || deliveryWitnesses * witnessFeePerMille > 1000
        {
            return "a claim has 1 to \(DeliveryClaim.maximumWitnesses) witnesses, whose fees are at most its deposit"
        }
        if deliveryRate < 1 || deliveryRate > 1 << 40 || claimBondPerMille > 1_000_000 {
            return "a claim's rate or bond is out of bounds"
        }
        if stagingPerMille > 1000 { return "a staging deposit is at most the price" }
        if checkpointHolders < 1 || checkpointHolders > deliveryWitnesses {
            return "a checkpoint has one holder or more, and at most as many as a claim has witnesses"
        }
        if compensationPerMille > 1000 || bountyPerMille > 1000 { return "a penalty is at most the whole" }
        // A full lane must be dear: only above half a block does the base fee rise.
        if disputeWeightLimit > blockWeightLimit
            || disputeWeightLimit < blockWeightLimit / 2 + Fees.largestDisputeWeight(self)
        {
            return "the dispute lane is more than half a block and one move, and at most a block"
        }
        if max(
            postingFee, feeAllowance, minimumBond, max(newcomerFee, minimumStake, minimumChallengeBond), minimumStaging)
            > Genesis.totalSupply
        {
            return "an amount is above the supply"
        }
        if auditLag < 1 || auditLag > 1024 || executionLagLimit < 2 || executionLagLimit > 1024 {
            return "the audit lag or the execution lag is out of bounds"
        }
        if maximumAttempts < 1 || maximumAttempts > 16 || maximumRedraws > 16 { return "too many attempts or redraws" }
        if timersPerBlock < 1 || matchesPerBlock < 1
            || max(timersPerBlock, matchesPerBlock, offerActivationHeights) > 65_536
        {
            return "a per-block cap is out of bounds"
        }
        if epochMargin < 4 || epochMargin > 1 << 20 || epochLength < 2 * epochMargin || epochLength > 1 << 32 {
            return "an epoch has a margin of at least 4 heights and is at least two margins long"
        }
        if evidenceEpochs < 1 || unbondingEpochs < 3 || unbondingEpochs <= evidenceEpochs || unbondingEpochs > 63 {
            return "unbonding takes 3 to 63 epochs, and longer than evidence counts"
        }
        if equivocationSlashPerMille > 1000 || downtimeSlashPerMillion > 1_000_000 || minimumStake < .xpl(1) {
            return "a slash is at most the whole, and a stake at least 1 XPL"
        }
        if max(inflationPerMille, inflationStepPerMille, inflationFloorPerMille) > 200
            || inflationTreasuryPerMille > 1000
        {
            return "inflation is at most 200 in a thousand a year, its treasury's part at most all of it"
        }
        if deviceChallengeInterval > 12 * JobSpec.maximumMilliseconds {
            return "devices are challenged at least once a year, or never where the interval is 0"
        }
        if deviceChallengePatience / 3 < deviceChallengeTime / 2 {
            return "an answer of a device counts for at least one and a half times a challenge's time"
        }
        if deviceChallengeSamples < 1 || deviceChallengeSamples > UInt64(Payload.maximumDeviceSamples)
            || weightPerDeviceSample > 1 << 32 || deviceFalsePerMille > 1000
            || deviceChallengeMemory > 2 * DeviceChain.maximumRows * UInt64(DeviceChain.width)
        {
            return "a device challenge's samples, memory, weight or penalty is out of bounds"
        }
        if jailMilliseconds > JobSpec.maximumMilliseconds { return "jail lasts at most 30 days" }
        let windows = [
            startWindow, heartbeatWindow, runBase, auditBase, openWindow, revealWindow, settleBase, unauditedWindow,
            disputeBase, challengeWindow, deliveryBase, deviceFirstInterval, deviceChallengeTime,
            deviceChallengeAllowance, deviceChallengePatience,
        ]
        if windows.contains(where: { $0 < 1 || $0 > JobSpec.maximumMilliseconds }) {
            return "a window is 1 ms to 30 days"
        }
        return nil
    }
}

extension ChainParameters {
    /// Milliseconds in which stake can be taken out, at the pace of heartbeats; a busy chain is faster.
    public var unbondingMilliseconds: UInt64 {
        let epoch = epochLength.multipliedReportingOverflow(by: heartbeatMilliseconds)
        let all = epoch.partialValue.multipliedReportingOverflow(by: unbondingEpochs)
        return epoch.overflow || all.overflow ? .max : all.partialValue
    }
}
