import Primitives

/// Proposals: making them, judging them, notarizing them (rules 2, 3, 4).
extension Simplex {
    struct MissingCertificates: Error { let views: [View] }

    /// The parent of a proposal in `view`, or the lowest views whose certificate is missing (rule 2).
    func parent(for view: View) -> Result<ParentReference, MissingCertificates> {
        var missing: [View] = []
        var candidate = view
        while candidate.value > lastFinalized.value + 1 {
            candidate = View(candidate.value - 1)
            let round = rounds[candidate]
            if let proposal = round?.notarized, round?.certification == .yes {
                return found(ParentReference(view: candidate, digest: proposal.payloadDigest), missing)
            }
            if round?.nullification == nil { missing.append(candidate) }
        }
        return found(ParentReference(view: lastFinalized, digest: lastFinalizedDigest), missing)
    }

    private func found(_ parent: ParentReference, _ missing: [View]) -> Result<ParentReference, MissingCertificates> {
        missing.isEmpty ? .success(parent) : .failure(MissingCertificates(views: missing))
    }

    /// Whether a proposal may still stand on what was its parent a moment ago.
    private func stands(_ parent: ParentReference) -> Bool {
        if parent.view == lastFinalized { return parent.digest == lastFinalizedDigest }
        guard parent.view > lastFinalized, let round = rounds[parent.view], round.certification == .yes else {
            return false
        }
        return round.notarized?.payloadDigest == parent.digest
    }

    /// Rule 2.
    mutating func proposeIfLeader() {
        guard maySign(in: view), let ownIndex, let round = rounds[view], round.leader == ownIndex, round.slot == .none,
            round.sentNullify == nil, round.sentNotarize == nil, round.notarization == nil
        else { return }
        if let asked = round.askedParent, stands(asked) { return }
        switch parent(for: view) {
        case .success(let parent):
            rounds[view]?.askedParent = parent
            outputs.append(.propose(view, parent: parent))
        case .failure(let missing): fetch(missing.views, from: nil)
        }
    }

    mutating func proposed(_ proposedView: View, _ digest: Digest, at now: Instant) {
        guard proposedView == view, maySign(in: view), let round = rounds[view], let parent = round.askedParent,
            stands(parent),
            round.sentNullify == nil, round.sentNotarize == nil, round.slot == .none, round.notarization == nil
        else { return }
        let proposal = Proposal(
            epoch: epoch, view: view, parentView: parent.view, parentDigest: parent.digest, payloadDigest: digest)
        withRound(view) { round in
            round.slot = .verified(proposal)
            round.leaderDeadline = nil
        }
        cast(.notarize(proposal), at: now)
    }

    /// Rule 3: the leader's first notarize vote, its signature checked.
    mutating func fillSlot(_ proposal: Proposal, from peer: PublicKey?) {
        let now = currentInstant
        withRound(proposal.view) { round in
            if round.proposalAt == nil { round.proposalAt = now }
            if let notarized = round.notarized, notarized != proposal {
                // The quorum's proposal overrules what comes later as well (rule 6).
                round.slot = .equivocated
            } else if round.slot == .none {
                round.slot = .unverified(proposal)
                round.proposalSource = peer
                round.leaderDeadline = nil
            }
        }
        verifySlot(proposal.view)
    }

    /// Asks the application about the slot once the parent is certified and the gap is nullified here.
    mutating func verifySlot(_ slotView: View) {
        guard slotView >= view, let round = rounds[slotView], case .unverified(let proposal) = round.slot,
            !round.verificationAsked, !round.refused
        else { return }
        if proposal.parentView >= proposal.view || proposal.parentView < lastFinalized { return refuse(slotView) }
        var missing: [View] = []
        if proposal.parentView == lastFinalized {
            if proposal.parentDigest != lastFinalizedDigest { return refuse(slotView) }
        } else if let parent = rounds[proposal.parentView], let notarized = parent.notarized {
            if notarized.payloadDigest != proposal.parentDigest { return refuse(slotView) }
            // Our application may come to certify it yet; `certified` looks here again.
            if parent.certification != .yes { return }
        } else {
            missing.append(proposal.parentView)
        }
        var between = proposal.parentView.next()
        while between < proposal.view {
            if rounds[between]?.nullification == nil { missing.append(between) }
            between = between.next()
        }
        // First of the proposer, who must have them; once the view hangs, of everyone.
        if !missing.isEmpty { return fetch(missing, from: round.timeoutReason == nil ? round.proposalSource : nil) }
        rounds[slotView]?.verificationAsked = true
        outputs.append(.verifyProposal(proposal, from: round.proposalSource))
    }

    private mutating func refuse(_ slotView: View) {
        rounds[slotView]?.refused = true
        if slotView == view { giveUpReason = .invalidProposal }
    }

    mutating func judged(_ proposal: Proposal, _ verdict: Bool, at now: Instant) {
        guard let round = rounds[proposal.view], round.slot == .unverified(proposal) else { return }
        if verdict {
            rounds[proposal.view]?.slot = .verified(proposal)
            notarizeIfVerified(proposal.view, at: now)
        } else {
            refuse(proposal.view)
        }
    }

    /// Rule 4.
    mutating func notarizeIfVerified(_ slotView: View, at now: Instant) {
        guard maySign(in: slotView), slotView == view, let round = rounds[slotView],
            case .verified(let proposal) = round.slot,
            round.sentNotarize == nil, round.sentNullify == nil, round.sentFinalize == nil,
            round.notarized.map({ $0 == proposal }) ?? true
        else { return }
        cast(.notarize(proposal), at: now)
    }
}
