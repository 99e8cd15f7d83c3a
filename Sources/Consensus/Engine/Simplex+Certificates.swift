import Primitives

/// Certificates: admitted, applied, certified, finalized (rules 6 to 9).
extension Simplex {
    /// Whether a certificate would tell us anything.
    private func isNews(_ certificate: Certificate) -> Bool {
        let subject = certificate.subject
        guard subject.epoch == epoch, subject.view > lastFinalized else { return false }
        guard let place = rounds.place(of: subject.view) else { return true }
        return !rounds.list[place].hasCertificate(subject.kind)
    }

    /// Certificates of any higher view are admitted, and checked before anything is kept of their view. Of equal subjects one is checked at
    /// a time: with many validators each makes its own, and any of them will do.
    mutating func receive(_ certificate: Certificate, from peer: PublicKey) {
        guard isNews(certificate), mayCheck(for: peer),
            let items = certificate.verificationItems(validators, network: network)
        else { return }
        let delivered = Delivered(certificate: certificate, peer: peer)
        if let waiting = waitingCertificates[certificate.subject] {
            if waiting.count >= Simplex.maximumWaitingCertificates || waiting.contains(where: { $0.peer == peer }) {
                return
            }
            checksOfPeer[peer, default: 0] += 1
            waitingCertificates[certificate.subject]?.append(delivered)
            return
        }
        checksOfPeer[peer, default: 0] += 1
        waitingCertificates[certificate.subject] = []
        request(.certificate(delivered), items)
    }

    /// A certificate's signatures are checked: it holds, or the next of its subject has its turn.
    mutating func settle(_ delivered: Delivered, _ results: [Bool], at now: Instant) {
        releaseCheck(of: delivered.peer)
        let subject = delivered.certificate.subject
        var waiting = waitingCertificates.removeValue(forKey: subject) ?? []
        let holds = results.count == delivered.certificate.signers.count && results.allSatisfy { $0 }
        if !holds, isNews(delivered.certificate), let next = waiting.first,
            let items = next.certificate.verificationItems(validators, network: network)
        {
            waiting.removeFirst()
            waitingCertificates[subject] = waiting
            request(.certificate(next), items)
            return
        }
        for other in waiting { releaseCheck(of: other.peer) }
        if holds { apply(delivered.certificate, from: delivered.peer, at: now) }
    }

    /// A certificate that holds, ours or another's.
    mutating func apply(_ certificate: Certificate, from peer: PublicKey?, at now: Instant) {
        guard isNews(certificate) else { return }
        let certified = certificate.subject.view
        for signer in certificate.signers { heard(Int(signer), in: certified) }
        if let peer { compare(certificate, from: peer) }
        outputs.append(.persist(.certificate(certificate)))
        outputs.append(.broadcast(.certificate(certificate)))
        switch certificate.subject {
        case .notarize(let proposal): applyNotarization(proposal, certificate, from: peer)
        case .nullify:
            withRound(certified) { $0.nullification = certificate }
            enter(certified.next(), at: now)
        case .finalize(let proposal): applyFinalization(proposal, certificate, at: now)
        }
        // What waited for this: our proposal, and the slot of this view.
        proposeIfLeader()
        verifySlot(view)
    }

    /// Rule 6.
    private mutating func applyNotarization(_ proposal: Proposal, _ certificate: Certificate, from peer: PublicKey?) {
        let now = currentInstant
        withRound(proposal.view) { round in
            round.notarization = certificate
            round.notarizedAt = now
            if peer != nil, round.heardAt == nil { round.heardAt = now }
            if let held = round.slot.proposal, held != proposal { round.slot = .equivocated }
            round.leaderDeadline = nil
        }
        outputs.append(.notarized(proposal, certificate))
        if rounds[proposal.view]?.certification == Round.Certification.none {
            withRound(proposal.view) { $0.certification = .outstanding }
            outputs.append(.certify(proposal, from: peer))
        }
    }

    /// Rule 9. Only ever forward: the floor does not move back (`isNews`).
    private mutating func applyFinalization(_ proposal: Proposal, _ certificate: Certificate, at now: Instant) {
        withRound(proposal.view) { $0.finalization = certificate }
        lastFinalized = proposal.view
        lastFinalizedDigest = proposal.payloadDigest
        lastFinalization = certificate
        passGuard(proposal)
        strain = 0
        standstillAt = nil
        outputs.append(.finalized(proposal, certificate))
        enter(proposal.view.next(), at: now)
    }

    /// Rule 7. A nullification does not cancel certification; a finalization at or above the view does.
    mutating func certified(_ proposal: Proposal, _ verdict: Bool, at now: Instant) {
        guard proposal.view > lastFinalized, let round = rounds[proposal.view], round.certification == .outstanding,
            round.notarized == proposal
        else { return }
        rounds[proposal.view]?.certification = verdict ? .yes : .no
        outputs.append(.persist(.certification(proposal, verdict)))
        if verdict {
            finalizeIfPossible(proposal.view, at: now)
            enter(proposal.view.next(), at: now)
            proposeIfLeader()
            verifySlot(view)
        } else if proposal.view == view {
            giveUp(.certificationFailed, at: now)
        }
    }

    /// Rule 8. Our own notarize is not required, but one for another proposal forbids it: two quorums must share someone who voted for
    /// one proposal alone.
    private mutating func finalizeIfPossible(_ candidate: View, at now: Instant) {
        guard maySign(in: candidate), candidate > lastFinalized, let round = rounds[candidate],
            let proposal = round.notarized,
            round.certification == .yes, round.sentNullify == nil, round.sentFinalize == nil,
            round.slot != .equivocated,
            round.sentNotarize?.subject.proposal.map({ $0 == proposal }) ?? true
        else { return }
        cast(.finalize(proposal), at: now)
    }
}
