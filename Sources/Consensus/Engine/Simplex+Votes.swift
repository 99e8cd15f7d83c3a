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
        let place = rounds.place(of: subject.view)
        // Read piece by piece: who holds a round while it changes pays for a copy of all its votes.
        if let place, let held = rounds.list[place][kind][vote.signer] {
            // Equal words under a checked signature are nothing new; anything else is a forgery, here or there, or evidence.
            if held.vote != vote, held.vote.subject != subject || held.check != .good {
                challenge(held.vote, vote, from: peer)
            }
            return
        }
        if let conflicting = conflicting(with: vote) { challenge(conflicting, vote, from: peer) }
        var isLeaders = false
        var wantsProposal = true
        if let place {
            isLeaders = Int(vote.signer) == rounds.list[place].leader
            wantsProposal = rounds.list[place].slot == .none && rounds.list[place].notarization == nil
        } else {
            isLeaders = Int(vote.signer) == leader(of: subject.view)
        }
        hold(vote, .unchecked, from: peer)
        if isLeaders, kind == .notarize, wantsProposal {
            // The proposal: checked at once, alone.
            check(vote)
        } else if isLeaders, kind == .nullify, subject.view == view {
            check(vote)
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

    private mutating func hold(_ vote: Vote, _ check: Ballot.HeldVote.Check, from peer: PublicKey?) {
        let now = currentInstant
        let (weight, count) = (validators[Int(vote.signer)].weight, validators.count)
        withRound(vote.subject.view) {
            $0.withBallot(vote.subject.kind) { $0.hold(vote, check, weight: weight, from: peer, validators: count) }
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
        guard let held = rounds[subject.view]?[subject.kind] else { return }
        for (signer, signature) in zip(certificate.signers, certificate.signatures) where Int(signer) != ownIndex {
            let vote = Vote(subject: subject, signer: signer, signature: signature)
            if let held = held[signer]?.vote, held.subject != subject {
                challenge(held, vote, from: peer)
            } else if let held = conflicting(with: vote) {
                challenge(held, vote, from: peer)
            }
        }
    }

    /// Nullify together with finalize is as bad as two proposals.
    private func conflicting(with vote: Vote) -> Vote? {
        guard let place = rounds.place(of: vote.subject.view) else { return nil }
        return switch vote.subject.kind {
        case .notarize: nil
        case .nullify: rounds.list[place][.finalize][vote.signer]?.vote
        case .finalize: rounds.list[place][.nullify][vote.signer]?.vote
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

    mutating func check(_ vote: Vote) { check(VoteBatch(vote)) }

    /// Has the signatures of held votes checked.
    private mutating func check(_ batch: VoteBatch) {
        let message = batch.subject.signingBytes(network: network)
        withRound(batch.subject.view) { round in
            round.withBallot(batch.subject.kind) { for signer in batch.signers { $0.setCheck(of: signer, .underWay) } }
        }
        let items = batch.signers.indices.map {
            VerificationItem(
                key: validators[Int(batch.signers[$0])].publicKey, signature: batch.signatures[$0], message: message)
        }
        request(.votes(batch), items)
    }

    /// Counts a vote of ours, which needs no check.
    mutating func count(_ vote: Vote, at now: Instant) {
        hold(vote, .good, from: nil)
        gather(vote.subject, at: now)
    }

    /// Checks signatures when a quorum could stand, and makes the certificate when one does.
    private mutating func gather(_ subject: Subject, at now: Instant) {
        guard subject.view > lastFinalized, let place = rounds.place(of: subject.view),
            !rounds.list[place].hasCertificate(subject.kind),
            let tally = rounds.list[place][subject.kind].tally(of: subject),
            tally.possible >= validators.quorumWeight
        else { return }
        if tally.good >= validators.quorumWeight {
            apply(rounds.list[place][subject.kind].batch(subject, .good).certificate, from: nil, at: now)
        } else if tally.unchecked > 0 {
            check(rounds.list[place][subject.kind].batch(subject, .unchecked))
        }
    }

    mutating func checked(_ id: UInt64, _ results: [Bool], at now: Instant) {
        guard let pending = checks.removeValue(forKey: id) else { return }
        switch pending {
        case .votes(let batch):
            if results.count != batch.signers.count { return }
            for (index, good) in results.enumerated() {
                let (signer, signature) = (batch.signers[index], batch.signatures[index])
                if good {
                    accept(batch.subject, signer, signature, at: now)
                } else {
                    drop(batch.subject, signer, signature)
                }
            }
            gather(batch.subject, at: now)
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
    private mutating func drop(_ subject: Subject, _ signer: UInt16, _ signature: Signature) {
        guard let place = rounds.place(of: subject.view),
            rounds.list[place][subject.kind].holds(subject, signer, signature)
        else { return }
        rounds.list[place].withBallot(subject.kind) { $0.remove(signer) }
    }

    /// A held vote whose signature is good.
    private mutating func accept(_ subject: Subject, _ signer: UInt16, _ signature: Signature, at now: Instant) {
        guard let place = rounds.place(of: subject.view),
            rounds.list[place][subject.kind].holds(subject, signer, signature)
        else { return }
        rounds.list[place].withBallot(subject.kind) { $0.setCheck(of: signer, .good) }
        heard(Int(signer), in: subject.view)
        guard Int(signer) == rounds.list[place].leader else { return }
        switch subject {
        case .notarize(let proposal): fillSlot(proposal, from: rounds.list[place][subject.kind].source(of: signer))
        case .nullify: if subject.view == view { giveUp(.leaderNullified, at: now) }
        case .finalize: break
        }
    }

    /// Two votes of one signer and view, both checked.
    private mutating func settle(
        _ vote: Vote, _ good: Bool, _ held: Vote, _ heldGood: Bool, from peer: PublicKey, at now: Instant
    ) {
        if !good { return }
        if !heldGood { drop(held.subject, held.signer, held.signature) }
        if vote.subject.kind == held.subject.kind, admits(vote.subject.view),
            rounds[vote.subject.view]?[vote.subject.kind].contains(vote.signer) != true
        {
            hold(vote, .good, from: peer)
            accept(vote.subject, vote.signer, vote.signature, at: now)
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
