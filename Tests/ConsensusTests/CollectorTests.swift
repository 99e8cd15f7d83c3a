import Consensus
import Primitives
import Testing

/// Votes and evidence (rule 10).
@Suite struct CollectorTests {
    @Test func aQuorumOfVotesMakesACertificateJournaledBeforeItLeaves() throws {
        var driver = try ViewTests.following()
        let proposal = driver.proposal(driver.engine.view)
        driver.accept(proposal)
        let leader = driver.engine.leader(of: proposal.view)
        let third = [1, 2, 3].first { $0 != leader } ?? 1
        let outputs = driver.give(driver.vote(.notarize(proposal), by: third))
        let certificate = try #require(outputs.certificates.first)
        #expect(certificate.subject == .notarize(proposal))
        #expect(certificate.signers.count == 3)
        #expect(certificate.verify(driver.validators, network: Driver.network, scheme: SymbolicScheme(driver.keys[0])))
        let persisted = outputs.firstIndex(of: .persist(.certificate(certificate)))
        let sent = outputs.firstIndex(of: .broadcast(.certificate(certificate)))
        #expect(try #require(persisted) < #require(sent))
        #expect(outputs.certifications == [proposal])
    }

    @Test func everyVoteOfOursIsJournaledBeforeItLeaves() throws {
        var driver = try ViewTests.following()
        let proposal = driver.proposal(driver.engine.view)
        var outputs = driver.accept(proposal)
        outputs += driver.certify(proposal)
        outputs += driver.pass(5_000)
        #expect(outputs.votes().map(\.kind).prefix(2) == [.notarize, .finalize])
        for (index, output) in outputs.enumerated() {
            guard case .broadcast(.vote(let vote)) = output, vote.signer == 0 else { continue }
            #expect(outputs[..<index].contains(.persist(.vote(vote))))
        }
    }

    @Test func signaturesAreCheckedTogetherOnceAQuorumCouldStand() throws {
        var driver = try Driver(weights: [1, 1, 1, 1, 1, 1, 1])
        driver.start()
        let view = driver.engine.view
        let leader = driver.engine.leader(of: view)
        let others = (1..<7).filter { $0 != leader }
        driver.verifiesAtOnce = false
        for signer in others.prefix(4) {
            #expect(driver.give(driver.vote(.nullify(0, view), by: signer)).checks.isEmpty)
        }
        let outputs = driver.give(driver.vote(.nullify(0, view), by: others[4]))
        #expect(outputs.checks.map(\.count) == [5])
        #expect(driver.answerChecks().certificates.map(\.subject) == [.nullify(0, view)])
    }

    @Test func weightNotHeadsMakesAQuorum() throws {
        // W = 10, Q = 7: 4 + 2 is short of it, one more is not.
        var driver = try Driver(weights: [1, 4, 2, 1, 2], own: nil)
        driver.start()
        let view = driver.engine.view
        driver.give(driver.vote(.nullify(0, view), by: 1))
        driver.give(driver.vote(.nullify(0, view), by: 2))
        #expect(driver.engine.view == view)
        driver.give(driver.vote(.nullify(0, view), by: 3))
        #expect(driver.engine.view == view.next())
    }

    @Test func aVoteOfTheNextViewIsAdmittedAndOneBeyondIsNot() throws {
        var driver = try ViewTests.following()
        let view = driver.engine.view
        for signer in 1...3 { driver.give(driver.vote(.nullify(0, view.advanced(by: 2)), by: signer)) }
        #expect(driver.engine.view == view, "two views ahead is dropped")
        for signer in 1...3 { driver.give(driver.vote(.nullify(0, view.next()), by: signer)) }
        #expect(driver.engine.view == view.advanced(by: 2))
    }

    @Test func votesOfOtherEpochsUnknownSignersAndViewZeroAreNothing() throws {
        var driver = try ViewTests.following()
        let view = driver.engine.view
        for signer in 1...3 {
            driver.give(driver.vote(.nullify(1, view), by: signer))
            driver.give(driver.vote(.nullify(0, 0), by: signer))
            let vote = driver.vote(.nullify(0, view), by: signer)
            driver.give(
                Vote(subject: vote.subject, signer: UInt16(signer + 3), signature: vote.signature), from: signer)
            driver.give(Vote(subject: vote.subject, signer: .max, signature: vote.signature), from: signer)
        }
        #expect(driver.engine.view == view)
        #expect(driver.engine.status.nullifyWeight == 0)
    }

    @Test func aForgedVoteDoesNotKeepTheTrueOneOut() throws {
        for answersAtOnce in [true, false] {
            var driver = try ViewTests.following()
            let view = driver.engine.view
            driver.verifiesAtOnce = answersAtOnce
            for signer in 1...3 {
                driver.give(try driver.forged(.nullify(0, view), by: signer), from: 1)
                driver.give(driver.vote(.nullify(0, view), by: signer))
            }
            driver.answerChecks()
            #expect(driver.engine.view == view.next())
        }
    }

    /// W = 10, Q = 7. What was forged and thrown out weighs nothing afterwards, whatever it said and however often it came.
    @Test func votesThatComeAndGoAreCountedRight() throws {
        var driver = try Driver(weights: [1, 4, 2, 1, 2], own: nil)
        driver.start()
        let view = driver.engine.view
        for round in 0..<200 {
            let subject = Subject.finalize(driver.proposal(view, "forged \(round)"))
            // The last of them makes a quorum possible, so all are checked, and thrown out.
            for signer in [1, 2, 3] { driver.give(try driver.forged(subject, by: signer), from: 4) }
        }
        let proposal = driver.proposal(view, "true")
        driver.give(driver.vote(.finalize(proposal), by: 1))
        driver.give(driver.vote(.finalize(driver.proposal(view, "another")), by: 2))
        driver.give(driver.vote(.finalize(proposal), by: 4))
        #expect(driver.engine.lastFinalized == 0)
        let outputs = driver.give(driver.vote(.finalize(proposal), by: 3))
        #expect(outputs.certificates.map(\.signers) == [[1, 3, 4]])
        #expect(driver.engine.lastFinalized == view)
    }

    @Test func symbolicSignaturesCheckedTogetherAreCheckedLikeOneByOne() throws {
        let driver = try ViewTests.following()
        let good = (1...3).map { driver.vote(.nullify(0, View(UInt64($0))), by: $0) }
        let votes = [good[0], try driver.forged(good[0].subject, by: 2), good[1], good[2], good[2]]
        var items = votes.map {
            VerificationItem(
                key: driver.keys[Int($0.signer)], signature: $0.signature,
                message: $0.subject.signingBytes(network: Driver.network))
        }
        items.append(VerificationItem(key: driver.keys[1], signature: votes[2].signature, message: items[2].message))
        let results = SymbolicScheme.verify(items)
        #expect(results == [true, false, true, true, true, false])
        #expect(results == items.map { SymbolicScheme(driver.keys[0]).verify($0.key, $0.signature, $0.message) })
        #expect(SymbolicScheme.verify([]).isEmpty)
    }

    @Test func aForgedProposalDoesNotKeepTheTrueOneOut() throws {
        for answersAtOnce in [true, false] {
            var driver = try ViewTests.following()
            let view = driver.engine.view
            let leader = driver.engine.leader(of: view)
            driver.verifiesAtOnce = answersAtOnce
            driver.give(try driver.forged(.notarize(driver.proposal(view, "forged")), by: leader), from: leader % 3 + 1)
            let proposal = driver.proposal(view, "true")
            var outputs = driver.give(driver.vote(.notarize(proposal), by: leader))
            outputs += driver.answerChecks()
            #expect(outputs.verifications == [proposal])
            #expect(outputs.evidence == [], "a forgery accuses nobody")
        }
    }

    @Test func twoDifferentVotesOfAKindAreEvidenceOnce() throws {
        for kind in [Subject.Kind.notarize, .finalize] {
            var driver = try ViewTests.following()
            let view = driver.engine.view
            func subject(_ name: String) -> Subject {
                let proposal = driver.proposal(view, name)
                return kind == .notarize ? .notarize(proposal) : .finalize(proposal)
            }
            let first = driver.vote(subject("a"), by: 2)
            let second = driver.vote(subject("b"), by: 2)
            driver.give(first)
            #expect(driver.give(second).evidence == [Evidence(first: first, second: second)])
            #expect(driver.give(driver.vote(subject("c"), by: 2)).evidence == [])
        }
    }

    @Test func nullifyWithFinalizeIsEvidenceInEitherOrder() throws {
        for finalizeFirst in [true, false] {
            var driver = try ViewTests.following()
            let view = driver.engine.view
            let finalize = driver.vote(.finalize(driver.proposal(view)), by: 2)
            let nullify = driver.vote(.nullify(0, view), by: 2)
            driver.give(finalizeFirst ? finalize : nullify)
            let outputs = driver.give(finalizeFirst ? nullify : finalize)
            #expect(outputs.evidence.count == 1)
        }
    }

    /// The equivocator of the simulation told each of us one thing only, and was never found out.
    @Test func aCertificateBringsTogetherWhatAnEquivocatorToldEachOfUs() throws {
        var driver = try ViewTests.following()
        let view = driver.engine.view
        let told = driver.vote(.notarize(driver.proposal(view, "ours")), by: 2)
        driver.give(told)
        let theirs = Subject.notarize(driver.proposal(view, "theirs"))
        let outputs = driver.give(driver.certificate(theirs))
        #expect(outputs.evidence == [Evidence(first: told, second: driver.vote(theirs, by: 2))])
        // And a finalization, the one who gave the view up.
        var other = try ViewTests.following()
        let next = other.engine.view
        other.give(other.vote(.nullify(0, next), by: 3))
        #expect(other.give(other.certificate(.finalize(other.proposal(next)))).evidence.map(\.first.signer) == [3])
    }

    @Test func notarizeWithNullifyIsHonest() throws {
        var driver = try ViewTests.following()
        let view = driver.engine.view
        var outputs = driver.give(driver.vote(.notarize(driver.proposal(view)), by: 2))
        outputs += driver.give(driver.vote(.nullify(0, view), by: 2))
        #expect(outputs.evidence == [])
    }

    @Test func aRepeatedVoteIsNothing() throws {
        var driver = try ViewTests.following()
        let vote = driver.vote(.nullify(0, driver.engine.view), by: 2)
        driver.give(vote)
        let again = driver.give(vote)
        #expect(again.checks.isEmpty)
        #expect(again.evidence == [])
    }

    @Test func aLeaderWithTwoProposalsGetsNoNotarizeFromThoseWhoKnowBoth() throws {
        var driver = try ViewTests.following()
        let view = driver.engine.view
        let leader = driver.engine.leader(of: view)
        let first = driver.proposal(view, "a")
        driver.give(driver.vote(.notarize(first), by: leader))
        #expect(driver.give(driver.vote(.notarize(driver.proposal(view, "b")), by: leader)).evidence.count == 1)
        #expect(driver.give(.proposalVerdict(first, true)).votes() == [])
    }

    /// Checks under way for one peer are bounded, and other peers keep their own share.
    @Test func aPeersChecksAreBounded() throws {
        var driver = try ViewTests.following()
        driver.verifiesAtOnce = false
        let limit = UInt64(Simplex.maximumChecksPerPeer)
        var asked = 0
        for step in 0...limit {
            asked += driver.give(try driver.forgedCertificate(.nullify(0, View(1_000 + step))), from: 3).checks.count
        }
        #expect(asked == Int(limit))
        #expect(driver.give(driver.certificate(.nullify(0, 900)), from: 2).checks.count == 1)
        driver.answerChecks()
        #expect(driver.engine.view == 901)
        #expect(
            driver.give(try driver.forgedCertificate(.nullify(0, 1_000)), from: 3).checks.count == 1,
            "the share comes back")
    }
}
