public import Primitives

/// The engine. See `Consensus.swift` for the protocol; the rules below are those of docs/consensus.md.
///
/// 1. Enter a view only forward, and set its deadlines; a leader that is gone is not waited for.
/// 2. The leader proposes once, on the highest certified or finalized view below, with a nullification for every view between.
/// 3. The leader's first notarize vote fills the slot; it is verified once its parent is certified and the gap nullified here.
/// 4. Notarize iff the slot is verified and neither notarize nor nullify was sent in the view.
/// 5. Nullify only in the current view, never after our own finalize; repeated until the view ends, to our own collector too.
/// 6. A notarization overrules the slot and asks the application to certify; it does not end the view by itself.
/// 7. Certified: enter the next view. Refused: give the view up, never build on it unless it is finalized.
/// 8. Finalize iff the view is above the last finalized one, notarized, certified, not nullified by us, and its slot is not equivocated.
/// 9. A nullification or finalization ends the view and is announced once.
/// 10. The collector takes one vote per kind, signer and view; a second, different one is evidence. Votes up to one view ahead, certificates of any view.
/// 11. Standing still, re-send the last finalization, every certificate above it and our own votes, within a budget; to a peer that
///     connects, the same at once.
/// 12. Missing nullifications above the floor are asked for.
///
/// What comes from others is bounded everywhere: votes by the admitted views, certificates and rivals under check by peer, answers to
/// requests by peer and time. A forgery, whoever sends it first, never keeps the true vote or certificate out.
public struct Simplex: Sendable {
    let network: Digest
    public let epoch: Epoch
    public let validators: ValidatorSet
    let seed: Digest
    let parameters: ConsensusParameters
    let ownIndex: Int?
    let signer: (any SignatureScheme)?

    var rounds = Rounds()
    public internal(set) var view: View = 0
    /// The last finalized view.
    public internal(set) var lastFinalized: View
    var lastFinalizedDigest: Digest
    var lastFinalization: Certificate?
    /// Views given up since the last finalization while there was work: time-outs grow by them.
    var strain: UInt32 = 0
    var work = false
    /// The last view in which each validator was heard voting.
    var lastHeard: [View]
    /// The last view in which each validator led and we waited for its proposal in vain.
    var missedTurn: [View]
    var amnesia: AmnesiaGuard
    var positionsAskedAt: Instant?
    /// Another machine was heard to vote with our key: nothing is signed here any more.
    public internal(set) var isKeyInUseElsewhere = false
    var started = false

    var checks: [UInt64: PendingCheck] = [:]
    var nextCheck: UInt64
    /// Certificates that wait for the one of the same subject that is under check.
    var waitingCertificates: [Subject: [Delivered]] = [:]
    /// Checks under way for each peer.
    var checksOfPeer: [PublicKey: Int] = [:]
    /// Requests answered for each peer since `answersSince`.
    var answersToPeer: [PublicKey: Int] = [:]
    var answersSince = Instant(nanoseconds: 0)
    var standstillAt: Instant?
    var requestedAt: [View: Instant] = [:]
    var outputs: [Output] = []
    /// The time of the current step.
    var currentInstant = Instant(nanoseconds: 0)
    /// Why the current view is to be given up at the end of this step.
    var giveUpReason: TimeoutReason?

    /// A certificate, and who brought it.
    struct Delivered: Sendable {
        let certificate: Certificate
        let peer: PublicKey
    }

    enum PendingCheck: Sendable {
        case votes(VoteBatch)
        case certificate(Delivered)
        /// A vote beside the one held of the same signer and view: which of them is true, or are both?
        case rival(Vote, held: Vote, from: PublicKey)
        /// A vote in our own name that we did not cast.
        case own(Vote, from: PublicKey)
        /// Where another stands, with the number of its signatures.
        case position(Position, from: PublicKey, count: Int)
    }

    /// Certificates of one peer under check or waiting at a time; more are dropped and come again. Above the answer to one request.
    public static let maximumChecksPerPeer = 160
    /// Certificates of one subject that wait while another is checked.
    static let maximumWaitingCertificates = 8
    /// Requests of one peer answered within a retry interval.
    public static let maximumAnswersPerPeer = 16
    /// Bytes re-sent at a stand-still.
    static let standstillBudget = 256 * 1024
    static let welcomeBudget = 64 * 1024

    /// An engine at its floor. It votes only with an `ownIndex` and a `signer`. A `challenge`, a nonce that was never used, is given where the key
    /// may have signed what the journal does not know.
    public init(
        network: Digest, epoch: Epoch, validators: ValidatorSet, seed: Digest, parameters: ConsensusParameters,
        ownIndex: Int?, signer: (any SignatureScheme)?, floor: Floor, challenge: Digest?,
        isKeyInUseElsewhere: Bool = false, firstCheck: UInt64 = 1
    ) {
        self.network = network
        self.epoch = epoch
        self.validators = validators
        self.seed = seed
        self.parameters = parameters
        self.ownIndex = signer == nil ? nil : ownIndex
        self.signer = signer
        amnesia = challenge.map { .asking(nonce: $0, answers: [:]) } ?? .none
        self.isKeyInUseElsewhere = isKeyInUseElsewhere
        nextCheck = firstCheck
        lastHeard = [View](repeating: 0, count: validators.count)
        missedTurn = lastHeard
        switch floor {
        case .genesis(let digest):
            lastFinalized = 0
            lastFinalizedDigest = digest
        case .finalized(let proposal, let certificate):
            lastFinalized = proposal.view
            lastFinalizedDigest = proposal.payloadDigest
            lastFinalization = certificate
        }
    }

    /// The leader of a view.
    public func leader(of view: View) -> Int { validators.leader(of: view, seed: seed) }

    /// Takes one input.
    public mutating func handle(_ input: Input, at now: Instant) -> [Output] {
        outputs.removeAll(keepingCapacity: true)
        currentInstant = now
        if !started { return [] }
        switch input {
        case .message(.vote(let vote), let peer): receive(vote, from: peer, at: now)
        case .message(.certificate(let certificate), let peer): receive(certificate, from: peer)
        case .message(.request(let first, let last), let peer): answer(first, last, to: peer)
        // The application's: it knows the sets of other epochs too.
        case .message(.evidence, _): break
        case .message(.positionRequest(let nonce), let peer): answerPosition(nonce, to: peer)
        case .message(.position(let position), let peer): receive(position, from: peer)
        case .signaturesVerified(let id, let results): checked(id, results, at: now)
        case .timer: break
        case .peerConnected(let peer):
            welcome(peer)
            askForPositions(peer)
        case .payloadProposed(let view, let digest): proposed(view, digest, at: now)
        case .proposalVerdict(let proposal, let verdict): judged(proposal, verdict, at: now)
        case .certified(let proposal, let verdict): certified(proposal, verdict, at: now)
        case .work(let work): changeWork(work, at: now)
        }
        expire(at: now)
        finish(at: now)
        return outputs
    }

    /// Changes a round in place, so that a vote costs no copy of the others.
    mutating func withRound<R>(_ view: View, _ body: (inout Round) -> R) -> R {
        let place = rounds.place(of: view) ?? rounds.insert(Round(view: view, leader: leader(of: view)))
        return body(&rounds.list[place])
    }

    /// Signs, remembers, journals and sends one vote of ours, and counts it. The only place where a vote is made.
    mutating func cast(_ subject: Subject, at now: Instant) {
        guard maySign(in: subject.view), let ownIndex, let signer else { return }
        let vote = Vote(
            subject: subject, signer: UInt16(ownIndex), signature: signer.sign(subject.signingBytes(network: network)))
        withRound(subject.view) { round in
            // What no honest validator does, whatever path led here.
            switch subject {
            case .notarize(let proposal):
                precondition(
                    round.sentNotarize == nil && round.sentNullify == nil, "a second word in one view (rule 4)")
                precondition(
                    round.sentFinalize?.subject.proposal.map { $0 == proposal } ?? true,
                    "a notarize beside the finalize of another proposal (rule 8)")
                round.sentNotarize = vote
            case .nullify:
                precondition(
                    round.sentNullify == nil && round.sentFinalize == nil, "a nullify after a finalize (rule 5)")
                round.sentNullify = vote
            case .finalize(let proposal):
                precondition(
                    round.sentFinalize == nil && round.sentNullify == nil, "a finalize after a nullify (rule 8)")
                precondition(
                    round.sentNotarize?.subject.proposal.map { $0 == proposal } ?? true,
                    "a finalize beside the notarize of another proposal (rule 8)")
                round.sentFinalize = vote
            }
        }
        outputs.append(.persist(.vote(vote)))
        outputs.append(.broadcast(.vote(vote)))
        count(vote, at: now)
    }
}
