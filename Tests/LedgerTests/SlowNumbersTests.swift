import Ledger
import Primitives
import Testing

/// Runs that subnormals make far slower than the machine: a job at 1 XPL, 10 s on each device, its deposit 0.1 XPL.
@Suite struct SlowNumbersTests {
    private static let half = Amount(baseUnits: 50_000_000)

    private func market() throws -> TestNet {
        let net = try TestNet()
        try net.openMarket()
        return net
    }

    private func report(_ id: Digest, attempt: UInt32 = 1) -> Payload { .reportSlow(job: id, attempt: attempt) }

    /// Starts the attempt that stands and runs for the job's own time.
    private func run(_ net: TestNet, _ id: Digest) throws -> SecretKey {
        try net.step()
        let (provider, attempt) = (try net.executor(id), try net.job(id).attempt)
        try net.act(provider, .startJob(job: id, attempt: attempt))
        try net.pass(9_000)
        try net.act(provider, .heartbeatJob(job: id, attempt: attempt))
        try net.pass(1_000)
        return provider
    }

    @Test func theFirstToSayItLosesItsPayAlone() throws {
        let net = try market()
        let id = try net.submit(net.spec(queue: 60_000))
        let first = try run(net, id)
        let worth = try net.worth(first)
        try net.act(first, report(id))
        let job = try net.job(id)
        #expect(job.state == .open && job.lost == 0 && job.excluded == [net.address(first)])
        #expect(job.slowReport?.provider == net.address(first) && job.slowReport?.stake == Self.half)
        #expect(try net.worth(first) == worth && net.provider(first).bond == .xpl(1000))
        #expect(try net.provider(first).locked == Self.half && net.provider(first).declines == 0)
        #expect(try net.provider(first).reputation == Reputation())
        // It answers for its word until it is known what others say.
        try net.fail(first, .withdrawProvider, "held by outstanding jobs")
        try net.step()
        #expect(try net.job(id).state == .assigned && net.job(id).attempt == 2)
    }

    @Test func aSecondOfAnotherOperatorEndsTheJobAndBothShareTheDeposit() throws {
        let net = try market()
        let before = try net.worth(net.requester)
        let id = try net.submit(net.spec(queue: 60_000))
        let first = try run(net, id)
        try net.act(first, report(id))
        let second = try run(net, id)
        let worth = (try net.worth(first), try net.worth(second))
        try net.act(second, report(id, attempt: 2))
        let job = try net.job(id)
        #expect(job.state == .failed && job.slowReport == nil && job.stagingPaid == InputsNet.deposit)
        #expect(job.reason == "two providers find its numbers far slower than others")
        #expect(try net.worth(first) == worth.0.adding(Self.half))
        #expect(try net.worth(second) == worth.1.adding(Self.half))
        for key in [first, second] {
            #expect(try net.provider(key).bond == .xpl(1000) && net.provider(key).locked == .zero)
            #expect(try net.provider(key).declines == 0)
        }
        let lost = try before.subtracting(net.worth(net.requester)).subtracting(InputsNet.deposit)
        #expect(try lost >= net.genesis.parameters.postingFee && lost < Amount(baseUnits: 5_000_000), "\(lost)")
    }

    /// Two names of one owner are one word.
    @Test func aSecondOfTheSameOperatorIsAnOutage() throws {
        let net = try TestNet()
        let keys = Array(net.providers.prefix(2))
        for key in keys {
            try net.act(
                key,
                .registerProvider(name: "p", node: key.publicKey, payout: net.address(net.people[7]), bond: .xpl(1000)))
            try net.act(key, .setOffer(net.offerTerms()))
        }
        try net.step()
        let id = try net.submit(net.spec(queue: 60_000))
        let first = try run(net, id)
        try net.act(first, report(id))
        let second = try run(net, id)
        try net.act(second, report(id, attempt: 2))
        #expect(try net.job(id).state == .open && net.job(id).lost == 1 && net.job(id).stagingPaid == .zero)
        #expect(try net.provider(second).bond == Amount(parsing: "999.9"))
        #expect(try net.job(id).slowReport?.provider == net.address(first))
        // Nobody else has said anything: the first gets its stake back.
        try net.pass(61_000)
        #expect(try net.job(id).state == .expired)
        #expect(try net.provider(first).bond == .xpl(1000) && net.provider(first).locked == .zero)
        #expect(try net.provider(first).declines == 0)
    }

    /// As a way out of jobs that others run it costs half the deposit, and counts among the declines.
    @Test func whoSaysItOfWhatOthersRunPays() throws {
        let net = try market()
        let id = try net.submit(net.spec(.sampled(perMille: 5), queue: 60_000))
        let first = try run(net, id)
        try net.act(first, report(id))
        let second = try net.runToDraw(id)
        let auditors = try net.commitAudits(id)
        try net.open(id, second)
        for auditor in auditors { try net.revealAudit(id, auditor) }
        try net.pass(30_000)
        #expect(try net.job(id).state == .settled && net.job(id).slowReport == nil)
        #expect(try net.provider(first).bond == Amount.xpl(1000).subtracting(Self.half))
        #expect(try net.provider(first).locked == .zero && net.provider(first).declines == 1)
        #expect(try net.job(id).stagingPaid == .zero)
    }

    @Test func nobodySaysItBeforeTheJobsOwnTime() throws {
        let net = try market()
        let id = try net.submit(net.spec())
        try net.step()
        let provider = try net.executor(id)
        try net.fail(provider, report(id), "the job is assigned, not running")
        try net.act(provider, .startJob(job: id, attempt: 1))
        let began = try Query.chain(in: net.store).clock
        try net.pass(9_000)
        try net.act(provider, .heartbeatJob(job: id, attempt: 1))
        try net.pass(began + 9_999 - Query.chain(in: net.store).clock)
        let early = try net.step([net.transaction(provider, report(id))], after: 0 + 1)
        // At that millisecond it is in time.
        #expect(early.receipts[0].succeeded, "\(early.receipts[0].reason)")
        let other = try net.submit(net.spec())
        try net.step()
        let next = try net.executor(other)
        try net.act(next, .startJob(job: other, attempt: 1))
        try net.pass(5_000)
        try net.fail(next, report(other), "a run is slow after the job's own time")
        let stranger = try #require(net.providers.first { $0.publicKey != next.publicKey })
        try net.fail(stranger, report(other), "no part in this job")
        try net.fail(next, report(other, attempt: 2), "at attempt 1, not 2")
    }

    /// A third of all bonds, less the first, who is out of the draw: they win twice what one that is not confirmed loses in less than one of three cases.
    @Test func withAThirdOfTheBondsTwoFriendsGainNothing() throws {
        let terms = try StagingTerms(price: .xpl(1), ChainParameters())
        let stake = Double(try terms.half().baseUnits)
        for names in 2...12 {
            let friend = Double(names - 1) / Double(3 * names - 1)
            #expect(friend * 2 * stake < (1 - friend) * stake)
        }
    }

    /// Else two names that ask less than all others would always be drawn after each other, with no machine at all.
    @Test func theSecondIsDrawnByBondAndNotByPrice() throws {
        let net = try market()
        for key in net.providers.prefix(2) { try net.act(key, .setOffer(net.offerTerms(.xpl(1)))) }
        try net.step()
        let cheap = Set(net.providers.prefix(2).map(net.address))
        var seconds: [Address] = []
        for _ in 0..<8 {
            let id = try net.submit(net.spec(queue: 60_000))
            let first = try run(net, id)
            #expect(cheap.contains(net.address(first)))
            try net.act(first, report(id))
            try net.step()
            seconds.append(try #require(try net.job(id).assignment?.provider))
            try net.act(net.requester, .cancelJob(job: id))
        }
        #expect(seconds.contains { cheap.contains($0) } && seconds.contains { !cheap.contains($0) })
    }

    /// Whoever asks next to nothing stakes the half of the least deposit, and brings no more to a friend that asks what is usual.
    @Test func bothGetNoMoreThanTheFirstHasStaked() throws {
        let net = try market()
        try net.act(net.providers[0], .setOffer(net.offerTerms(Amount(baseUnits: 10))))
        try net.step()
        let id = try net.submit(net.spec(queue: 60_000))
        let first = try run(net, id)
        #expect(first.publicKey == net.providers[0].publicKey)
        try net.act(first, report(id))
        let stake = try #require(try net.job(id).slowReport?.stake)
        #expect(stake == Amount(baseUnits: 25_000_000))
        let second = try run(net, id)
        #expect(try StagingTerms(price: #require(net.job(id).assignment).price, TestNet.parameters).half() > stake)
        let worth = try net.worth(second)
        try net.act(second, report(id, attempt: 2))
        #expect(try net.job(id).state == .failed && net.job(id).stagingPaid == stake.multiplied(by: 2))
        #expect(try net.worth(second) == worth.adding(stake))
    }
}
