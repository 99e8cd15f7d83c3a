import Ledger
import Primitives
import Programs
import Testing

/// A provider that signs two different reveals of one point of its result loses at once, by what it signed; one that signs many walks of one run never.
@Suite struct ContradictionTests {
    private static let points = [
        RevealPoint.operations(step: 0, TreeNode(topOf: 1)), .values(step: 0, operation: 0, block: 0),
    ]

    /// A walk down to the values, where the provider stands by these numbers, signed for a challenger.
    private func walk(
        _ at: DisputeNet, _ challenger: SecretKey, _ values: [Int32], signer: SecretKey? = nil, attempt: UInt32 = 1
    ) throws -> SignedTranscript {
        // Its first reveal is the same in all, since the result is: another would not combine.
        try signed(
            at, challenger,
            [
                .reveal(at.script.reveal(Self.points[0], at.said)), .pick(at.script.operation),
                .reveal(at.script.reveal(Self.points[1], values)),
            ], signer: signer, attempt: attempt)
    }

    private func signed(
        _ at: DisputeNet, _ challenger: SecretKey, _ moves: [DisputeMove], signer: SecretKey? = nil,
        attempt: UInt32 = 1
    ) throws -> SignedTranscript {
        let transcript = DisputeTranscript(opening: at.script.opening, moves: moves)
        let subject = try #require(try at.job.disputeSubject)
        let message = Dispute.transcriptMessage(
            job: at.id, attempt: attempt, challenger: at.net.address(challenger), subject, transcript)
        return SignedTranscript(
            challenger: at.net.address(challenger), transcript: transcript,
            signature: (signer ?? at.provider).sign(message))
    }

    private func show(
        _ at: DisputeNet, _ first: SignedTranscript, _ second: SignedTranscript?, key: SecretKey? = nil,
        attempt: UInt32 = 1
    ) -> Payload {
        .showContradiction(
            job: at.id, attempt: attempt, key: (key ?? at.provider).publicKey, first: first, second: second)
    }

    /// Its result is right; what it told one challenger is not what it told another.
    @Test func twoSignedRevealsThatDifferConvict() throws {
        let at = try DisputeNet(TestDispute.truth, audits: [TestDispute.truth])
        let (one, other) = (at.stranger, at.net.people[6])
        let before = try (
            at.net.worth(one), at.net.worth(other), at.net.worth(at.net.requester), at.net.provider(at.provider).bond
        )
        let poster = at.net.people[7]
        let spent = try at.net.worth(poster)
        try at.net.act(
            poster, show(at, try walk(at, one, TestDispute.truth), try walk(at, other, TestDispute.lie)))
        // The bounty of 0.72 and that of the auditor that stood by the same provider, 0.6, to whom it was said; nothing to who showed it.
        #expect(try at.net.worth(one) == before.0.adding(Amount(parsing: "0.66")))
        #expect(try at.net.worth(other) == before.1.adding(Amount(parsing: "0.66")))
        #expect(try at.net.worth(poster) == spent)
        #expect(try at.net.worth(at.net.requester) == before.2.adding(.xpl(1)))
        #expect(try at.net.provider(at.provider).bond == before.3.subtracting(Amount(parsing: "2.4")))
        #expect(try at.net.provider(at.provider).convictions == 1)
        #expect(try at.job.state == .open)
        #expect(try at.job.reason.contains("signed two different things of the numbers of block 0"))
        #expect(try at.job.excluded == [at.net.address(at.provider)])
    }

    /// One challenger came twice.
    @Test func oneWhoWasToldBothGetsTheWholeBounty() throws {
        let at = try DisputeNet(TestDispute.truth)
        let before = try at.net.worth(at.stranger)
        let walks = try (walk(at, at.stranger, TestDispute.truth), walk(at, at.stranger, TestDispute.lie))
        let payload = show(at, walks.0, walks.1)
        try at.net.act(at.stranger, payload)
        // Of a share of 2.4 XPL at 5 in 1000: 480 XPL.
        #expect(try at.net.worth(at.stranger) == before.adding(.xpl(144)))
        try at.net.fail(at.stranger, payload, "at attempt 2")
    }

    /// What it has posted on chain it has signed as well. The dispute there is decided by that, and its deposit comes back.
    @Test func whatIsOnChainBindsToo() throws {
        let at = try DisputeNet(TestDispute.truth)
        let (one, other) = (at.stranger, at.net.people[6])
        let before = try (at.net.worth(one), at.net.worth(other))
        try at.net.act(one, at.challenge())
        try at.play(one, moves: 3)
        try at.net.fail(other, show(at, try walk(at, other, TestDispute.truth), nil), "does not contradict")
        try at.net.act(other, show(at, try walk(at, other, TestDispute.lie), nil))
        #expect(try at.net.worth(other) == before.1.adding(.xpl(144)))
        try at.net.pass(90_000)
        #expect(try at.dispute(one).state == .moot)
        #expect(try at.net.worth(one) == before.0)
    }

    /// An honest provider signs many walks: the same wherever they meet, whatever was picked.
    @Test func walksOfOneRunContradictNobody() throws {
        let at = try DisputeNet(TestDispute.truth)
        let one = try walk(at, at.stranger, TestDispute.truth)
        let root = TestDispute.root(TestDispute.truth)
        let walks = [
            one, try walk(at, at.net.people[6], TestDispute.truth),
            // As far as the first reveal; and down to it with a pick that nobody has answered yet.
            try signed(at, at.stranger, [.reveal(at.script.reveal(Self.points[0], TestDispute.truth))]),
            try signed(
                at, at.stranger,
                [.reveal(.operations([root], node: StepNode(outputs: root, state: .zero))), .pick(.list(.outputs))]),
            try signed(at, at.stranger, []),
        ]
        for other in walks {
            try at.net.fail(at.stranger, show(at, one, other), "does not contradict")
            try at.net.fail(at.stranger, show(at, other, one), "does not contradict")
        }
        try at.net.fail(at.stranger, show(at, one, nil), "does not contradict")
        #expect(try at.net.provider(at.provider).convictions == 0)
        try at.net.pass(30_000)
        #expect(try at.job.state == .settled)
    }

    @Test func whatItHasNotSignedContradictsNothing() throws {
        let at = try DisputeNet(TestDispute.truth)
        let (one, other) = (at.stranger, at.net.people[6])
        let truth = try walk(at, one, TestDispute.truth)
        let lie = try walk(at, one, TestDispute.lie)
        // By somebody else; with the name of another; with moves of another; signed for another attempt.
        try at.net.fail(one, show(at, truth, try walk(at, one, TestDispute.lie, signer: one)), "has not signed")
        let renamed = SignedTranscript(
            challenger: at.net.address(other), transcript: lie.transcript, signature: lie.signature)
        try at.net.fail(one, show(at, truth, renamed), "has not signed")
        let mixed = SignedTranscript(
            challenger: lie.challenger, transcript: lie.transcript, signature: truth.signature)
        try at.net.fail(one, show(at, truth, mixed), "has not signed")
        try at.net.fail(one, show(at, truth, try walk(at, one, TestDispute.lie, attempt: 2)), "has not signed")
        // By a key that is not the provider's, though it has signed both.
        let own = try (
            walk(at, one, TestDispute.truth, signer: one), walk(at, one, TestDispute.lie, signer: one)
        )
        try at.net.fail(one, show(at, own.0, own.1, key: one), "has not signed")
        #expect(try at.net.provider(at.provider).convictions == 0)
        try at.net.act(one, show(at, truth, lie))
    }

    /// Moves that the walk does not ask for have no point at which they could differ.
    @Test func aWalkThatIsNoneShowsNothing() throws {
        let at = try DisputeNet(TestDispute.truth)
        let truth = try walk(at, at.stranger, TestDispute.truth)
        let values = DisputeMove.reveal(at.script.reveal(Self.points[1], TestDispute.lie))
        let walks = [
            try signed(at, at.stranger, [values]),
            try signed(at, at.stranger, [.pick(at.script.operation), values]),
            try signed(at, at.stranger, [.reveal(at.script.reveal(Self.points[0], at.said)), values]),
        ]
        for other in walks {
            let result = try at.net.step([at.net.transaction(at.stranger, show(at, truth, other))])
            #expect(!result.receipts[0].succeeded)
        }
        #expect(try at.net.provider(at.provider).convictions == 0)
    }

    @Test func onAnotherAttemptOrAfterTheEndItIsNothing() throws {
        let at = try DisputeNet(TestDispute.truth)
        let walks = try (walk(at, at.stranger, TestDispute.truth), walk(at, at.stranger, TestDispute.lie))
        try at.net.fail(at.stranger, show(at, walks.0, walks.1, attempt: 2), "at attempt 1")
        try at.net.pass(30_000)
        #expect(try at.job.state == .settled)
        let bond = try at.net.provider(at.provider).bond
        try at.net.fail(at.stranger, show(at, walks.0, walks.1), "settled")
        #expect(try at.net.provider(at.provider).bond == bond)
    }

    /// A provider that was convicted is not asked again for the result that it had in an earlier attempt.
    @Test func anEarlierAttemptIsOver() throws {
        let at = try DisputeNet(TestDispute.lie)
        let walks = try (walk(at, at.stranger, TestDispute.truth), walk(at, at.stranger, TestDispute.lie))
        try at.net.act(at.stranger, at.challenge())
        try at.play(at.stranger)
        try at.net.step()
        #expect(try at.job.attempt == 2)
        try at.net.fail(at.stranger, show(at, walks.0, walks.1), "at attempt 2")
        try at.net.fail(at.stranger, show(at, walks.0, walks.1, attempt: 2), "no result to dispute")
    }
}
