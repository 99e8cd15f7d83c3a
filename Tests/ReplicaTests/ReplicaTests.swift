import Consensus
import Ledger
import Primitives
import Replica
import Testing

@Suite struct ReplicaTests {
    func balance(_ network: ReplicaNetwork, _ address: Address, at node: Int) throws -> Amount {
        try Query.account(address, in: network.nodes[node].state).balance
    }

    @Test func transfersAreFinalOnEveryNodeWithEqualRoots() throws {
        let network = try ReplicaNetwork(followers: 1)
        let target = network.keys[1].publicKey.address
        for nonce in 0..<5 {
            network.push(
                0, .input(.transactions([network.transfer(.xpl(3), nonce: UInt64(nonce), to: target)], local: true)),
                after: 10)
        }
        try network.run(milliseconds: 4_000)
        for node in network.nodes.indices {
            // Tips are zero and fees burn, so the target has exactly what was sent.
            #expect(try balance(network, target, at: node) == .xpl(15), "node \(node)")
        }
        let lowest = network.nodes.map { $0.replica.executed.height }.min() ?? 0
        #expect(lowest.value >= 2)
        let roots = Set(try network.nodes.map { try Query.stateRoot(at: lowest, in: $0.state) })
        #expect(roots.count == 1)
    }

    @Test func anIdleChainSleepsToItsHeartbeat() throws {
        let network = try ReplicaNetwork()
        try network.run(milliseconds: 3_000)
        let before = network.nodes[0].replica.executed.height
        try network.run(milliseconds: 10_000)
        let after = network.nodes[0].replica.executed.height
        #expect(after.value - before.value >= 4 && after.value - before.value <= 8, "\(before) to \(after)")
    }

    @Test func aStoppedValidatorCostsOnlyItsTurnsAndCatchesUp() throws {
        let network = try ReplicaNetwork()
        try network.run(milliseconds: 3_000)
        network.nodes[3].isUp = false
        let target = network.keys[1].publicKey.address
        for nonce in 0..<40 {
            network.push(
                0, .input(.transactions([network.transfer(.xpl(1), nonce: UInt64(nonce), to: target)], local: true)),
                after: Int64(nonce) * 100)
        }
        try network.run(milliseconds: 20_000)
        #expect(try balance(network, target, at: 0) == .xpl(40))
        let behind = network.nodes[3].replica.executed.height
        try network.restart(3)
        try network.run(milliseconds: 10_000)
        #expect(network.nodes[3].replica.executed.height > behind)
        #expect(try balance(network, target, at: 3) == .xpl(40))
        // It votes again: with another validator gone, its vote is needed.
        network.nodes[2].isUp = false
        let height = network.nodes[0].replica.executed.height
        try network.run(milliseconds: 20_000)
        #expect(network.nodes[0].replica.executed.height > height)
    }

    @Test func aRestartFromAnOlderStateExecutesAgain() throws {
        let network = try ReplicaNetwork()
        let target = network.keys[1].publicKey.address
        network.push(
            0, .input(.transactions([network.transfer(.xpl(7), nonce: 0, to: target)], local: true)), after: 10)
        try network.run(milliseconds: 5_000)
        // The state's last flush was lost: only genesis is left.
        let fresh = MemoryStateStore()
        try network.genesis.initialize(fresh)
        network.nodes[2].state = fresh
        try network.restart(2)
        try network.run(milliseconds: 3_000)
        #expect(try balance(network, target, at: 2) == .xpl(7))
    }

    @Test func aShortenedJournalRestartsTheSame() throws {
        let network = try ReplicaNetwork()
        // Views that end without a block too: one is away for a while.
        network.nodes[3].isUp = false
        try network.run(milliseconds: 40_000)
        try network.restart(3)
        try network.run(milliseconds: 600_000)
        for index in network.nodes.indices {
            let node = network.nodes[index]
            let kept = node.journal.filter { node.replica.needs($0) }
            #expect(kept.count < node.journal.count / 2, "\(kept.count) of \(node.journal.count)")
            #expect(!kept.isEmpty)
            // What is kept is the newest, in its order.
            #expect(kept == Array(node.journal.suffix(kept.count)))
            var whole = try network.make(index, node.state, node.archive, node.journal)
            var short = try network.make(index, node.state, node.archive, kept)
            let began = whole.handle(.start, at: network.time).map { "\($0)" }
            #expect(short.handle(.start, at: network.time).map { "\($0)" } == began)
            #expect(short.view == whole.view && short.lastFinalizedView == whole.lastFinalizedView)
        }
        // Nothing below what is kept is ever voted on again, and the network goes on.
        for index in network.nodes.indices {
            network.nodes[index].journal = network.nodes[index].journal.filter {
                network.nodes[index].replica.needs($0)
            }
            try network.restart(index)
        }
        let height = network.nodes[0].replica.executed.height
        try network.run(milliseconds: 30_000)
        #expect(network.nodes[0].replica.executed.height > height)
    }

    @Test func aDoubleSpendDoesNotEnterTheMempool() throws {
        let network = try ReplicaNetwork()
        let target = network.keys[1].publicKey.address
        let all = try Query.account(network.alice.publicKey.address, in: network.nodes[0].state).balance
        let most = try all.subtracting(.xpl(1))
        try network.nodes[0].replica.admit(network.transfer(most, nonce: 0, to: target))
        #expect(throws: SubmissionFault.self) {
            try network.nodes[0].replica.admit(network.transfer(most, nonce: 1, to: target))
        }
    }

    @Test func aReceiptOfStateIsProvenByACertificate() throws {
        let network = try ReplicaNetwork()
        let target = network.keys[1].publicKey.address
        network.push(
            0, .input(.transactions([network.transfer(.xpl(7), nonce: 0, to: target)], local: true)), after: 10)
        try network.run(milliseconds: 2_000)
        let key = StateKey.account(target)
        let taken = try #require(try network.nodes[0].replica.prove(key))
        var evidence: ReceiptCheck.Evidence?
        try network.run(milliseconds: 12_000)
        for height in 1...network.nodes[0].replica.executed.height.value where evidence == nil {
            guard let found = network.nodes[0].archive.finalized(at: Height(height)),
                let certificate = found.certificate
            else { continue }
            let header = try Block(canonicalBytes: found.block).header
            if header.stateRoot == taken.root {
                evidence = .init(
                    key: key, value: taken.value, proof: taken.proof, header: header, certificate: certificate)
            }
        }
        let proof = try #require(evidence)
        try ReceiptCheck.verify(proof, genesis: network.genesis)
        var other = network.genesis
        other.chainName = "other"
        #expect(throws: ReceiptCheck.Fault.light(.anotherNetwork)) { try ReceiptCheck.verify(proof, genesis: other) }
        let lie = ReceiptCheck.Evidence(
            key: key, value: Account(balance: .xpl(8)).canonicalBytes, proof: proof.proof, header: proof.header,
            certificate: proof.certificate)
        #expect(throws: ReceiptCheck.Fault.badPath) { try ReceiptCheck.verify(lie, genesis: network.genesis) }
        // No byte of it can be another.
        let bytes = proof.canonicalBytes
        #expect(try ReceiptCheck.Evidence(canonicalBytes: bytes).canonicalBytes == bytes)
        for place in bytes.indices {
            var changed = bytes
            changed[place] ^= 1 << UInt8(place % 8)
            guard let read = try? ReceiptCheck.Evidence(canonicalBytes: changed) else { continue }
            #expect(throws: ReceiptCheck.Fault.self, "byte \(place)") {
                try ReceiptCheck.verify(read, genesis: network.genesis)
            }
        }
    }

    /// What a follower holds and nobody else heard: it is told again, since who holds it makes no blocks.
    @Test func aTransactionThatOnlyAFollowerHoldsBecomesFinal() throws {
        let network = try ReplicaNetwork(followers: 1)
        try network.run(milliseconds: 2_000)
        let target = network.keys[1].publicKey.address
        // Admitted without being told, as if all the words about it had been lost.
        try network.nodes[4].replica.admit(network.transfer(.xpl(2), nonce: 0, to: target))
        try network.run(milliseconds: 15_000)
        #expect(try balance(network, target, at: 0) == .xpl(2))
        #expect(network.nodes[4].replica.mempool.isEmpty)
    }

    /// A large batch goes to others in a block alone, where its own node proposes; a follower's is told after a while.
    @Test(arguments: [0, 4]) func aBulkyTransactionIsNotToldAtOnce(_ node: Int) throws {
        var parameters = ChainParameters.devnet
        parameters.opaqueByteLimit = 100_000
        let network = try ReplicaNetwork(followers: 1, parameters: parameters)
        try network.run(milliseconds: 2_000)
        let signed = Transaction(
            network: network.genesis.digest, sender: network.alice.publicKey, nonce: 0, maximumFee: .xpl(1),
            payload: .opaque(OpaqueBytes([UInt8](repeating: 7, count: 66_000)))
        ).signed(by: network.alice)
        var told = false
        let now = network.time
        for output in network.nodes[node].replica.handle(.transactions([signed], local: true), at: now) {
            if case .broadcastTransactions = output { told = true }
        }
        #expect(!told && network.nodes[node].replica.mempool.contains(signed.id))
        try network.run(milliseconds: 15_000)
        for other in network.nodes {
            let account = try Query.account(network.alice.publicKey.address, in: other.replica.stateStore)
            #expect(account.nonce == 1)
        }
    }

    private func told(_ outputs: [ReplicaOutput]) -> [Digest] {
        outputs.flatMap { output -> [Digest] in
            if case .broadcastTransactions(let transactions) = output { transactions.map(\.id) } else { [] }
        }
    }

    /// Each node passed on at once what it had heard, so that a transaction travelled between each two of them.
    @Test func whatOthersHaveToldIsPassedOnOnlyIfItStillWaits() throws {
        let network = try ReplicaNetwork(followers: 1)
        try network.run(milliseconds: 2_000)
        let target = network.keys[1].publicKey.address
        let row = (0..<3).map { network.transfer(.xpl(1), nonce: UInt64($0), to: target) }
        var replica = network.nodes[4].replica
        func later(_ milliseconds: Int64) -> ReplicaTime {
            ReplicaTime(
                monotonic: network.time.monotonic.adding(.milliseconds(milliseconds)), wall: network.time.wall)
        }
        // What began here is told at once; of what came from others the follower says nothing yet.
        #expect(told(replica.handle(.transactions([row[0]], local: true), at: later(0))) == [row[0].id])
        #expect(told(replica.handle(.transactions([row[1], row[2]], local: false), at: later(0))).isEmpty)
        let bad = replica.handle(.transactions([row[1]], local: true), at: later(0))
        #expect(bad.contains { if case .refused(row[1].id, _) = $0 { true } else { false } })
        #expect(told(replica.handle(.timer, at: later(249))).isEmpty)
        #expect(told(replica.handle(.timer, at: later(250))) == [row[1].id, row[2].id])
        #expect(told(replica.handle(.timer, at: later(1_250))).isEmpty)
        // In the network it is final long before: nobody says it a second time.
        network.push(0, .input(.transactions(row, local: true)), after: 0)
        try network.run(milliseconds: 2_100)
        #expect(network.toldBy == [0])
        for node in network.nodes {
            #expect(try Query.account(network.alice.publicKey.address, in: node.state).nonce == 3)
        }
    }

    /// Whoever passes on a body that is not its header's is blamed for it: a relay asks first.
    @Test func aBlockWithAnothersBodyIsNoBlock() throws {
        let network = try ReplicaNetwork()
        try network.run(milliseconds: 3_000)
        let bytes = try #require(network.nodes[0].archive.finalized(at: 1)).block
        #expect(Replica.block(bytes, network: network.genesis.digest) != nil)
        #expect(Replica.block(bytes, network: .zero) == nil)
        #expect(Replica.block(Array(bytes.dropLast()), network: network.genesis.digest) == nil)
        var spoilt = try Block(canonicalBytes: bytes)
        spoilt.transactions.append(network.transfer(.xpl(1), nonce: 0, to: network.alice.publicKey.address))
        #expect(Replica.block(spoilt.canonicalBytes, network: network.genesis.digest) == nil)
    }
}
