import Consensus
import Primitives
import Testing

/// Proposing, judging, notarizing (rules 2, 3 and 4).
@Suite struct ProposalTests {
    @Test func theLeaderIsAskedOnceToProposeOnTheFinalizedTip() throws {
        var driver = try Driver()
        driver.start()
        let view = driver.view(from: 2, ledBy: 0)
        var asked: [ParentReference] = []
        while driver.engine.view < view {
            asked = driver.give(driver.certificate(.nullify(0, driver.engine.view))).proposes
        }
        #expect(asked == [ParentReference(view: 0, digest: Driver.genesis)])
        #expect(driver.pass(10).proposes == [])
        let digest = Digest.of(Domain("test.payload"), [7])
        let outputs = driver.give(.payloadProposed(view, digest))
        let proposal = Proposal(
            epoch: 0, view: view, parentView: 0, parentDigest: Driver.genesis, payloadDigest: digest)
        #expect(outputs.votes() == [.notarize(proposal)])
        #expect(driver.give(.payloadProposed(view, .zero)).votes() == [], "a leader proposes once")
    }

    @Test func aProposalStandsOnTheHighestCertifiedView() throws {
        var driver = try Driver()
        driver.start()
        let view = driver.view(from: 3, ledBy: 0)
        driver.nullify(upTo: View(view.value - 1))
        let parent = driver.proposal(driver.engine.view)
        #expect(driver.certify(parent).proposes == [ParentReference(view: parent.view, digest: parent.payloadDigest)])
        #expect(driver.engine.view == view)
    }

    @Test func theParentStaysThePayloadsParentThoughAHigherViewIsCertifiedMeanwhile() throws {
        var driver = try Driver()
        driver.start()
        let view = driver.view(from: 3, ledBy: 0)
        driver.nullify(upTo: View(view.value - 1))
        let late = driver.proposal(driver.engine.view)
        driver.give(driver.certificate(.notarize(late)))
        // The view is nullified too, so we lead with genesis as the parent …
        #expect(
            driver.give(driver.certificate(.nullify(0, late.view))).proposes == [
                ParentReference(view: 0, digest: Driver.genesis)
            ])
        // … and the certification that a nullification did not cancel comes after.
        driver.give(.certified(late, true))
        guard case .notarize(let proposal)? = driver.give(.payloadProposed(view, .zero)).votes().first else {
            Issue.record("no proposal was made")
            return
        }
        #expect(proposal.parentView == 0)
        #expect(proposal.parentDigest == Driver.genesis)
    }

    @Test func theLeaderIsAskedAgainWhenItsParentFallsBelowTheFinalizedOne() throws {
        var driver = try Driver()
        driver.start()
        let view = driver.view(from: 3, ledBy: 0)
        driver.nullify(upTo: view)
        let final = driver.proposal(View(view.value - 1))
        let outputs = driver.give(driver.certificate(.finalize(final)))
        #expect(outputs.proposes == [ParentReference(view: final.view, digest: final.payloadDigest)])
    }

    @Test func aLeaderWithoutANullificationFetchesItAndProposesOnceItCame() throws {
        var driver = try Driver()
        driver.start()
        let view = driver.view(from: 4, ledBy: 0)
        let outputs = driver.give(driver.certificate(.nullify(0, View(view.value - 1))))
        #expect(outputs.proposes == [])
        #expect(outputs.requests.map(\.from) == [1])
        #expect(outputs.requests.map(\.through) == [View(view.value - 2)])
        var asked: [ParentReference] = []
        for missing in 1...(view.value - 2) {
            asked += driver.give(driver.certificate(.nullify(0, View(missing)))).proposes
        }
        #expect(asked == [ParentReference(view: 0, digest: Driver.genesis)])
    }

    @Test func aNullifyingLeaderNeverProposes() throws {
        var driver = try Driver()
        driver.start()
        driver.give(.work(true))
        driver.nullify(upTo: driver.view(ledBy: 0))
        let view = driver.engine.view
        driver.pass(10_000)
        #expect(driver.give(.payloadProposed(view, .zero)).votes() == [])
    }

    @Test func aValidProposalIsVerifiedThenNotarized() throws {
        var driver = try ViewTests.following()
        let proposal = driver.proposal(driver.engine.view)
        let heard = driver.give(driver.vote(.notarize(proposal), by: driver.engine.leader(of: proposal.view)))
        #expect(heard.verifications == [proposal])
        #expect(heard.votes() == [])
        #expect(driver.give(.proposalVerdict(proposal, true)).votes() == [.notarize(proposal)])
        #expect(driver.give(.proposalVerdict(proposal, true)).votes() == [])
    }

    @Test func anInvalidProposalLatchesItsReason() throws {
        var driver = try ViewTests.following()
        let proposal = driver.proposal(driver.engine.view)
        driver.give(driver.vote(.notarize(proposal), by: driver.engine.leader(of: proposal.view)))
        let outputs = driver.give(.proposalVerdict(proposal, false))
        #expect(outputs.timeouts == [.invalidProposal])
        #expect(outputs.votes() == [.nullify(0, proposal.view)])
        #expect(driver.engine.status.reason == .invalidProposal)
        #expect(driver.give(.proposalVerdict(proposal, true)).votes() == [], "no notarize after our nullify (rule 4)")
    }

    @Test func aVerdictIsBoundToItsProposal() throws {
        var driver = try ViewTests.following()
        let proposal = driver.proposal(driver.engine.view)
        driver.give(driver.vote(.notarize(proposal), by: driver.engine.leader(of: proposal.view)))
        let outputs = driver.give(.proposalVerdict(driver.proposal(proposal.view, "other"), true))
        #expect(outputs.votes() == [])
    }

    @Test func aProposalOfTheNextViewIsJudgedEarlyAndNotarizedOnEntry() throws {
        var driver = try ViewTests.following()
        let next = driver.view(from: driver.engine.view.next(), notLedBy: 0)
        driver.nullify(upTo: View(next.value - 1))
        let before = driver.engine.view
        let parent = driver.proposal(before)
        let proposal = driver.proposal(next, on: parent)
        driver.give(driver.vote(.notarize(proposal), by: driver.engine.leader(of: next)))
        let entered = driver.certify(parent)
        #expect(entered.verifications == [proposal])
        #expect(driver.give(.proposalVerdict(proposal, true)).votes() == [.notarize(proposal)])
    }

    @Test func aProposalOfTheNextViewFoundInvalidEndsThatViewOnEntry() throws {
        var driver = try ViewTests.following()
        let next = driver.view(from: driver.engine.view.next(), notLedBy: 0)
        driver.nullify(upTo: View(next.value - 1))
        // Its parent is not below it.
        let proposal = Proposal(epoch: 0, view: next, parentView: next, parentDigest: .zero, payloadDigest: .zero)
        #expect(driver.give(driver.vote(.notarize(proposal), by: driver.engine.leader(of: next))).timeouts == [])
        #expect(driver.give(driver.certificate(.nullify(0, driver.engine.view))).timeouts == [.invalidProposal])
    }

    @Test func parentsThatCannotBeAreInvalid() throws {
        var base = try ViewTests.following()
        let final = base.proposal(base.engine.view)
        base.give(base.certificate(.finalize(final)))
        base.nullify(upTo: base.view(from: base.engine.view, notLedBy: 0))
        let view = base.engine.view
        let wrong: [(String, View, Digest)] = [
            ("itself", view, .zero), ("above", view.next(), .zero), ("below the finalized view", 0, Driver.genesis),
            ("the finalized view under another digest", final.view, .zero),
        ]
        for (name, parentView, digest) in wrong {
            var driver = base
            let proposal = Proposal(
                epoch: 0, view: view, parentView: parentView, parentDigest: digest, payloadDigest: .zero)
            let outputs = driver.give(driver.vote(.notarize(proposal), by: driver.engine.leader(of: view)))
            #expect(outputs.verifications == [], "\(name)")
            #expect(outputs.timeouts == [.invalidProposal], "\(name)")
        }
    }

    /// Trap: half saw the notarization, half the nullification, and nobody fetched the other.
    @Test func aSplitHealsByFetchingTheNotarizationFromTheProposer() throws {
        var driver = try ViewTests.following()
        let split = driver.engine.view
        let parent = driver.proposal(split)
        // We saw the nullification; the proposer builds on the notarization.
        driver.nullify(upTo: driver.view(from: split.next(), notLedBy: 0))
        let view = driver.engine.view
        let leader = driver.engine.leader(of: view)
        let proposal = driver.proposal(view, on: parent)
        let heard = driver.give(driver.vote(.notarize(proposal), by: leader))
        #expect(heard.verifications == [])
        #expect(heard.requests.map(\.from) == [split])
        #expect(heard.requests.first?.peer == driver.keys[leader])
        var outputs = driver.give(driver.certificate(.notarize(parent)), from: leader)
        #expect(outputs.certifications == [parent])
        outputs = driver.give(.certified(parent, true))
        #expect(outputs.verifications == [proposal])
        #expect(driver.give(.proposalVerdict(proposal, true)).votes() == [.notarize(proposal)])
    }

    @Test func aSplitHealsByFetchingTheNullificationFromTheProposer() throws {
        var driver = try ViewTests.following()
        let split = driver.engine.view
        // We saw the notarization; the proposer saw the nullification and builds below.
        driver.certify(driver.proposal(split))
        while driver.engine.leader(of: driver.engine.view) == 0 {
            driver.give(driver.certificate(.nullify(0, driver.engine.view)))
        }
        let view = driver.engine.view
        let leader = driver.engine.leader(of: view)
        let proposal = driver.proposal(view)
        // Views between genesis and the split are nullified here already.
        let heard = driver.give(driver.vote(.notarize(proposal), by: leader))
        #expect(heard.verifications == [])
        #expect(heard.requests.first?.peer == driver.keys[leader])
        #expect(heard.requests.first?.from == split)
        #expect(driver.give(driver.certificate(.nullify(0, split)), from: leader).verifications == [proposal])
    }

    @Test func aProposalOnAnUncertifiedParentWaitsAndIsNotFalse() throws {
        var driver = try ViewTests.following()
        let parent = driver.proposal(driver.engine.view)
        driver.give(driver.certificate(.notarize(parent)))
        driver.give(driver.certificate(.nullify(0, parent.view)))
        driver.nullify(upTo: driver.view(from: driver.engine.view, notLedBy: 0))
        let proposal = driver.proposal(driver.engine.view, on: parent)
        let heard = driver.give(driver.vote(.notarize(proposal), by: driver.engine.leader(of: proposal.view)))
        #expect(heard.verifications == [])
        #expect(heard.timeouts == [])
        #expect(driver.give(.certified(parent, true)).verifications == [proposal])
    }

    @Test func aProposalIsNotTakenFromAnyoneButTheLeader() throws {
        var driver = try ViewTests.following()
        let view = driver.engine.view
        let other = [1, 2, 3].first { $0 != driver.engine.leader(of: view) } ?? 1
        #expect(driver.give(driver.vote(.notarize(driver.proposal(view)), by: other)).verifications == [])
        #expect(!driver.engine.status.hasProposal)
    }
}
