public import Primitives

/// What a job locks, each part at the highest price that its requester allows.
public struct Escrow: Hashable, Sendable {
    public let run: Amount
    /// Of as many auditors as can be drawn.
    public let audits: Amount
    /// See `StagingTerms`.
    public let staging: Amount
    /// For the moves of those who work on it.
    public let allowance: Amount

    public init(_ spec: JobSpec, _ parameters: ChainParameters) throws(AmountFault) {
        run = try spec.computeUnits.price(perThousandUnits: spec.maximumPricePer1000CU)
        audits = try run.multiplied(by: spec.policy.auditors)
        staging = try StagingTerms(price: run, parameters).deposit
        allowance = parameters.feeAllowance
    }

    public func total() throws(AmountFault) -> Amount {
        try run.adding(audits).adding(staging).adding(allowance)
    }
}
