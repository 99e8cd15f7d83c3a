public import Primitives

/// What a requester answers for with beside price and audits: that its inputs can be had, and that it does not have them fetched for nothing.
public struct StagingTerms: Hashable, Sendable {
    /// What is paid where it is to blame. The escrow holds as much by the highest price that the job allows; by the locked one it is at most that.
    public let deposit: Amount
    /// Of each witness that is asked for the inputs.
    public let fee: Amount

    public init(price: Amount, _ parameters: ChainParameters) throws(AmountFault) {
        deposit = max(parameters.minimumStaging, try price.scaled(parameters.stagingPerMille, over: 1000))
        fee = try deposit.scaled(parameters.witnessFeePerMille, over: 1000)
    }

    /// What one that reports slow numbers answers for, until somebody else has said the same or was paid for the run; and what it gets of the deposit in the
    /// first case.
    public func half() throws(AmountFault) -> Amount { try deposit.scaled(1, over: 2) }
}
