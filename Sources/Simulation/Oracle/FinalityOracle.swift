/// Watches a simulated network and says what no correct one does. It keeps its own books and calls nothing of the engine but plain values.
package import Consensus
package import Primitives

package struct FinalityOracle: Sendable {
    package private(set) var violations: [String] = []
    /// How often a dishonest validator was rightly accused.
    package private(set) var accusations = 0
    private let weights: [UInt64]
    /// Who votes in an epoch, as nodes, in the order of its places.
    private var sets: [Epoch: [Int]]
    /// Nodes whose own word may be anything.
    private let dishonest: Set<Int>
    private var finalizedPayload: [Place: Digest] = [:]
    /// Ascending.
    private var finalizedViews: [Place] = []
    private var notarized: [Place: Set<Digest>] = [:]
    private var nullified: Set<Place> = []
    /// What each node has put its name to, by view and kind.
    private var signed: [Int: [Place: [UInt8: Subject]]] = [:]
    /// By node, when it first and last learnt of a view that was new to it.
    private var finalizationTimes: [Int: [Instant]] = [:]
    private var highest: [Int: Place] = [:]
    private var parents: [Digest: Digest] = [:]

    /// A view of an epoch.
    private struct Place: Hashable, Comparable, CustomStringConvertible {
        let epoch: Epoch
        let view: View

        init(_ subject: Subject) {
            epoch = subject.epoch
            view = subject.view
        }

        static func < (x: Place, y: Place) -> Bool { x.epoch != y.epoch ? x.epoch < y.epoch : x.view < y.view }

        var description: String { epoch == 0 ? "\(view)" : "\(epoch)/\(view)" }
    }

    package init(weights: [UInt64], dishonest: Set<Int> = []) {
        self.weights = weights
        self.dishonest = dishonest
        sets = [0: Array(weights.indices)]
    }

    /// By a node's word these vote in an epoch.
    package mutating func began(_ epoch: Epoch, _ members: [Int], by node: Int) {
        if let before = sets[epoch] {
            if before != members { blame("node \(node) has another set for epoch \(epoch)") }
        } else {
            sets[epoch] = members
        }
    }

    /// The node behind a place in an epoch's set.
    private func member(_ signer: UInt16, _ epoch: Epoch) -> Int? {
        guard let set = sets[epoch], Int(signer) < set.count else { return nil }
        return set[Int(signer)]
    }

    mutating func blame(_ text: String) {
        if violations.count < 20 { violations.append(text) }
    }

    private func isQuorum(_ certificate: Certificate) -> Bool {
        let epoch = certificate.subject.epoch
        var seen: Set<UInt16> = []
        var weight: UInt64 = 0
        for signer in certificate.signers where seen.insert(signer).inserted {
            if let node = member(signer, epoch) { weight += weights[node] }
        }
        return weight * 3 > (sets[epoch] ?? []).reduce(0) { $0 + weights[$1] } * 2
    }

    /// Something has left a node.
    package mutating func sent(_ message: ConsensusMessage, by node: Int, journal: [JournalRecord]) {
        switch message {
        case .vote(let vote):
            // An epoch's last block is put forward again as its own child.
            if case .notarize(let proposal) = vote.subject, proposal.payloadDigest != proposal.parentDigest {
                parents[proposal.payloadDigest] = proposal.parentDigest
            }
            if !dishonest.contains(node), member(vote.signer, vote.subject.epoch) == node {
                judge(vote, by: node, journal: journal)
            }
        case .certificate(let certificate): self.certificate(certificate)
        case .request, .evidence, .positionRequest, .position: break
        }
    }

    /// An honest node signs one subject of a kind and view, never both nullifies and finalizes, never notarizes one proposal and finalizes
    /// another, and has journaled what it sends.
    private mutating func judge(_ vote: Vote, by node: Int, journal: [JournalRecord]) {
        let kind = vote.subject.kind.rawValue
        let view = Place(vote.subject)
        if let before = signed[node]?[view]?[kind], before != vote.subject {
            blame("node \(node) signed two \(vote.subject.kind) votes in view \(view)")
        }
        signed[node, default: [:]][view, default: [:]][kind] = vote.subject
        let kinds = signed[node]?[view] ?? [:]
        if let finalize = kinds[Subject.Kind.finalize.rawValue] {
            if kinds[Subject.Kind.nullify.rawValue] != nil {
                blame("node \(node) both nullified and finalized view \(view)")
            }
            if let notarize = kinds[Subject.Kind.notarize.rawValue], notarize.proposal != finalize.proposal {
                blame("node \(node) notarized one proposal of view \(view) and finalized another")
            }
        }
        let journaled = journal.reversed().contains {
            if case .vote(let held) = $0 { held.subject == vote.subject } else { false }
        }
        if !journaled { blame("node \(node) sent a vote of view \(view) before its journal had it") }
    }

    /// A node says that another machine has its key: only a twin may.
    package mutating func foundItsTwin(_ node: Int) {
        if !dishonest.contains(node) { blame("node \(node) believes that another has its key") }
    }

    /// Evidence names who is dishonest, and nobody else.
    package mutating func accused(_ evidence: Evidence, by node: Int) {
        if !(member(evidence.first.signer, evidence.epoch).map { dishonest.contains($0) } ?? false) {
            blame("node \(node) accuses honest node \(evidence.first.signer)")
        }
        accusations += 1
        if evidence.first.signer != evidence.second.signer || evidence.first.subject == evidence.second.subject {
            blame("node \(node) gives evidence of nothing")
        }
    }

    package mutating func certificate(_ certificate: Certificate) {
        let view = Place(certificate.subject)
        if !isQuorum(certificate) { blame("a certificate of view \(view) has no quorum") }
        switch certificate.subject {
        case .notarize(let proposal): notarized[view, default: []].insert(proposal.payloadDigest)
        case .nullify: nullified.insert(view)
        case .finalize: break
        }
        judge(view)
    }

    private mutating func judge(_ view: Place) {
        guard let final = finalizedPayload[view] else { return }
        if nullified.contains(view) { blame("view \(view) is both finalized and nullified") }
        if let others = notarized[view], others.contains(where: { $0 != final }) {
            blame("view \(view) is finalized and notarizes another proposal")
        }
    }

    /// A node learnt that a proposal is final.
    package mutating func finalized(_ proposal: Proposal, _ certificate: Certificate, by node: Int, at now: Instant) {
        let view = Place(.finalize(proposal))
        if !isQuorum(certificate) { blame("a finalization of view \(view) has no quorum") }
        if highest[node].map({ $0 < view }) ?? true {
            highest[node] = view
            finalizationTimes[node, default: []].append(now)
        }
        if let before = finalizedPayload[view] {
            if before != proposal.payloadDigest { blame("view \(view) has two finalizations") }
            return
        }
        finalizedPayload[view] = proposal.payloadDigest
        let place = finalizedViews.lastIndex { $0 < view }.map { $0 + 1 } ?? 0
        finalizedViews.insert(view, at: place)
        judge(view)
        if place > 0 { judgeDescent(of: view, from: finalizedViews[place - 1]) }
        if place + 1 < finalizedViews.count { judgeDescent(of: finalizedViews[place + 1], from: view) }
    }

    /// Every finalized proposal of a lower view is an ancestor; of neighbours, hence of all.
    private mutating func judgeDescent(of upper: Place, from lower: Place) {
        guard var digest = finalizedPayload[upper], let expected = finalizedPayload[lower] else { return }
        // A chain of digests has no circle, so this ends.
        while digest != expected, let parent = parents[digest] { digest = parent }
        if digest == expected { return }
        blame("finalized view \(upper) does not descend from finalized view \(lower)")
    }

    /// After the faults end, every honest node finalizes soon, and at the end none is far behind.
    package mutating func judgeLiveness(healedAt: Instant, within bound: Interval, finalized: [View]) {
        for node in finalized.indices where !dishonest.contains(node) {
            guard let first = finalizationTimes[node]?.first(where: { $0 > healedAt }) else {
                blame("node \(node) finalized nothing after the network healed")
                continue
            }
            let span = first.interval(since: healedAt)
            if span > bound { blame("node \(node) finalized again only \(span) after the network healed") }
        }
        let honest = finalized.indices.filter { !dishonest.contains($0) }.map { finalized[$0] }
        guard let highest = honest.max(), let lowest = honest.min() else { return }
        if highest.value - lowest.value > 20 { blame("a node stayed behind: views \(finalized)") }
    }
}
