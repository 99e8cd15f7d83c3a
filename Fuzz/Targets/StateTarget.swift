import Ledger
import Primitives

/// Values of the state, which light clients are shown by nodes that they do not trust, and the proofs that they are in it.
enum StateTarget: FuzzTarget {
    static let name = "state"

    static func forms() throws -> [Form] {
        let genesis = try Fixture.genesis()
        let store = MemoryStateStore()
        let root = try genesis.initialize(store)
        let held = StateKey.account(genesis.accounts[0].address)
        let value = Account(balance: genesis.accounts[0].balance).canonicalBytes
        let absent = StateKey.job(Fixture.digest(1))
        let proofs = [try StateTree.proof(of: held, in: store), try StateTree.proof(of: absent, in: store)]
        return [
            Form(proofs) { proof in
                require(
                    !proof.verify(root: root, key: held, value: nil), "a proof shows that a key is absent which is held"
                )
                require(
                    !proof.verify(root: root, key: held, value: value + [0]), "a proof shows a value that is not there")
                require(!proof.verify(root: root, key: absent, value: value), "a proof shows a key that is not there")
            },
            Form([Account(balance: .xpl(3))]), Form([Totals()]),
            Form([ChainState(time: genesis.timestamp, network: genesis.digest)]),
            Form([Job]()), Form([Provider]()), Form([StakedValidator]()), Form([TransactionReceipt]()),
            Form([BlockRecord]()), Form([Model]()), Form([Offer]()),
        ]
    }
}
