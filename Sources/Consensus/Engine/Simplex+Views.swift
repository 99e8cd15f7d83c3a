import Primitives

/// Views: entering, proposing, judging, voting, giving up (rules 1 to 5).
extension Simplex {
    /// Δ as strained by failed views (rule 1).
    private var strainedDelta: Interval {
        let factor = min(Int64(1000) + Int64(strain) * Int64(parameters.growth), Int64(parameters.cap) * 1000)
        return parameters.delta.scaled(factor, over: 1000)
    }

    /// Rule 1.
    mutating func enter(_ next: View, at now: Instant) {
        if next <= view { return }
        view = next
        let leader = leader(of: next)
        withRound(next) { round in round.enteredAt = now }
        setDeadlines(at: now)
        outputs.append(.entered(next, leader: leader))
        // Rounds that nothing can need any more.
        let keep =
            lastFinalized.value > UInt64(parameters.retention) ? lastFinalized.value - UInt64(parameters.retention) : 0
        for old in rounds.keys where old.value < keep { rounds[old] = nil }
        requestedAt = requestedAt.filter { $0.key > lastFinalized }

        let round = rounds[next]
        if round?.votes[.nullify]?[UInt16(leader)] != nil {
            giveUp(.leaderNullified, at: now)
        } else if isInactive(leader) {
            giveUp(.leaderInactive, at: now)
        }
        proposeIfLeader()
        verifySlot(next)
        notarizeIfVerified(next, at: now)
        finalizeIfPossible(next, at: now)
        gather(next, .nullify, at: now)
        gather(next, .notarize, at: now)
        standstillAt = nil
    }

    private mutating func setDeadlines(at now: Instant) {
        let idle = work ? Interval.zero : parameters.heartbeat
        let delta = strainedDelta
        withRound(view) { round in
            if round.slot == .none { round.leaderDeadline = now.adding(idle + delta.scaled(2)) }
            round.advanceDeadline = now.adding(idle + delta.scaled(3))
        }
    }

    /// A leader not heard for many views while a quorum was is not waited for.
    private func isInactive(_ leader: Int) -> Bool {
        if leader == ownIndex { return false }
        let bound = UInt64(parameters.inactivity)
        guard view.value > lastHeard[leader].value, view.value - lastHeard[leader].value > bound else { return false }
        var active: UInt64 = 0
        for (index, heard) in lastHeard.enumerated() where heard.value + 4 >= view.value {
            active += validators[index].weight
        }
        return active >= validators.quorumWeight
    }

    mutating func changeWork(_ value: Bool, at now: Instant) {
        if work == value { return }
        work = value
        // The deadlines count from the first work; without any they run for a heartbeat more.
        guard let round = rounds[view], round.timeoutReason == nil else { return }
        setDeadlines(at: now)
    }

    /// The parent of a proposal in `view`, or the views whose nullification is missing (rule 2).
    func parent(for view: View) -> Result<ParentReference, MissingCertificates> {
        var missing: [View] = []
        var candidate = view
        while candidate > lastFinalized {
            candidate = View(candidate.value - 1)
            if candidate == lastFinalized {
                return found(ParentReference(view: candidate, digest: lastFinalizedDigest), missing)
            }
            guard let round = rounds[candidate] else {
                missing.append(candidate)
                continue
            }
            if round.certification == .yes, case .notarize(let proposal)? = round.notarization?.subject {
                return found(ParentReference(view: candidate, digest: proposal.payloadDigest), missing)
            }
            if round.nullification == nil { missing.append(candidate) }
        }
        return found(ParentReference(view: lastFinalized, digest: lastFinalizedDigest), missing)
    }

    private func found(_ parent: ParentReference, _ missing: [View]) -> Result<ParentReference, MissingCertificates> {
        missing.isEmpty ? .success(parent) : .failure(MissingCertificates(views: missing))
    }

    struct MissingCertificates: Error { let views: [View] }

    /// Rule 2.
    mutating func proposeIfLeader() {
        guard maySign, let ownIndex, leader(of: view) == ownIndex, let round = rounds[view] else { return }
        if round.proposed || round.proposeAsked || round.sentNullify != nil || round.sentNotarize != nil { return }
        switch parent(for: view) {
        case .success(let parent):
            rounds[view]?.proposeAsked = true
            outputs.append(.propose(view, parent: parent))
        case .failure(let missing): fetch(missing.views, from: nil)
        }
    }

    mutating func proposed(_ proposedView: View, _ digest: Digest, at now: Instant) {
        guard proposedView == view, maySign, let round = rounds[view], !round.proposed, round.sentNullify == nil,
            round.sentNotarize == nil, round.slot == .none, case .success(let parent) = parent(for: view)
        else { return }
        let proposal = Proposal(
            epoch: epoch, view: view, parentView: parent.view, parentDigest: parent.digest, payloadDigest: digest)
        withRound(view) { round in
            round.proposed = true
            round.slot = .verified(proposal)
            round.leaderDeadline = nil
        }
        cast(.notarize(proposal), at: now)
    }

    /// Rule 3: the leader's first notarize vote, its signature checked.
    mutating func fillSlot(_ proposal: Proposal, from peer: PublicKey?, at now: Instant) {
        withRound(proposal.view) { round in
            if round.slot == .none {
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
            !round.verificationAsked
        else { return }
        if proposal.parentView >= proposal.view || proposal.parentView < lastFinalized {
            if slotView == view { latchInvalid() }
            return
        }
        var missing: [View] = []
        if proposal.parentView == lastFinalized {
            if proposal.parentDigest != lastFinalizedDigest {
                if slotView == view { latchInvalid() }
                return
            }
        } else if let parent = rounds[proposal.parentView], parent.certification == .yes,
            case .notarize(let notarized)? = parent.notarization?.subject
        {
            if notarized.payloadDigest != proposal.parentDigest {
                if slotView == view { latchInvalid() }
                return
            }
        } else {
            missing.append(proposal.parentView)
        }
        // A gap wider than what can be fetched is left to the finalizations that must be on their way.
        if proposal.view.value - proposal.parentView.value > 4096 { return }
        var between = proposal.parentView.next()
        while between < proposal.view {
            if rounds[between]?.nullification == nil { missing.append(between) }
            between = between.next()
        }
        if !missing.isEmpty { return fetch(missing, from: round.proposalSource) }
        rounds[slotView]?.verificationAsked = true
        outputs.append(.verifyProposal(proposal, from: round.proposalSource))
    }

    private mutating func latchInvalid() {
        if rounds[view]?.timeoutReason == nil { giveUpReason = .invalidProposal }
    }

    mutating func judged(_ proposal: Proposal, _ verdict: Bool, at now: Instant) {
        guard let round = rounds[proposal.view], round.slot == .unverified(proposal) else { return }
        if verdict {
            rounds[proposal.view]?.slot = .verified(proposal)
            notarizeIfVerified(proposal.view, at: now)
        } else if proposal.view == view {
            giveUp(.invalidProposal, at: now)
        }
    }

    /// Rule 4.
    mutating func notarizeIfVerified(_ slotView: View, at now: Instant) {
        guard maySign, slotView == view, let round = rounds[slotView], case .verified(let proposal) = round.slot,
            round.sentNotarize == nil, round.sentNullify == nil
        else { return }
        cast(.notarize(proposal), at: now)
    }

    /// Rule 5: latches the reason and nullifies, now and at every retry.
    mutating func giveUp(_ reason: TimeoutReason, at now: Instant) {
        guard let round = rounds[view] else { return }
        if round.timeoutReason == nil {
            rounds[view]?.timeoutReason = reason
            if work { strain = min(strain + 1, 1_000) }
            outputs.append(.timeout(view, reason))
        }
        nullify(at: now)
    }

    private mutating func nullify(at now: Instant) {
        guard let round = rounds[view] else { return }
        let retryAt = now.adding(parameters.retry)
        rounds[view]?.retryAt = retryAt
        // Never after our own finalize.
        if round.sentFinalize != nil || !maySign { return }
        if let vote = round.sentNullify {
            outputs.append(.broadcast(.vote(vote)))
            // To our own collector too: after a crash the vote is in the journal and nowhere else.
            count(vote, check: .good, at: now)
            if let entry = entryCertificate { outputs.append(.broadcast(.certificate(entry))) }
        } else {
            cast(.nullify(epoch, view), at: now)
        }
    }

    /// The best certificate that let us enter this view.
    private var entryCertificate: Certificate? {
        guard view.value > 0, let before = rounds[View(view.value - 1)] else { return lastFinalization }
        return before.finalization ?? before.nullification ?? before.notarization
    }

    /// What has run out by now.
    mutating func expire(at now: Instant) {
        if let reason = giveUpReason {
            giveUpReason = nil
            giveUp(reason, at: now)
        }
        guard let round = rounds[view] else { return }
        if round.timeoutReason == nil {
            if let deadline = round.leaderDeadline, deadline <= now, round.slot == .none {
                giveUp(.noProposal, at: now)
            } else if let deadline = round.advanceDeadline, deadline <= now {
                giveUp(.viewTooLong, at: now)
            }
        } else if let retry = round.retryAt, retry <= now {
            nullify(at: now)
            // What may have been lost while the view hangs: our own other votes, and what we miss (rules 11 and 12).
            if let vote = round.sentNotarize { outputs.append(.broadcast(.vote(vote))) }
            proposeIfLeader()
            verifySlot(view)
        }
    }
}
