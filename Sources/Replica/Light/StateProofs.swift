public import Ledger
public import Primitives

/// A value with its path in the newest state tree.
public struct ProvenValue: Sendable {
    public let value: [UInt8]
    public let proof: StateProof
    /// The tree's root, and the height whose execution made it.
    public let root: Digest
    public let height: Height
}

extension Replica {
    /// The value at a state key with its path, or nil where there is none.
    public func prove(_ key: [UInt8]) throws(LedgerFault) -> ProvenValue? {
        let value: [UInt8]?
        do throws(StateFault) { value = try state.value(.state, key) } catch { throw .state(error) }
        guard let value else { return nil }
        let proof = try StateTree.proof(of: key, in: state)
        return ProvenValue(value: value, proof: proof, root: executed.root, height: executed.height)
    }
}
