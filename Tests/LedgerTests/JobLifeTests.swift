import Ledger
import Primitives
import Testing

@Suite struct JobLifeTests {
    @Test func anAuditedJobSettlesAndEveryoneIsPaidExactly() throws {
        let net = try TestNet()
        try net.openMarket()
        let before = try net.balance(net.requester)
        let id = try net.submit(net.spec())
        #expect(try net.job(id).state == .open)
        let provider = try net.runToDraw(id)
        let price = Amount.xpl(1)
        #expect(try net.job(id).assignment?.price == price)
        let auditors = try net.commitAudits(id)
        #expect(auditors.count == 1)
        #expect(auditors[0].publicKey != provider.publicKey)
        let payee = try net.balance(provider)
        let auditorBefore = try net.balance(auditors[0])
        try net.open(id, provider)
        #expect(try net.job(id).state == .auditing)
        try net.act(
            auditors[0], .revealAudit(job: id, attempt: 1, commitment: TestNet.result, salt: net.salt(auditors[0])))
        try net.pass(30_000)
        #expect(try net.job(id).state == .settled)
        #expect(try net.balance(provider) == payee.adding(Amount(parsing: "0.96")))
        #expect(try net.balance(auditors[0]) == auditorBefore.adding(Amount(parsing: "0.96")))
        let receipt = try #require(try Query.receipt(job: id, in: net.store))
        #expect(receipt.amount == price)
        #expect(receipt.auditors == [net.address(auditors[0])])
        #expect(receipt.commitment == TestNet.result)
        #expect(try Query.provider(net.address(provider), in: net.store)?.locked == .zero)
        // The requester paid the run, one audit, the fees and nothing else.
        let spent = try before.subtracting(try net.balance(net.requester))
        #expect(spent > Amount.xpl(2))
        #expect(spent < (try Amount(parsing: "2.11")))
        let root = try #require(try Query.stateRoot(at: net.parent.height, in: net.store))
        let proof = try StateTree.proof(of: StateKey.receipt(id), in: net.store)
        #expect(proof.verify(root: root, key: StateKey.receipt(id), value: receipt.canonicalBytes))
    }

    /// A provider that looked at the newest jobs alone lost sight of its own.
    @Test func aJobThatMovesIsFoundHoweverManyNewerOnesThereAre() throws {
        let net = try TestNet()
        try net.openMarket()
        let id = try net.submit(net.spec())
        _ = try net.runToDraw(id)
        let moving = try Query.movingJobs(in: net.store).map(\.id)
        #expect(moving == [id])
        // One whose draw is still to come has no timer, and is found all the same.
        let next = try net.submit(net.spec())
        try net.step()
        let provider = try net.executor(next)
        try net.act(provider, .startJob(job: next, attempt: 1))
        try net.act(provider, .commitResult(job: next, attempt: 1, masked: try net.masked(provider, next)))
        #expect(try net.job(next).timer == nil)
        #expect(try Query.movingJobs(in: net.store).contains { $0.id == next })
        let spec = net.spec(ceiling: .xpl(1), queue: 60_000)
        try net.step((0..<300).map { _ in net.transaction(net.requester, .submitJob(spec)) })
        #expect(try !Query.jobs(limit: 256, in: net.store).contains { $0.id == id })
        let all = try Query.movingJobs(in: net.store)
        #expect(all.count == 302 && all.contains { $0.id == id })
    }

    @Test func aJobThatIsNotDrawnOpensAtOnceAndSettlesAfterItsWindow() throws {
        let net = try TestNet()
        try net.openMarket()
        let id = try net.submit(net.spec(.sampled(perMille: 5)))
        let provider = try net.runToDraw(id)
        #expect(try net.job(id).audits.isEmpty)
        try net.open(id, provider)
        #expect(try net.job(id).state == .opened)
        try net.step()
        #expect(try net.job(id).state == .opened)
        try net.pass(30_000)
        #expect(try net.job(id).state == .settled)
    }

    @Test func aJobNobodyMatchesExpiresForThePostingFeeAlone() throws {
        let net = try TestNet()
        try net.openMarket()
        let before = try net.balance(net.requester)
        let id = try net.submit(net.spec(ceiling: .xpl(1)))
        let fee = try #require(net.lastResult).receipts[0].fee
        let plan = try Matching.plan(net.spec(ceiling: .xpl(1)), in: net.store)
        #expect(plan.eligible.isEmpty)
        #expect(plan.excluded.allSatisfy { $0.reason.contains("the ask is 10 XPL") })
        try net.pass(7000)
        #expect(try net.job(id).state == .expired)
        let paid = try net.genesis.parameters.postingFee.adding(fee)
        #expect(try net.balance(net.requester) == before.subtracting(paid))
    }

    @Test func cancellingIsPossibleBeforeTheStartOnly() throws {
        let net = try TestNet()
        try net.openMarket()
        let open = try net.submit(net.spec(ceiling: .xpl(1)))
        try net.act(net.requester, .cancelJob(job: open))
        #expect(try net.job(open).state == .cancelled)
        let assigned = try net.submit(net.spec())
        try net.step()
        #expect(try net.job(assigned).state == .assigned)
        let provider = try net.executor(assigned)
        try net.act(net.requester, .cancelJob(job: assigned))
        #expect(try net.job(assigned).state == .cancelled)
        #expect(try Query.provider(net.address(provider), in: net.store)?.locked == .zero)
        let running = try net.submit(net.spec())
        try net.step()
        try net.act(try net.executor(running), .startJob(job: running, attempt: 1))
        try net.fail(net.requester, .cancelJob(job: running), "only before its start")
        try net.fail(net.providers[0], .cancelJob(job: assigned), "has no job")
    }

    @Test func aDeclinedJobGoesToAnotherProvider() throws {
        let net = try TestNet()
        try net.openMarket()
        let id = try net.submit(net.spec())
        try net.step()
        let first = try net.executor(id)
        try net.act(first, .declineJob(job: id, attempt: 1, reason: .unsupported))
        #expect(try net.job(id).state == .open)
        try net.step()
        #expect(try net.job(id).attempt == 2)
        #expect(try net.executor(id).publicKey != first.publicKey)
        #expect(try Query.provider(net.address(first), in: net.store)?.bond == .xpl(1000))
        try net.fail(first, .startJob(job: id, attempt: 2), "no part in this job")
    }

    @Test func aMissedStartCostsAThousandthAndPausesTheOffer() throws {
        let net = try TestNet()
        try net.openMarket()
        let id = try net.submit(net.spec())
        try net.step()
        let first = try net.executor(id)
        try net.pass(22_000)
        #expect(try net.job(id).attempt == 2)
        #expect(try Query.provider(net.address(first), in: net.store)?.bond == .xpl(999))
        #expect(try Query.offers(in: net.store).first { $0.provider == net.address(first) }?.isPaused == true)
    }

    @Test func aSilentRunMovesToAnotherAndTheRequesterPaysOnce() throws {
        let net = try TestNet()
        try net.openMarket()
        let id = try net.submit(net.spec())
        try net.step()
        let first = try net.executor(id)
        try net.act(first, .startJob(job: id, attempt: 1))
        let before = try net.balance(net.requester)
        try net.pass(12_000)
        #expect(try net.job(id).attempt == 2)
        #expect(try net.job(id).lost == 1)
        let outage = try Amount(parsing: "0.1")
        #expect(try net.balance(net.requester) == before.adding(outage))
        #expect(try Query.provider(net.address(first), in: net.store)?.bond == Amount.xpl(1000).subtracting(outage))
        let provider = try net.runToDraw(id)
        #expect(provider.publicKey != first.publicKey)
    }

    @Test func heartbeatsKeepARunAliveAndFreshOnesAreRefused() throws {
        let net = try TestNet()
        try net.openMarket()
        let id = try net.submit(net.spec())
        try net.step()
        let provider = try net.executor(id)
        try net.act(provider, .startJob(job: id, attempt: 1))
        try net.fail(provider, .heartbeatJob(job: id, attempt: 1), "too fresh")
        for _ in 0..<2 {
            try net.pass(8000)
            try net.act(provider, .heartbeatJob(job: id, attempt: 1))
        }
        #expect(try net.job(id).state == .running)
    }

    /// A killed executor was drawn as the auditor of the attempt after its own, and the job stood still until that audit's time was over.
    @Test func whoLostAJobIsNotDrawnToAuditIt() throws {
        for _ in 0..<8 {
            let net = try TestNet()
            try net.openMarket(3)
            let id = try net.submit(net.spec())
            try net.step()
            let first = try net.executor(id)
            try net.act(first, .startJob(job: id, attempt: 1))
            try net.pass(11_000)
            let second = try net.runToDraw(id)
            #expect(second.publicKey != first.publicKey)
            let auditors = try net.job(id).audits.map(\.auditor)
            #expect(auditors.count == 1 && !auditors.contains(net.address(first)))
        }
    }

    @Test func threeLostAttemptsFailTheJobAndRefundIt() throws {
        let net = try TestNet()
        try net.openMarket()
        let id = try net.submit(net.spec())
        for attempt in UInt32(1)...3 {
            try net.step()
            try net.act(try net.executor(id), .startJob(job: id, attempt: attempt))
            try net.pass(11_000)
            if attempt < 3, try net.job(id).state == .open { try net.step() }
        }
        #expect(try net.job(id).state == .failed)
        #expect(try net.job(id).escrow == .zero)
    }

    @Test func aResultThatIsNotOpenedConvictsItsProvider() throws {
        let net = try TestNet()
        try net.openMarket()
        let id = try net.submit(net.spec())
        let provider = try net.runToDraw(id)
        _ = try net.commitAudits(id)
        let before = try net.balance(net.requester)
        try net.pass(22_000)
        let convicted = try #require(try Query.provider(net.address(provider), in: net.store))
        #expect(convicted.convictions == 1)
        // The share was 2.4 times the price of 1 XPL; of it the requester has the price.
        #expect(convicted.bond == (try Amount(parsing: "997.6")))
        #expect(try net.balance(net.requester) == before.adding(.xpl(1)))
        #expect(try net.job(id).attempt == 2)
    }

    @Test func whileAnAuditorMayChallengeNothingIsPaid() throws {
        let net = try TestNet()
        try net.openMarket()
        let id = try net.submit(net.spec(.replicated(count: 2)))
        let provider = try net.runToDraw(id)
        let auditors = try net.commitAudits(id, TestNet.otherResult)
        #expect(auditors.count == 2)
        try net.open(id, provider)
        for auditor in auditors { try net.revealAudit(id, auditor, TestNet.otherResult) }
        #expect(try net.job(id).state == .auditing)
        // Theirs is the longer of window and time to challenge; then they are silent, and the window is longer for that.
        try net.pass(19_000)
        #expect(try net.job(id).state == .auditing && net.job(id).escrow > .zero)
        #expect(try Query.receipt(job: id, in: net.store) == nil)
        #expect(try net.provider(provider).locked > .zero && net.provider(auditors[0]).locked > .zero)
        try net.pass(16_000)
        #expect(try net.job(id).state == .settled)
        #expect(try Query.receipt(job: id, in: net.store)?.auditors == [])
        #expect(try net.provider(auditors[0]).locked == .zero)
    }

    @Test func silentAuditorsAreRedrawnTwiceThenTheJobWaitsLongerAndSettles() throws {
        let net = try TestNet()
        try net.openMarket()
        let id = try net.submit(net.spec())
        let provider = try net.runToDraw(id)
        var rounds = 0
        while try net.job(id).stage != .opening, rounds < 400 {
            try net.step(after: 1000)
            rounds += 1
        }
        #expect(try net.job(id).audits.count == 3)
        #expect(try net.job(id).audits.allSatisfy { $0.isSilent })
        try net.open(id, provider)
        #expect(try net.job(id).state == .opened)
        try net.pass(60_000)
        #expect(try net.job(id).state == .settled)
        #expect(try Query.receipt(job: id, in: net.store)?.auditors == [])
    }

    /// Whoever posts the executor's mask as its own cannot open it, though the executor's opening shows all that is in it.
    @Test func aCopiedMaskOpensNothing() throws {
        let net = try TestNet()
        try net.openMarket()
        let id = try net.submit(net.spec())
        let provider = try net.runToDraw(id)
        let auditor = try net.key(try #require(try net.job(id).audits.first).auditor)
        let mask = try #require(try net.job(id).assignment?.masked)
        try net.act(auditor, .commitAudit(job: id, attempt: 1, masked: mask))
        try net.open(id, provider)
        try net.fail(
            auditor, .revealAudit(job: id, attempt: 1, commitment: TestNet.result, salt: net.salt(provider)),
            "does not open")
        #expect(try net.job(id).audits[0].commitment == nil)
    }

    @Test func movesOutOfTurnAreRefused() throws {
        let net = try TestNet()
        try net.openMarket()
        let id = try net.submit(net.spec())
        try net.step()
        let provider = try net.executor(id)
        let stranger = try #require(net.providers.first { $0.publicKey != provider.publicKey })
        try net.fail(stranger, .startJob(job: id, attempt: 1), "no part")
        try net.fail(provider, .commitResult(job: id, attempt: 1, masked: .zero), "not running")
        try net.fail(provider, .startJob(job: id, attempt: 2), "at attempt 1")
        try net.act(provider, .startJob(job: id, attempt: 1))
        try net.act(provider, .commitResult(job: id, attempt: 1, masked: try net.masked(provider, id)))
        try net.fail(
            provider, .openResult(job: id, attempt: 1, opening: try net.opening(id, provider)),
            "not all committed")
        try net.step()
        _ = try net.commitAudits(id)
        try net.fail(
            provider, .openResult(job: id, attempt: 1, opening: try net.opening(id, provider, TestNet.otherResult)),
            "does not open")
    }

    @Test func aRoyaltyComesOutOfTheProvidersPart() throws {
        let net = try TestNet()
        try net.openMarket()
        let publisher = net.people[6]
        let spec = net.spec(.sampled(perMille: 5))
        try net.fail(
            publisher,
            .publishModel(name: "m", manifest: spec.manifest, program: spec.program, royaltyBasisPoints: 2001),
            "the most")
        try net.act(
            publisher,
            .publishModel(name: "m", manifest: spec.manifest, program: spec.program, royaltyBasisPoints: 1000))
        try net.fail(
            net.people[7], .publishModel(name: "m", manifest: .zero, program: .zero, royaltyBasisPoints: 0), "belongs")
        let before = try net.balance(publisher)
        let id = try net.submit(spec)
        let provider = try net.runToDraw(id)
        let payee = try net.balance(provider)
        try net.open(id, provider)
        try net.pass(30_000)
        #expect(try net.balance(publisher) == before.adding(Amount(parsing: "0.1")))
        #expect(try net.balance(provider) == payee.adding(Amount(parsing: "0.86")))
    }
}
