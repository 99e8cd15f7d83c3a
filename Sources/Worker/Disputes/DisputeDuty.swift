public import Ledger
public import Primitives
public import Programs

/// What a dispute asks of one of its sides.
public struct DisputeDuty: Hashable, Sendable {
    public enum Move: Hashable, Sendable {
        /// Challenger: our result is another than the provider's.
        case challenge
        /// Executor: a challenger, and all that come to the same point, wait on chain for what we reveal there.
        case reveal(to: Address, at: RevealPoint)
        /// Challenger: something was revealed on chain, and we say what is wrong with it.
        case pick(round: UInt32)
        /// Executor: somebody who may ask (`WalkDefence`) waits for what we reveal, not on chain.
        case answer(at: RevealPoint)
        /// Challenger: the same as a pick, in a walk with the provider alone (`PeerWalk`).
        case name(round: UInt32)
        /// Challenger: such a walk convicts.
        case settle
        /// Challenger: the provider has signed two things of one point.
        case contradict

        /// Whether it is the executor's, whose own run answers.
        public var isDefence: Bool {
            switch self {
            case .reveal, .answer: true
            case .challenge, .pick, .name, .settle, .contradict: false
            }
        }
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
    /// Of a challenge; nil where it goes on chain at once, on a bond.
    public let terms: ChallengeTerms?

    public init(duty: DisputeDuty, subject: DisputeSubject, walk: Walk?, terms: ChallengeTerms? = nil) {
        self.duty = duty
        self.subject = subject
        self.walk = walk
        self.terms = terms
    }
}

/// Whom a challenge is about, what it costs, and until when it can be made.
public struct ChallengeTerms: Hashable, Sendable {
    public let defender: Address
    /// Its node, which may be asked.
    public let node: PublicKey
    /// Nothing where an auditor's bond stands for it.
    public let deposit: Amount
    /// In dispute clock.
    public let until: UInt64

    public init(defender: Address, node: PublicKey, deposit: Amount, until: UInt64) {
        self.defender = defender
        self.node = node
        self.deposit = deposit
        self.until = until
    }

    /// Of an account that may challenge a job's present result.
    public init?(of job: Job, _ right: ChallengeRight, in state: any StateStore) throws(LedgerFault) {
        guard let defender = job.assignment?.provider, let provider = try Query.provider(defender, in: state) else {
            return nil
        }
        self.init(defender: defender, node: provider.node, deposit: right.deposit, until: right.until)
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

extension DisputeItem {
    /// The transaction that makes the move.
    func payload(_ answer: DisputeAnswer) -> Payload? {
        let (job, attempt) = (duty.job, duty.attempt)
        switch (duty.move, answer) {
        case (.challenge, .opening(let opening)):
            // Of an auditor the bond that was locked at the draw stands for it.
            return .challenge(job: job, attempt: attempt, opening: opening, deposit: terms?.deposit ?? .zero)
        case (.reveal(let challenger, let point), .reveal(let reveal)):
            return .revealDispute(job: job, attempt: attempt, challenger: challenger, point: point, reveal: reveal)
        case (.pick(let round), .pick(let pick)):
            return .pickDispute(job: job, attempt: attempt, round: round, pick: pick)
        default: return nil
        }
    }
}
