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
/// 11. Standing still, re-send the last finalization, every certificate above it and our own votes, within a budget.
/// 12. Missing nullifications above the floor are asked for.
public struct Simplex: Sendable {
    let network: Digest
    public let epoch: Epoch
    public let validators: ValidatorSet
    let seed: Digest
    let parameters: ConsensusParameters
    let ownIndex: Int?
    let signer: (any SignatureScheme)?

    var rounds: [View: Round] = [:]
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
    /// Votes are withheld up to and including this view (amnesia guard).
    var abstainThrough: View?
    var amnesiac: Bool
    var started = false

    var checks: [UInt64: PendingCheck] = [:]
    var nextCheck: UInt64 = 1
    var standstillAt: Instant?
    var requestedAt: [View: Instant] = [:]
    var outputs: [Output] = []
    /// The time of the current step.
    var currentInstant = Instant(nanoseconds: 0)
    /// Why the current view is to be given up at the end of this step.
    var giveUpReason: TimeoutReason?

    enum PendingCheck: Sendable {
        case votes([Vote])
        case certificate(Certificate, from: PublicKey)
    }

    /// Certificates under check at a time; more are dropped and come again.
    static let maximumChecks = 256
    /// Messages re-sent at a stand-still.
    static let standstillBudget = 96

    /// An engine at its floor. It votes only with an `ownIndex` and a `signer`.
    public init(
        network: Digest, epoch: Epoch, validators: ValidatorSet, seed: Digest, parameters: ConsensusParameters,
        ownIndex: Int?, signer: (any SignatureScheme)?, floor: Floor, amnesiac: Bool
    ) {
        self.network = network
        self.epoch = epoch
        self.validators = validators
        self.seed = seed
        self.parameters = parameters
        self.ownIndex = signer == nil ? nil : ownIndex
        self.signer = signer
        self.amnesiac = amnesiac
        lastHeard = [View](repeating: 0, count: validators.count)
        switch floor {
        case .genesis(let digest):
            lastFinalized = 0
            lastFinalizedDigest = digest
        case .finalized(let proposal, let certificate):
            lastFinalized = proposal.view
            lastFinalizedDigest = proposal.payloadDigest
            lastFinalization = certificate
            lastHeard = [View](repeating: proposal.view, count: validators.count)
        }
    }

    /// The leader of a view.
    public func leader(of view: View) -> Int { validators.leader(of: view, seed: seed) }

    /// Takes back what the journal holds. To be called once, with every record, before `start`.
    public mutating func restore(_ records: [JournalRecord]) {
        precondition(!started, "a journal is replayed before the engine starts")
        for record in records where record.epoch == epoch {
            if record.view < lastFinalized && record.view.value + UInt64(parameters.retention) < lastFinalized.value {
                continue
            }
            switch record {
            case .vote(let vote): restore(vote)
            case .certificate(let certificate): restore(certificate)
            case .certification(let proposal, let verdict):
                withRound(proposal.view) { $0.certification = verdict ? .yes : .no }
            }
        }
    }

    private mutating func restore(_ vote: Vote) {
        withRound(vote.subject.view) { round in
            round.votes[vote.subject.kind, default: [:]][vote.signer] = .init(vote: vote, check: .good)
            switch vote.subject {
            case .notarize(let proposal):
                round.sentNotarize = vote
                if round.slot == .none { round.slot = .verified(proposal) }
                if Int(vote.signer) == round.leader { round.proposed = true }
            case .nullify: round.sentNullify = vote
            case .finalize: round.sentFinalize = vote
            }
        }
    }

    private mutating func restore(_ certificate: Certificate) {
        withRound(certificate.subject.view) { round in
            switch certificate.subject {
            case .notarize(let proposal):
                round.notarization = certificate
                if let held = round.slot.proposal, held != proposal { round.slot = .equivocated }
            case .nullify: round.nullification = certificate
            case .finalize: round.finalization = certificate
            }
        }
        if case .finalize(let proposal) = certificate.subject, proposal.view > lastFinalized {
            lastFinalized = proposal.view
            lastFinalizedDigest = proposal.payloadDigest
            lastFinalization = certificate
        }
    }

    /// Begins: enters the first view that nothing known has ended.
    public mutating func start(at now: Instant) -> [Output] {
        precondition(!started, "an engine starts once")
        started = true
        outputs.removeAll()
        currentInstant = now
        var first = lastFinalized.next()
        // Journaled finalizations above the application's own are handed over again.
        if let certificate = lastFinalization, case .finalize(let proposal) = certificate.subject {
            outputs.append(.finalized(proposal, certificate))
        }
        for view in rounds.keys.sorted() {
            guard let round = rounds[view] else { continue }
            if round.nullification != nil || round.finalization != nil || round.certification == .yes {
                first = max(first, view.next())
            }
            // A vote of ours in a view means that we had entered it.
            if round.sentNotarize != nil || round.sentNullify != nil || round.sentFinalize != nil {
                first = max(first, view)
            }
            if view > lastFinalized, case .notarize(let proposal)? = round.notarization?.subject,
                round.certification == .none
            {
                rounds[view]?.certification = .outstanding
                outputs.append(.certify(proposal, from: nil))
            }
        }
        enter(first, at: now)
        finish(at: now)
        return outputs
    }

    /// Takes one input.
    public mutating func handle(_ input: Input, at now: Instant) -> [Output] {
        outputs.removeAll(keepingCapacity: true)
        currentInstant = now
        if !started { return [] }
        switch input {
        case .message(.vote(let vote), let peer): receive(vote, from: peer, at: now)
        case .message(.certificate(let certificate), let peer): receive(certificate, from: peer)
        case .message(.request(let first, let last), let peer): answer(first, last, to: peer)
        case .signaturesVerified(let id, let results): checked(id, results, at: now)
        case .timer: break
        case .payloadProposed(let view, let digest): proposed(view, digest, at: now)
        case .proposalVerdict(let proposal, let verdict): judged(proposal, verdict, at: now)
        case .certified(let proposal, let verdict): certified(proposal, verdict, at: now)
        case .work(let work): changeWork(work, at: now)
        }
        expire(at: now)
        finish(at: now)
        return outputs
    }

    mutating func withRound<R>(_ view: View, _ body: (inout Round) -> R) -> R {
        var round = rounds[view] ?? Round(leader: leader(of: view))
        let result = body(&round)
        rounds[view] = round
        return result
    }

    /// Whether a vote of ours may be cast in `view` at all.
    var maySign: Bool { ownIndex != nil && abstainThrough == nil && !amnesiac }

    /// Signs, remembers, journals and sends one vote of ours, and counts it. The only place where a vote is made.
    mutating func cast(_ subject: Subject, at now: Instant) {
        guard let ownIndex, let signer else { return }
        let vote = Vote(
            subject: subject, signer: UInt16(ownIndex), signature: signer.sign(subject.signingBytes(network: network)))
        withRound(subject.view) { round in
            switch subject {
            case .notarize: round.sentNotarize = vote
            case .nullify: round.sentNullify = vote
            case .finalize: round.sentFinalize = vote
            }
        }
        outputs.append(.persist(.vote(vote)))
        outputs.append(.broadcast(.vote(vote)))
        count(vote, check: .good, at: now)
    }

    /// For operators: what keeps this view from ending.
    public var status: EngineStatus {
        let round = rounds[view]
        return EngineStatus(
            view: view, lastFinalized: lastFinalized, leader: leader(of: view), isLeader: ownIndex == leader(of: view),
            hasProposal: round?.slot.proposal != nil, notarizeWeight: weight(.notarize, view),
            nullifyWeight: weight(.nullify, view), quorumWeight: validators.quorumWeight, work: work,
            reason: round?.timeoutReason, abstains: !maySign && ownIndex != nil)
    }

    private func weight(_ kind: Subject.Kind, _ view: View) -> UInt64 {
        (rounds[view]?.votes[kind] ?? [:]).keys.reduce(0) { $0 + validators[Int($1)].weight }
    }
}

/// What an operator may know of the current view.
public struct EngineStatus: Sendable, CustomStringConvertible {
    public let view: View
    public let lastFinalized: View
    public let leader: Int
    public let isLeader: Bool
    public let hasProposal: Bool
    public let notarizeWeight: UInt64
    public let nullifyWeight: UInt64
    public let quorumWeight: UInt64
    public let work: Bool
    public let reason: TimeoutReason?
    public let abstains: Bool

    public var description: String {
        var text = "view \(view), leader \(leader): "
        if hasProposal {
            text += "waiting for a notarization (\(notarizeWeight) of \(quorumWeight) stake)"
        } else {
            text += work ? "waiting for its proposal" : "idle until the next heartbeat"
        }
        if nullifyWeight > 0 { text += ", nullify \(nullifyWeight) of \(quorumWeight)" }
        if let reason { text += " (\(reason.rawValue))" }
        if abstains { text += "; abstaining until the network has moved past what this key may have signed" }
        return text
    }
}
