import Primitives

/// The collector of votes (rule 10).
extension Simplex {
    /// What is admitted.
    private func admits(_ voteView: View) -> Bool {
        voteView.value > 0 && voteView >= floorOfMemory && voteView <= view.next()
    }

    mutating func receive(_ vote: Vote, from peer: PublicKey, at now: Instant) {
        let subject = vote.subject
        if Int(vote.signer) == ownIndex { return hearOurselves(vote, from: peer) }
        guard subject.epoch == epoch, Int(vote.signer) < validators.count, admits(subject.view) else { return }
        let kind = subject.kind
        // Read piece by piece: who holds a round while it changes pays for a copy of all its votes.
        if let held = rounds[subject.view]?.votes[kind]?[vote.signer] {
            // Equal words under a checked signature are nothing new; anything else is a forgery, here or there, or evidence.
            if held.vote != vote, held.vote.subject != subject || held.check != .good {
                challenge(held.vote, vote, from: peer)
            }
            return
        }
        if let conflicting = conflicting(with: vote) { challenge(conflicting, vote, from: peer) }
        let isLeaders = Int(vote.signer) == (rounds[subject.view]?.leader ?? leader(of: subject.view))
        let wantsProposal =
            rounds[subject.view].map { $0.slot == Round.Slot.none && $0.notarization == nil } ?? true
        hold(vote, .unchecked, from: peer)
        if isLeaders, kind == .notarize, wantsProposal {
            // The proposal: checked at once, alone.
            check([vote])
        } else if isLeaders, kind == .nullify, subject.view == view {
            check([vote])
        } else {
            gather(subject, at: now)
            checkLate(vote)
        }
    }

    /// A vote in our name above what is final that this life and its journal know nothing of: our key signs on another machine. Checked
    /// before it is believed, and then nothing more is signed here.
    private mutating func hearOurselves(_ vote: Vote, from peer: PublicKey) {
        guard maySign(in: vote.subject.view), vote.subject.epoch == epoch, vote.subject.view > lastFinalized,
            !isOurs(vote.subject),
            mayCheck(for: peer)
        else { return }
        checksOfPeer[peer, default: 0] += 1
        request(.own(vote, from: peer), [item(vote)])
    }

    private func isOurs(_ subject: Subject) -> Bool {
        guard let round = rounds[subject.view] else { return false }
        return [round.sentNotarize, round.sentNullify, round.sentFinalize].contains { $0?.subject == subject }
    }

    private mutating func hold(_ vote: Vote, _ check: Round.HeldVote.Check, from peer: PublicKey?) {
        let now = currentInstant
        withRound(vote.subject.view) {
            $0.votes[vote.subject.kind, default: [:]][vote.signer] = .init(vote: vote, check: check, source: peer)
            if peer != nil, $0.heardAt == nil { $0.heardAt = now }
        }
    }

    /// Rule 10, for the votes in a certificate that holds. Who tells half of us one thing and the rest another is heard twice by nobody; it is
    /// the certificate that brings the two together.
    mutating func compare(_ certificate: Certificate, from peer: PublicKey) {
        let subject = certificate.subject
        for (signer, signature) in zip(certificate.signers, certificate.signatures) where Int(signer) == ownIndex {
            hearOurselves(Vote(subject: subject, signer: signer, signature: signature), from: peer)
        }
        guard let votes = rounds[subject.view]?.votes, !votes.isEmpty else { return }
        for (signer, signature) in zip(certificate.signers, certificate.signatures) where Int(signer) != ownIndex {
            let vote = Vote(subject: subject, signer: signer, signature: signature)
            if let held = votes[subject.kind]?[signer]?.vote, held.subject != subject {
                challenge(held, vote, from: peer)
            } else if let held = conflicting(with: vote) {
                challenge(held, vote, from: peer)
            }
        }
    }

    /// Nullify together with finalize is as bad as two proposals.
    private func conflicting(with vote: Vote) -> Vote? {
        switch vote.subject.kind {
        case .notarize: nil
        case .nullify: rounds[vote.subject.view]?.votes[.finalize]?[vote.signer]?.vote
        case .finalize: rounds[vote.subject.view]?.votes[.nullify]?[vote.signer]?.vote
        }
    }

    /// Has both of two votes checked, when neither may simply be believed. Bounded by peer: a forger spends its own share.
    private mutating func challenge(_ held: Vote, _ vote: Vote, from peer: PublicKey) {
        if rounds[vote.subject.view]?.accused.contains(vote.signer) == true { return }
        guard mayCheck(for: peer) else { return }
        checksOfPeer[peer, default: 0] += 1
        request(.rival(vote, held: held, from: peer), [item(vote), item(held)])
    }

    func mayCheck(for peer: PublicKey) -> Bool { checksOfPeer[peer] ?? 0 < Simplex.maximumChecksPerPeer }

    mutating func releaseCheck(of peer: PublicKey) {
        let left = (checksOfPeer[peer] ?? 0) - 1
        checksOfPeer[peer] = left > 0 ? left : nil
    }

    private func item(_ vote: Vote) -> VerificationItem {
        VerificationItem(
            key: validators[Int(vote.signer)].publicKey, signature: vote.signature,
            message: vote.subject.signingBytes(network: network))
    }

    mutating func request(_ pending: PendingCheck, _ items: [VerificationItem]) {
        let id = nextCheck
        nextCheck += 1
        checks[id] = pending
        outputs.append(.verifySignatures(id, items))
    }

    mutating func check(_ votes: [Vote]) {
        if votes.isEmpty { return }
        for vote in votes {
            withRound(vote.subject.view) { $0.votes[vote.subject.kind]?[vote.signer]?.check = .underWay }
        }
        request(.votes(votes), votes.map(item))
    }

    /// Counts a vote of ours, which needs no check.
    mutating func count(_ vote: Vote, at now: Instant) {
        hold(vote, .good, from: nil)
        gather(vote.subject, at: now)
    }

    /// Checks signatures when a quorum could stand, and makes the certificate when one does. One pass over the votes of the view.
    private mutating func gather(_ subject: Subject, at now: Instant) {
        guard subject.view > lastFinalized, let round = rounds[subject.view], round.certificate(subject.kind) == nil,
            let held = round.votes[subject.kind]
        else { return }
        var good: UInt64 = 0
        var possible: UInt64 = 0
        var unchecked: [UInt16] = []
        for (signer, entry) in held where entry.vote.subject == subject {
            let weight = validators[Int(signer)].weight
            possible += weight
            switch entry.check {
            case .good: good += weight
            case .unchecked: unchecked.append(signer)
            case .underWay: break
            }
        }
        if possible < validators.quorumWeight { return }
        if good >= validators.quorumWeight {
            // Sorted by signer in there.
            let votes = held.values.filter { $0.vote.subject == subject && $0.check == .good }.map(\.vote)
            apply(Certificate(subject: subject, votes: votes), from: nil, at: now)
        } else if !unchecked.isEmpty {
            check(unchecked.sorted().compactMap { held[$0]?.vote })
        }
    }

    mutating func checked(_ id: UInt64, _ results: [Bool], at now: Instant) {
        guard let pending = checks.removeValue(forKey: id) else { return }
        switch pending {
        case .votes(let votes):
            if results.count != votes.count { return }
            var subjects: [Subject] = []
            for (vote, good) in zip(votes, results) {
                if good { accept(vote, at: now) } else { drop(vote) }
                if subjects.last != vote.subject { subjects.append(vote.subject) }
            }
            for subject in subjects { gather(subject, at: now) }
        case .rival(let vote, let held, let peer):
            releaseCheck(of: peer)
            if results.count == 2 { settle(vote, results[0], held, results[1], from: peer, at: now) }
        case .own(let vote, let peer):
            releaseCheck(of: peer)
            if results == [true], maySign(in: vote.subject.view), vote.subject.view > lastFinalized,
                !isOurs(vote.subject)
            {
                isKeyInUseElsewhere = true
                outputs.append(.keyInUseElsewhere(vote))
            }
        case .certificate(let delivered):
            settle(delivered, results, at: now)
        case .position(let position, let peer, let count):
            settle(position, results, count: count, from: peer, at: now)
        }
    }

    /// Whoever forged it, the signer's own vote may still come.
    private mutating func drop(_ vote: Vote) {
        guard rounds[vote.subject.view]?.votes[vote.subject.kind]?[vote.signer]?.vote == vote else { return }
        withRound(vote.subject.view) { $0.votes[vote.subject.kind]?[vote.signer] = nil }
    }

    /// A held vote whose signature is good.
    private mutating func accept(_ vote: Vote, at now: Instant) {
        let voteView = vote.subject.view
        guard let leader = rounds[voteView]?.leader,
            let held = rounds[voteView]?.votes[vote.subject.kind]?[vote.signer], held.vote == vote
        else { return }
        withRound(voteView) { $0.votes[vote.subject.kind]?[vote.signer]?.check = .good }
        heard(Int(vote.signer), in: voteView)
        guard Int(vote.signer) == leader else { return }
        switch vote.subject {
        case .notarize(let proposal): fillSlot(proposal, from: held.source)
        case .nullify: if voteView == view { giveUp(.leaderNullified, at: now) }
        case .finalize: break
        }
    }

    /// Two votes of one signer and view, both checked.
    private mutating func settle(
        _ vote: Vote, _ good: Bool, _ held: Vote, _ heldGood: Bool, from peer: PublicKey, at now: Instant
    ) {
        if !good { return }
        if !heldGood { drop(held) }
        if vote.subject.kind == held.subject.kind, admits(vote.subject.view),
            rounds[vote.subject.view]?.votes[vote.subject.kind]?[vote.signer] == nil
        {
            hold(vote, .good, from: peer)
            accept(vote, at: now)
            gather(vote.subject, at: now)
            return
        }
        guard heldGood, vote.subject != held.subject, rounds[vote.subject.view]?.accused.contains(vote.signer) == false
        else {
            return
        }
        withRound(vote.subject.view) { round in
            round.accused.insert(vote.signer)
            // A proposal that we have not spoken for yet loses our word; the quorum's word still overrules (rule 6).
            if vote.subject.kind == .notarize, Int(vote.signer) == round.leader, round.notarization == nil,
                round.sentNotarize == nil
            {
                round.slot = .equivocated
                round.leaderDeadline = nil
            }
        }
        outputs.append(.evidence(Evidence(first: held, second: vote)))
    }

    mutating func heard(_ signer: Int, in voteView: View) {
        if lastHeard[signer] < voteView { lastHeard[signer] = voteView }
    }
}
