import Ledger
import Primitives
import Programs
import TestSupport
import Testing

@Suite struct EncodingTests {
    private func laws<T: CanonicalCodable & Equatable & Sendable>(of values: T...) throws {
        try WireForm(values).holds(inputs: 2_000)
    }

    @Test func everyDecoderIsStrictAndSurvivesMutation() throws {
        let net = try TestNet()
        try net.openMarket()
        let digest = net.genesis.digest
        let opening = ResultOpening(commitment: TestNet.result, salt: digest)
        var trap = opening
        trap.decoy = TestNet.decoy
        trap.trap = TrapProof(job: digest, beacon: digest, key: net.requester)
        var child = net.spec()
        child.stateOf = digest
        child.inputs.append(
            JobInput(name: "x", source: .result(ResultTensor(job: digest, step: 3, index: 1, count: 2))))
        let resolution = Resolution(
            inputs: [ShownTensor(root: digest, siblings: [digest, digest])], state: digest)
        let leaf = DeviceLeaf(bytes: [UInt8](repeating: 5, count: 256), siblings: [digest, digest])
        let payloads: [Payload] = [
            .transfer(to: net.address(net.requester), amount: .xpl(1), memo: [1, 2]),
            .registerProvider(
                name: "näme", node: net.requester.publicKey, payout: net.address(net.requester), bond: .xpl(1)),
            .addBond(amount: .xpl(2)), .withdrawProvider, .setOffer(net.offerTerms()), .pauseOffer(device: 3),
            .publishModel(name: "m", manifest: digest, program: digest, royaltyBasisPoints: 5),
            .submitJob(net.spec(.sampled(perMille: 5))), .submitJob(net.spec(.replicated(count: 3))),
            .cancelJob(job: digest), .declineJob(job: digest, attempt: 1, reason: .busy),
            .startJob(job: digest, attempt: 1), .heartbeatJob(job: digest, attempt: 1),
            .commitResult(job: digest, attempt: 1, masked: digest),
            .commitAudit(job: digest, attempt: 1, masked: digest),
            .openResult(job: digest, attempt: 1, opening: opening),
            .openResult(job: digest, attempt: 1, opening: trap),
            .revealAudit(job: digest, attempt: 1, commitment: TestNet.result, salt: digest),
            .sponsorProvider(
                Registration(
                    key: net.providers[0], nonce: 3, name: "n", node: net.requester.publicKey,
                    payout: net.address(net.requester), network: digest), gift: .xpl(1)),
            .submitJob(child), .startAfter(job: digest, attempt: 1, resolution: resolution),
            .claimUndelivered(job: digest, attempt: 2, deposit: .xpl(3)),
            .attestDelivery(job: digest, attempt: 2, holds: true),
            .attestDelivery(job: digest, attempt: 2, holds: false),
            .stageJob(job: digest, attempt: 1), .reportSlow(job: digest, attempt: 2),
            .postOutput(job: digest, attempt: 1, output: ClaimNet.output(TestDispute.truth)),
            .postOutput(
                job: digest, attempt: 1,
                output: PostedOutput(
                    steps: [.init([]), ClaimNet.output(TestDispute.truth).steps[0]],
                    kept: .init([PostedTensor(element: .i8, shape: [], bytes: [7])]))),
            .submitGang([net.spec(), child]), .cancelGang(gang: digest, count: 2),
            .answerDevice(device: 3, round: 7, root: digest),
            .showDevice(
                device: 3, round: 7,
                samples: [
                    DeviceSample(after: leaf, before: nil), DeviceSample(after: leaf, before: leaf),
                ]),
        ]
        let script = try TestDispute()
        let point = RevealPoint.values(step: 0, operation: 0, block: 0)
        let values = script.reveal(point, TestDispute.lie)
        let transcript = DisputeTranscript(
            opening: script.opening, moves: [.reveal(values)] + script.picks.map { .pick($0) })
        let walk = SignedTranscript(
            challenger: net.address(net.requester), transcript: transcript, signature: net.requester.sign([2]))
        let moves: [Payload] = [
            .challenge(job: digest, attempt: 1, opening: script.opening, deposit: .xpl(1)),
            .revealDispute(
                job: digest, attempt: 1, challenger: net.address(net.requester), point: point, reveal: values),
            .pickDispute(job: digest, attempt: 1, round: 2, pick: script.witness),
            .settleByTranscript(
                job: digest, attempt: 1, transcript: transcript, key: net.requester.publicKey,
                signature: net.requester.sign([1])),
            .showContradiction(
                job: digest, attempt: 1, key: net.requester.publicKey, first: walk, second: nil),
            .showContradiction(
                job: digest, attempt: 1, key: net.requester.publicKey, first: walk, second: walk),
        ]
        try WireForm(moves).holds(inputs: 5_000)
        try WireForm(payloads).holds()
        let signed = net.transaction(net.requester, payloads[7])
        try laws(of: signed)
        try laws(of: try net.block([signed]))
        try laws(of: net.genesis)
        try laws(of: net.genesis.parameters)
        net.nonces[net.requester.publicKey] = 0
        let id = try net.submit(net.spec())
        let provider = try net.runToDraw(id)
        _ = try net.commitAudits(id)
        try net.open(id, provider)
        try laws(of: try net.job(id))
        try laws(of: try #require(try Query.provider(net.address(provider), in: net.store)))
        try net.act(
            net.people[5],
            .registerProvider(
                name: "n", node: net.people[5].publicKey, payout: net.address(net.people[5]), bond: .zero))
        try laws(of: try net.provider(net.people[5]))
        try laws(of: try Query.offers(in: net.store)[0])
        try laws(of: try Query.totals(in: net.store))
        try laws(of: try Query.chain(in: net.store))
        try laws(of: try StateTree.proof(of: StateKey.job(id), in: net.store))
        try laws(of: try #require(net.lastResult).receipts[0])
        let at = try DisputeNet()
        try at.net.act(at.stranger, at.challenge())
        for _ in 0..<5 {
            try laws(of: try at.dispute(at.stranger))
            try at.play(at.stranger, moves: 1)
        }
        try laws(of: try at.dispute(at.stranger))
        let on = try ClaimNet()
        try on.net.act(on.net.requester, on.claim())
        try laws(of: try on.at.job)
        try on.net.step()
        try on.hear([true, nil, nil])
        try laws(of: try on.at.job)
        try laws(of: try on.claim)
        try on.hear([nil, false, nil])
        try laws(of: try on.claim)
    }

    /// An offer at every stage of a challenge, and the rounds.
    @Test func whatIsKnownOfDevicesIsStrictToo() throws {
        let on = try DeviceNet()
        let key = on.net.providers[0]
        var (offers, rounds) = ([try on.found(key)], [DeviceRound]())
        try on.begin(full: false)
        rounds.append(try on.round)
        let run = try on.run(key)
        try on.net.act(key, try on.answer(run))
        offers.append(try on.found(key))
        try on.draw()
        offers.append(try on.found(key))
        try on.net.act(key, try on.show(key, run))
        offers.append(try on.found(key))
        try on.endRound()
        offers.append(try on.found(on.net.providers[1]))
        rounds.append(try on.round)
        try WireForm(offers).holds(inputs: 2_000)
        try WireForm(rounds).holds(inputs: 2_000)
    }

    @Test func boundsHoldAtTheBoundAndOneBeyond() throws {
        let to = TestNet.key(1).publicKey.address
        let atBound = Payload.transfer(to: to, amount: .zero, memo: [UInt8](repeating: 0, count: 128))
        #expect(try Payload(canonicalBytes: atBound.canonicalBytes) == atBound)
        let beyond = Payload.transfer(to: to, amount: .zero, memo: [UInt8](repeating: 0, count: 129))
        #expect(throws: DecodingFault.self) { try Payload(canonicalBytes: beyond.canonicalBytes) }
        #expect(throws: DecodingFault.self) {
            try AuditPolicy(canonicalBytes: AuditPolicy.sampled(perMille: 0).canonicalBytes)
        }
        #expect(throws: DecodingFault.self) {
            try AuditPolicy(canonicalBytes: AuditPolicy.replicated(count: 8).canonicalBytes)
        }
        let wide = ResultCommitment(steps: [UInt64](repeating: 1, count: 17), outputRoot: .zero, stateRoot: .zero)
        #expect(throws: DecodingFault.self) { try ResultCommitment(canonicalBytes: wide.canonicalBytes) }
    }
}
