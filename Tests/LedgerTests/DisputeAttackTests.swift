import Ledger
import Primitives
import Programs
import Testing

/// What somebody might try with a dispute; each is refused, or loses.
@Suite struct DisputeAttackTests {
    @Test func aDisputeThatIsSettledIsNotEnteredAgain() throws {
        let at = try DisputeNet(TestDispute.truth)
        let net = at.net
        try net.act(at.stranger, at.challenge())
        try at.play(at.stranger)
        #expect(try at.dispute(at.stranger).state == .acquitted)
        let round = try at.dispute(at.stranger).round
        try net.fail(
            at.stranger, .pickDispute(job: at.id, attempt: 1, round: round, pick: at.script.witness), "is acquitted")
        try net.fail(at.stranger, at.challenge(), "has challenged this result before")
        let point = RevealPoint.operations(step: 0, TreeNode(topOf: 1))
        try net.fail(
            at.provider,
            .revealDispute(
                job: at.id, attempt: 1, challenger: net.address(at.stranger), point: point,
                reveal: at.script.reveal(point, at.said)), "is acquitted")
    }

    @Test func aStaleDisputeMovesNothing() throws {
        let at = try DisputeNet()
        let net = at.net
        let (first, second) = (at.strangers(2)[0], at.strangers(2)[1])
        try net.act(first, at.challenge())
        try net.act(second, at.challenge())
        try at.play(first)
        let next = try net.run(at.id, to: TestDispute.result(TestDispute.truth))
        try net.open(at.id, next, TestDispute.result(TestDispute.truth))
        #expect(try at.job.attempt == 2)
        // The second one's, of the attempt before, on the new one's result.
        let pick = at.script.operation
        try net.fail(second, .pickDispute(job: at.id, attempt: 1, round: 0, pick: pick), "at attempt 2")
        try net.fail(second, .pickDispute(job: at.id, attempt: 2, round: 0, pick: pick), "no such dispute")
        try net.fail(second, at.challenge(), "at attempt 2")
    }

    @Test func aResultIsChallengedInItsWindowOnly() throws {
        let at = try DisputeNet(TestDispute.truth)
        let net = at.net
        // 3 s and twice the 10 s of the job.
        try net.pass(22_500)
        try net.act(at.strangers(2)[0], at.challenge())
        try net.pass(1000)
        try net.fail(at.strangers(2)[1], at.challenge(), "the window for challenges is over")
        // A job without an open result has none.
        let id = try net.submit(at.script.spec(net, .audited))
        try net.fail(
            at.stranger, .challenge(job: id, attempt: 1, opening: at.script.opening, deposit: .xpl(2)), "no result")
        try net.fail(
            at.stranger, .challenge(job: .zero, attempt: 0, opening: at.script.opening, deposit: .xpl(2)), "no job")
    }

    @Test func whoMayNotChallengeDoesNot() throws {
        let at = try DisputeNet(TestDispute.truth, audits: [TestDispute.truth])
        let net = at.net
        try net.fail(at.provider, at.challenge(), "nobody challenges its own result")
        try net.fail(at.auditors[0], at.challenge(.zero), "found the same result")
        try net.fail(at.stranger, at.challenge(Amount(baseUnits: 1_999_999_999)), "the least is 2")
        let least = Amount(baseUnits: 2_000_000_000)
        try net.act(at.stranger, at.challenge(least))
        #expect(try at.dispute(at.stranger).deposit == least)
        let audited = try DisputeNet(audits: [TestDispute.truth])
        try audited.net.fail(audited.auditors[0], audited.challenge(), "the deposit must be 0")
    }

    @Test func anAuditorShowsItsOwnResultFirst() throws {
        let net = try TestNet()
        let script = try TestDispute()
        try net.openMarket()
        let id = try net.submit(script.spec(net, .audited))
        let provider = try net.run(id, to: TestDispute.result(TestDispute.lie))
        let auditor = try #require(try net.commitAudits(id, TestDispute.result(TestDispute.truth)).first)
        try net.open(id, provider, TestDispute.result(TestDispute.lie))
        let challenge = Payload.challenge(job: id, attempt: 1, opening: script.opening, deposit: .zero)
        try net.fail(auditor, challenge, "reveals its own result before")
        // A stranger's dispute does not keep it from doing so.
        let stranger = net.people[5]
        try net.act(stranger, .challenge(job: id, attempt: 1, opening: script.opening, deposit: .xpl(2)))
        #expect(try net.job(id).state == .auditing && net.job(id).openDisputes == 1)
        try net.revealAudit(id, auditor, TestDispute.result(TestDispute.truth))
        #expect(try net.job(id).state == .disputed)
        try net.act(auditor, challenge)
        #expect(try net.job(id).openDisputes == 2)
    }

    @Test func anotherProgramsFrameOpensNothing() throws {
        let at = try DisputeNet()
        let other = try TestDispute(addend: 1)
        try at.net.fail(
            at.stranger, .challenge(job: at.id, attempt: 1, opening: other.opening, deposit: .xpl(2)),
            "not that of the job's program")
        let short = DisputeOpening(frame: at.script.opening.frame, siblings: [])
        try at.net.fail(
            at.stranger, .challenge(job: at.id, attempt: 1, opening: short, deposit: .xpl(2)),
            "not that of the job's program")
    }

    /// Evidence that holds for another job, of other inputs, is none here.
    @Test func aWitnessForAnotherJobLoses() throws {
        let at = try DisputeNet()
        try at.net.act(at.stranger, at.challenge())
        try at.play(at.stranger, moves: 4)
        guard case .leaf(let sound) = at.script.witness else { return }
        let bytes = TestDispute.block([10, 20, 31, 40])
        let operand = WitnessTensor(
            value: ValueID(1), type: TensorType(.i32, [4]),
            proof: .init(
                blocks: MerkleTree.leaf(bytes), siblings: [], ranges: [BlockRange(first: 0, bytes: bytes, siblings: [])]
            ))
        let forged = Witness(
            record: sound.record, recordSiblings: sound.recordSiblings, tensors: [sound.tensors[0], operand])
        let round = try at.dispute(at.stranger).round
        try at.net.act(at.stranger, .pickDispute(job: at.id, attempt: 1, round: round, pick: .leaf(forged)))
        #expect(try at.dispute(at.stranger).state == .acquitted)
        #expect(try at.net.provider(at.provider).convictions == 0)
    }

    @Test func movesOutOfTurnAndOfOthersAreRefusedAndCostNothingElse() throws {
        let at = try DisputeNet()
        let net = at.net
        try net.act(at.stranger, at.challenge())
        let point = try #require(try at.dispute(at.stranger).walk.point)
        let reveal = try at.reveal(to: at.stranger)
        try net.fail(
            at.stranger, .pickDispute(job: at.id, attempt: 1, round: 0, pick: at.script.operation), "other side")
        try net.fail(net.providers.first { $0.publicKey != at.provider.publicKey } ?? at.provider, reveal, "no part")
        let wrong = Payload.revealDispute(
            job: at.id, attempt: 1, challenger: net.address(at.stranger),
            point: .operations(step: 1, TreeNode(topOf: 1)), reveal: at.script.reveal(point, at.said))
        try net.fail(at.provider, wrong, "does not ask for this point")
        let kind = Payload.revealDispute(
            job: at.id, attempt: 1, challenger: net.address(at.stranger), point: point, reveal: .digests([]))
        try net.fail(at.provider, kind, "another kind of reveal")
        try net.act(at.provider, reveal)
        // A move that was made is not made again, nor one before its time.
        try net.act(at.stranger, try at.pick(at.stranger))
        let early = Payload.pickDispute(job: at.id, attempt: 1, round: 2, pick: at.script.witness)
        try net.fail(at.stranger, early, "next move is 1")
        try net.fail(
            at.stranger, .pickDispute(job: at.id, attempt: 1, round: 0, pick: at.script.operation), "next move is 1")
        try net.fail(
            net.people[6], .pickDispute(job: at.id, attempt: 1, round: 1, pick: .element(2)), "no such dispute")
        try at.play(at.stranger)
        #expect(try at.dispute(at.stranger).state == .convicted)
    }

    @Test func amountsAreCheckedAtTheirEnds() throws {
        let at = try DisputeNet()
        let net = at.net
        let all = Amount(baseUnits: .max)
        let signed = Transaction(
            network: net.genesis.digest, sender: at.stranger.publicKey, nonce: 0, maximumFee: .xpl(1),
            payload: at.challenge(all)
        ).signed(by: at.stranger)
        #expect(throws: AdmissionFault.amount(.overflow)) {
            try Admission.check(
                signed, network: net.genesis.digest, baseFee: 10, pending: Admission.Pending(),
                parameters: net.genesis.parameters, in: net.store)
        }
        // As much as there is: it comes back to the last unit.
        let before = try net.worth(at.stranger)
        try net.act(at.stranger, at.challenge(.xpl(900_000)))
        try at.play(at.stranger)
        #expect(try net.worth(at.stranger) == before.adding(.xpl(144)))
    }

    // MARK: The lane

    /// Three moves fill it.
    private static var narrow: ChainParameters {
        var parameters = TestNet.parameters
        parameters.weightPerDisputeMove = 500_000
        parameters.disputeWeightLimit = 3_100_000
        return parameters
    }

    /// Whoever does not get in because others filled the lane is not late: the clock of disputes stands still.
    @Test func theClockStandsStillWhileTheLaneIsFull() throws {
        let at = try DisputeNet(parameters: Self.narrow)
        let net = at.net
        try net.act(at.stranger, at.challenge())
        let due = try at.dispute(at.stranger).deadline
        let noise = Payload.pickDispute(job: .zero, attempt: 0, round: 0, pick: .finish)
        var rounds = 0
        while try Query.chain(in: net.store).clock < due + 60_000 {
            let before = try Query.chain(in: net.store)
            try net.step((0..<5).map { _ in net.transaction(net.people[6], noise) }, after: 2000)
            #expect(try Query.chain(in: net.store).disputeClock == before.disputeClock)
            rounds += 1
        }
        #expect(rounds > 20)
        #expect(try at.dispute(at.stranger).state == .open)
        // It costs more with every block.
        #expect(net.parent.baseFee > 10)
        try net.act(at.provider, try at.reveal(to: at.stranger))
        #expect(try at.dispute(at.stranger).walk.turn == .challenger)
        // One less, and it goes on.
        let before = try Query.chain(in: net.store)
        try net.step((0..<3).map { _ in net.transaction(net.people[6], noise) }, after: 2000)
        #expect(try Query.chain(in: net.store).disputeClock == before.disputeClock + 2000)
    }

    /// Nor is whoever would open a dispute: a lie does not settle because its window went by in a full lane.
    @Test(arguments: [true, false]) func aFullLaneKeepsNobodyFromChallenging(_ isAudited: Bool) throws {
        let at = try DisputeNet(audits: isAudited ? [TestDispute.truth] : [], parameters: Self.narrow)
        let net = at.net
        let noise = Payload.pickDispute(job: .zero, attempt: 0, round: 0, pick: .finish)
        for _ in 0..<60 { try net.step((0..<5).map { _ in net.transaction(net.people[6], noise) }, after: 2000) }
        #expect(try at.job.state == (isAudited ? .auditing : .opened))
        let challenger = isAudited ? at.auditors[0] : at.stranger
        try net.act(challenger, at.challenge(isAudited ? .zero : DisputeNet.bond))
        #expect(try at.job.state == .disputed)
        try at.play(challenger)
        #expect(try at.dispute(challenger).state == .convicted)
    }

    /// It is put off, and goes on where it stood: nobody who challenges, and the lane free, and it is paid.
    @Test func aWindowGoesOnWhenTheLaneIsFree() throws {
        let at = try DisputeNet(TestDispute.truth, parameters: Self.narrow)
        let net = at.net
        let noise = Payload.pickDispute(job: .zero, attempt: 0, round: 0, pick: .finish)
        for _ in 0..<60 { try net.step((0..<5).map { _ in net.transaction(net.people[6], noise) }, after: 2000) }
        #expect(try at.job.state == .opened)
        // 3 s and twice the 10 s of the run.
        try net.pass(22_000)
        #expect(try at.job.state == .opened)
        try net.pass(3_000)
        #expect(try at.job.state == .settled)
    }

    @Test func aBlockWithMoreThanItsLaneIsNone() throws {
        let net = try TestNet(parameters: Self.narrow)
        let noise = Payload.pickDispute(job: .zero, attempt: 0, round: 0, pick: .finish)
        let moves = (0..<7).map { _ in net.transaction(net.people[6], noise) }
        let block = try net.block(moves)
        #expect(block.header.weight < net.genesis.parameters.blockWeightLimit)
        #expect(throws: ValidityFault.self) {
            try Validity.check(
                block, parent: net.parent, ancestors: [], parameters: net.genesis.parameters, in: net.store)
        }
        var selection = try BlockSelection(
            parent: net.parent, time: net.parent.time.adding(milliseconds: 100), ancestors: [],
            parameters: net.genesis.parameters, in: net.store)
        let taken = moves.map { selection.take($0) }
        #expect(taken == [true, true, true, true, true, true, false])
        // Others have room all the same.
        let transfer = net.transaction(
            net.people[5], .transfer(to: net.address(net.people[6]), amount: .xpl(1), memo: []))
        let isTaken = selection.take(transfer)
        #expect(isTaken)
    }

    @Test func evidenceMayBeLongAndNothingElse() throws {
        let at = try DisputeNet()
        let path = [Digest](repeating: .zero, count: 64)
        var parts: [WitnessTensor] = []
        for number in 0..<10 {
            let bytes = [UInt8](repeating: 0, count: 2 * TensorRoot.blockLength)
            let range = BlockRange(first: 0, bytes: bytes, siblings: [])
            parts.append(
                WitnessTensor(
                    value: ValueID(number), type: TensorType(.i32, [4]),
                    proof: .init(blocks: .zero, siblings: [], ranges: [range])))
        }
        guard case .leaf(let sound) = at.script.witness else { return }
        let long = Pick.leaf(Witness(record: sound.record, recordSiblings: path, tensors: parts))
        let payload = Payload.pickDispute(job: at.id, attempt: 1, round: 0, pick: long)
        #expect(payload.canonicalBytes.count > Transaction.maximumBytes)
        try at.net.fail(at.stranger, payload, "no such dispute")
    }

    // MARK: In one transaction

    private func transcript(
        _ at: DisputeNet, _ challenger: SecretKey, signer: SecretKey? = nil, values: [Int32]? = nil,
        signed: [Int32]? = nil
    ) throws -> Payload {
        let picks = at.script.picks
        let points = [RevealPoint.operations(step: 0, TreeNode(topOf: 1)), .values(step: 0, operation: 0, block: 0)]
        func moves(_ values: [Int32]) -> DisputeTranscript {
            DisputeTranscript(
                opening: at.script.opening,
                moves: [
                    .reveal(at.script.reveal(points[0], values)), .pick(picks[0]),
                    .reveal(at.script.reveal(points[1], values)), .pick(picks[1]), .pick(picks[2]),
                ])
        }
        let subject = try #require(try at.job.disputeSubject)
        let told = moves(signed ?? values ?? at.said)
        let message = Dispute.transcriptMessage(
            job: at.id, attempt: 1, challenger: at.net.address(challenger), subject, told)
        let key = signer ?? at.provider
        return .settleByTranscript(
            job: at.id, attempt: 1, transcript: moves(values ?? at.said), key: key.publicKey,
            signature: key.sign(message))
    }

    @Test func aSignedTranscriptConvictsAtOnce() throws {
        let at = try DisputeNet()
        let before = try at.net.worth(at.stranger)
        let payload = try transcript(at, at.stranger)
        try at.net.act(at.stranger, payload)
        let dispute = try at.dispute(at.stranger)
        #expect(dispute.state == .convicted && dispute.trail.count == 5 && dispute.number?.bits == 151)
        #expect(try at.net.worth(at.stranger) == before.adding(.xpl(144)))
        #expect(try at.job.state == .open)
        try at.net.fail(at.stranger, payload, "at attempt 2")
    }

    @Test func whatTheProviderHasNotSignedBindsItNot() throws {
        let at = try DisputeNet()
        let other = at.net.people[6]
        // Signed by the challenger itself; given to another; with a reveal changed after the signature.
        try at.net.fail(at.stranger, try transcript(at, at.stranger, signer: at.stranger), "has not signed")
        try at.net.fail(other, try transcript(at, at.stranger), "has not signed")
        try at.net.fail(
            at.stranger, try transcript(at, at.stranger, values: [21, 60, 151, 280], signed: TestDispute.lie),
            "has not signed")
        #expect(try at.net.provider(at.provider).convictions == 0)
        #expect(try at.job.state == .opened && at.job.openDisputes == 0)
    }

    @Test func aTranscriptThatAcquitsIsNoneAndDoesNoHarm() throws {
        let at = try DisputeNet(TestDispute.truth)
        try at.net.fail(at.stranger, try transcript(at, at.stranger), "convicts nobody")
        // What was said before the last reveal only is signed, and a lie in it that does not combine convicts: of it nobody signs.
        #expect(try at.job.state == .opened)
        try at.net.pass(30_000)
        #expect(try at.job.state == .settled)
    }
}
