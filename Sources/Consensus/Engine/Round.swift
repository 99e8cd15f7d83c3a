import Primitives

/// What is known of one view.
struct Round: Sendable {
    enum Slot: Sendable, Equatable {
        case none
        case unverified(Proposal)
        case verified(Proposal)
        /// Two proposals are known: no more notarize or finalize from us here.
        case equivocated

        var proposal: Proposal? {
            switch self {
            case .unverified(let proposal), .verified(let proposal): proposal
            case .none, .equivocated: nil
            }
        }
    }

    enum Certification: Sendable, Equatable {
        case none
        case outstanding
        case yes
        case no
    }

    let view: View
    let leader: Int
    var slot = Slot.none
    var proposalSource: PublicKey?
    var verificationAsked = false
    /// The slot's proposal is known to be invalid.
    var refused = false

    /// By kind.
    private(set) var ballots = [Ballot](repeating: Ballot(), count: Subject.Kind.allCases.count)
    /// Signers already reported.
    var accused: Set<UInt16> = []

    var notarization: Certificate?
    var nullification: Certificate?
    var finalization: Certificate?
    var certification = Certification.none

    /// The parent for which the application was asked to propose. It stays the proposal's parent even when a higher view is certified
    /// meanwhile, since the payload was built on it.
    var askedParent: ParentReference?
    var sentNotarize: Vote?
    var sentNullify: Vote?
    var sentFinalize: Vote?

    var leaderDeadline: Instant?
    var advanceDeadline: Instant?
    var retryAt: Instant?
    var enteredAt: Instant?
    var timeoutReason: TimeoutReason?

    // For operators alone, nothing is decided by these: when another's vote, the leader's proposal, and a notarization came, and when the view
    // was given up.
    var heardAt: Instant?
    var proposalAt: Instant?
    var notarizedAt: Instant?
    var gaveUpAt: Instant?

    init(view: View, leader: Int) {
        self.view = view
        self.leader = leader
    }

    subscript(kind: Subject.Kind) -> Ballot {
        @inline(__always) get { ballots[Int(kind.rawValue)] }
    }

    /// Changes a ballot where it lies.
    mutating func withBallot<R>(_ kind: Subject.Kind, _ body: (inout Ballot) -> R) -> R {
        body(&ballots[Int(kind.rawValue)])
    }

    func hasCertificate(_ kind: Subject.Kind) -> Bool {
        switch kind {
        case .notarize: notarization != nil
        case .nullify: nullification != nil
        case .finalize: finalization != nil
        }
    }

    func certificate(_ kind: Subject.Kind) -> Certificate? {
        switch kind {
        case .notarize: notarization
        case .nullify: nullification
        case .finalize: finalization
        }
    }

    /// The notarized proposal.
    var notarized: Proposal? { notarization?.subject.proposal }
}
