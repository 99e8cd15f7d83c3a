import Consensus
import Primitives
import Testing

/// What a key signs whose journal is gone.
@Suite struct AmnesiaTests {
    static let nonce = Digest.of(Domain("test.nonce"), [1])

    private static func amnesiac(_ own: Int = 0) throws -> Driver {
        try ViewTests.following { try Driver(own: own, challenge: AmnesiaTests.nonce) }
    }

    /// Answers of all others, who stand in `view`.
    private static func answer(_ driver: inout Driver, standing view: View) {
        let entry = driver.certificate(.nullify(0, View(view.value - 1)))
        for signer in 1...3 {
            driver.give(driver.position(view, by: signer, nonce: nonce, certificate: entry))
        }
    }

    @Test func itAsksAtTheStartWhoeverConnectsAndAgain() throws {
        var driver = try Driver(challenge: Self.nonce)
        #expect(driver.start().challenges == [Self.nonce])
        #expect(driver.give(.peerConnected(driver.keys[2])).challenges == [Self.nonce])
        #expect(driver.pass(299).challenges == [])
        #expect(driver.pass(1).challenges == [Self.nonce])
        #expect(driver.pass(60_000).votes() == [])
    }

    @Test func answersOfAQuorumBesidesItselfSetTheBound() throws {
        var driver = try Self.amnesiac()
        let entry = driver.certificate(.nullify(0, 39))
        driver.give(driver.position(40, by: 1, nonce: Self.nonce, certificate: entry))
        // Whoever lags says so truthfully; the same one twice is one.
        driver.give(driver.position(1, by: 2, nonce: Self.nonce))
        driver.give(driver.position(1, by: 2, nonce: Self.nonce))
        #expect(driver.pass(300).challenges == [Self.nonce], "two of the three others are no quorum")
        driver.give(driver.position(2, by: 3, nonce: Self.nonce, certificate: driver.certificate(.nullify(0, 1))))
        #expect(driver.pass(300).challenges == [])
        // It stands in 40 now, by the certificate that proved it; 40 and 41 may bear its vote.
        #expect(driver.engine.view == 40)
        #expect(driver.engine.status.abstains)
        #expect(driver.pass(10_000).votes() == [])
        driver.give(driver.certificate(.nullify(0, 40)))
        #expect(driver.engine.status.abstains && driver.pass(10_000).votes() == [])
        driver.give(driver.certificate(.nullify(0, 41)))
        #expect(!driver.engine.status.abstains)
        #expect(Set(driver.pass(10_000).votes()) == [.nullify(0, 42)])
    }

    /// What became notarized at the bound is never finalized by it, however late its block comes.
    @Test func itFinalizesNothingBelowItsBound() throws {
        var driver = try Self.amnesiac()
        Self.answer(&driver, standing: 40)
        driver.nullify(upTo: 41)
        let low = driver.proposal(41)
        driver.give(driver.certificate(.notarize(low)))
        driver.give(driver.certificate(.nullify(0, 41)))
        #expect(driver.engine.view == 42 && !driver.engine.status.abstains)
        #expect(driver.give(.certified(low, true)).votes() == [])
    }

    @Test func oldAnswersAndOnesOfOthersMeanNothing() throws {
        var driver = try Self.amnesiac()
        let entry = driver.certificate(.nullify(0, 39))
        let stale = Digest.of(Domain("test.nonce"), [2])
        for signer in 1...3 {
            driver.give(driver.position(40, by: signer, nonce: stale, certificate: entry))
            driver.give(driver.position(40, by: signer, nonce: Self.nonce, epoch: 1, certificate: entry))
            // Said by one in another's name.
            let honest = driver.position(40, by: signer, nonce: Self.nonce, certificate: entry)
            let forged = Position(
                nonce: honest.nonce, epoch: 0, view: 41, signer: honest.signer, signature: honest.signature,
                certificate: entry)
            driver.give(forged)
        }
        // In its own name, which others may not answer for.
        driver.give(driver.position(40, by: 0, nonce: Self.nonce, certificate: entry), from: 1)
        #expect(driver.pass(300).challenges == [Self.nonce])
    }

    /// Else one liar could silence a validator for good.
    @Test func nobodyClaimsAViewThatTheNetworkHasNotReached() throws {
        var driver = try Self.amnesiac()
        let far = View(1 << 40)
        driver.give(driver.position(far, by: 1, nonce: Self.nonce))
        driver.give(driver.position(far, by: 1, nonce: Self.nonce, certificate: driver.certificate(.nullify(0, 39))))
        driver.give(
            driver.position(
                far, by: 1, nonce: Self.nonce,
                certificate: try driver.forgedCertificate(.nullify(0, View(far.value - 1)))))
        driver.give(
            driver.position(
                far, by: 1, nonce: Self.nonce,
                certificate: driver.certificate(.nullify(0, View(far.value - 1)), by: [1, 2])))
        #expect(driver.engine.view < 100)
        // Its true answer still counts.
        Self.answer(&driver, standing: 40)
        driver.nullify(upTo: 42)
        #expect(!driver.engine.status.abstains)
    }

    @Test func othersAnswerWithTheCertificateThatLetThemIn() throws {
        var driver = try ViewTests.following()
        driver.give(driver.certificate(.nullify(0, 39)))
        func asked() -> [Position] {
            driver.give(.message(.positionRequest(nonce: Self.nonce), from: driver.keys[3])).positions
        }
        let answer = try #require(asked().first)
        #expect(
            answer == driver.position(40, by: 0, nonce: Self.nonce, certificate: driver.certificate(.nullify(0, 39))))
        #expect(answer.isProven)
        // Within bounds.
        var answers = 1
        for _ in 0..<100 { answers += asked().count }
        #expect(answers == Simplex.maximumAnswersPerPeer)
    }

    /// It could not know: two that forgot, each taking the other's word, would be as bad as none.
    @Test func whoAbstainsDoesNotAnswer() throws {
        var driver = try Self.amnesiac()
        let request = Input.message(.positionRequest(nonce: Self.nonce), from: driver.keys[3])
        #expect(driver.give(request).positions == [])
        Self.answer(&driver, standing: 40)
        #expect(driver.give(request).positions == [])
        driver.nullify(upTo: 42)
        #expect(driver.give(request).positions.map(\.view) == [42])
    }

    /// After the epoch's last block it may have voted in the next epoch, and the one final payload may be that block.
    @Test func itIsForgivenWithTheSecondPayloadThatIsFinalPastTheBound() throws {
        var driver = try Self.amnesiac()
        Self.answer(&driver, standing: 40)
        #expect(driver.engine.isAmnesiac)
        let early = driver.proposal(41)
        driver.give(driver.certificate(.finalize(early)))
        let first = driver.proposal(45, on: early)
        driver.give(driver.certificate(.finalize(first)))
        #expect(driver.engine.isAmnesiac && !driver.engine.status.abstains)
        // The same payload again, as an epoch's last block is proposed again.
        let again = Proposal(
            epoch: 0, view: 46, parentView: 45, parentDigest: first.payloadDigest, payloadDigest: first.payloadDigest)
        driver.give(driver.certificate(.finalize(again)))
        #expect(driver.engine.isAmnesiac)
        driver.give(driver.certificate(.finalize(driver.proposal(47, on: again))))
        #expect(!driver.engine.isAmnesiac)
    }

    /// A vote of its former life, heard now, is no second machine.
    @Test func itsOwnForgottenVoteIsNotAnothers() throws {
        var driver = try Self.amnesiac()
        Self.answer(&driver, standing: 40)
        driver.give(driver.certificate(.nullify(0, 40)))
        driver.give(driver.vote(.nullify(0, 41), by: 0), from: 2)
        driver.nullify(upTo: 42)
        #expect(!driver.engine.isKeyInUseElsewhere && !driver.engine.status.abstains)
        driver.give(driver.vote(.nullify(0, 42), by: 0), from: 2)
        #expect(driver.engine.isKeyInUseElsewhere)
    }
}
