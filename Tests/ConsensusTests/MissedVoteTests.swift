import Consensus
import Primitives
import Testing

/// Why a final block lacks our vote, as operators are told.
@Suite struct MissedVoteTests {
    private func notarized(_ driver: inout Driver, _ proposal: Proposal) -> MissedVoteReason? {
        driver.give(driver.certificate(.notarize(proposal)))
        return driver.engine.missedVoteReason(in: proposal.view)
    }

    @Test func aProposalThatNeverCame() throws {
        var driver = try ViewTests.following()
        #expect(notarized(&driver, driver.proposal(driver.engine.view)) == .lateProposal)
    }

    @Test func aProposalAfterTheTimeOut() throws {
        var driver = try ViewTests.following()
        let proposal = driver.proposal(driver.engine.view)
        // Somebody else was heard in time.
        let other = (1...3).first { $0 != driver.engine.leader(of: proposal.view) } ?? 1
        driver.give(driver.vote(.nullify(0, proposal.view), by: other))
        driver.pass(200)
        driver.pass(1)
        driver.accept(proposal)
        #expect(notarized(&driver, proposal) == .lateProposal)
    }

    @Test func nobodyHeardUntilTheTimeOut() throws {
        var driver = try ViewTests.following()
        let proposal = driver.proposal(driver.engine.view)
        driver.pass(200)
        driver.pass(1)
        driver.accept(proposal)
        #expect(notarized(&driver, proposal) == .noPeer)
    }

    @Test func aVerdictThatTookTooLong() throws {
        var driver = try ViewTests.following()
        let proposal = driver.proposal(driver.engine.view)
        driver.give(driver.vote(.notarize(proposal), by: driver.engine.leader(of: proposal.view)))
        driver.pass(300)
        #expect(notarized(&driver, proposal) == .slowVerify)
    }

    @Test func aVoteThatCameTooLate() throws {
        var driver = try ViewTests.following()
        let proposal = driver.proposal(driver.engine.view)
        driver.accept(proposal)
        #expect(notarized(&driver, proposal) == .lateVote)
    }

    @Test func ourOwnRefusal() throws {
        var driver = try ViewTests.following()
        let proposal = driver.proposal(driver.engine.view)
        driver.give(driver.vote(.notarize(proposal), by: driver.engine.leader(of: proposal.view)))
        driver.give(.proposalVerdict(proposal, false))
        #expect(notarized(&driver, proposal) == .invalidProposal)
    }

    @Test func twoProposals() throws {
        var driver = try ViewTests.following()
        let view = driver.engine.view
        let leader = driver.engine.leader(of: view)
        driver.give(driver.vote(.notarize(driver.proposal(view, "a")), by: leader))
        driver.give(driver.vote(.notarize(driver.proposal(view, "b")), by: leader), from: 2)
        #expect(notarized(&driver, driver.proposal(view, "b")) == .twoProposals)
    }

    @Test func aViewThatWasOverBeforeWeCame() throws {
        var driver = try ViewTests.following()
        driver.give(driver.certificate(.nullify(0, 60)))
        #expect(driver.engine.missedVoteReason(in: 50) == .behind)
    }

    @Test func aKeyWithoutAMemory() throws {
        var driver = try ViewTests.following { try Driver(challenge: AmnesiaTests.nonce) }
        #expect(notarized(&driver, driver.proposal(driver.engine.view)) == .abstained)
    }

    @Test func aFollowerMissesNothing() throws {
        var driver = try Driver(own: nil)
        driver.start()
        #expect(driver.engine.missedVoteReason(in: 1) == nil)
    }
}
