/// The provider's side of walks that it takes with challengers alone, as a machine.
///
/// 1. Who may ask is the chain's to say (`WalkPermit`): an auditor of the attempt that found another result, or who could challenge with a deposit that it has.
/// 2. An ask is signed by its challenger, and its moves are a walk over the own result that waits for the provider.
/// 3. Nothing is signed but the own run's reveals: those that are in the ask already are there under the own signature.
/// 4. What is said at a point comes from the run alone. It is found out once, kept until the attempt is decided, and the same for all.
/// 5. A challenger is told as many points as the longest walk has, and has one found out at a time; strangers together get two walks' worth an attempt, so that
///    many accounts that take turns with one deposit cost no more. Whoever is refused may challenge on chain, for money.
internal import Ledger
public import Primitives
internal import Programs

public struct WalkDefence: Sendable {
    /// Points that are found out for one challenger, and for all strangers of an attempt.
    public static let maximumPoints = DisputeBound.maximumRounds
    public static let maximumStrangersPoints = 2 * DisputeBound.maximumRounds
    /// Points that are found out at a time, and of them for strangers.
    public static let maximumPlays = 2
    public static let maximumStrangersPlays = 1
    /// Reveals of all attempts that are kept: each is at most some 4 KiB.
    public static let maximumReveals = 1_024

    private struct Answers: Sendable {
        var found: [RevealPoint: DisputeProgress] = [:]
        /// Who is waited for.
        var asker: [RevealPoint: (challenger: Address, isAuditor: Bool)] = [:]
        /// Points that were found out for each.
        var told: [Address: Int] = [:]
        var toldStrangers = 0
    }

    private let key: SecretKey
    private var attempts: [DisputeDesk.Attempt: Answers] = [:]

    public init(key: SecretKey) { self.key = key }

    /// Reveals that are kept or being found out.
    public var count: Int { attempts.values.reduce(0) { $0 + $1.found.count } }

    /// Only these attempts are still of use.
    public mutating func keep(where isCurrent: (DisputeDesk.Attempt) -> Bool) {
        if attempts.isEmpty { return }
        attempts = attempts.filter { isCurrent($0.key) }
    }

    /// A challenger asks. The second is what to find out before it asks again.
    public mutating func asked(_ ask: WalkAsk, _ permit: WalkPermit) -> (answer: WalkAnswer, play: DisputeItem?) {
        // Rule 2.
        if !ask.isSigned { return (.refused(.unsigned), nil) }
        guard let walk = try? ask.transcript.walk(permit.subject), let point = walk.point else {
            return (.refused(.noWalk), nil)
        }
        // Rule 3.
        guard isOwn(ask, permit.subject) else { return (.refused(.noWalk), nil) }
        let attempt = DisputeDesk.Attempt(job: ask.job, number: ask.attempt)
        switch attempts[attempt]?.found[point] {
        case .done(.reveal(let reveal)): return (answer(ask, reveal, permit.subject), nil)
        case .done, .refused: return (.refused(.failed), nil)
        case .computing: return (.computing, nil)
        case nil: break
        }
        if let refusal = refusal(ask.challenger.address, permit.isAuditor, attempts[attempt] ?? Answers()) {
            return (.refused(refusal), nil)
        }
        let challenger = ask.challenger.address
        var answers = attempts[attempt] ?? Answers()
        answers.found[point] = .computing
        answers.asker[point] = (challenger, permit.isAuditor)
        answers.told[challenger, default: 0] += 1
        if !permit.isAuditor { answers.toldStrangers += 1 }
        attempts[attempt] = answers
        let duty = DisputeDuty(job: ask.job, attempt: ask.attempt, move: .answer(at: point))
        return (.computing, DisputeItem(duty: duty, subject: permit.subject, walk: walk))
    }

    /// Rule 5.
    private func refusal(_ challenger: Address, _ isAuditor: Bool, _ answers: Answers) -> WalkAskRefusal? {
        let hasHadAll = answers.told[challenger, default: 0] >= WalkDefence.maximumPoints
        if hasHadAll || !isAuditor && answers.toldStrangers >= WalkDefence.maximumStrangersPoints { return .spent }
        let askers = attempts.values.flatMap(\.asker.values)
        if askers.count >= WalkDefence.maximumPlays || count >= WalkDefence.maximumReveals
            || askers.contains(where: { $0.challenger == challenger })
            || !isAuditor && askers.count(where: { !$0.isAuditor }) >= WalkDefence.maximumStrangersPlays
        {
            return .busy
        }
        return nil
    }

    /// Rule 3.
    private func isOwn(_ ask: WalkAsk, _ subject: DisputeSubject) -> Bool {
        if ask.transcript.signedMoves.isEmpty { return ask.signed == nil }
        guard let signed = ask.signed else { return false }
        return key.publicKey.verify(signed, of: message(ask, ask.transcript, subject))
    }

    private func message(_ ask: WalkAsk, _ transcript: DisputeTranscript, _ subject: DisputeSubject) -> [UInt8] {
        Dispute.transcriptMessage(
            job: ask.job, attempt: ask.attempt, challenger: ask.challenger.address, subject, transcript)
    }

    private func answer(_ ask: WalkAsk, _ reveal: Reveal, _ subject: DisputeSubject) -> WalkAnswer {
        let next = DisputeTranscript(
            opening: ask.transcript.opening, moves: ask.transcript.moves + [.reveal(reveal)])
        return .reveal(reveal, key: key.publicKey, key.sign(message(ask, next, subject)))
    }

    /// What was to be found out is there, or is not to be had. Returns whether it was asked for here.
    public mutating func finished(_ duty: DisputeDuty, _ outcome: DisputeProgress) -> Bool {
        guard case .answer(let point) = duty.move else { return false }
        let attempt = DisputeDesk.Attempt(job: duty.job, number: duty.attempt)
        attempts[attempt]?.asker[point] = nil
        guard attempts[attempt]?.found[point] != nil else { return true }
        if case .refused(.unavailable) = outcome {
            // Whoever asks again has it looked for again.
            attempts[attempt]?.found[point] = nil
        } else {
            attempts[attempt]?.found[point] = outcome
        }
        return true
    }
}
