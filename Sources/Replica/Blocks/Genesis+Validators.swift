public import Consensus
public import Ledger
import Primitives

extension Genesis {
    /// The voting set: each validator's key, weighted by its stake in whole XPL.
    public func validatorSet() throws(ValidatorSetFault) -> ValidatorSet {
        try ValidatorSet(
            validators.map {
                Consensus.Validator(
                    publicKey: $0.consensusKey, weight: UInt64(clamping: $0.stake.baseUnits / Amount.unitsPerXPL))
            })
    }
}
