import Consensus
import Ledger
import Primitives
import Replica

/// What a light client is shown. Nobody but the validators can make it believe anything.
enum LightTarget: FuzzTarget {
    static let name = "light"

    static func forms() throws -> [Form] {
        let genesis = try Fixture.genesis()
        let network = genesis.digest
        let client = try LightClient(genesis: genesis)
        let store = MemoryStateStore()
        let root = try genesis.initialize(store)
        let next = EpochRecord(
            network: network, epoch: 1, parameters: genesis.epochRecord.parameters, members: genesis.epochRecord.members
        )
        let header = try Fixture.header(network, height: 5, stateRoot: root, next: next.digest)
        let certificate = try Fixture.certificate(.finalize(Fixture.proposal(3, header.digest)), network: network)
        let step = EpochStep(header: header, certificate: certificate, next: next)
        let key = StateKey.account(genesis.accounts[0].address)
        let value = Account(balance: genesis.accounts[0].balance).canonicalBytes
        let evidence = ReceiptCheck.Evidence(
            key: key, value: value, proof: try StateTree.proof(of: key, in: store), header: header,
            certificate: certificate)
        try ReceiptCheck.verify(evidence, by: client)
        // Another key of the same state may be proven too; the keys and the values of all are in the store.
        func isTrue(_ evidence: ReceiptCheck.Evidence) -> Bool {
            evidence.header == header && (try? store.value(.state, evidence.key)) == evidence.value
        }
        return [
            Form([step]) { step in
                var walker = client
                guard (try? walker.advance(step)) != nil else { return }
                require(step.header == header && step.next == next, "a step of no validators is taken")
            },
            Form([evidence]) { evidence in
                guard (try? ReceiptCheck.verify(evidence, by: client)) != nil else { return }
                require(isTrue(evidence), "a false proof is believed")
            },
            Form([PortableProof(steps: [], evidence: evidence), PortableProof(steps: [step], evidence: evidence)]) {
                guard (try? $0.verify(by: client)) != nil else { return }
                require(isTrue($0.evidence), "a false proof is believed")
            },
        ]
    }
}
