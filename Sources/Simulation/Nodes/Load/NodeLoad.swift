import Ledger
import Primitives

/// What a client can ask a node before it gives it a transaction.
protocol ClientView {
    func account(_ address: Address) -> Account
    /// What waits there of a sender, in order of nonces.
    func waiting(of sender: PublicKey) -> [SignedTransaction]
}

/// A transaction that a client gives to a node, and what the client knows of it.
struct Submission {
    let transaction: SignedTransaction
    /// Why no node may take it; nil where it is sound.
    let flaw: String?
}

/// Makes what clients submit. Each kind of load is a file of its own.
protocol NodeLoad {
    /// The accounts that it needs in genesis.
    var accounts: [GenesisAccount] { get }
    /// The next one, for this node; nil where there is nothing to say.
    mutating func next(at node: some ClientView, network: Digest, random: inout SplitMix64) -> Submission?
}
