import Ledger
import Primitives
import Testing

/// What is said of the right to challenge before a challenge is what the chain says to one.
@Suite struct ChallengeRightTests {
    private func right(_ at: DisputeNet, _ challenger: SecretKey) throws -> Result<ChallengeRight, ChallengeRefusal> {
        try Query.challengeRight(of: at.job, by: at.net.address(challenger), in: at.net.store)
    }

    /// The refusal that is foretold is the reason that the chain gives.
    private func refused(_ at: DisputeNet, _ challenger: SecretKey, _ refusal: ChallengeRefusal) throws {
        #expect(try right(at, challenger) == .failure(refusal))
        try at.net.fail(challenger, at.challenge(), refusal.description)
    }

    @Test func aStrangerDepositsWithinTheWindow() throws {
        let at = try DisputeNet()
        let found = try right(at, at.stranger).get()
        #expect(!found.isAuditor && found.deposit > .zero)
        let less = try found.deposit.subtracting(Amount(baseUnits: 1))
        try at.net.fail(at.stranger, at.challenge(less), "the least is \(found.deposit)")
        try refused(at, at.provider, .ownResult)
        let clock = try Query.disputeClock(in: at.net.store)
        #expect(found.until > clock)
        try at.net.act(at.stranger, at.challenge(found.deposit))
        try refused(at, at.stranger, .challengedBefore)
    }

    @Test func anAuditorThatFoundAnotherResultNeedsNoDeposit() throws {
        let at = try DisputeNet(audits: [TestDispute.truth, TestDispute.lie])
        let found = try right(at, at.auditors[0]).get()
        #expect(found.isAuditor && found.deposit == .zero)
        #expect(found.until == (try at.job.audits[0].challengeBy))
        try refused(at, at.auditors[1], .sameResult)
        try at.net.act(at.auditors[0], at.challenge(.zero))
    }

    @Test func anAuditorRevealsFirst() throws {
        let at = try DisputeNet(audits: [TestDispute.truth], reveals: false)
        try refused(at, at.auditors[0], .unrevealedAudit)
    }

    @Test func whatIsDecidedIsNotChallenged() throws {
        let at = try DisputeNet(TestDispute.truth)
        let until = try right(at, at.stranger).get().until
        let clock = try Query.disputeClock(in: at.net.store)
        try at.net.pass(until - clock + 2_000)
        #expect(try at.job.state == .settled)
        #expect(try right(at, at.stranger) == .failure(.noResult))
    }
}
