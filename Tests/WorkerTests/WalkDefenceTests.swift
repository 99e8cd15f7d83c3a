import Ledger
import Primitives
import Programs
import TestSupport
import Testing
import Worker

/// A provider that is asked for reveals without the chain: it signs its own run's alone, for who may ask, and no more than a walk takes.
@Suite struct WalkDefenceTests {
    private let pair: WalkPair

    init() throws { pair = try WalkPair() }

    private func key(_ number: UInt8) throws -> SecretKey {
        try SecretKey(seed: [UInt8](repeating: number, count: 32))
    }

    private func ask(
        _ moves: [DisputeMove] = [], signed: Signature? = nil, by key: SecretKey? = nil, job: Digest? = nil
    ) -> WalkAsk {
        WalkAsk(
            job: job ?? pair.id, attempt: 1,
            transcript: DisputeTranscript(opening: DisputeOpening(pair.job.program), moves: moves), signed: signed,
            by: key ?? pair.challenger)
    }

    private func say(_ ask: WalkAsk, isAuditor: Bool = true) -> (answer: WalkAnswer, play: DisputeItem?) {
        pair.defence.asked(ask, pair.permit(isAuditor: isAuditor))
    }

    /// A walk down to so many steps below the top, which asks for another node with each `place`.
    private func moves(_ place: UInt32) throws -> ([DisputeMove], Signature) {
        let first = ask()
        guard case .reveal(let reveal, _, let signature) = try pair.answer(first) else { throw MemoryBlobs.Missing() }
        return ([.reveal(reveal), .pick(.child(place))], signature)
    }

    @Test func whatIsAskedForIsFoundOutOnceAndSignedForEachThatAsks() throws {
        let (answer, play) = say(ask())
        #expect(answer == .computing)
        let duty = try #require(play?.duty)
        #expect(duty.move == .answer(at: .steps(TreeNode(topOf: 37))))
        #expect(say(ask()).play == nil && say(ask()).answer == .computing)
        let reveal = Reveal.steps([])
        let isAsked = pair.defence.finished(duty, .done(.reveal(reveal)))
        #expect(isAsked)
        #expect(say(ask()).answer == pair.signed(reveal, to: ask()))
        let other = ask(by: try key(13))
        guard case .reveal(reveal, let key, let signature) = say(other).answer else {
            Issue.record("it does not answer")
            return
        }
        // For that one alone.
        let transcript = DisputeTranscript(opening: other.transcript.opening, moves: [.reveal(reveal)])
        let message = Dispute.transcriptMessage(
            job: pair.id, attempt: 1, challenger: other.challenger.address, pair.subject, transcript)
        #expect(key.verify(signature, of: message) && !key.verify(signature, of: pair.message(transcript)))
    }

    @Test func whatTheChallengerHasNotSignedIsNotAnswered() throws {
        let own = ask()
        var bytes = own.canonicalBytes
        // Another attempt, under the same signature.
        bytes[32] = 2
        #expect(say(try WalkAsk(canonicalBytes: bytes)).answer == .refused(.unsigned))
        #expect(say(own).answer == .computing)
    }

    /// Else a challenger had it sign what it has not said.
    @Test func movesThatItHasNotSignedAreNoWalk() throws {
        let (moves, signature) = try moves(0)
        #expect(say(ask(moves, signed: signature)).play != nil)
        #expect(say(ask(moves)).answer == .refused(.noWalk))
        #expect(say(ask(moves, signed: pair.challenger.sign([]))).answer == .refused(.noWalk))
        // Of another challenger, or of another job.
        #expect(say(ask(moves, signed: signature, by: try key(13))).answer == .refused(.noWalk))
        #expect(say(ask(moves, signed: signature, job: .zero)).answer == .refused(.noWalk))
        // Another reveal in the place of its own.
        guard case .reveal(.steps(var children)) = moves[0] else { throw MemoryBlobs.Missing() }
        children[0] = StepNode(outputs: children[0].outputs, state: .zero)
        let forged: [DisputeMove] = [.reveal(.steps(children)), moves[1]]
        #expect(say(ask(forged, signed: signature)).answer == .refused(.noWalk))
        // A signature where there is nothing to sign yet.
        #expect(say(ask(signed: signature)).answer == .refused(.noWalk))
    }

    @Test func whatDoesNotWaitForItIsNoWalk() throws {
        let (moves, signature) = try moves(0)
        #expect(say(ask([moves[0]], signed: signature)).answer == .refused(.noWalk))
        #expect(say(ask([moves[1]])).answer == .refused(.noWalk))
        #expect(say(ask([moves[0], .pick(.child(99))], signed: signature)).answer == .refused(.noWalk))
        #expect(say(ask([moves[0], .pick(.finish)], signed: signature)).answer == .refused(.noWalk))
        let other = WalkAsk(
            job: pair.id, attempt: 1,
            transcript: DisputeTranscript(opening: DisputeOpening(try JobRunnerTests.product()), moves: []),
            signed: nil, by: pair.challenger)
        #expect(say(other).answer == .refused(.noWalk))
    }

    @Test func aChallengerHasOnePointFoundOutAtATime() throws {
        let (first, signature) = try moves(0)
        let (second, _) = try moves(1)
        #expect(say(ask(first, signed: signature)).answer == .computing)
        #expect(say(ask(second, signed: signature)).answer == .refused(.busy))
        // Another may, and a third has to wait.
        #expect(say(ask(by: try key(13), job: .zero)).answer == .computing)
        #expect(say(ask(by: try key(14), job: try key(1).publicKey.asRoot)).answer == .refused(.busy))
    }

    /// Strangers do not keep auditors waiting.
    @Test func strangersShareOnePlace() throws {
        #expect(say(ask(job: .zero), isAuditor: false).answer == .computing)
        let other = ask(by: try key(13))
        #expect(say(other, isAuditor: false).answer == .refused(.busy))
        #expect(say(other, isAuditor: true).answer == .computing)
    }

    /// A challenger that goes everywhere, and many that take turns with one deposit.
    @Test func nobodyIsToldMoreThanAWalkTakes() throws {
        func points(_ challenger: SecretKey, isAuditor: Bool) throws -> Int {
            // One point of each job is enough to count by: the moves above it are its own.
            var told = 0
            for place in 0..<UInt32(9) {
                for deeper in 0..<UInt32(16) {
                    var moves: [DisputeMove] = []
                    var signature: Signature?
                    for pick in [place, deeper] {
                        let ask = ask(moves, signed: signature, by: challenger)
                        let before = pair.defence.count
                        guard case .reveal(let reveal, _, let next) = try pair.answer(ask, isAuditor: isAuditor) else {
                            return told
                        }
                        told += pair.defence.count - before
                        moves += [.reveal(reveal), .pick(.child(pick))]
                        signature = next
                    }
                    let ask = ask(moves, signed: signature, by: challenger)
                    let before = pair.defence.count
                    switch try pair.answer(ask, isAuditor: isAuditor) {
                    case .reveal: told += pair.defence.count - before
                    case .refused(.spent): return told
                    case .refused(.noWalk): continue
                    case let other: Issue.record("\(other)")
                    }
                }
            }
            return told
        }
        let first = try points(key(20), isAuditor: false)
        #expect(first == WalkDefence.maximumPoints)
        let second = try points(key(21), isAuditor: false)
        #expect(first + second <= WalkDefence.maximumStrangersPoints)
        let third = try points(key(22), isAuditor: false)
        #expect(first + second + third <= WalkDefence.maximumStrangersPoints)
        // An auditor is told all the same, and what was found out for others costs nothing.
        #expect(try pair.answer(ask()) != .refused(.spent))
    }

    @Test func whatCannotBeHadIsLookedForAgainAndWhatThereIsNotIsNot() throws {
        let duty = try #require(say(ask()).play?.duty)
        _ = pair.defence.finished(duty, .refused(.unavailable("an input")))
        #expect(say(ask()).play?.duty == duty)
        _ = pair.defence.finished(duty, .refused(.failed("x")))
        #expect(say(ask()).answer == .refused(.failed))
    }

    @Test func whatIsDecidedIsForgotten() throws {
        _ = try pair.answer(ask())
        #expect(pair.defence.count == 1)
        pair.defence.keep { $0 == pair.attempt }
        #expect(pair.defence.count == 1)
        let another = DisputeDesk.Attempt(job: pair.id, number: 2)
        pair.defence.keep { $0 == another }
        #expect(pair.defence.count == 0)
        // What is found out too late is nobody's.
        let duty = DisputeDuty(job: pair.id, attempt: 1, move: .answer(at: .steps(TreeNode(topOf: 37))))
        let isMine = pair.defence.finished(duty, .done(.reveal(.steps([]))))
        #expect(isMine && pair.defence.count == 0)
    }

    @Test func anAskIsAsLongAsATransactionMayBe() throws {
        let own = ask()
        #expect(try WalkAsk(canonicalBytes: own.canonicalBytes) == own)
        #expect((try? WalkAsk(canonicalBytes: own.canonicalBytes + [0])) == nil)
        #expect((try? WalkAsk(canonicalBytes: own.canonicalBytes.dropLast())) == nil)
        let long = own.canonicalBytes + [UInt8](repeating: 0, count: WalkAsk.maximumBytes)
        #expect(throws: DecodingFault.tooLong(found: long.count, limit: WalkAsk.maximumBytes)) {
            try WalkAsk(canonicalBytes: long)
        }
    }

    @Test func asksAndAnswersHaveOneEncoding() throws {
        let own = ask()
        try WireForm([own]).holds(inputs: 5_000)
        try WireForm([WalkAnswer.computing, .refused(.busy), try pair.answer(own)]).holds(inputs: 5_000)
    }
}

extension PublicKey {
    fileprivate var asRoot: Digest { Digest.of(Domain("test"), bytes) }
}
