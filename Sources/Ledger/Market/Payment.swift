package import Primitives

/// Into what a payment from a job's escrow falls. The protocol's fee is 4%, rounded down: 40% of it burned, 30% to the stakers' pool, 20% to the treasury, each rounded down, and the
/// rest of it to the audit pool. The royalty is rounded down; the payee gets all else.
package struct Payment: Hashable, Sendable {
    package let burned: Amount
    package let stakers: Amount
    package let treasury: Amount
    package let auditPool: Amount
    package let royalty: Amount
    package let payee: Amount

    package init(_ amount: Amount, royaltyBasisPoints: UInt16, _ parameters: ChainParameters) throws(AmountFault) {
        let fee = try amount.scaled(parameters.protocolFeePerMille, over: 1000)
        burned = try fee.scaled(parameters.burnedPerMille, over: 1000)
        stakers = try fee.scaled(parameters.stakersPerMille, over: 1000)
        treasury = try fee.scaled(parameters.treasuryPerMille, over: 1000)
        auditPool = try fee.subtracting(burned).subtracting(stakers).subtracting(treasury)
        royalty = try amount.scaled(UInt64(royaltyBasisPoints), over: 10_000)
        payee = try amount.subtracting(fee).subtracting(royalty)
    }
}
