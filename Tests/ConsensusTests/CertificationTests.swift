import Consensus
import Primitives
import Testing

/// Certificates, certification and finality (rules 6 to 9).
@Suite struct CertificationTests {
    @Test func aNotarizationAloneDoesNotEndTheView() throws {
        var driver = try ViewTests.following()
        let proposal = driver.proposal(driver.engine.view)
        let outputs = driver.give(driver.certificate(.notarize(proposal)))
        #expect(outputs.certifications == [proposal])
        #expect(outputs.entered == [])
        #expect(outputs.votes() == [])
    }

    @Test func certifiedIsFinalizedByOurVoteAndEntersTheNextView() throws {
        var driver = try ViewTests.following()
        let proposal = driver.proposal(driver.engine.view)
        driver.give(driver.certificate(.notarize(proposal)))
        let outputs = driver.give(.certified(proposal, true))
        // Our own notarize is not required.
        #expect(outputs.votes() == [.finalize(proposal)])
        #expect(outputs.entered == [proposal.view.next()])
        #expect(driver.journal.contains(.certification(proposal, true)))
    }

    /// The mutant `rule-6` lived until this was asked.
    @Test func aNotarizationOfAnotherProposalThanTheLeaderShowedUsTakesOurWord() throws {
        var driver = try ViewTests.following()
        let view = driver.engine.view
        let shown = driver.proposal(view, "shown to us")
        driver.give(driver.vote(.notarize(shown), by: driver.engine.leader(of: view)))
        let other = driver.proposal(view, "shown to the others")
        let outputs = driver.certify(other)
        #expect(outputs.votes() == [])
        #expect(outputs.entered == [view.next()])
        // A verdict that comes late changes nothing.
        #expect(driver.give(.proposalVerdict(shown, true)).votes() == [])
    }

    @Test func refusedIsLatchedAndNeverBuiltOn() throws {
        var driver = try Driver()
        driver.start()
        let ours = driver.view(from: 3, ledBy: 0)
        driver.nullify(upTo: View(ours.value - 1))
        let proposal = driver.proposal(driver.engine.view)
        let outputs = driver.certify(proposal, false)
        #expect(outputs.timeouts == [.certificationFailed])
        #expect(outputs.votes() == [.nullify(0, proposal.view)])
        let next = driver.give(driver.certificate(.nullify(0, proposal.view)))
        #expect(next.proposes == [ParentReference(view: 0, digest: Driver.genesis)])
    }

    @Test func aRefusedProposalThatIsFinalizedIsBuiltOn() throws {
        var driver = try Driver()
        driver.start()
        let ours = driver.view(from: 3, ledBy: 0)
        driver.nullify(upTo: View(ours.value - 1))
        let proposal = driver.proposal(driver.engine.view)
        driver.certify(proposal, false)
        let outputs = driver.give(driver.certificate(.finalize(proposal)))
        #expect(outputs.finalized == [proposal])
        #expect(outputs.proposes == [ParentReference(view: proposal.view, digest: proposal.payloadDigest)])
    }

    @Test func aNullificationDoesNotCancelCertification() throws {
        var driver = try ViewTests.following()
        let proposal = driver.proposal(driver.engine.view)
        driver.give(driver.certificate(.notarize(proposal)))
        driver.give(driver.certificate(.nullify(0, proposal.view)))
        #expect(driver.give(.certified(proposal, true)).contains(.persist(.certification(proposal, true))))
    }

    @Test func aFinalizationAtOrAboveCancelsCertification() throws {
        for distance: UInt64 in [0, 1, 5] {
            var driver = try ViewTests.following()
            let proposal = driver.proposal(driver.engine.view)
            driver.give(driver.certificate(.notarize(proposal)))
            let final = distance == 0 ? proposal : driver.proposal(proposal.view.advanced(by: distance), on: proposal)
            driver.give(driver.certificate(.finalize(final)))
            #expect(driver.give(.certified(proposal, true)).votes() == [])
            #expect(!driver.journal.contains(.certification(proposal, true)))
        }
    }

    /// Trap: a finalize vote after our own nullify, on any path.
    @Test func finalizeIsNeverSentAfterNullify() throws {
        var driver = try ViewTests.following()
        let proposal = driver.proposal(driver.engine.view)
        driver.accept(proposal)
        driver.pass(300)
        #expect(
            driver.journal.contains { if case .vote(let vote) = $0 { vote.subject.kind == .nullify } else { false } })
        var outputs = driver.certify(proposal)
        #expect(outputs.entered == [proposal.view.next()])
        // On the path of re-sending, and after a restart, too.
        outputs += driver.pass(10_000)
        var restarted = try driver.restarted()
        outputs += restarted.start()
        outputs += restarted.give(.work(true))
        outputs += restarted.give(restarted.certificate(.notarize(proposal)))
        outputs += restarted.give(.certified(proposal, true))
        for _ in 0..<5 { outputs += restarted.pass(5_000) }
        #expect(!outputs.votes().contains(.finalize(proposal)))
    }

    @Test func nullifyIsNeverSentAfterFinalize() throws {
        var driver = try ViewTests.following()
        let proposal = driver.proposal(driver.engine.view)
        driver.certify(proposal)
        // The next view hangs, time runs, and the engine restarts: the finalized view is not nullified.
        var outputs = driver.pass(5_000)
        var restarted = try driver.restarted()
        outputs += restarted.start()
        for _ in 0..<5 { outputs += restarted.pass(5_000) }
        #expect(!outputs.votes().contains(.nullify(0, proposal.view)))
    }

    @Test func nullifyAfterNotarizeIsAllowed() throws {
        var driver = try ViewTests.following()
        let proposal = driver.proposal(driver.engine.view)
        driver.accept(proposal)
        #expect(driver.pass(300).votes().contains(.nullify(0, proposal.view)))
    }

    @Test func aNotarizationOfAnotherProposalOverrulesTheSlot() throws {
        var driver = try ViewTests.following()
        let view = driver.engine.view
        driver.accept(driver.proposal(view, "ours"))
        let other = driver.proposal(view, "theirs")
        let outputs = driver.certify(other)
        #expect(outputs.votes() == [], "we notarized another proposal: no finalize")
        #expect(driver.engine.view == view.next())
    }

    /// A proposal whose check was under way when another one's notarization came.
    @Test func aProposalThatIsCheckedAfterAnothersNotarizationGetsNoNotarize() throws {
        var driver = try ViewTests.following()
        let view = driver.engine.view
        driver.verifiesAtOnce = false
        let late = driver.proposal(view, "late")
        driver.give(driver.vote(.notarize(late), by: driver.engine.leader(of: view)))
        let leadersCheck = driver.openChecks.removeFirst()
        let other = driver.proposal(view, "notarized")
        driver.give(driver.certificate(.notarize(other)))
        driver.answerChecks()
        var outputs = driver.give(.signaturesVerified(leadersCheck.id, [true]))
        outputs += driver.give(.proposalVerdict(late, true))
        #expect(!outputs.votes().contains(.notarize(late)))
        #expect(
            !driver.give(.certified(other, true)).votes().contains(.finalize(other)),
            "both proposals are known: no word from us")
    }

    @Test func aFinalizationFinalizesOnceAndIsAnnouncedOnce() throws {
        var driver = try ViewTests.following()
        let proposal = driver.proposal(driver.engine.view)
        let certificate = driver.certificate(.finalize(proposal))
        let outputs = driver.give(certificate)
        #expect(outputs.finalized == [proposal])
        #expect(outputs.certificates == [certificate])
        #expect(driver.give(certificate, from: 2).isEmpty || driver.give(certificate, from: 2).finalized == [])
    }

    @Test func theFloorNeverMovesBack() throws {
        var driver = try ViewTests.following()
        driver.give(driver.certificate(.finalize(driver.proposal(50))))
        #expect(driver.give(driver.certificate(.finalize(driver.proposal(40)))).finalized == [])
        #expect(driver.engine.lastFinalized == 50)
    }

    @Test func badCertificatesAreNothing() throws {
        var driver = try ViewTests.following()
        let view = driver.engine.view
        #expect(driver.give(driver.certificate(.nullify(0, view), by: [1, 2])).checks.isEmpty, "no quorum")
        #expect(driver.give(driver.certificate(.nullify(1, view))).checks.isEmpty, "another epoch")
        let vote = driver.vote(.nullify(0, view), by: 1)
        let repeated = Certificate(subject: vote.subject, votes: [vote, vote, vote])
        #expect(driver.give(repeated).checks.isEmpty, "one signer thrice")
        #expect(driver.give(try driver.forgedCertificate(.nullify(0, view))).checks.count == 1)
        #expect(driver.engine.view == view)
    }

    @Test func aForgedCertificateDoesNotKeepTheTrueOneOut() throws {
        var driver = try ViewTests.following()
        let view = driver.engine.view
        driver.verifiesAtOnce = false
        driver.give(try driver.forgedCertificate(.nullify(0, view)), from: 3)
        let waiting = driver.give(driver.certificate(.nullify(0, view)), from: 2)
        #expect(waiting.checks.isEmpty, "one of a subject is checked at a time")
        driver.answerChecks()
        #expect(driver.engine.view == view.next())
    }

    @Test func aReasonOfTheLastViewIsNotCarriedIntoTheNext() throws {
        var driver = try ViewTests.following()
        let view = driver.engine.view
        // An invalid proposal (it names a parent above) and, before the step ends, a certificate that ends the view.
        let proposal = Proposal(
            epoch: 0, view: view, parentView: view.next(), parentDigest: .zero, payloadDigest: .zero)
        driver.verifiesAtOnce = false
        driver.give(driver.vote(.notarize(proposal), by: driver.engine.leader(of: view)))
        driver.give(driver.certificate(.nullify(0, view)))
        #expect(driver.answerChecks().timeouts.count <= 1)
        #expect(driver.engine.view == view.next())
        #expect(driver.engine.status.reason == nil)
    }
}
