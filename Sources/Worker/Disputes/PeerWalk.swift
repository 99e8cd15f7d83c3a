/// The challenger's side of one walk that it takes with the provider alone, as a machine.
///
/// 1. It asks for one reveal after the other, each with all moves before it; one that is found out is asked for again, ever more slowly.
/// 2. Only what the provider has signed, and what is a move of the walk, is taken.
/// 3. Between two reveals the own run says what is wrong with the last (`pick`).
/// 4. A walk that convicts is shown to the chain at once, in one transaction, for as long as half of what is left would do for a challenge there.
/// 5. Half of the time that there is for a challenge belongs to the walk. Who does not answer by then, refuses, cannot be reached, or says what binds it to
///    nothing, is challenged on chain.
/// 6. What was signed is kept: a second answer that says another thing of the same point, and what stands on chain, convict by themselves.
public import Ledger
public import Primitives
public import Programs

public struct PeerWalk: Sendable {
    public enum Step: Sendable, Equatable {
        case ask(WalkAsk, after: Interval)
        /// The own run is to say what is wrong here.
        case pick(round: UInt32, Walk)
        /// One transaction convicts.
        case settle(DisputeTranscript, key: PublicKey, Signature)
        /// Go on chain.
        case giveUp(String)
        case wait
    }

    /// How often in a row a provider may be out of reach.
    public static let maximumMisses = 4
    private static let shortestPause = Interval.milliseconds(20)
    private static let longestPause = Interval.seconds(2)

    private enum Stage: Sendable {
        case asking
        /// An ask is on its way.
        case asked
        case picking
        case convicted
        case ended(String)
    }

    public let job: Digest
    public let attempt: UInt32
    private let subject: DisputeSubject
    private let terms: ChallengeTerms
    private let key: SecretKey
    private let opening: DisputeOpening
    private let limit: UInt64
    private var walk: Walk
    private var moves: [DisputeMove] = []
    private var round: UInt32 = 0
    private var stage: Stage
    /// What the provider has signed last: the moves so far, with its key.
    private var last: (transcript: SignedTranscript, key: PublicKey)?
    private var misses = 0
    private var pause = Interval.zero
    /// What it has signed before, where that is another thing.
    private var other: SignedTranscript?

    /// `clock`: the dispute clock now.
    public init(
        _ item: DisputeItem, _ terms: ChallengeTerms, opening: DisputeOpening, by key: SecretKey, clock: UInt64
    ) throws(WalkFault) {
        (job, attempt, subject) = (item.duty.job, item.duty.attempt, item.subject)
        (self.terms, self.key, self.opening) = (terms, key, opening)
        limit = clock + (terms.until - min(terms.until, clock)) / 2
        walk = try Walk(item.subject, opening)
        stage = .asking
        turn()
    }

    /// Whether the own evidence has acquitted the provider: a challenge would be lost.
    public var isLost: Bool { if case .acquitted? = walk.outcome { true } else { false } }

    /// What it has signed, and where.
    public var signed: [SignedReveal] { last.flatMap { try? $0.transcript.transcript.reveals(subject) } ?? [] }

    /// Whose move it is now.
    private mutating func turn() {
        switch (walk.outcome, walk.turn) {
        // What nobody has signed convicts on chain alone: a result that no run could have.
        case (.convicted, _): stage = last == nil ? .ended("the result convicts by itself") : .convicted
        case (.acquitted(let reason), _): stage = .ended("the own evidence acquits: \(reason)")
        case (nil, .challenger): stage = .picking
        case (nil, _): stage = .asking
        }
    }

    /// What to do now. A step of asking is told once; the others until something has come of them.
    public mutating func next(at clock: UInt64) -> Step {
        switch stage {
        case .ended(let reason): return .giveUp(reason)
        case .convicted where clock <= limit + (terms.until - min(limit, terms.until)) / 2:
            guard let last else { return .giveUp("nothing is signed") }
            return .settle(DisputeTranscript(opening: opening, moves: moves), key: last.key, last.transcript.signature)
        // Rule 5.
        case _ where clock > limit: return .giveUp("the time for a walk is over")
        case .asked: return .wait
        case .picking: return .pick(round: round, walk)
        case .asking:
            stage = .asked
            let transcript = DisputeTranscript(opening: opening, moves: moves)
            return .ask(
                WalkAsk(
                    job: job, attempt: attempt, transcript: transcript, signed: last?.transcript.signature, by: key),
                after: pause)
        case .convicted: return .giveUp("the chain has not taken the walk")
        }
    }

    /// What came of an ask; nil where the provider was not reached, or what it said cannot be read.
    public mutating func answered(_ ask: WalkAsk, _ answer: WalkAnswer?) {
        let isLast = if case .asked = stage { ask.transcript.moves == moves } else { false }
        switch answer {
        case .reveal(let reveal, let key, let signature): take(reveal, key, signature, ask, isLast: isLast)
        case _ where !isLast: return
        case nil:
            misses += 1
            if misses >= PeerWalk.maximumMisses {
                stage = .ended("the provider cannot be reached")
            } else {
                again(least: .milliseconds(200))
            }
        case .computing:
            misses = 0
            again(least: PeerWalk.shortestPause)
        case .refused(let refusal): stage = .ended(refusal.description)
        }
    }

    private mutating func again(least: Interval) {
        pause = min(max(pause.scaled(3, over: 2), least), PeerWalk.longestPause)
        stage = .asking
    }

    private mutating func take(
        _ reveal: Reveal, _ key: PublicKey, _ signature: Signature, _ ask: WalkAsk, isLast: Bool
    ) {
        let transcript = DisputeTranscript(opening: opening, moves: ask.transcript.moves + [.reveal(reveal)])
        let challenger = self.key.publicKey.address
        let message = Dispute.transcriptMessage(
            job: job, attempt: attempt, challenger: challenger, subject, transcript)
        // Rule 2.
        guard key.address == terms.defender, key.verify(signature, of: message) else {
            if isLast { stage = .ended("the provider has not signed its answer") }
            return
        }
        let taken = SignedTranscript(challenger: challenger, transcript: transcript, signature: signature)
        // Rule 6: of an ask that was answered twice.
        if !isLast {
            // What is no walk the chain would not look at.
            if !moves.starts(with: transcript.moves), (try? transcript.reveals(subject)) != nil { other = taken }
            return
        }
        do throws(WalkFault) { try walk.reveal(reveal, subject) } catch {
            stage = .ended("the provider's answer is no move: \(error.description)")
            return
        }
        moves.append(.reveal(reveal))
        last = (taken, key)
        (misses, pause) = (0, .zero)
        turn()
    }

    /// The own run's word in a round.
    public mutating func picked(_ pick: Pick, round: UInt32) {
        guard case .picking = stage, round == self.round else { return }
        do throws(WalkFault) { try walk.pick(pick, subject) } catch {
            stage = .ended("the own pick is no move: \(error.description)")
            return
        }
        moves.append(.pick(pick))
        self.round += 1
        turn()
    }

    /// What shows that the provider contradicts itself, by what stands on chain (`revealed`) or by its own two words. Nil where it does not.
    public func contradiction(_ revealed: [RevealPoint: Reveal]) -> Payload? {
        guard let last else { return nil }
        func payload(_ second: SignedTranscript?) -> Payload {
            .showContradiction(job: job, attempt: attempt, key: last.key, first: last.transcript, second: second)
        }
        if let other { return payload(other) }
        let differs = signed.contains { said in revealed[said.point].map { $0 != said.reveal } ?? false }
        return differs ? payload(nil) : nil
    }
}
