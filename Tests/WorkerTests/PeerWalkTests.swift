import Ledger
import Primitives
import Programs
import Testing
import Worker

/// A challenger walks with a provider alone, and goes on chain only with what convicts, or where the provider does not walk.
@Suite struct PeerWalkTests {
    private let pair: WalkPair

    init() throws { pair = try WalkPair() }

    private static func isConvicted(_ walk: Walk) -> Bool { if case .convicted? = walk.outcome { true } else { false } }

    /// What was posted is the challenge on chain, with its deposit.
    private func wentOnChain() -> Bool {
        guard pair.submitted.count == 1,
            case .challenge(let job, 1, let opening, WalkPair.deposit) = pair.submitted[0]
        else { return false }
        return job == pair.id && opening == DisputeOpening(pair.job.program)
    }

    @Test func aLieIsConvictedWithOneTransaction() throws {
        try pair.play()
        let walk = try pair.settled()
        #expect(walk.outcome == .convicted("element 0 of op 0 is wrong"))
        // As many as on chain, each asked for until it was found out.
        #expect(walk.rounds == 4 && pair.asks.count == 4)
        #expect(pair.asks.map(\.transcript.moves.count) == [0, 2, 4, 6])
        // It is posted once, and again if that came to nothing.
        try pair.look { _ in nil }
        #expect(pair.submitted.count == 1)
    }

    /// However it is kept out, there is time left for a challenge.
    @Test func aWalkThatTheChainDoesNotTakeIsChallengedThere() throws {
        try pair.play()
        _ = try pair.settled()
        pair.clock = 16_000
        try pair.look { _ in nil }
        #expect(pair.submitted.count == 1)
        pair.clock = 16_001
        try pair.look { _ in nil }
        guard pair.submitted.count == 2, case .challenge = pair.submitted[1] else {
            Issue.record("\(pair.submitted)")
            return
        }
    }

    /// What is said comes from the run alone: a provider whose process begins anew before each answer says the same, and a challenger that does asks the same.
    @Test func bothSidesMayBeginAnewBetweenTwoMoves() throws {
        let other = try WalkPair()
        try other.play()
        try pair.play { ask in
            pair.restartProvider()
            return try pair.answer(ask)
        }
        #expect(pair.submitted == other.submitted)
        let again = try WalkPair()
        try again.look { try again.answer($0) }
        try again.look { try again.answer($0) }
        again.restartChallenger()
        try again.play()
        #expect(again.submitted == other.submitted)
    }

    @Test func aProviderThatFallsSilentIsChallengedOnChain() throws {
        var answers = 0
        try pair.play { ask in
            answers += 1
            return answers == 1 ? try pair.answer(ask) : nil
        }
        #expect(wentOnChain())
        #expect(pair.asks.count == 1 + PeerWalk.maximumMisses)
        // Ever more slowly.
        #expect(pair.pauses[2] > .zero && pair.pauses[3] > pair.pauses[2])
    }

    @Test func oneThatIsSlowIsChallengedOnChainInTime() throws {
        for _ in 0..<50 { try pair.look { _ in .computing } }
        #expect(pair.submitted.isEmpty)
        #expect(pair.pauses.max() == .seconds(2))
        // Half of the time belongs to the walk.
        pair.clock = 11_000
        try pair.look { _ in .computing }
        #expect(pair.submitted.isEmpty)
        pair.clock = 11_001
        try pair.look { _ in .computing }
        #expect(wentOnChain())
    }

    /// In the middle of the walk too: what was signed by then is not enough.
    @Test func oneThatStopsInTheMiddleIsChallengedOnChain() throws {
        try pair.play { ask in
            if ask.transcript.moves.count == 4 {
                pair.clock = 20_000
                return .computing
            }
            return try pair.answer(ask)
        }
        #expect(wentOnChain())
    }

    @Test(arguments: WalkAskRefusal.allCases) func oneThatRefusesIsChallengedOnChainAtOnce(_ refusal: WalkAskRefusal)
        throws
    {
        try pair.play { _ in .refused(refusal) }
        #expect(wentOnChain() && pair.asks.count == 1)
    }

    @Test func oneThatSignsSomethingElseIsChallengedOnChain() throws {
        try pair.play { ask in
            guard case .reveal(let reveal, let key, _) = try pair.answer(ask) else { return nil }
            return .reveal(reveal, key: key, pair.provider.sign([1, 2, 3]))
        }
        #expect(wentOnChain())
        // By a key of its own that is not the operator's.
        let other = try WalkPair()
        let stranger = try SecretKey(seed: [UInt8](repeating: 77, count: 32))
        try other.play { ask in
            guard case .reveal(let reveal, _, _) = try other.answer(ask) else { return nil }
            return other.signed(reveal, to: ask, by: stranger)
        }
        #expect(other.submitted.count == 1)
        if case .challenge? = other.submitted.first {} else { Issue.record("\(other.submitted)") }
    }

    /// A signature under what is no move binds nobody.
    @Test func oneThatSignsNonsenseIsChallengedOnChain() throws {
        try pair.play { pair.signed(.digests([]), to: $0) }
        #expect(wentOnChain())
    }

    /// What it signs and what does not combine is a lie by itself.
    @Test func whatIsSignedAndDoesNotCombineConvicts() throws {
        try pair.play { pair.signed(.steps([]), to: $0) }
        let walk = try pair.settled()
        #expect(Self.isConvicted(walk) && walk.rounds == 1)
    }

    /// Bytes that are no answer are as good as none.
    @Test func garbageIsNoAnswer() throws {
        for bytes in [[], [9], [0], [2, 200], [1, 1], [UInt8](repeating: 0, count: 200)] as [[UInt8]] {
            #expect((try? WalkAnswer(canonicalBytes: bytes)) == nil)
        }
        try pair.play { _ in try? WalkAnswer(canonicalBytes: [2, 200]) }
        #expect(wentOnChain())
    }

    /// Who is wrong finds nothing to point at, and makes no challenge that it would lose.
    @Test func anHonestProviderIsNotChallenged() throws {
        let pair = try WalkPair(lies: false)
        try pair.play()
        #expect(pair.submitted.isEmpty && pair.asks.count == 1)
        pair.clock = WalkPair.until
        try pair.look { _ in nil }
        #expect(pair.submitted.isEmpty)
    }

    @Test func aResultThatNoRunCouldHaveGoesOnChainWithoutAWalk() throws {
        var steps = pair.subject.steps
        steps[0] = 61
        let impossible = DisputeSubject(
            program: pair.subject.program, axes: pair.subject.axes, seed: 9, parameters: pair.subject.parameters,
            inputs: pair.subject.inputs, initialState: pair.subject.initialState, steps: steps, outputRoot: .zero,
            stateRoot: .zero)
        let duty = DisputeDuty(job: pair.id, attempt: 1, move: .challenge)
        let terms = ChallengeTerms(
            defender: pair.provider.publicKey.address, node: pair.provider.publicKey, deposit: .zero, until: 9_000)
        var walk = try PeerWalk(
            DisputeItem(duty: duty, subject: impossible, walk: nil), terms, opening: DisputeOpening(pair.job.program),
            by: pair.challenger, clock: 0)
        guard case .giveUp = walk.next(at: 0) else {
            Issue.record("it asks")
            return
        }
    }

    // MARK: Two words for one thing

    /// The steps' nodes with another state inside, which combine as well.
    private func other(_ ask: WalkAsk) throws -> WalkAnswer {
        guard case .reveal(.steps(var children), _, _) = try pair.answer(ask) else { throw MemoryBlobs.Missing() }
        children[0] = StepNode(outputs: children[0].outputs, state: .zero)
        return pair.signed(.steps(children), to: ask)
    }

    @Test func whatItHasSignedAndRevealsOtherwiseOnChainConvicts() throws {
        var own: Reveal?
        try pair.look { _ in nil }
        try pair.look { ask in
            guard case .reveal(let reveal, _, _) = try pair.answer(ask) else { return nil }
            own = reveal
            return try other(ask)
        }
        try pair.play { _ in nil }
        #expect(wentOnChain())
        // The challenge stands; the provider is to move there.
        let point = RevealPoint.steps(TreeNode(topOf: 37))
        #expect(pair.desk.watched == [pair.attempt: [point]])
        pair.revealed = [pair.attempt: [:]]
        try pair.look(challenges: false) { _ in nil }
        #expect(pair.submitted.count == 1)
        pair.revealed = [pair.attempt: [point: try #require(own)]]
        try pair.look(challenges: false) { _ in nil }
        guard case .showContradiction(pair.id, 1, let key, let first, nil)? = pair.submitted.last else {
            Issue.record("\(pair.submitted)")
            return
        }
        #expect(key == pair.provider.publicKey && key.verify(first.signature, of: pair.message(first.transcript)))
        let reveals = try first.transcript.reveals(pair.subject)
        #expect(reveals.map(\.point) == [point] && reveals[0].reveal != own)
        // Once; and nothing is kept of an attempt that is decided.
        try pair.look(challenges: false) { _ in nil }
        #expect(pair.submitted.count == 2)
        pair.revealed = [:]
        try pair.look(challenges: false) { _ in nil }
        #expect(pair.desk.watched.isEmpty)
    }

    @Test func whatItRevealsOnChainAsItSignedItConvictsNobody() throws {
        try pair.look { _ in nil }
        try pair.look { try pair.answer($0) }
        try pair.play { _ in nil }
        guard case .reveal(let own, _, _) = try pair.answer(pair.asks[0]) else { throw MemoryBlobs.Missing() }
        pair.revealed = [pair.attempt: [.steps(TreeNode(topOf: 37)): own]]
        try pair.look(challenges: false) { _ in nil }
        #expect(pair.submitted.count == 1)
    }

    /// An ask that got lost is made again, and both are answered.
    @Test func twoAnswersToOneAskThatDifferConvict() throws {
        try pair.look { _ in nil }
        try pair.look { try pair.answer($0) }
        // The same once more is nothing new.
        pair.tell(pair.asks[0], try pair.answer(pair.asks[0]))
        pair.revealed = [pair.attempt: [:]]
        try pair.look(challenges: false) { _ in nil }
        #expect(pair.submitted.isEmpty)
        // Neither is what nobody has signed.
        pair.tell(pair.asks[0], .reveal(.steps([]), key: pair.provider.publicKey, pair.provider.sign([])))
        try pair.look(challenges: false) { _ in nil }
        #expect(pair.submitted.isEmpty)
        pair.tell(pair.asks[0], try other(pair.asks[0]))
        try pair.look(challenges: false) { _ in nil }
        guard case .showContradiction(_, _, _, let first, let second?)? = pair.submitted.last else {
            Issue.record("\(pair.submitted)")
            return
        }
        let said = try (first.transcript.reveals(pair.subject), second.transcript.reveals(pair.subject))
        #expect(said.0.map(\.point) == said.1.map(\.point) && said.0 != said.1)
        #expect(pair.provider.publicKey.verify(second.signature, of: pair.message(second.transcript)))
    }
}
