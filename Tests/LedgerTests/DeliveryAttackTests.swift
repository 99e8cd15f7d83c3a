import Ledger
import Primitives
import Programs
import Testing

/// What is tried with claims, and what comes of it.
@Suite struct DeliveryAttackTests {
    // MARK: Who may claim, when, and for how much

    @Test func onlyTheRequesterClaims() throws {
        let on = try ClaimNet()
        for key in [on.at.provider, on.at.stranger] { try on.net.fail(key, on.claim(), "the sender has no job") }
    }

    @Test func aClaimIsInTimeToTheBlock() throws {
        func end(_ on: ClaimNet) throws -> UInt64 { try #require(try on.at.job.timer) }
        let on = try ClaimNet()
        try on.pass(to: try end(on) - 100)
        try on.net.act(on.net.requester, on.claim())
        #expect(try Query.chain(in: on.net.store).clock == on.at.job.assignment.map { $0.openedClock + 23_000 })
        let late = try ClaimNet()
        try late.pass(to: try end(late) - 99)
        try late.net.fail(late.net.requester, late.claim(), "the job is settled")
        // Where a dispute holds the job beyond its window, the window is over all the same.
        let held = try ClaimNet()
        let over = try end(held)
        try held.net.act(held.at.stranger, held.at.challenge())
        try held.pass(to: over - 99)
        try held.net.fail(held.net.requester, held.claim(), "the window for claims ended")
    }

    @Test func aClaimNeedsAResultAndTheRightAttempt() throws {
        let on = try ClaimNet()
        try on.net.fail(on.net.requester, on.claim(attempt: 2), "the job is at attempt 1")
        let id = try on.net.submit(on.at.script.spec(on.net, .sampled(perMille: 5)))
        try on.net.step()
        try on.net.fail(
            on.net.requester, .claimUndelivered(job: id, attempt: 1, deposit: .xpl(1)), "there is no result")
        var child = on.at.script.spec(on.net, .sampled(perMille: 5))
        child.inputs = [JobInput(name: "x", source: .result(ResultTensor(job: on.at.id, step: 0, index: 0, count: 1)))]
        let waiting = try on.net.submit(child)
        #expect(try on.net.job(waiting).state == .waiting)
        try on.net.fail(
            on.net.requester, .claimUndelivered(job: waiting, attempt: 0, deposit: .xpl(1)), "there is no result")
    }

    @Test func theDepositIsAtLeastThePrice() throws {
        let on = try ClaimNet()
        let less = try ClaimNet.deposit.subtracting(Amount(baseUnits: 1))
        try on.net.fail(on.net.requester, on.claim(less), "the least is")
        try on.net.act(on.net.requester, on.claim())
    }

    /// So nobody holds a settlement for longer than one claim takes.
    @Test func aResultIsClaimedOnce() throws {
        let on = try ClaimNet()
        try on.claimAndDraw()
        try on.net.fail(on.net.requester, on.claim(), "was claimed before")
        try on.hear([true, true, nil])
        try on.net.fail(on.net.requester, on.claim(), "was claimed before")
        try on.passWindow()
        try on.net.fail(on.net.requester, on.claim(), "the job is settled")
    }

    @Test func aConvictedResultIsNotClaimed() throws {
        let on = try ClaimNet(TestDispute.lie)
        try on.net.act(on.at.stranger, on.at.challenge())
        try on.at.play(on.at.stranger)
        try on.net.fail(on.net.requester, on.claim(), "the job is at attempt 2")
        try on.net.fail(on.net.requester, on.claim(attempt: 2), "there is no result")
    }

    /// A settlement is held up by one deadline at most, and by what it may take to draw.
    @Test func aClaimHoldsAResultUpNoLongerThanItsDeadline() throws {
        let on = try ClaimNet()
        let end = try #require(try on.at.job.timer)
        try on.pass(to: end - 100)
        try on.net.act(on.net.requester, on.claim())
        // Two blocks to the draw, the deadline, a block to each end.
        try on.pass(to: end + 20_250 + 4000)
        #expect(try on.at.job.state == .settled)
    }

    // MARK: Words

    @Test func onlyThoseWhoAreDrawnAreHeardAndOnce() throws {
        let on = try ClaimNet()
        try on.net.act(on.net.requester, on.claim())
        try on.net.fail(on.net.providers[0], on.attest(true), "")
        try on.net.step()
        let witness = try on.witnesses[0]
        for key in [on.at.provider, on.at.stranger, on.net.requester] {
            let signed = on.net.transaction(key, on.attest(true))
            let isProvider = key.publicKey == on.at.provider.publicKey
            if isProvider {
                let result = try on.net.step([signed])
                #expect(result.receipts[0].reason.contains("waits for no word of the sender"))
            } else {
                // No block may have it: a market move is a provider's.
                #expect(throws: ValidityFault.transaction(index: 0, .notAProvider)) { try on.net.step([signed]) }
                on.net.nonces[key.publicKey, default: 1] -= 1
            }
        }
        try on.net.act(witness, on.attest(false))
        try on.net.fail(witness, on.attest(true), "no part in this job")
        #expect(try on.claim.witnesses.map(\.holds) == [false, nil, nil])
        try on.net.fail(try on.witnesses[1], on.attest(true, attempt: 2), "anything of attempt 2")
    }

    @Test func aWordIsInTimeToTheBlock() throws {
        let on = try ClaimNet()
        try on.claimAndDraw()
        let witnesses = try on.witnesses
        try on.pass(to: try on.claim.deadline - 100)
        try on.net.act(witnesses[0], on.attest(false))
        #expect(try Query.chain(in: on.net.store).clock == on.claim.deadline)
        try on.net.fail(witnesses[1], on.attest(true), "no part in this job")
        #expect(try on.claim.state == .undelivered)
        try on.net.fail(on.at.provider, on.post(ClaimNet.output(TestDispute.truth)), "the claim is undelivered")
    }

    /// Where more claims are due than a block may end, the clock decides all the same.
    @Test func aWordIsLateByTheClockWhetherTheTimerHasRunOrNot() throws {
        var parameters = TestNet.parameters
        parameters.timersPerBlock = 1
        let on = try ClaimNet(parameters: parameters)
        try on.claimAndDraw()
        let second = try on.net.submit(on.at.script.spec(on.net, .sampled(perMille: 5)))
        let provider = try on.net.run(second, to: TestDispute.result(TestDispute.truth))
        try on.net.open(second, provider, TestDispute.result(TestDispute.truth))
        try on.net.act(on.net.requester, .claimUndelivered(job: second, attempt: 1, deposit: .xpl(1)))
        try on.net.step()
        try on.net.step()
        let claim = try #require(try on.net.job(second).claim)
        try on.pass(to: try on.claim.deadline)
        // A jump over both deadlines: the first claim's timer takes the block's one turn.
        let witness = try on.net.key(claim.witnesses[0].provider)
        let word = on.net.transaction(witness, .attestDelivery(job: second, attempt: 1, holds: true))
        let result = try on.net.step([word], after: 3900)
        #expect(try on.claim.state == .lapsed)
        #expect(try on.net.job(second).claim?.state == .open)
        #expect(result.receipts[0].reason.contains("the deadline was"))
    }

    // MARK: Bytes

    @Test func otherBytesThanTheResultsAnswerNothing() throws {
        let on = try ClaimNet()
        try on.net.act(on.net.requester, on.claim())
        let truth = ClaimNet.output(TestDispute.truth)
        let tensor = truth.steps[0].tensors[0]
        func wrong(_ output: PostedOutput) throws {
            try on.net.fail(on.at.provider, on.post(output), "not the bytes of the result")
        }
        try wrong(ClaimNet.output(TestDispute.lie))
        // Of another shape, of another type, one more, one twice, none, in another place.
        try wrong(ClaimNet.output(TestDispute.truth, shape: [2, 2]))
        try wrong(
            PostedOutput(
                steps: [.init([PostedTensor(element: .f32, shape: [4], bytes: tensor.bytes)])], kept: .init([])))
        try wrong(PostedOutput(steps: [.init([tensor, tensor])], kept: .init([])))
        try wrong(PostedOutput(steps: [.init([tensor]), .init([tensor])], kept: .init([])))
        try wrong(PostedOutput(steps: [.init([tensor])], kept: .init([tensor])))
        try wrong(PostedOutput(steps: [], kept: .init([tensor])))
        // The padding of the tree is no step.
        try wrong(PostedOutput(steps: [.init([tensor]), .init([])], kept: .init([])))
        let witnesses = on.net.providers.filter { $0.publicKey != on.at.provider.publicKey }
        try on.net.fail(witnesses[0], on.post(truth), "not assigned to the sender")
        try on.net.fail(on.at.provider, on.post(truth, attempt: 2), "anything of attempt 2")
        try on.net.act(on.at.provider, on.post(truth))
        try on.net.fail(on.at.provider, on.post(truth), "the claim is posted")
    }

    @Test func bytesAreNotPostedWhereNobodyHasClaimed() throws {
        let on = try ClaimNet()
        try on.net.fail(on.at.provider, on.post(ClaimNet.output(TestDispute.truth)), "nobody has claimed")
    }

    @Test func aPostedTensorHasTheBytesOfItsShapeAndNoMoreThanAreAllowed() throws {
        func tensor(_ shape: [UInt64], _ count: Int) -> PostedTensor {
            PostedTensor(element: .i8, shape: shape, bytes: [UInt8](repeating: 1, count: count))
        }
        func decodes(_ output: PostedOutput) -> Bool {
            (try? PostedOutput(canonicalBytes: output.canonicalBytes)) == output
        }
        func list(_ tensors: PostedTensor...) -> PostedOutput.List { PostedOutput.List(tensors) }
        #expect(decodes(PostedOutput(steps: [list(tensor([4], 4))], kept: list())))
        for (shape, count): ([UInt64], Int) in [
            ([4], 3), ([4], 5), ([0], 1), ([.max, 2], 4), ([1 << 32, 1 << 32], 0),
            ([UInt64](repeating: 1, count: 9), 1),
        ] {
            #expect(!decodes(PostedOutput(steps: [list(tensor(shape, count))], kept: list())), "\(shape) \(count)")
        }
        // All tensors together have at most 16 KiB, and are at most so many.
        let half = tensor([8192], 8192)
        #expect(decodes(PostedOutput(steps: [list(half)], kept: list(half))))
        #expect(!decodes(PostedOutput(steps: [list(half), list(tensor([1], 1))], kept: list(half))))
        let many = PostedOutput.List([PostedTensor](repeating: tensor([1], 1), count: 512))
        #expect(decodes(PostedOutput(steps: [many], kept: many)))
        #expect(!decodes(PostedOutput(steps: [many, list(tensor([1], 1))], kept: many)))
        // A transaction has room for all that may be shown of one tensor, and is bounded for the rest.
        let payload = Payload.postOutput(
            job: .zero, attempt: 1, output: PostedOutput(steps: [list(half)], kept: list(half)))
        #expect(payload.canonicalBytes.count < Transaction.maximumOutputBytes)
        #expect(payload.canonicalBytes.count > Transaction.maximumBytes)
    }

    @Test func whatIsPostedWeighsItsBytes() throws {
        let parameters = TestNet.parameters
        let payload = Payload.postOutput(job: .zero, attempt: 1, output: ClaimNet.output(TestDispute.truth))
        let small = Fees.weight(payload, bytes: 300, parameters)
        let large = Fees.weight(payload, bytes: 20_300, parameters)
        #expect(large - small == 20_000 * parameters.weightPerByte)
    }

    // MARK: Claims and disputes at once

    /// A liar that is about to be found out does not get away with the smaller penalty of not delivering.
    @Test func aLieIsConvictedAsOneWhateverIsClaimed() throws {
        let on = try ClaimNet(TestDispute.lie)
        let before = try on.net.provider(on.at.provider).bond
        let share = try #require(try on.at.job.assignment?.share)
        let purse = try on.net.worth(on.net.requester)
        try on.claimAndDraw()
        try on.hear([false, false, false])
        try on.net.act(on.at.stranger, on.at.challenge())
        try on.passDeadline()
        #expect(try on.claim.state == .undelivered)
        #expect(try on.at.job.state == .disputed)
        try on.at.play(on.at.stranger)
        #expect(try on.at.dispute(on.at.stranger).state == .convicted)
        #expect(try on.net.provider(on.at.provider).bond == before.subtracting(share))
        #expect(try on.net.provider(on.at.provider).convictions == 1)
        // The deposit is back, and the compensation is the dispute's.
        #expect(try on.net.worth(on.net.requester) == purse.adding(.xpl(1)))
    }

    /// The dispute first, then the claim; the provider is right in the one and wrong in the other.
    @Test func anAcquittalLeavesTheVerdictOfAClaim() throws {
        let on = try ClaimNet()
        try on.net.act(on.at.stranger, on.at.challenge())
        try on.claimAndDraw()
        try on.hear([false, false, false])
        try on.at.play(on.at.stranger)
        #expect(try on.at.dispute(on.at.stranger).state == .acquitted)
        #expect(try on.at.job.state == .opened)
        #expect(try on.at.job.timer == nil)
        try on.passDeadline()
        try on.passWindow()
        #expect(try on.at.job.reason == "the provider did not deliver its output")
        #expect(try on.net.provider(on.at.provider).convictions == 1)
    }

    @Test func aClaimThatEndsWhileADisputeGoesOnStopsNothing() throws {
        let on = try ClaimNet()
        try on.claimAndDraw()
        try on.net.act(on.at.stranger, on.at.challenge())
        let deadline = try on.at.dispute(on.at.stranger).deadline
        try on.net.act(on.at.provider, on.post(ClaimNet.output(TestDispute.truth)))
        #expect(try on.at.job.state == .disputed)
        #expect(try on.at.job.timer == nil)
        #expect(try on.at.dispute(on.at.stranger).deadline == deadline)
        try on.at.play(on.at.stranger)
        #expect(try on.at.dispute(on.at.stranger).state == .acquitted)
        try on.passWindow()
        #expect(try on.at.job.state == .settled)
    }

    /// A dispute that convicts while a claim is open: the deposit goes back, the claim can end no more, and the next attempt may be claimed anew.
    @Test func aConvictionMakesAnOpenClaimMoot() throws {
        let on = try ClaimNet(TestDispute.lie)
        let purse = try on.net.worth(on.net.requester)
        try on.claimAndDraw()
        let witnesses = try on.witnesses
        try on.net.act(on.at.stranger, on.at.challenge())
        try on.at.play(on.at.stranger)
        #expect(try on.claim.state == .moot)
        #expect(try on.net.worth(on.net.requester) == purse.adding(.xpl(1)))
        try on.net.fail(witnesses[0], on.attest(true), "no part in this job")
        try on.net.fail(on.at.provider, on.post(ClaimNet.output(TestDispute.lie)), "")
        try on.pass(to: try on.claim.deadline + 1000)
        #expect(try on.claim.state == .moot)
        #expect(try on.at.job.attempt > 1)
    }

    /// Before its witnesses are drawn, too: what is left of the claim draws nobody for the next attempt.
    @Test func aMootClaimDrawsNobody() throws {
        let on = try ClaimNet(TestDispute.lie)
        try on.net.act(on.at.stranger, on.at.challenge())
        try on.at.play(on.at.stranger, moves: 4)
        try on.net.act(on.net.requester, on.claim())
        try on.at.play(on.at.stranger)
        #expect(try on.claim.state == .moot)
        #expect(try on.claim.drawHeight > on.net.parent.height)
        for _ in 0..<3 { try on.net.step() }
        #expect(try on.claim.witnesses.isEmpty)
        #expect(try on.at.job.attempt == 2)
    }

    /// A challenge is in time for as long as without the claim, and no longer.
    @Test func aClaimDoesNotMoveTheWindowForChallenges() throws {
        let on = try ClaimNet()
        let end = try #require(try on.at.job.timer)
        try on.pass(to: end - 200)
        try on.net.act(on.net.requester, on.claim())
        let right = try Query.challengeRight(of: on.at.job, by: on.net.address(on.at.stranger), in: on.net.store)
        #expect(try right.get().until == end)
        try on.net.step()
        try on.net.fail(on.at.stranger, on.at.challenge(), "the window for challenges is over")
    }

    /// Auditors whose word is not opened yet have their time, and who falls silent is dealt with as ever.
    @Test func aClaimDuringAnAuditStopsNoReveal() throws {
        let on = try ClaimNet(audits: [TestDispute.truth], reveals: false)
        let timer = try on.at.job.timer
        try on.net.act(on.net.requester, on.claim())
        #expect(try on.at.job.timer == timer)
        try on.net.revealAudit(on.at.id, on.at.auditors[0], TestDispute.result(TestDispute.truth))
        #expect(try on.at.job.timer == nil)
        try on.net.act(on.at.provider, on.post(ClaimNet.output(TestDispute.truth)))
        try on.passWindow()
        #expect(try on.at.job.state == .settled)
        let silent = try ClaimNet(audits: [TestDispute.truth], reveals: false)
        try silent.net.act(silent.net.requester, silent.claim())
        try silent.pass(to: try #require(try silent.at.job.timer) + 1)
        #expect(try silent.at.job.audits[0].isSilent)
        #expect(try silent.at.job.timer == nil)
    }

    // MARK: What it costs to be a nuisance

    /// With a third of all bonds its own, a requester that wants its provider convicted pays more than it can gain; so does a provider that delivers to nobody.
    @Test func withAThirdOfTheWitnessesNeitherSideGainsByALie() throws {
        let parameters = ChainParameters()
        let price = 1000.0
        let deposit = price * Double(parameters.claimBondPerMille) / 1000
        let fee = deposit * Double(parameters.witnessFeePerMille) / 1000
        for drawn in 2...Int(parameters.deliveryWitnesses) { check(price, deposit, fee, drawn) }
    }

    private func check(_ price: Double, _ deposit: Double, _ fee: Double, _ drawn: Int) {
        // That at least `least` of those drawn are among the third.
        func chance(_ least: Int) -> Double {
            (least...drawn).reduce(0) { sum, held in
                var ways = 1.0
                for place in 0..<held { ways *= Double(drawn - place) / Double(place + 1) }
                var share = ways
                for place in 0..<drawn { share *= place < held ? 1.0 / 3 : 2.0 / 3 }
                return sum + share
            }
        }
        // The requester has the bytes, its escrow back, half of what is left of the penalty, and its witnesses' fees. More than half must say no.
        let convicts = chance(drawn / 2 + 1)
        let gain = price + min(price, (2 * deposit - Double(drawn) * fee) / 2) + Double(drawn) * fee
        #expect(convicts * gain < (1 - convicts) * deposit)
        // The provider pays the auditor too, as much as the price: all of what is left, where that is a friend.
        let fees = Double(drawn) * fee
        let audited = price + fees + price + min(price, (2 * deposit - fees - price) / 2)
        #expect(convicts * audited < (1 - convicts) * deposit)
        // The provider is paid where half of them lie for it, and loses twice the deposit where not; an honest one is paid.
        let acquits = chance((drawn + 1) / 2)
        #expect(acquits * price - (1 - acquits) * 2 * deposit < 0)
    }

    @Test func aClaimsParametersAreBounded() throws {
        func problem(_ change: (inout ChainParameters) -> Void) -> String? {
            var parameters = ChainParameters()
            change(&parameters)
            return parameters.problem
        }
        #expect(problem { $0.deliveryWitnesses = 15 } == nil)
        #expect(problem { $0.deliveryWitnesses = 16 } != nil)
        #expect(problem { $0.deliveryWitnesses = 0 } != nil)
        #expect(problem { $0.witnessFeePerMille = 200 } == nil)
        #expect(problem { $0.witnessFeePerMille = 201 } != nil)
        #expect(problem { $0.witnessFeePerMille = .max } != nil)
        #expect(problem { $0.deliveryRate = 0 } != nil)
        #expect(problem { $0.deliveryRate = (1 << 40) + 1 } != nil)
        #expect(problem { $0.claimBondPerMille = 1_000_001 } != nil)
        #expect(problem { $0.deliveryBase = 0 } != nil)
    }
}
