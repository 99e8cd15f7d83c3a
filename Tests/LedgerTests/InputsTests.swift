import Ledger
import Primitives
import Programs
import Testing

/// Jobs that nobody can run cost their requester, not those who were given them; and who says so of others pays.
@Suite struct InputsTests {
    // MARK: The table

    @Test(arguments: [DeclineReason.inputsUnavailable, .inputsMalformed, .costMismatch])
    func inputsThatNobodyCanHaveEndTheJobAndTheDepositIsShared(_ reason: DeclineReason) throws {
        let net = try TestNet()
        try net.openMarket()
        let before = try net.worth(net.requester)
        let on = try InputsNet(net)
        let worth = try net.providers.map { try net.worth($0) }
        try on.report(reason)
        #expect(try on.claim.subject == .inputs && on.claim.witnesses.count == 3)
        #expect(try on.claim.deposit == InputsNet.deposit && on.claim.fee == InputsNet.fee)
        #expect(try !on.witnesses.contains { $0.publicKey == on.provider.publicKey })
        try on.hear([false, false, false])
        // A hurry of some decides nothing.
        #expect(try on.job.state == .assigned)
        try on.passDeadline()
        let job = try on.job
        #expect(job.state == .failed && job.escrow == .zero && job.stagingPaid == InputsNet.deposit)
        #expect(job.reason == "its provider reports: \(reason); 3 of 3 witnesses say the same")
        for (key, worth) in zip(net.providers, worth) {
            let isReporter = key.publicKey == on.provider.publicKey
            let part = isReporter ? try InputsNet.deposit.subtracting(InputsNet.fee.multiplied(by: 3)) : InputsNet.fee
            #expect(try net.worth(key) == worth.adding(part))
            #expect(try net.provider(key).bond == .xpl(1000) && net.provider(key).locked == .zero)
            #expect(try net.provider(key).declines == 0)
        }
        // Beside the deposit, the posting fee and those of four moves.
        let lost = try before.subtracting(net.worth(net.requester)).subtracting(InputsNet.deposit)
        #expect(try lost >= net.genesis.parameters.postingFee && lost < Amount(baseUnits: 3_000_000), "\(lost)")
    }

    /// Half of those that were drawn are enough. The provider pays them, and may start with what they hand out.
    @Test func inputsThatWitnessesHaveLeaveTheJobToItsProvider() throws {
        let on = try InputsNet()
        try on.report()
        let worth = try on.witnesses.map { try on.net.worth($0) }
        try on.hear([true, true])
        #expect(try on.claim.state == .delivered && on.job.state == .assigned)
        #expect(try on.job.assignment?.provider == on.net.address(on.provider))
        #expect(try on.job.timer == Query.chain(in: on.net.store).clock + 20_000)
        for (witness, worth) in zip(try on.witnesses, worth).prefix(2) {
            #expect(try on.net.worth(witness) == worth.adding(InputsNet.fee))
        }
        #expect(try on.net.worth(on.witnesses[2]) == worth[2])
        let bond = try Amount.xpl(1000).subtracting(InputsNet.fee.multiplied(by: 2))
        #expect(try on.net.provider(on.provider).bond == bond)
        try on.net.fail(on.witnesses[2], on.attest(true), "no part in this job")
        try on.net.act(on.provider, .startJob(job: on.id, attempt: 1))
        #expect(try on.job.state == .running && on.job.stagingPaid == .zero)
        #expect(try on.net.provider(on.provider).bond == bond && on.net.provider(on.provider).declines == 0)
    }

    /// As much as it might have won. A decline counts as one besides, and silence costs what it costs.
    @Test func whoReportsWhatOthersHaveAndDoesNotStartPays() throws {
        for declines in [true, false] {
            let on = try InputsNet()
            try on.report()
            try on.hear([true, true])
            let left = try Amount.xpl(1000).subtracting(InputsNet.fee.multiplied(by: 2)).subtracting(InputsNet.deposit)
            if declines {
                try on.net.act(on.provider, on.decline(.busy))
            } else {
                try on.net.pass(21_000)
            }
            let provider = try on.net.provider(on.provider)
            #expect(try provider.bond == left.subtracting(declines ? .zero : left.scaled(1, over: 1000)))
            #expect(provider.declines == (declines ? 1 : 0))
            #expect(try on.job.excluded == [on.net.address(on.provider)] && on.job.lost == 0)
            try on.net.step()
            #expect(try on.job.state == .assigned && on.job.attempt == 2)
            #expect(try on.net.provider(on.provider).locked == .zero)
        }
        // At 20 XPL it is 2.
        let dear = try InputsNet { net in
            var spec = net.spec(queue: 60_000)
            spec.scans = [JobScan(steps: 1, weightedOperations: 2_000_000_000_000)]
            spec.computeUnits = ComputeUnits(weightedOperations: 2_000_000_000_000)
            return spec
        }
        try dear.report()
        try dear.hear([true, true])
        try dear.net.act(dear.provider, dear.decline())
        #expect(try dear.net.provider(dear.provider).bond == Amount(parsing: "997.8"))
    }

    @Test func theProviderMayStartWhileWitnessesLook() throws {
        let on = try InputsNet()
        try on.report()
        let worth = try on.witnesses.map { try on.net.worth($0) }
        try on.hear([true])
        try on.net.act(on.provider, .startJob(job: on.id, attempt: 1))
        #expect(try on.job.state == .running && on.claim.state == .delivered && on.job.timer != nil)
        #expect(try on.net.worth(on.witnesses[0]) == worth[0].adding(InputsNet.fee))
        #expect(try on.net.provider(on.provider).bond == Amount(parsing: "999.995"))
        try on.net.fail(on.witnesses[1], on.attest(false), "no part in this job")
        // Before anybody is drawn it costs nothing.
        let early = try InputsNet()
        try early.net.act(early.provider, early.decline())
        try early.net.act(early.provider, .startJob(job: early.id, attempt: 1))
        #expect(try early.net.provider(early.provider).bond == .xpl(1000))
        for _ in 0..<3 { try early.net.step() }
        #expect(try early.claim.witnesses.isEmpty && early.job.state == .running)
    }

    @Test func whereNobodyCanBeAskedNobodyIsBlamed() throws {
        let net = try TestNet()
        try net.openMarket(1)
        let on = try InputsNet(net)
        try on.report()
        #expect(try on.claim.state == .lapsed && on.job.state == .open)
        #expect(try on.job.excluded == [net.address(on.provider)])
        #expect(try net.provider(on.provider).declines == 0 && net.provider(on.provider).bond == .xpl(1000))
        let before = try net.worth(net.requester)
        try net.pass(61_000)
        #expect(try on.job.state == .expired && on.job.stagingPaid == .zero)
        #expect(try net.worth(net.requester) > before.adding(.xpl(4)))
    }

    @Test func whereNobodyAnswersTheSilentPayAndTheJobGoesOn() throws {
        let on = try InputsNet()
        try on.report()
        let witnesses = try on.witnesses
        try on.passDeadline()
        #expect(try on.claim.state == .lapsed && on.job.excluded == [on.net.address(on.provider)])
        for witness in witnesses {
            #expect(try on.net.provider(witness).bond == Amount.xpl(1000).subtracting(InputsNet.fee))
        }
        #expect(try on.net.provider(on.provider).bond == .xpl(1000))
        try on.net.step()
        #expect(try on.job.state == .assigned && on.job.attempt == 2)
    }

    /// In doubt nobody has withheld anything.
    @Test func aTieIsTheRequesters() throws {
        let on = try InputsNet()
        try on.report()
        try on.hear([true, false, nil])
        #expect(try on.job.isClaimed)
        try on.passDeadline()
        #expect(try on.claim.state == .delivered && on.job.state == .assigned && on.job.attempt == 1)
        #expect(try on.net.provider(on.provider).bond == Amount(parsing: "999.995"))
        #expect(try on.net.provider(on.witnesses[2]).bond == Amount(parsing: "999.995"))
    }

    /// Whose inputs are what other jobs have left is asked for like any other.
    @Test func aChildIsAskedForWhatItsParentLeft() throws {
        let net = try TestNet()
        try net.openMarket()
        let parent = try net.submit(net.spec(.sampled(perMille: 5)))
        let executor = try net.runToDraw(parent)
        let auditors = try net.commitAudits(parent)
        try net.open(parent, executor)
        for auditor in auditors { try net.revealAudit(parent, auditor) }
        try net.pass(30_000)
        #expect(try net.job(parent).state == .settled)
        var spec = net.spec(queue: 60_000)
        spec.inputs = [
            JobInput(name: "x", source: .result(ResultTensor(job: parent, step: 0, index: 0, count: 1)))
        ]
        let on = try InputsNet(net, spec)
        try on.report()
        try on.hear([false, nil, nil])
        try on.passDeadline()
        #expect(try on.job.state == .failed && on.job.stagingPaid == InputsNet.deposit)
        // Who has said nothing has paid as much as a word would have brought.
        for witness in try on.claim.witnesses.filter({ $0.holds == nil }) {
            let key = try net.key(witness.provider)
            #expect(try net.provider(key).bond == Amount.xpl(1000).subtracting(InputsNet.fee))
        }
    }

    // MARK: Attacks

    @Test func anAttemptIsAskedAboutOnce() throws {
        let on = try InputsNet()
        try on.report()
        try on.net.fail(on.provider, on.decline(.busy), "wait for their word")
        try on.hear([true, true])
        // Again, as a way out: it counts as none.
        try on.net.act(on.provider, on.decline(.inputsMalformed))
        #expect(try on.job.state == .open && !on.job.isClaimed)
        try on.net.step()
        let second = try on.net.executor(on.id)
        try on.net.act(second, on.decline(attempt: 2))
        #expect(try on.job.isClaimed && on.claim.attempt == 2 && on.claim.witnesses.isEmpty)
        for _ in 0..<2 { try on.net.step() }
        // Neither who has the job nor who gave it up.
        #expect(try on.claim.witnesses.count == 2)
        #expect(try !on.witnesses.contains { [on.provider.publicKey, second.publicKey].contains($0.publicKey) })
        for witness in try on.witnesses { try on.net.act(witness, on.attest(false, attempt: 2)) }
        try on.passDeadline()
        #expect(try on.job.state == .failed)
    }

    /// Else whoever names what nobody has would be gone before it pays.
    @Test func theRequesterDoesNotCancelWhileWitnessesLook() throws {
        let on = try InputsNet()
        try on.report()
        try on.net.fail(on.net.requester, .cancelJob(job: on.id), "wait for their word")
        try on.hear([true, true])
        try on.net.act(on.net.requester, .cancelJob(job: on.id))
        #expect(try on.job.state == .cancelled && on.job.stagingPaid == .zero)
    }

    @Test func onlyThoseWhoAreDrawnAreHeardAndOnceAndInTime() throws {
        let on = try InputsNet()
        try on.net.act(on.provider, on.decline())
        try on.net.fail(
            on.net.providers.first { $0.publicKey != on.provider.publicKey } ?? on.provider,
            on.attest(true), "no part in this job")
        for _ in 0..<2 { try on.net.step() }
        let witness = try on.witnesses[0]
        try on.net.fail(on.provider, on.attest(false), "no word of the sender")
        try on.net.fail(witness, on.attest(true, attempt: 2), "of attempt 2")
        try on.net.act(witness, on.attest(false))
        try on.net.fail(witness, on.attest(true), "no part in this job")
        let deadline = try on.claim.deadline
        #expect(try deadline > Query.chain(in: on.net.store).clock + 19_000)
        try on.pass(to: deadline)
        let second = try on.witnesses[1]
        let late = on.net.transaction(second, on.attest(true))
        let result = try on.net.step([late], after: 1)
        #expect(!result.receipts[0].succeeded)
        #expect(try on.job.state == .failed)
    }

    @Test func noBytesOnChainAnswerForInputs() throws {
        let on = try InputsNet()
        try on.report()
        let output = ClaimNet.output(TestDispute.truth)
        try on.net.fail(
            on.provider, .postOutput(job: on.id, attempt: 1, output: output), "not the bytes of the result")
        try on.net.fail(
            on.net.requester, .claimUndelivered(job: on.id, attempt: 1, deposit: .xpl(1)), "there is no result")
    }

    /// The one says nothing about the other.
    @Test func theOutputOfAnAttemptIsClaimedWhoseInputsWereAskedFor() throws {
        let on = try InputsNet { $0.spec(.sampled(perMille: 5), queue: 60_000) }
        try on.report()
        try on.hear([true, true])
        try on.net.act(on.provider, .startJob(job: on.id, attempt: 1))
        try on.net.act(
            on.provider, .commitResult(job: on.id, attempt: 1, masked: try on.net.masked(on.provider, on.id)))
        for _ in 0..<2 { try on.net.step() }
        try #require(try on.job.audits.isEmpty)
        try on.net.open(on.id, on.provider)
        try on.net.act(on.net.requester, .claimUndelivered(job: on.id, attempt: 1, deposit: .xpl(1)))
        #expect(try on.claim.subject == .output && on.job.isClaimed)
        for _ in 0..<2 { try on.net.step() }
        try on.hear([true, true])
        try on.net.pass(30_000)
        #expect(try on.job.state == .settled && on.job.stagingPaid == .zero)
    }

    /// Who reports holds its bond share until the witnesses have spoken.
    @Test func whoHasReportedDoesNotLeave() throws {
        let on = try InputsNet()
        try on.report()
        try on.net.fail(on.provider, .withdrawProvider, "held by outstanding jobs")
        try on.hear([true, true])
        try on.net.fail(on.provider, .withdrawProvider, "held by outstanding jobs")
    }

    @Test func busyProvidersEndNoJob() throws {
        let net = try TestNet()
        try net.openMarket()
        let id = try net.submit(net.spec(.audited, queue: 60_000))
        for attempt in 1...4 {
            try net.step()
            try net.act(try net.executor(id), .declineJob(job: id, attempt: UInt32(attempt), reason: .busy))
        }
        #expect(try net.job(id).state == .open && net.job(id).claim == nil)
        for provider in net.providers { #expect(try net.provider(provider).declines == 1) }
    }

    /// With a third of all bonds its own, whoever reports what can be had loses by it, and so does a requester whose inputs nobody has and whose friends say
    /// otherwise.
    @Test(arguments: 1...5) func withAThirdOfTheWitnessesNeitherSideGainsByALie(_ drawn: Int) {
        let parameters = ChainParameters()
        let deposit = 1.0
        let fee = deposit * Double(parameters.witnessFeePerMille) / 1000
        // That at least `least` of those drawn are among the third.
        func chance(_ least: Int) -> Double {
            (least...drawn).reduce(0) { sum, held in
                var share = 1.0
                for place in 0..<held { share *= Double(drawn - place) / Double(place + 1) / 3 }
                for _ in held..<drawn { share *= 2.0 / 3 }
                return sum + share
            }
        }
        // More than half must lack them: all of the deposit is the friends' then. Else it pays as much, and those who have looked.
        let ends = chance(drawn / 2 + 1)
        #expect(ends * deposit < (1 - ends) * deposit)
        // Half that hold them are enough: the friends have their fees, which the provider pays.
        let goesOn = chance((drawn + 1) / 2)
        #expect(goesOn * Double(drawn) * fee < (1 - goesOn) * deposit)
    }
}
