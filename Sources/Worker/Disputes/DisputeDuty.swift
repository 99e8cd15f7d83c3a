internal import Ledger
public import Primitives
public import Programs

/// A move in a dispute that the chain waits for from this provider.
public struct DisputeDuty: Hashable, Sendable {
    public enum Move: Hashable, Sendable {
        /// Auditor: our result is another than the provider's.
        case challenge
        /// Executor: a challenger, and all that come to the same point, wait for what we reveal there.
        case reveal(to: Address, at: RevealPoint)
        /// Auditor: something was revealed, and we say what is wrong with it.
        case pick(round: UInt32)
    }

    public let job: Digest
    public let attempt: UInt32
    public let move: Move

    public init(job: Digest, attempt: UInt32, move: Move) {
        self.job = job
        self.attempt = attempt
        self.move = move
    }
}

/// A duty with what has to be known to do it.
public struct DisputeItem: Sendable, Equatable {
    public let duty: DisputeDuty
    /// What the executor is bound to.
    public let subject: DisputeSubject
    /// Where the dispute stands; nil before there is one.
    public let walk: Walk?

    public init(duty: DisputeDuty, subject: DisputeSubject, walk: Walk?) {
        self.duty = duty
        self.subject = subject
        self.walk = walk
    }
}

/// What a provider's own run says to a duty.
public enum DisputeAnswer: Hashable, Sendable {
    case opening(DisputeOpening)
    case reveal(Reveal)
    case pick(Pick)
}

/// How far the answer to a duty is on this machine.
public enum DisputeProgress: Sendable, Equatable {
    case computing
    case done(DisputeAnswer)
    /// The run could not be made again, or agrees with the executor after all: whoever has nothing to say falls silent.
    case refused(WorkRefusal)
}

extension DisputeDuty {
    /// The transaction that makes the move.
    func payload(_ answer: DisputeAnswer) -> Payload? {
        switch (move, answer) {
        case (.challenge, .opening(let opening)):
            // The bond that was locked at the draw stands for it.
            return .challenge(job: job, attempt: attempt, opening: opening, deposit: .zero)
        case (.reveal(let challenger, let point), .reveal(let reveal)):
            return .revealDispute(job: job, attempt: attempt, challenger: challenger, point: point, reveal: reveal)
        case (.pick(let round), .pick(let pick)):
            return .pickDispute(job: job, attempt: attempt, round: round, pick: pick)
        default: return nil
        }
    }
}
