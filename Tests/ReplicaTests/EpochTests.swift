import Consensus
import Ledger
import Primitives
import Replica
import Testing

/// Epochs of whole replicas: sets that change, nodes that missed it, light clients that walk.
@Suite struct EpochTests {
    static var parameters: ChainParameters {
        var parameters = ChainParameters.devnet
        parameters.epochLength = 12
        parameters.epochMargin = 4
        parameters.heartbeatMilliseconds = 200
        return parameters
    }

    private func submit(_ network: ReplicaNetwork, _ key: SecretKey, _ payload: Payload, at node: Int = 0) throws {
        let nonce = try Query.account(key.publicKey.address, in: network.nodes[node].state).nonce
        let signed = Transaction(
            network: network.genesis.digest, sender: key.publicKey, nonce: nonce, maximumFee: .xpl(1), payload: payload
        ).signed(by: key)
        network.push(node, .input(.transactions([signed], local: true)), after: 0)
    }

    private func registration(_ network: ReplicaNetwork, _ node: Int, stake: Amount) -> Payload {
        let key = network.keys[node]
        return .registerValidator(
            consensusKey: key.publicKey, vrfKey: key.publicKey, stake: stake,
            possession: key.sign(
                StakedValidator.possessionMessage(
                    network: network.genesis.digest, operatorAddress: network.alice.publicKey.address,
                    vrfKey: key.publicKey)))
    }

    /// Runs until all nodes that are up have passed an epoch, or fails.
    private func run(_ network: ReplicaNetwork, past epoch: Epoch, within milliseconds: Int64 = 60_000) throws {
        let end = network.now + milliseconds
        while network.nodes.contains(where: { $0.isUp && $0.replica.epoch.epoch <= epoch }) {
            if network.now >= end {
                Issue.record("epoch \(epoch) did not end: \(network.nodes.map { $0.replica.engineStatus.description })")
                return
            }
            try network.run(milliseconds: 100)
        }
    }

    private func agree(_ network: ReplicaNetwork) throws {
        let lowest = network.nodes.filter(\.isUp).map(\.replica.executed.height).min() ?? 0
        for height in 1...lowest.value {
            let digests = Set(
                network.nodes.filter(\.isUp).compactMap { $0.archive.byHeight[Height(height)]?.0 })
            #expect(digests.count == 1, "height \(height)")
        }
        let roots = Set(
            try network.nodes.filter(\.isUp).map { try Query.stateRoot(at: lowest, in: $0.state) })
        #expect(roots.count == 1)
        #expect(network.misbehaviours.isEmpty, "\(network.misbehaviours)")
    }

    @Test func theChainGoesThroughEpochsWithoutAPause() throws {
        let network = try ReplicaNetwork(parameters: Self.parameters)
        var longest: Int64 = 0
        var height = network.nodes[0].replica.executed.height
        var since = network.now
        while network.nodes[0].replica.epoch.epoch < 5 && network.now < 120_000 {
            try network.run(milliseconds: 50)
            if network.nodes[0].replica.executed.height > height {
                longest = max(longest, network.now - since)
                (height, since) = (network.nodes[0].replica.executed.height, network.now)
            }
        }
        #expect(network.nodes[0].replica.epoch.epoch >= 5)
        // Heartbeats are 2 s in this harness; nobody waits for a time-out on top of one.
        #expect(longest <= 2_500, "\(longest) ms")
        try agree(network)
    }

    @Test func aValidatorJoinsVotesAndLeaves() throws {
        let network = try ReplicaNetwork(followers: 1, parameters: Self.parameters)
        let joiner = network.keys[4].publicKey
        try submit(network, network.alice, registration(network, 4, stake: .xpl(2_000_000)))
        try run(network, past: 0)
        #expect(network.nodes.allSatisfy { $0.replica.epoch.validators.count == 5 })
        #expect(network.nodes[4].replica.ownIndex == 4)
        #expect(network.nodes[0].replica.epoch.validators.quorumWeight == 4_000_001)
        // Without the new one's vote there is no quorum any more.
        network.nodes[3].isUp = false
        network.nodes[2].isUp = false
        let height = network.nodes[0].replica.executed.height
        try network.run(milliseconds: 6_000)
        #expect(network.nodes[0].replica.executed.height.value <= height.value + 1)
        try network.restart(2)
        try network.run(milliseconds: 30_000)
        #expect(network.nodes[0].replica.executed.height.value > height.value + 3)
        try network.restart(3)
        try submit(network, network.alice, .unbondStake(validator: joiner, amount: .xpl(2_000_000)))
        let epoch = network.nodes[0].replica.epoch.epoch
        try run(network, past: epoch.next(), within: 120_000)
        #expect(network.nodes.allSatisfy { $0.replica.epoch.validators.count == 4 })
        #expect(network.nodes[4].replica.ownIndex == nil)
        try agree(network)
    }

    @Test func aNodeThatMissedEpochsCatchesUpThroughTheirSets() throws {
        let network = try ReplicaNetwork(followers: 1, parameters: Self.parameters)
        try network.run(milliseconds: 2_000)
        network.nodes[3].isUp = false
        try submit(network, network.alice, registration(network, 4, stake: .xpl(1_000_000)))
        try run(network, past: 2, within: 200_000)
        try network.restart(3)
        try network.run(milliseconds: 20_000)
        #expect(network.nodes[3].replica.epoch.epoch == network.nodes[0].replica.epoch.epoch)
        #expect(network.nodes[3].replica.executed.height.value + 3 > network.nodes[0].replica.executed.height.value)
        try agree(network)
    }

    @Test func aRestartAtAnyBlockOfAnEpochGoesOn() throws {
        for stop in stride(from: Int64(1_500), to: 12_000, by: 700) {
            let network = try ReplicaNetwork(parameters: Self.parameters)
            try network.run(milliseconds: stop)
            // The state falls back to genesis: the epochs are found again by executing.
            let fresh = MemoryStateStore()
            try network.genesis.initialize(fresh)
            network.nodes[1].state = fresh
            try network.restart(1)
            try network.restart(2)
            let height = network.nodes[0].replica.executed.height
            try network.run(milliseconds: 12_000)
            #expect(network.nodes[1].replica.executed.height.value > height.value + 3, "stopped at \(stop) ms")
            try agree(network)
        }
    }

    @Test func allRestartTogetherAtAnyMoment() throws {
        for stop in stride(from: Int64(12_000), to: 16_000, by: 333) {
            let network = try ReplicaNetwork(parameters: Self.parameters)
            try network.run(milliseconds: stop)
            for node in network.nodes.indices { network.nodes[node].isUp = false }
            for node in network.nodes.indices { try network.restart(node) }
            let height = network.nodes[0].replica.executed.height
            try network.run(milliseconds: 12_000)
            #expect(network.nodes[0].replica.executed.height.value > height.value + 3, "stopped at \(stop) ms")
            try agree(network)
        }
    }

    /// The steps and the newest header with its finalization, from a node's archive.
    private func walk(_ network: ReplicaNetwork, at node: Int) throws -> [EpochStep] {
        let replica = network.nodes[node].replica
        var steps: [EpochStep] = []
        for epoch in 1...replica.epoch.epoch.value {
            let start = try #require(try Query.epochStart(Epoch(epoch), in: network.nodes[node].state))
            let record = try #require(try Query.epochRecord(Epoch(epoch), in: network.nodes[node].state))
            let last = try #require(network.nodes[node].archive.finalized(at: Height(start.firstHeight.value - 1)))
            steps.append(
                EpochStep(
                    header: try Block(canonicalBytes: last.block).header,
                    certificate: try #require(last.certificate), next: record))
        }
        return steps
    }

    @Test func aLightClientWalksFromTheGenesisToTheTip() throws {
        let network = try ReplicaNetwork(followers: 1, parameters: Self.parameters)
        try submit(network, network.alice, registration(network, 4, stake: .xpl(1_000_000)))
        try run(network, past: 2, within: 200_000)
        let steps = try walk(network, at: 0)
        #expect(steps.count >= 3)
        var client = try LightClient(genesis: network.genesis)
        for step in steps { try client.advance(step) }
        #expect(client.record == network.nodes[0].replica.epoch.record)
        let tip = network.nodes[0].replica.tree.finalizedHeader
        if tip.epoch == client.epoch {
            try client.check(tip, #require(network.nodes[0].replica.tipCertificate))
        }
        // Out of order, of another network, with another set, or with fewer signers it does not go.
        var fresh = try LightClient(genesis: network.genesis)
        #expect(throws: LightClient.Fault.anotherEpoch(expected: 0, found: 1)) { try fresh.advance(steps[1]) }
        let forged = EpochRecord(
            network: network.genesis.digest, epoch: 1, parameters: steps[0].next.parameters,
            members: Array(steps[0].next.members.prefix(1)))
        #expect(throws: LightClient.Fault.anotherRecord) {
            try fresh.advance(EpochStep(header: steps[0].header, certificate: steps[0].certificate, next: forged))
        }
        let certificate = steps[0].certificate
        let fewer = Certificate(
            subject: certificate.subject,
            votes: zip(certificate.signers, certificate.signatures).prefix(2).map {
                Vote(subject: certificate.subject, signer: $0, signature: $1)
            })
        #expect(throws: LightClient.Fault.badCertificate) {
            try fresh.advance(EpochStep(header: steps[0].header, certificate: fewer, next: steps[0].next))
        }
        var header = steps[0].header
        header.nextEpochRecord = forged.digest
        #expect(throws: LightClient.Fault.anotherHeader) {
            try fresh.advance(EpochStep(header: header, certificate: certificate, next: forged))
        }
    }

    /// A certificate of the same keys says nothing in another epoch, although the set may be the same.
    @Test func aFinalizationOfOneEpochIsNoneInAnother() throws {
        let network = try ReplicaNetwork(parameters: Self.parameters)
        try run(network, past: 0)
        let first = try #require(network.nodes[0].archive.finalized(at: 3))
        let header = try Block(canonicalBytes: first.block).header
        var client = try LightClient(genesis: network.genesis)
        if let certificate = first.certificate { try client.check(header, certificate) }
        for step in try walk(network, at: 0) { try client.advance(step) }
        #expect(throws: LightClient.Fault.anotherEpoch(expected: client.epoch, found: 0)) {
            try client.check(header, first.certificate ?? #require(network.nodes[0].replica.tipCertificate))
        }
    }

    @Test func aDoubleVoteReachesTheChainAndSlashes() throws {
        let network = try ReplicaNetwork(parameters: Self.parameters)
        try network.run(milliseconds: 3_000)
        let key = network.keys[2]
        func vote(_ name: UInt8) -> Vote {
            let subject = Subject.notarize(
                Proposal(
                    epoch: 0, view: 2, parentView: 1, parentDigest: .zero,
                    payloadDigest: Digest.of(Domain("test"), [name])))
            return Vote(
                subject: subject, signer: 2, signature: key.sign(subject.signingBytes(network: network.genesis.digest)))
        }
        let evidence = Evidence(first: vote(1), second: vote(2))
        network.push(0, .input(.consensus(.evidence(evidence), from: network.keys[1].publicKey)), after: 0)
        try run(network, past: 0)
        for node in network.nodes {
            let convicted = try #require(try Query.tombstone(key.publicKey, in: node.state))
            #expect(convicted.stake == .xpl(950_000))
            #expect(node.replica.epoch.validators.count == 3)
        }
        // Told falsely it convicts nobody, and who tells it is noted.
        let lie = Evidence(
            first: Vote(subject: vote(1).subject, signer: 3, signature: vote(1).signature),
            second: Vote(subject: vote(2).subject, signer: 3, signature: vote(2).signature))
        network.push(0, .input(.consensus(.evidence(lie), from: network.keys[1].publicKey)), after: 0)
        try network.run(milliseconds: 500)
        #expect(network.misbehaviours.count == 1)
    }

    /// Found when re-proposals came in: a block that was valid where it stood was taken again in another view and on another parent, since
    /// what had been verified once was not looked at again. A lying leader could have made a fork of it.
    @Test func aVerifiedBlockIsNotTakenInAnotherView() throws {
        let network = try ReplicaNetwork(parameters: Self.parameters)
        // Until node 0 has verified a block that is not final, on the finalized one, and is not the leader of the next view.
        var found: Header?
        while found == nil && network.now < 20_000 {
            try network.run(milliseconds: 1)
            let replica = network.nodes[0].replica
            let known = Set(network.nodes.flatMap(\.archive.blocks.keys))
            found =
                known.sorted { $0.hex < $1.hex }.compactMap { replica.tree[$0] }.first { entry in
                    entry.verified && entry.header.view == replica.view
                        && entry.header.parent == replica.tree.finalizedDigest
                        && replica.lastFinalizedView.next() == replica.view
                        && replica.epoch.validators.leader(
                            of: replica.view.next(), seed: replica.epoch.start.seed) != 0
                }?.header
        }
        let block = try #require(found)
        let replica = network.nodes[0].replica
        for node in 1..<4 { network.nodes[node].isUp = false }
        network.queue.removeAll()
        func vote(_ subject: Subject, _ signer: Int) -> Vote {
            Vote(
                subject: subject, signer: UInt16(signer),
                signature: network.keys[signer].sign(subject.signingBytes(network: network.genesis.digest)))
        }
        func hear(_ message: ConsensusMessage) throws {
            network.push(0, .deliver(from: 1, .consensus(message, from: network.keys[1].publicKey)), after: 0)
            try network.run(milliseconds: 5)
        }
        // The view is nullified, and its block comes again as the next view's.
        let nullify = Subject.nullify(0, block.view)
        try hear(.certificate(Certificate(subject: nullify, votes: (1..<4).map { vote(nullify, $0) })))
        let next = block.view.next()
        #expect(network.nodes[0].replica.view == next)
        let tip = replica.tree.finalizedHeader
        let again = Proposal(
            epoch: 0, view: next, parentView: replica.lastFinalizedView, parentDigest: tip.digest,
            payloadDigest: block.digest)
        let leader = replica.epoch.validators.leader(of: next, seed: replica.epoch.start.seed)
        try hear(.vote(vote(.notarize(again), leader)))
        let words = network.nodes[0].journal.compactMap { record in
            if case .vote(let vote) = record, vote.subject.view == next { vote.subject } else { nil }
        }
        #expect(words == [.nullify(0, next)])
    }

    /// Whoever speaks from an epoch that never was is asked for its blocks, but not alone.
    @Test func aLiarFromANewerEpochKeepsNobodyBehind() throws {
        let network = try ReplicaNetwork(parameters: Self.parameters)
        try network.run(milliseconds: 2_000)
        network.nodes[3].isUp = false
        try run(network, past: 1, within: 200_000)
        try network.restart(3)
        // Connected, silent when asked, and heard again and again.
        let liar = try SecretKey(seed: [UInt8](repeating: 77, count: 32)).publicKey
        network.push(3, .input(.peerConnected(liar, head: 0)), after: 0)
        let subject = Subject.nullify(1_000, 1)
        let word = Vote(
            subject: subject, signer: 0,
            signature: network.keys[0].sign(subject.signingBytes(network: network.genesis.digest)))
        for moment in 0..<600 {
            network.push(3, .input(.consensus(.vote(word), from: liar)), after: Int64(moment) * 50)
        }
        try network.run(milliseconds: 30_000)
        #expect(network.nodes[3].replica.epoch.epoch == network.nodes[0].replica.epoch.epoch)
        #expect(network.nodes[3].replica.executed.height.value + 3 > network.nodes[0].replica.executed.height.value)
    }
}
