import Ledger
import Primitives
import Testing

/// When a provider's pay is credited, and what becomes of it. Every block of these tests counts what is at stake against the jobs'.
@Suite struct PayAtStakeTests {
    private func xpl(_ text: String) throws -> Amount { try Amount(parsing: text) }

    @Test func whoWasNotDrawnIsCreditedWithItsOpeningAndPaidAfterTheWindow() throws {
        let at = try DisputeNet(TestDispute.truth)
        let before = try at.net.worth(at.provider)
        #expect(try at.job.state == .opened)
        let price = try #require(try at.job.assignment?.price)
        let pay = try price.subtracting(price.scaled(4, over: 100))
        #expect(try at.job.assignment?.atStake == pay)
        #expect(try at.net.provider(at.provider).atStake == pay)
        // It is not its own yet, and stands for no other job.
        #expect(try at.net.worth(at.provider) == before)
        #expect(try at.net.provider(at.provider).free == .xpl(1000).subtracting(try #require(at.job.assignment?.share)))
        try at.net.pass(30_000)
        #expect(try at.job.state == .settled && at.job.assignment?.atStake == .zero)
        #expect(try at.net.provider(at.provider).atStake == .zero)
        #expect(try at.net.worth(at.provider) == before.adding(pay))
    }

    @Test func anAuditedResultIsCreditedOnceAllHaveSaidTheSame() throws {
        let at = try DisputeNet(TestDispute.truth, audits: [TestDispute.truth, TestDispute.truth], reveals: false)
        #expect(try at.job.state == .auditing && at.net.provider(at.provider).atStake == .zero)
        try at.net.revealAudit(at.id, at.auditors[0], TestDispute.result(TestDispute.truth))
        #expect(try at.net.provider(at.provider).atStake == .zero)
        try at.net.revealAudit(at.id, at.auditors[1], TestDispute.result(TestDispute.truth))
        #expect(try at.net.provider(at.provider).atStake == xpl("0.96"))
        #expect(try at.job.state == .auditing)
        try at.net.pass(30_000)
        #expect(try at.job.state == .settled && at.net.provider(at.provider).atStake == .zero)
    }

    @Test func whereAnAuditorIsSilentTheOthersWordsSuffice() throws {
        let at = try DisputeNet(TestDispute.truth, audits: [TestDispute.truth, TestDispute.truth], reveals: false)
        try at.net.revealAudit(at.id, at.auditors[0], TestDispute.result(TestDispute.truth))
        while try !at.job.audits[1].isSilent { try at.net.step(after: 500) }
        #expect(try at.job.state == .auditing && at.net.provider(at.provider).atStake == xpl("0.96"))
        try at.net.pass(30_000)
        #expect(try at.job.state == .settled)
    }

    @Test func nothingIsCreditedWhileSomebodySaysOtherwise() throws {
        let at = try DisputeNet(audits: [TestDispute.lie, TestDispute.truth])
        #expect(try at.job.state == .auditing && at.net.provider(at.provider).atStake == .zero)
        try at.net.act(at.auditors[1], at.challenge(.zero))
        try at.play(at.auditors[1])
        #expect(try at.dispute(at.auditors[1]).state == .convicted)
        #expect(try at.net.provider(at.provider).atStake == .zero)
    }

    @Test func aConvictionTakesWhatWasCredited() throws {
        let at = try DisputeNet()
        let (before, escrow) = try (at.net.worth(at.provider), at.job.escrow)
        #expect(try at.net.provider(at.provider).atStake > .zero)
        try at.net.act(at.stranger, at.challenge(.xpl(5)))
        // While it is asked, it stays where it is.
        #expect(try at.job.state == .disputed && at.net.provider(at.provider).atStake > .zero)
        try at.play(at.stranger)
        #expect(try at.dispute(at.stranger).state == .convicted)
        #expect(try at.net.provider(at.provider).atStake == .zero)
        #expect(try at.net.worth(at.provider) == before)
        // All of it is there for whoever runs the job next.
        #expect(try at.job.escrow.adding(at.net.genesis.parameters.feeAllowance) > escrow)
    }

    @Test func anAcquittalLeavesItCredited() throws {
        let at = try DisputeNet(TestDispute.truth)
        let pay = try at.net.provider(at.provider).atStake
        try at.net.act(at.stranger, at.challenge())
        try at.play(at.stranger)
        #expect(try at.dispute(at.stranger).state == .acquitted && at.job.state == .opened)
        #expect(try at.net.provider(at.provider).atStake == pay && pay > .zero)
    }
}
