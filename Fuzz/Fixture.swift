import Consensus
import Gossip
import Ledger
import Primitives
import Programs

/// A small network with real keys, and values of it that decode.
enum Fixture {
    static func key(_ index: Int) throws -> SecretKey {
        try SecretKey(seed: Digest.of(Domain("fuzz.key"), UInt64(index).canonicalBytes).bytes)
    }

    static func digest(_ index: Int) -> Digest { Digest.of(Domain("fuzz.digest"), UInt64(index).canonicalBytes) }

    static func genesis() throws -> Genesis {
        let validators = try (0..<4).map { index in
            Ledger.Validator(
                consensusKey: try key(index).publicKey, vrfKey: try key(index + 10).publicKey, stake: .xpl(10_000_000),
                operatorAddress: try key(index + 20).publicKey.address)
        }
        let accounts = try (30..<33).map {
            GenesisAccount(address: try key($0).publicKey.address, balance: .xpl(1_000))
        }
        return Genesis(
            chainName: "fuzz", timestamp: Timestamp(milliseconds: 1_790_000_000_000), parameters: .devnet,
            validators: validators, accounts: accounts,
            treasury: try Genesis.totalSupply.subtracting(.xpl(40_003_000)))
    }

    static func proposal(_ view: View, _ payload: Digest) -> Proposal {
        Proposal(epoch: 0, view: view, parentView: 0, parentDigest: digest(0), payloadDigest: payload)
    }

    static func vote(_ subject: Subject, by signer: Int, network: Digest) throws -> Vote {
        Vote(
            subject: subject, signer: UInt16(signer),
            signature: try key(signer).sign(subject.signingBytes(network: network)))
    }

    static func certificate(_ subject: Subject, network: Digest) throws -> Certificate {
        Certificate(subject: subject, votes: try (0..<3).map { try vote(subject, by: $0, network: network) })
    }

    static func header(
        _ network: Digest, height: Height, stateRoot: Digest = .zero, next: Digest? = nil,
        transactions: [SignedTransaction] = [], votes: BlockVotes = BlockVotes()
    ) throws -> Header {
        Header(
            network: network, epoch: 0, view: 3, height: height, parent: digest(1),
            time: Timestamp(milliseconds: 1_790_000_001_000), proposer: 2, txRoot: Block.txRoot(transactions),
            votesDigest: votes.digest, weight: 100, baseFee: 10, executedHeight: 0, stateRoot: stateRoot,
            nextEpochRecord: next, vrfProof: try VRFProof(bytes: [UInt8](repeating: 7, count: 80)), beacon: digest(2))
    }

    static func spec(_ policy: AuditPolicy) throws -> JobSpec {
        JobSpec(
            program: digest(3), manifest: digest(4), axes: [], parameters: AgreedList(root: digest(11), count: 3),
            inputs: [JobInput(name: "ids", root: digest(5))], carried: [JobInput(name: "state", root: digest(12))],
            initialState: digest(13), seed: 7, scans: [JobScan(steps: 2, weightedOperations: 40_000_000_000)],
            computeUnits: ComputeUnits(weightedOperations: 100_000_000_000), memory: 1 << 20,
            maximumPricePer1000CU: .xpl(20), policy: policy, queueMilliseconds: 5_000, deadlineMilliseconds: 600_000,
            storageHint: try key(1).publicKey)
    }

    static func payloads() throws -> [Payload] {
        let key = try key(1).publicKey
        let result = ResultCommitment(steps: [1], outputRoot: digest(6), stateRoot: .zero)
        let terms = OfferTerms(
            device: 0, pricePer1000CUf32: .xpl(1), pricePer1000CUi8: .xpl(1), memory: 1 << 30, capacity: 4,
            expiry: 1_000_000, measuredRate: 10_000_000_000)
        let job = digest(7)
        let program = try Program(
            axes: [], parameters: [], inputs: [], scans: [Scan(steps: 1, operations: [], outputs: [])])
        let challenge = DisputeOpening(program)
        let opening = ResultOpening(
            commitment: result, decoy: nil, salt: job,
            trap: TrapProof(beacon: job, proof: VRF.prove(try Self.key(30), alpha: [])))
        var trap = opening
        trap.decoy = ResultCommitment(steps: [1], outputRoot: digest(9), stateRoot: .zero)
        let point = RevealPoint.blocks(step: 1, operation: 2, TreeNode(height: 5, index: 3))
        let signature = try Self.key(1).sign([1])
        let moves = [Payload.startJob(job: job, attempt: 1), .openResult(job: digest(10), attempt: 2, opening: trap)]
        let registration = Registration(
            key: try Self.key(1), nonce: 0, name: "new", node: key, payout: key.address, network: digest(11))
        let leaf = DeviceLeaf(bytes: [UInt8](repeating: 1, count: DeviceChain.width), siblings: [digest(8), digest(9)])
        let resolution = Resolution(
            inputs: [ShownTensor(root: job, siblings: [digest(8), digest(9)])], state: digest(12))
        return [
            .answerDevice(device: 1, round: 2, root: job),
            .showDevice(
                device: 1, round: 2,
                samples: [DeviceSample(after: leaf, before: leaf), DeviceSample(after: leaf, before: nil)]),
            .claimUndelivered(job: job, attempt: 1, deposit: .xpl(2)),
            .attestDelivery(job: job, attempt: 1, holds: true), .stageJob(job: job, attempt: 1),
            .reportSlow(job: job, attempt: 1),
            .postOutput(
                job: job, attempt: 1,
                output: PostedOutput(
                    steps: [.init([PostedTensor(element: .i32, shape: [2], bytes: [1, 2, 3, 4, 5, 6, 7, 8])])],
                    kept: .init([]))),
            .sponsorProvider(registration, gift: .xpl(1)), .startAfter(job: job, attempt: 1, resolution: resolution),
            .challenge(job: job, attempt: 1, opening: challenge, deposit: .xpl(2)),
            .revealDispute(
                job: job, attempt: 1, challenger: key.address, point: point, reveal: .digests([job, digest(8)])),
            .pickDispute(job: job, attempt: 1, round: 2, pick: .child(3)),
            .settleByTranscript(
                job: job, attempt: 1,
                transcript: DisputeTranscript(opening: challenge, moves: [.reveal(.digests([job])), .pick(.finish)]),
                key: key, signature: signature),
            .showContradiction(
                job: job, attempt: 1, key: key,
                first: SignedTranscript(
                    challenger: key.address, transcript: DisputeTranscript(opening: challenge, moves: []),
                    signature: signature), second: nil),
            .transfer(to: key.address, amount: .xpl(1), memo: [1, 2]),
            .registerProvider(name: "näme", node: key, payout: key.address, bond: .xpl(1)), .addBond(amount: .xpl(2)),
            .withdrawProvider, .setOffer(terms), .pauseOffer(device: 3),
            .publishModel(name: "m", manifest: job, program: job, royaltyBasisPoints: 5),
            .submitJob(try spec(.sampled(perMille: 5))), .submitJob(try spec(.replicated(count: 3))),
            .submitGang([try spec(.audited), try spec(.sampled(perMille: 5))]), .cancelGang(gang: job, count: 2),
            .cancelJob(job: job), .declineJob(job: job, attempt: 1, reason: .busy), .startJob(job: job, attempt: 1),
            .heartbeatJob(job: job, attempt: 1), .commitResult(job: job, attempt: 1, masked: job),
            .commitAudit(job: job, attempt: 1, masked: job),
            .openResult(job: job, attempt: 1, opening: opening), .openResult(job: job, attempt: 1, opening: trap),
            .revealAudit(job: job, attempt: 1, commitment: result, salt: job),
            .registerValidator(
                consensusKey: key, vrfKey: key, stake: .xpl(1), possession: try Self.key(1).sign([1])),
            .addStake(validator: key, amount: .xpl(1)), .unbondStake(validator: key, amount: .xpl(1)),
            .claimStake(validator: key), .unjail(validator: key),
        ] + Payload.bundles(of: moves).map(\.payload)
    }

    static func transactions(_ network: Digest) throws -> [SignedTransaction] {
        let key = try key(30)
        return try payloads().enumerated().map { index, payload in
            Transaction(
                network: network, sender: key.publicKey, nonce: Nonce(UInt64(index)), maximumFee: .xpl(1),
                payload: payload
            ).signed(by: key)
        }
    }

    static func block(_ network: Digest, _ transactions: [SignedTransaction]) throws -> Block {
        let first = Subject.notarize(proposal(2, digest(8)))
        let second = Subject.notarize(proposal(2, digest(9)))
        let votes = BlockVotes(
            certificate: try certificate(first, network: network),
            evidence: [
                Evidence(
                    first: try vote(first, by: 3, network: network), second: try vote(second, by: 3, network: network))
            ])
        return Block(
            header: try header(network, height: 2, transactions: transactions, votes: votes),
            transactions: transactions, votes: votes)
    }

    static func record(_ key: SecretKey, address: [UInt8] = [127, 0, 0, 1]) throws -> NodeRecord {
        NodeRecord(
            key: key, network: digest(0), sequence: 1, endpoint: try Endpoint(address: address, port: 27_600),
            tcpPort: 27_600, roles: .follower)
    }
}
