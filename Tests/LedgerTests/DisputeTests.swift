import Ledger
import Primitives
import Programs
import Testing

/// Who pays whom, row by row (docs/verification.md). Every block of these tests counts all money and every lock.
@Suite struct DisputeTests {
    /// The price is 1 XPL, an audited job's share 2.4, an auditor's or a challenger's bond 2.
    private func xpl(_ text: String) throws -> Amount { try Amount(parsing: text) }

    @Test func anAuditorConvictsALiarAndTheJobRunsAgain() throws {
        let at = try DisputeNet(audits: [TestDispute.truth])
        let net = at.net
        #expect(try at.job.state == .auditing)
        let auditor = at.auditors[0]
        let before = (try net.worth(auditor), try net.worth(net.requester))
        try net.act(auditor, at.challenge(.zero))
        #expect(try at.job.state == .disputed && at.job.openDisputes == 1)
        try at.play(auditor)
        let dispute = try at.dispute(auditor)
        #expect(dispute.state == .convicted && dispute.reason.contains("element 2 of op 0 is wrong"))
        #expect(dispute.number?.element == 2 && dispute.number?.bits == 151)
        #expect(dispute.trail.count == 5)
        // Of 2.4: 0.72 to who found it, the price to the requester, the rest burned.
        #expect(try net.provider(at.provider).bond == xpl("997.6"))
        #expect(try net.provider(at.provider).convictions == 1)
        #expect(try net.worth(auditor) == before.0.adding(xpl("0.72")))
        #expect(try net.worth(net.requester) == before.1.adding(xpl("1")))
        #expect(try net.provider(auditor).bond == .xpl(1000))
        let job = try at.job
        #expect(job.state == .open && job.excluded == [net.address(at.provider)] && job.lost == 1)
        #expect(job.reason.contains("element 2"))
        // The honest one that gets it now is paid.
        let next = try net.run(at.id, to: TestDispute.result(TestDispute.truth))
        #expect(next.publicKey != at.provider.publicKey)
        let audits = try net.commitAudits(at.id, TestDispute.result(TestDispute.truth))
        try net.open(at.id, next, TestDispute.result(TestDispute.truth))
        for audit in audits { try net.revealAudit(at.id, audit, TestDispute.result(TestDispute.truth)) }
        try net.pass(30_000)
        #expect(try at.job.state == .settled)
        #expect(try Query.receipt(job: at.id, in: net.store)?.attempt == 2)
    }

    @Test func anybodyWithADepositConvictsALiar() throws {
        let at = try DisputeNet()
        let net = at.net
        let before = try net.worth(at.stranger)
        try net.act(at.stranger, at.challenge(.xpl(5)))
        #expect(try net.worth(at.stranger) == before.subtracting(.xpl(5)))
        try at.play(at.stranger)
        #expect(try at.dispute(at.stranger).state == .convicted)
        // The deposit is back; of a share of 480 XPL three tenths are the bounty.
        #expect(try net.worth(at.stranger) == before.adding(.xpl(144)))
        #expect(try net.provider(at.provider).bond == .xpl(520))
    }

    @Test func aFalseChallengerPaysTheProvider() throws {
        let at = try DisputeNet(TestDispute.truth)
        let net = at.net
        let before = (try net.worth(at.stranger), try net.worth(at.provider))
        try net.act(at.stranger, at.challenge())
        try at.play(at.stranger)
        #expect(try at.dispute(at.stranger).state == .acquitted)
        #expect(try net.worth(at.stranger) == before.0.subtracting(.xpl(2)))
        #expect(try net.worth(at.provider) == before.1.adding(.xpl(1)))
        #expect(try net.provider(at.provider).bond == .xpl(1000))
        #expect(try at.job.state == .opened)
        try net.pass(30_000)
        #expect(try at.job.state == .settled)
        #expect(try net.worth(at.provider) == before.1.adding(xpl("1.96")))
    }

    @Test func anAuditorThatWasWrongIsAsGoodAsSilentAndTheWindowIsLonger() throws {
        let at = try DisputeNet(TestDispute.truth, audits: [TestDispute.lie])
        let net = at.net
        let auditor = at.auditors[0]
        #expect(try net.provider(auditor).locked == .xpl(2))
        let before = (try net.worth(auditor), try net.worth(at.provider))
        try net.act(auditor, at.challenge(.zero))
        try at.play(auditor, moves: 4)
        try net.pass(10_000)
        try at.play(auditor)
        #expect(try at.dispute(auditor).state == .acquitted)
        #expect(try net.provider(auditor).bond == .xpl(998))
        #expect(try net.provider(auditor).locked == .zero && net.provider(auditor).convictions == 1)
        #expect(try net.worth(at.provider) == before.1.adding(.xpl(1)))
        let job = try at.job
        #expect(job.state == .opened && job.audits[0].isSilent)
        let clock = try Query.chain(in: net.store).clock
        #expect(job.timer == clock + net.genesis.parameters.unauditedWindow + 20_000)
        try net.pass(29_000)
        #expect(try at.job.state == .opened)
        try net.pass(2000)
        #expect(try at.job.state == .settled)
        #expect(try net.worth(auditor) == before.0)
        #expect(try Query.receipt(job: at.id, in: net.store)?.auditors == [])
    }

    @Test func anAuditorThatAgreedWithALieLosesToo() throws {
        let at = try DisputeNet(audits: [TestDispute.lie, TestDispute.truth])
        let net = at.net
        let (accomplice, honest) = (at.auditors[0], at.auditors[1])
        let before = (try net.worth(honest), try net.worth(accomplice))
        try net.act(honest, at.challenge(.zero))
        try at.play(honest)
        #expect(try net.provider(accomplice).bond == .xpl(998) && net.provider(accomplice).convictions == 1)
        #expect(try net.worth(accomplice) == before.1)
        // 0.72 of the provider's share and 0.6 of the accomplice's.
        #expect(try net.worth(honest) == before.0.adding(xpl("1.32")))
        #expect(try net.provider(honest).bond == .xpl(1000))
    }

    @Test func anAuditorThatFindsAnotherResultAndDoesNotShowWhereIsSilent() throws {
        let at = try DisputeNet(TestDispute.truth, audits: [TestDispute.lie])
        let net = at.net
        try net.pass(24_000)
        #expect(try at.job.audits[0].isSilent)
        #expect(try at.job.state == .auditing)
        // A tenth of the price, and no more.
        #expect(try net.provider(at.auditors[0]).bond == xpl("999.9"))
        try net.pass(20_000)
        #expect(try at.job.state == .settled)
    }

    @Test func aProviderThatFallsSilentIsConvicted() throws {
        for moves in [0, 2] {
            let at = try DisputeNet()
            try at.net.act(at.stranger, at.challenge())
            try at.play(at.stranger, moves: moves)
            #expect(try at.dispute(at.stranger).walk.turn == .defender)
            // The base, and four times the 10 s of the only step.
            try at.net.pass(59_000)
            #expect(try at.dispute(at.stranger).state == .open)
            try at.net.pass(2000)
            #expect(try at.dispute(at.stranger).state == .convicted)
            #expect(try at.dispute(at.stranger).reason.contains("did not answer in time"))
            #expect(try at.net.provider(at.provider).convictions == 1)
        }
    }

    /// A chain without transactions goes on for a deadline that is over.
    @Test func aMoveThatIsLateIsWorkForTheChain() throws {
        let at = try DisputeNet()
        try at.net.act(at.stranger, at.challenge())
        try at.net.pass(58_500)
        let time = at.net.parent.time
        #expect(try at.job.timer == nil)
        #expect(try !Query.hasWork(in: at.net.store, at: time.adding(milliseconds: 500)))
        #expect(try Query.hasWork(in: at.net.store, at: time.adding(milliseconds: 3000)))
        #expect(try Query.movingJobs(in: at.net.store).map(\.id) == [at.id])
    }

    @Test func aChallengerThatFallsSilentLoses() throws {
        let at = try DisputeNet()
        let before = try at.net.worth(at.stranger)
        try at.net.act(at.stranger, at.challenge())
        try at.play(at.stranger, moves: 3)
        try at.net.pass(62_000)
        #expect(try at.dispute(at.stranger).state == .acquitted)
        #expect(try at.net.worth(at.stranger) == before.subtracting(.xpl(2)))
        // The window is long over: who falls silent stops nobody's pay for longer.
        try at.net.pass(1000)
        #expect(try at.job.state == .settled)
    }

    /// To the block: at its deadline a move is in time, a millisecond later it is not.
    @Test(arguments: [(0, true), (1, false)] as [(UInt64, Bool)])
    func aDeadlineIsTheLastMomentForAMove(_ late: UInt64, _ isInTime: Bool) throws {
        let at = try DisputeNet()
        let net = at.net
        try net.act(at.stranger, at.challenge())
        let due = try at.dispute(at.stranger).deadline
        while try Query.chain(in: net.store).disputeClock + 1000 < due { try net.step(after: 500) }
        let left = due - (try Query.chain(in: net.store).disputeClock) + late
        let move = net.transaction(at.provider, try at.reveal(to: at.stranger))
        let result = try net.step([move], after: left)
        #expect(result.receipts[0].succeeded == isInTime, "\(result.receipts[0].reason)")
        #expect(try at.dispute(at.stranger).state == (isInTime ? .open : .convicted))
    }

    @Test func aRevealThatDoesNotCombineConvictsAtOnce() throws {
        let at = try DisputeNet()
        try at.net.act(at.stranger, at.challenge())
        try at.net.act(at.provider, try at.reveal(to: at.stranger, TestDispute.truth))
        #expect(try at.dispute(at.stranger).state == .convicted)
    }

    // MARK: Several at a time

    @Test func whatIsRevealedOnceServesAll() throws {
        let at = try DisputeNet()
        let (first, second) = (at.strangers(2)[0], at.strangers(2)[1])
        try at.net.act(first, at.challenge())
        try at.play(first, moves: 3)
        #expect(try at.dispute(first).walk.turn == .challenger)
        try at.net.act(second, at.challenge())
        // It goes on by itself to where a choice is due.
        #expect(try at.dispute(second).walk.turn == .challenger)
        try at.net.act(second, try at.pick(second))
        #expect(try at.dispute(second).walk.turn == .challenger && at.dispute(second).trail.count == 3)
        try at.net.act(second, try at.pick(second))
        try at.net.act(second, try at.pick(second))
        #expect(try at.dispute(second).state == .convicted)
    }

    @Test func aChallengerThatWaitedGoesOnWithWhatAnotherWasShown() throws {
        let at = try DisputeNet()
        let (first, second) = (at.strangers(2)[0], at.strangers(2)[1])
        try at.net.act(first, at.challenge())
        try at.net.act(second, at.challenge())
        try at.play(first, moves: 1)
        #expect(try at.dispute(second).walk.turn == .challenger)
        // The provider has nothing to say twice.
        let point = RevealPoint.operations(step: 0, TreeNode(topOf: 1))
        let again = Payload.revealDispute(
            job: at.id, attempt: 1, challenger: at.net.address(second), point: point,
            reveal: at.script.reveal(point, at.said))
        try at.net.fail(at.provider, again, "does not ask for this point")
        // Its time runs from what it was shown: the one that never moves loses though the provider never answered it.
        try at.net.pass(61_000)
        #expect(try at.dispute(second).state == .acquitted)
    }

    @Test func aConvictionEndsTheOthersWithoutLoss() throws {
        let at = try DisputeNet()
        let all = at.strangers(3)
        let before = try all.map { try at.net.worth($0) }
        for challenger in all { try at.net.act(challenger, at.challenge()) }
        #expect(try at.job.openDisputes == 3)
        try at.play(all[1])
        #expect(try at.job.openDisputes == 0)
        try at.net.fail(all[0], .pickDispute(job: at.id, attempt: 1, round: 0, pick: at.script.operation), "not 1")
        try at.net.pass(62_000)
        #expect(try at.dispute(all[0]).state == .moot && at.dispute(all[2]).state == .moot)
        #expect(try at.net.worth(all[0]) == before[0] && at.net.worth(all[2]) == before[2])
        #expect(try at.net.provider(at.provider).convictions == 1)
        #expect(try at.net.provider(at.provider).bond == .xpl(520))
    }

    /// An accomplice that challenges first and loses shields nobody.
    @Test func anAcquittalEndsOneDisputeOnly() throws {
        let at = try DisputeNet()
        let (accomplice, honest) = (at.strangers(2)[0], at.strangers(2)[1])
        try at.net.act(accomplice, at.challenge())
        try at.net.act(at.provider, try at.reveal(to: accomplice))
        // It points to an op that is not the program's.
        let other = try TestDispute(addend: 1)
        try at.net.act(accomplice, .pickDispute(job: at.id, attempt: 1, round: 0, pick: other.operation))
        #expect(try at.dispute(accomplice).state == .acquitted)
        #expect(try at.job.state == .opened)
        try at.net.act(honest, at.challenge())
        #expect(try at.job.state == .disputed)
        try at.play(honest)
        #expect(try at.dispute(honest).state == .convicted)
        #expect(try at.net.provider(at.provider).convictions == 1)
    }

    @Test func manyFalseChallengersDoNotStopAnHonestProvider() throws {
        let at = try DisputeNet(TestDispute.truth)
        let net = at.net
        let others =
            [net.people[5], net.people[6], net.people[7]]
            + net.providers.filter { $0.publicKey != at.provider.publicKey }
        for challenger in others { try net.act(challenger, at.challenge()) }
        let before = try net.worth(at.provider)
        // Two reveals serve them all.
        var reveals = 0
        for round in 0..<3 {
            for challenger in others {
                if try at.dispute(challenger).walk.turn == .defender {
                    try net.act(at.provider, try at.reveal(to: challenger))
                    reveals += 1
                }
                if round < 2 || challenger.publicKey != others[0].publicKey {
                    try net.act(challenger, try at.pick(challenger))
                }
            }
        }
        #expect(reveals == 2)
        #expect(try at.job.openDisputes == 1)
        try net.pass(62_000)
        #expect(try others.allSatisfy { try at.dispute($0).state == .acquitted })
        #expect(try net.provider(at.provider).bond == .xpl(1000))
        try net.pass(1000)
        #expect(try at.job.state == .settled)
        let paid = try before.adding(Amount.xpl(UInt64(others.count))).adding(xpl("0.96"))
        #expect(try net.worth(at.provider) == paid)
    }

    // MARK: The end

    @Test func theThirdConvictionFailsTheJobAndItsMoneyGoesBack() throws {
        let at = try DisputeNet()
        let net = at.net
        try net.act(at.stranger, at.challenge())
        try at.play(at.stranger)
        for attempt in UInt32(2)...3 {
            let provider = try net.run(at.id, to: TestDispute.result(TestDispute.lie))
            try net.open(at.id, provider, TestDispute.result(TestDispute.lie))
            let challenge = Payload.challenge(
                job: at.id, attempt: attempt, opening: at.script.opening, deposit: DisputeNet.bond)
            try net.act(at.stranger, challenge)
            // What was revealed of another attempt is of no use here.
            let dispute = try #require(
                try Query.dispute(job: at.id, attempt: attempt, challenger: net.address(at.stranger), in: net.store))
            #expect(dispute.walk.turn == .defender)
            try net.pass(62_000)
        }
        let job = try at.job
        #expect(job.state == .failed && job.escrow == .zero && job.lost == 3)
        #expect(try net.providers.count { try net.provider($0).convictions == 1 } == 3)
    }

    /// What an attempt has left in the state goes when it is decided; the dispute itself can be looked at for ever.
    @Test func revealsAreClearedAway() throws {
        let at = try DisputeNet()
        try at.net.act(at.stranger, at.challenge())
        let point = try #require(try at.dispute(at.stranger).walk.point)
        try at.play(at.stranger, moves: 1)
        func revealed() throws -> Reveal? {
            try Query.reveal(job: at.id, attempt: 1, at: point, in: at.net.store)
        }
        #expect(try revealed() != nil)
        try at.play(at.stranger)
        try at.net.step()
        #expect(try revealed() == nil)
        #expect(try Query.disputes(of: at.id, in: at.net.store).count == 1)
    }
}
