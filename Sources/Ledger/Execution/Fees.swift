public import Primitives

/// What a transaction weighs, what a weight unit costs, and what a transaction may take from its sender.
public enum Fees {
    /// The weight of a signed transaction whose inner part has `bytes` canonical bytes.
    public static func weight(_ payload: Payload, bytes: Int, _ parameters: ChainParameters) -> UInt64 {
        if case .moves(let bundle) = payload { return bundle.weights(bytes: bytes, parameters).reduce(0, +) }
        // Both factors are bounded by the parameters' check and by the decoder, so this cannot overflow.
        return parameters.weightPerTransaction + UInt64(bytes + 64) * parameters.weightPerByte
            + kindWeight(payload, bytes: bytes, parameters)
    }

    /// What a payload weighs for what it does.
    static func kindWeight(_ payload: Payload, bytes: Int, _ parameters: ChainParameters) -> UInt64 {
        switch payload {
        case .transfer, .opaque: 0
        case .submitJob: parameters.weightPerJob
        case .submitGang(let specs): UInt64(specs.count) * parameters.weightPerJob
        case .cancelGang(_, let count): UInt64(count) * parameters.weightPerMarketPayload
        case .showDevice(_, _, let samples):
            parameters.weightPerMarketPayload + UInt64(samples.count) * parameters.weightPerDeviceSample
        case .openResult(_, _, let opening) where opening.trap != nil:
            parameters.weightPerMarketPayload + parameters.weightPerVRFProof
        case _ where payload.isDisputeMove:
            parameters.weightPerDisputeMove + UInt64(bytes + 64) * parameters.weightPerDisputeByte
        default: parameters.weightPerMarketPayload
        }
    }

    /// The most that a move of a dispute can weigh.
    static func largestDisputeWeight(_ parameters: ChainParameters) -> UInt64 {
        parameters.weightPerTransaction + parameters.weightPerDisputeMove
            + UInt64(Transaction.maximumDisputeBytes + 64)
            * (parameters.weightPerByte + parameters.weightPerDisputeByte)
    }

    /// Whether a block with moves of this weight might have had no room for another.
    static func isLaneFull(_ weight: UInt64, _ parameters: ChainParameters) -> Bool {
        weight + largestDisputeWeight(parameters) > parameters.disputeWeightLimit
    }

    /// The weight of a transaction.
    public static func weight(_ transaction: Transaction, _ parameters: ChainParameters) -> UInt64 {
        weight(
            transaction.payload, bytes: transaction.summary.count + transaction.payload.summaryExcess, parameters)
    }

    /// The chain's clock in a block of this time: it advances by at most two heartbeats, so it stands still in a halt.
    public static func clock(
        _ clock: UInt64, from parent: Timestamp, to time: Timestamp, _ parameters: ChainParameters
    ) -> UInt64 {
        let elapsed = time.milliseconds > parent.milliseconds ? time.milliseconds - parent.milliseconds : 0
        let (sum, overflow) = clock.addingReportingOverflow(min(elapsed, 2 * parameters.heartbeatMilliseconds))
        return overflow ? .max : sum
    }

    /// The base fee of a block at `time` after `parent`: toward half-full blocks by at most 1/8 per 10 s of chain clock, pro
    /// rata, rounded toward zero but by at least one unit upwards where the parent was more than half full.
    public static func baseFee(after parent: Header, at time: Timestamp, _ parameters: ChainParameters) -> UInt64 {
        let elapsed = min(clock(0, from: parent.time, to: time, parameters), 10_000)
        let target = parameters.blockWeightLimit / 2
        let distance = parent.weight > target ? parent.weight - target : target - parent.weight
        let step =
            UInt128(parent.baseFee) * UInt128(min(distance, target)) * UInt128(elapsed)
            / (UInt128(target) * 8 * 10_000)
        if parent.weight > target {
            let raised = UInt128(parent.baseFee) + max(step, 1)
            return UInt64(min(raised, 1 << 60))
        }
        return max(parameters.minimumBaseFee, UInt64(UInt128(parent.baseFee) - step))
    }

    /// What a job locks.
    public static func escrow(_ spec: JobSpec, _ parameters: ChainParameters) throws(AmountFault) -> Amount {
        try Escrow(spec, parameters).total()
    }

    /// What so many jobs lock, with their posting fees.
    private static func postingDebit(_ specs: [JobSpec], _ parameters: ChainParameters) throws(AmountFault) -> Amount {
        var sum = Amount.zero
        for spec in specs { sum = try sum.adding(escrow(spec, parameters)).adding(parameters.postingFee) }
        return sum
    }

    /// What the payload itself takes from the sender's balance if it succeeds.
    public static func declaredValue(_ payload: Payload, _ parameters: ChainParameters) throws(AmountFault) -> Amount {
        switch payload {
        case .transfer(_, let amount, _): amount
        case .registerProvider(_, _, _, let bond):
            bond < parameters.minimumBond ? try bond.adding(parameters.newcomerFee) : bond
        case .sponsorProvider(_, let gift): try parameters.newcomerFee.adding(gift)
        case .addBond(let amount): amount
        case .registerValidator(_, _, let stake, _): stake
        case .addStake(_, let amount): amount
        case .submitJob(let spec): try escrow(spec, parameters).adding(parameters.postingFee)
        case .submitGang(let specs): try postingDebit(specs, parameters)
        case .challenge(_, _, _, let deposit), .claimUndelivered(_, _, let deposit): deposit
        default: .zero
        }
    }

    /// The most that a transaction can take from its sender's balance. A market move is paid by the job's allowance, so its
    /// sender needs none.
    public static func maximumDebit(_ transaction: Transaction, _ parameters: ChainParameters) throws(AmountFault)
        -> Amount
    {
        if transaction.payload.isMarketMove { return .zero }
        return try transaction.maximumFee.adding(declaredValue(transaction.payload, parameters))
    }

    /// Base fee and tip.
    public static func fee(weight: UInt64, baseFee: UInt64, tip: Amount) throws(AmountFault) -> Amount {
        try Amount(baseUnits: UInt128(weight) * UInt128(baseFee)).adding(tip)
    }
}
