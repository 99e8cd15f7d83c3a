/// Watches a simulated network and says what no correct one does. It keeps its own books and calls nothing of the engine but plain values.
import Consensus
import Primitives

public struct FinalityOracle: Sendable {
    public internal(set) var violations: [String] = []
    private let weights: [UInt64]
    private var finalizedPayload: [View: Digest] = [:]
    private var finalizedProposals: [View: Proposal] = [:]
    private var notarized: [View: Set<Digest>] = [:]
    private var nullified: Set<View> = []
    /// What each node has put its name to, by view and kind.
    private var signed: [Int: [View: [UInt8: Subject]]] = [:]
    private var lastProgress: Instant = Instant(nanoseconds: 0)
    private var parents: [Digest: Digest] = [:]

    public init(weights: [UInt64]) { self.weights = weights }

    private mutating func blame(_ text: String) {
        if violations.count < 20 { violations.append(text) }
    }

    private func isQuorum(_ signers: [UInt16]) -> Bool {
        var seen: Set<UInt16> = []
        var weight: UInt64 = 0
        for signer in signers where seen.insert(signer).inserted && Int(signer) < weights.count {
            weight += weights[Int(signer)]
        }
        return weight * 3 > weights.reduce(0, +) * 2
    }

    /// Something has left a node.
    mutating func sent(_ message: ConsensusMessage, by node: Int, journal: [JournalRecord]) {
        switch message {
        case .vote(let vote) where Int(vote.signer) == node:
            let kind = vote.subject.kind.rawValue
            let view = vote.subject.view
            if let before = signed[node]?[view]?[kind], before != vote.subject {
                blame("node \(node) signed two \(vote.subject.kind) votes in view \(view)")
            }
            signed[node, default: [:]][view, default: [:]][kind] = vote.subject
            let kinds = signed[node]?[view] ?? [:]
            if kinds[Subject.Kind.nullify.rawValue] != nil, kinds[Subject.Kind.finalize.rawValue] != nil {
                blame("node \(node) both nullified and finalized view \(view)")
            }
            let journaled = journal.reversed().contains {
                if case .vote(let held) = $0 { held.subject == vote.subject } else { false }
            }
            if !journaled { blame("node \(node) sent a vote of view \(view) before its journal had it") }
            if case .notarize(let proposal) = vote.subject { parents[proposal.payloadDigest] = proposal.parentDigest }
        case .certificate(let certificate): self.certificate(certificate, certificate.subject.proposal)
        default: break
        }
    }

    mutating func certificate(_ certificate: Certificate, _ proposal: Proposal?) {
        let view = certificate.subject.view
        if !isQuorum(certificate.signers) { blame("a certificate of view \(view) has no quorum") }
        switch certificate.subject {
        case .notarize(let proposal): notarized[view, default: []].insert(proposal.payloadDigest)
        case .nullify: nullified.insert(view)
        case .finalize: break
        }
        judge(view)
    }

    private mutating func judge(_ view: View) {
        guard let final = finalizedPayload[view] else { return }
        if nullified.contains(view) { blame("view \(view) is both finalized and nullified") }
        if let others = notarized[view], others.contains(where: { $0 != final }) {
            blame("view \(view) is finalized and notarizes another proposal")
        }
    }

    /// A node learnt that a proposal is final.
    mutating func finalized(_ proposal: Proposal, _ certificate: Certificate, by node: Int, at now: Instant) {
        if !isQuorum(certificate.signers) { blame("a finalization of view \(proposal.view) has no quorum") }
        if let before = finalizedPayload[proposal.view], before != proposal.payloadDigest {
            blame("view \(proposal.view) has two finalizations")
        }
        if finalizedPayload[proposal.view] == nil { lastProgress = now }
        finalizedPayload[proposal.view] = proposal.payloadDigest
        finalizedProposals[proposal.view] = proposal
        judge(proposal.view)
        judgeAncestry(proposal)
    }

    /// Every finalized proposal of a lower view is an ancestor.
    private mutating func judgeAncestry(_ proposal: Proposal) {
        guard let below = finalizedPayload.keys.filter({ $0 < proposal.view }).max(),
            let expected = finalizedPayload[below]
        else { return }
        var digest = proposal.payloadDigest
        for _ in 0..<10_000 {
            if digest == expected { return }
            guard let parent = parents[digest] else { return }
            digest = parent
        }
        blame("view \(proposal.view) does not descend from finalized view \(below)")
    }

    /// After the faults end, finalization goes on.
    mutating func judgeLiveness(healedAt: Interval, finalized: [View]) {
        if lastProgress.nanoseconds <= healedAt.nanoseconds { blame("nothing was finalized after the network healed") }
        guard let highest = finalized.max(), let lowest = finalized.min() else { return }
        if highest.value - lowest.value > 40 { blame("a node stayed behind: views \(finalized)") }
    }
}
