public import Primitives

/// What happened.
public enum Input: Sendable {
    case message(ConsensusMessage, from: PublicKey)
    /// The answer to `verifySignatures`, in order of its items.
    case signaturesVerified(UInt64, [Bool])
    /// A deadline may have passed.
    case timer
    /// Somebody can hear us who could not before.
    case peerConnected(PublicKey)
    /// The application's payload for our turn.
    case payloadProposed(View, Digest)
    /// Whether a proposal is valid. Given only when known for certain.
    case proposalVerdict(Proposal, Bool)
    /// Whether a notarized proposal's payload is durable and readable here.
    case certified(Proposal, Bool)
    /// Whether there is anything for blocks to do.
    case work(Bool)
}

/// What must be done, in order: a `persist` is durable before anything after it leaves.
public enum Output: Hashable, Sendable {
    case persist(JournalRecord)
    case broadcast(ConsensusMessage)
    case send(ConsensusMessage, to: PublicKey)
    case setTimer(Instant)
    case verifySignatures(UInt64, [VerificationItem])
    case propose(View, parent: ParentReference)
    case verifyProposal(Proposal, from: PublicKey?)
    case certify(Proposal, from: PublicKey?)
    case entered(View, leader: Int)
    case notarized(Proposal, Certificate)
    /// A proposal, and with it all its ancestors, is final.
    case finalized(Proposal, Certificate)
    case evidence(Evidence)
    /// Somebody else signs with our key: this was signed there. The engine abstains from here on.
    case keyInUseElsewhere(Vote)
    case timeout(View, TimeoutReason)
}

/// The payload that a proposal stands on.
public struct ParentReference: Hashable, Sendable {
    public let view: View
    public let digest: Digest

    public init(view: View, digest: Digest) {
        self.view = view
        self.digest = digest
    }
}

/// Why a view was given up; the first reason of a view is kept.
public enum TimeoutReason: String, Hashable, Sendable, CaseIterable {
    case noProposal = "no proposal"
    case viewTooLong = "no end of the view"
    case invalidProposal = "invalid proposal"
    case leaderInactive = "leader inactive"
    case leaderNullified = "leader nullified"
    case certificationFailed = "certification failed"
}

/// Where an engine starts: nothing below it is ever asked again.
public enum Floor: Hashable, Sendable {
    /// The digest of the genesis payload, at view 0.
    case genesis(Digest)
    case finalized(Proposal, Certificate)
}
