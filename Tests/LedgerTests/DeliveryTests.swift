import Ledger
import Primitives
import Programs
import Testing

/// How a claim that a result is handed to nobody ends, and who pays. The job costs 1 XPL, so does a claim; three providers besides the executor are there to be
/// drawn.
@Suite struct DeliveryTests {
    /// Worth and bond of everybody.
    private struct Purses {
        let requester: Amount
        let provider: Amount
        let bond: Amount
        let witnesses: [Amount]
        let bonds: [Amount]
        let burned: Amount

        init(_ on: ClaimNet) throws {
            requester = try on.net.worth(on.net.requester)
            provider = try on.net.worth(on.at.provider)
            bond = try on.net.provider(on.at.provider).bond
            let others = on.net.providers.filter { $0.publicKey != on.at.provider.publicKey }
            witnesses = try others.map { try on.net.worth($0) }
            bonds = try others.map { try on.net.provider($0).bond }
            burned = try Query.totals(in: on.net.store).burned
        }
    }

    private static func others(_ on: ClaimNet) -> [SecretKey] {
        on.net.providers.filter { $0.publicKey != on.at.provider.publicKey }
    }

    /// What each of the others has got, by whether it has said so.
    private func gains(_ on: ClaimNet, since before: Purses) throws -> [Address: Amount] {
        var gains: [Address: Amount] = [:]
        for (place, key) in DeliveryTests.others(on).enumerated() {
            gains[on.net.address(key)] = try on.net.worth(key).subtracting(before.witnesses[place])
        }
        return gains
    }

    private let pay = Amount(baseUnits: 960_000_000)

    @Test func halfOfTheWitnessesEndAFalseClaimAndItsDepositPaysThem() throws {
        let on = try ClaimNet()
        let before = try Purses(on)
        try on.claimAndDraw()
        #expect(try on.claim.witnesses.count == 3)
        #expect(try on.at.job.timer == nil)
        let witnesses = try on.witnesses
        try on.net.act(witnesses[0], on.attest(true))
        #expect(try on.claim.state == .open)
        try on.net.act(witnesses[1], on.attest(true))
        #expect(try on.claim.state == .delivered)
        try on.passWindow()
        #expect(try on.at.job.state == .settled)
        let gains = try gains(on, since: before)
        #expect(gains[on.net.address(witnesses[0])] == ClaimNet.fee)
        #expect(gains[on.net.address(witnesses[1])] == ClaimNet.fee)
        #expect(gains[on.net.address(witnesses[2])] == .zero)
        // The deposit is gone; of the escrow, the price.
        let job = try on.at.job
        #expect(job.escrow == .zero)
        #expect(try on.net.worth(on.at.provider) == before.provider.adding(pay))
        #expect(try on.net.provider(on.at.provider).bond == before.bond)
        #expect(try on.net.provider(on.at.provider).convictions == 0)
    }

    /// What the requester loses by a false claim is its deposit, all of it; the provider gets its pay and no more, so that nobody lives on being claimed
    /// against.
    @Test func aFalseClaimCostsItsDepositAndBringsTheProviderNothing() throws {
        let (with, without) = (try ClaimNet(), try ClaimNet())
        try with.net.act(with.net.requester, with.claim())
        try with.net.act(with.at.provider, with.post(ClaimNet.output(TestDispute.truth)))
        #expect(try with.claim.state == .posted)
        for on in [with, without] {
            try on.passWindow()
            #expect(try on.at.job.state == .settled)
        }
        let cost = try without.net.worth(without.net.requester).subtracting(with.net.worth(with.net.requester))
        // And what the bytes weigh, from the job's allowance.
        let fee = try cost.subtracting(ClaimNet.deposit)
        #expect(fee > .zero && fee < Amount(baseUnits: 1_000_000))
        #expect(try with.net.worth(with.at.provider) == without.net.worth(without.at.provider))
        #expect(try with.net.provider(with.at.provider).bond == without.net.provider(without.at.provider).bond)
        // It waits no longer than without.
        #expect(try with.at.job.history.last?.time == without.at.job.history.last?.time)
        let burned = try Query.totals(in: with.net.store).burned.subtracting(Query.totals(in: without.net.store).burned)
        // All of the deposit, and the fees of the claim's transactions.
        let most = try ClaimNet.deposit.adding(Amount(baseUnits: 1_000_000))
        #expect(burned > ClaimNet.deposit && burned < most)
    }

    @Test func whoHasDeliveredToNobodyIsConvictedAndTheJobRunsElsewhere() throws {
        let on = try ClaimNet()
        let before = try Purses(on)
        let escrow = try on.at.job.escrow
        try on.claimAndDraw()
        try on.hear([false, false, false])
        // A hurry of some convicts nobody: the provider has its time.
        #expect(try on.claim.state == .open)
        try on.passDeadline()
        #expect(try on.claim.state == .undelivered)
        #expect(try on.net.worth(on.net.requester) == before.requester)
        try on.passWindow()
        try on.net.step()
        let job = try on.at.job
        #expect(job.attempt == 2 || job.state == .open)
        #expect(job.excluded == [on.net.address(on.at.provider)])
        #expect(job.history.contains { $0.state == .open })
        #expect(job.lost == 1)
        #expect(job.claim?.state == .undelivered)
        // Twice the deposit: the witnesses' fees, half of the rest for the requester, the rest burned.
        let provider = try on.net.provider(on.at.provider)
        #expect(provider.bond == (try before.bond.subtracting(.xpl(2))))
        #expect(provider.convictions == 1)
        for gain in try gains(on, since: before).values { #expect(gain == ClaimNet.fee) }
        #expect(try on.net.worth(on.net.requester) == before.requester.adding(Amount(baseUnits: 925_000_000)))
        #expect(try on.net.worth(on.at.provider) == before.provider)
        // What it paid for moves is all that is gone from the escrow.
        #expect(try escrow.subtracting(job.escrow) < Amount(baseUnits: 1_000_000))
    }

    /// Who has run it again is paid by the provider, since the requester pays for nothing.
    @Test func theAuditorsOfWhatWasNeverDeliveredArePaidByItsProvider() throws {
        let on = try ClaimNet(audits: [TestDispute.truth])
        let before = try Purses(on)
        let auditor = try on.net.key(try on.at.job.audits[0].auditor)
        let worth = try on.net.worth(auditor)
        try on.claimAndDraw()
        try on.hear([false, false, false])
        try on.passDeadline()
        try on.passWindow()
        try on.net.step()
        #expect(try on.at.job.lost == 1)
        // Twice the deposit: three fees, the auditor's, which is the price, and half of the rest for the requester.
        #expect(try on.net.provider(on.at.provider).bond == before.bond.subtracting(.xpl(2)))
        #expect(try on.net.worth(auditor) == worth.adding(.xpl(1)).adding(ClaimNet.fee))
        #expect(try on.net.worth(on.net.requester) == before.requester.adding(Amount(baseUnits: 425_000_000)))
    }

    @Test func whereNobodyAnswersTheClaimLapsesAndTheSilentPay() throws {
        let on = try ClaimNet()
        let before = try Purses(on)
        try on.claimAndDraw()
        try on.passDeadline()
        #expect(try on.claim.state == .lapsed)
        #expect(try on.net.worth(on.net.requester) == before.requester)
        for (place, key) in DeliveryTests.others(on).enumerated() {
            #expect(try on.net.provider(key).bond == before.bonds[place].subtracting(ClaimNet.fee))
        }
        try on.passWindow()
        #expect(try on.at.job.state == .settled)
        #expect(try on.net.worth(on.at.provider) == before.provider.adding(pay))
    }

    @Test func whereFewAnswerTheyDecideAndATieIsTheProviders() throws {
        let on = try ClaimNet()
        let before = try Purses(on)
        try on.claimAndDraw()
        let witnesses = try on.witnesses
        try on.hear([true, false, nil])
        try on.passDeadline()
        #expect(try on.claim.state == .delivered)
        let gains = try gains(on, since: before)
        #expect(gains[on.net.address(witnesses[0])] == ClaimNet.fee)
        #expect(gains[on.net.address(witnesses[1])] == .zero)
        let place = try #require(
            DeliveryTests.others(on).firstIndex { $0.publicKey == witnesses[2].publicKey })
        #expect(try on.net.provider(witnesses[2]).bond == before.bonds[place].subtracting(ClaimNet.fee))
    }

    @Test func oneWitnessThatCouldNotHaveItDecidesWhereNobodyElseAnswers() throws {
        let on = try ClaimNet()
        try on.claimAndDraw()
        try on.hear([nil, false, nil])
        try on.passDeadline()
        #expect(try on.claim.state == .undelivered)
    }

    /// A job may leave as many bytes as it says to need of memory: who offers less is not asked to hold them.
    @Test func witnessesAreThoseThatOfferAsMuchMemoryAsTheJobNeeds() throws {
        let on = try ClaimNet()
        let others = DeliveryTests.others(on)
        for key in others.dropLast() {
            var terms = on.net.offerTerms()
            terms.memory = 1
            try on.net.act(key, .setOffer(terms))
        }
        try on.claimAndDraw()
        let last = try #require(others.last)
        #expect(try on.witnesses.map(\.publicKey) == [last.publicKey])
    }

    @Test func whereThereIsNobodyToDrawTheClaimLapses() throws {
        let on = try ClaimNet()
        for key in DeliveryTests.others(on) { try on.net.act(key, .pauseOffer(device: 0)) }
        let before = try Purses(on)
        try on.net.act(on.net.requester, on.claim())
        try on.net.step()
        try on.net.step()
        #expect(try on.claim.state == .lapsed)
        #expect(try on.claim.witnesses.isEmpty)
        #expect(try on.net.worth(on.net.requester) == before.requester)
        try on.passWindow()
        #expect(try on.at.job.state == .settled)
    }

    /// Not the executor's by its payout, not the requester's, no newcomer, and one of each payout.
    @Test func witnessesAreOfDifferentOperatorsAndNoneIsAPartys() throws {
        let on = try ClaimNet { net in
            for key in net.people[5...7] { try NewcomerTests.register(net, key, bond: .zero) }
        }
        let others = DeliveryTests.others(on)
        // One pays out to the executor, two pay out to one account.
        for (key, payout) in [(others[0], on.at.provider), (others[1], others[2])] {
            try on.net.act(key, .withdrawProvider)
            try on.net.act(
                key,
                .registerProvider(
                    name: "again", node: key.publicKey, payout: on.net.address(payout), bond: .xpl(1000)))
        }
        try on.claimAndDraw()
        #expect(try on.claim.witnesses.count == 1)
        #expect(try on.claim.witnesses[0].provider != on.net.address(others[0]))
    }

    @Test func aClaimMayBeAnsweredBeforeItsWitnessesAreDrawn() throws {
        let on = try ClaimNet()
        try on.net.act(on.net.requester, on.claim())
        try on.net.act(on.at.provider, on.post(ClaimNet.output(TestDispute.truth)))
        try on.net.step()
        try on.net.step()
        #expect(try on.claim.witnesses.isEmpty)
        #expect(try !Query.hasWork(in: on.net.store))
    }

    /// A newcomer that does not deliver loses what a conviction costs it: all.
    @Test func aNewcomerThatDeliversToNobodyLosesItsBond() throws {
        var parameters = TestNet.parameters
        parameters.newcomerSharePerMille = 1000
        let on = try ClaimNet(audits: [TestDispute.truth], parameters: parameters) { net in
            for key in net.people[5...7] { try NewcomerTests.register(net, key, bond: .xpl(3)) }
            try net.step()
        }
        #expect(try on.at.job.assignment?.isNewcomer == true)
        let before = try on.net.worth(on.net.requester)
        try on.claimAndDraw()
        for witness in try on.witnesses { try on.net.act(witness, on.attest(false)) }
        let drawn = try on.witnesses.count
        try on.passDeadline()
        try on.passWindow()
        let provider = try on.net.provider(on.at.provider)
        #expect(provider.bond == .zero && provider.convictions == 1 && provider.newcomer?.standing == .zero)
        #expect(try on.at.job.lost == 0)
        // All but the fees, and at most the price.
        let rest = try Amount.xpl(3).subtracting(ClaimNet.fee.multiplied(by: UInt64(drawn)))
        #expect(try on.net.worth(on.net.requester) == before.adding(min(rest, .xpl(1))))
    }

    /// A restart reads from the state alone what is to be done.
    @Test func aClaimedJobIsAmongThoseThatMove() throws {
        let on = try ClaimNet()
        try on.net.act(on.net.requester, on.claim())
        #expect(try Query.movingJobs(in: on.net.store).map(\.id) == [on.at.id])
        #expect(try Query.hasWork(in: on.net.store))
        try on.net.step()
        try on.net.step()
        #expect(try Query.movingJobs(in: on.net.store).map(\.id) == [on.at.id])
        #expect(try !Query.hasWork(in: on.net.store))
        try on.pass(to: try on.claim.deadline)
        #expect(try Query.hasWork(in: on.net.store, at: on.net.parent.time.adding(milliseconds: 1)))
    }
}
