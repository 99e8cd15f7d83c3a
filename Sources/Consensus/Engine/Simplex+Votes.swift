import Primitives

/// The collector: votes, certificates, certification (rules 6 to 10).
extension Simplex {
    /// Rule 10: what is admitted.
    private func admits(_ voteView: View) -> Bool {
        let floor =
            lastFinalized.value > UInt64(parameters.retention) ? lastFinalized.value - UInt64(parameters.retention) : 0
        return voteView.value >= floor && voteView.value > 0 && voteView.value <= view.value + 1
    }

    mutating func receive(_ vote: Vote, from peer: PublicKey, at now: Instant) {
        let subject = vote.subject
        guard subject.epoch == epoch, Int(vote.signer) < validators.count, Int(vote.signer) != ownIndex,
            admits(subject.view)
        else { return }
        let kind = subject.kind
        if let held = rounds[subject.view]?.votes[kind]?[vote.signer] {
            if held.vote.subject != subject { suspect(held.vote, vote) }
            return
        }
        if let conflicting = conflicting(with: vote) { suspect(conflicting, vote) }
        // A view that is over needs no more votes of the kind that ended it.
        if rounds[subject.view]?.certificate(kind) != nil { return }
        withRound(subject.view) { $0.votes[kind, default: [:]][vote.signer] = .init(vote: vote, check: .unchecked) }
        if kind == .notarize, Int(vote.signer) == leader(of: subject.view),
            rounds[subject.view]?.slot == Round.Slot.none
        {
            // The proposal: checked at once, alone.
            withRound(subject.view) { round in
                if round.proposalSource == nil { round.proposalSource = peer }
            }
            check([vote])
            return
        }
        gather(subject.view, kind, at: now)
        if kind == .nullify, subject.view == view, Int(vote.signer) == leader(of: view) { check([vote]) }
    }

    /// Nullify together with finalize is as bad as two proposals.
    private func conflicting(with vote: Vote) -> Vote? {
        switch vote.subject.kind {
        case .notarize: nil
        case .nullify: rounds[vote.subject.view]?.votes[.finalize]?[vote.signer]?.vote
        case .finalize: rounds[vote.subject.view]?.votes[.nullify]?[vote.signer]?.vote
        }
    }

    /// Evidence is worth something only with both signatures checked; the machine checks them here and now, once a signer and view.
    private mutating func suspect(_ first: Vote, _ second: Vote) {
        guard let scheme = signer ?? Optional(Ed25519Scheme.verifier) else { return }
        if rounds[second.subject.view]?.accused.contains(second.signer) == true { return }
        let key = validators[Int(second.signer)].publicKey
        for vote in [first, second] {
            if !scheme.verify(key, vote.signature, vote.subject.signingBytes(network: network)) {
                // One of them is a forgery. If it is the one we hold, make room for the true one.
                if vote == first { withRound(first.subject.view) { $0.votes[first.subject.kind]?[first.signer] = nil } }
                return
            }
        }
        withRound(second.subject.view) { round in
            round.accused.insert(second.signer)
            if second.subject.kind == .notarize, Int(second.signer) == round.leader, round.notarization == nil {
                if case .verified = round.slot {} else { round.slot = .equivocated }
            }
        }
        outputs.append(.evidence(Evidence(first: first, second: second)))
    }

    private mutating func check(_ votes: [Vote]) {
        if votes.isEmpty { return }
        for vote in votes {
            withRound(vote.subject.view) { $0.votes[vote.subject.kind]?[vote.signer]?.check = .underWay }
        }
        let id = nextCheck
        nextCheck += 1
        checks[id] = .votes(votes)
        outputs.append(
            .verifySignatures(
                id,
                votes.map {
                    VerificationItem(
                        key: validators[Int($0.signer)].publicKey, signature: $0.signature,
                        message: $0.subject.signingBytes(network: network))
                }))
    }

    /// Counts a vote of ours, which needs no check.
    mutating func count(_ vote: Vote, check: Round.HeldVote.Check, at now: Instant) {
        withRound(vote.subject.view) {
            $0.votes[vote.subject.kind, default: [:]][vote.signer] = .init(vote: vote, check: check)
        }
        gather(vote.subject.view, vote.subject.kind, at: now)
    }

    /// Checks signatures when a quorum could stand, and makes the certificate when one does.
    mutating func gather(_ voteView: View, _ kind: Subject.Kind, at now: Instant) {
        guard let round = rounds[voteView], round.certificate(kind) == nil, let held = round.votes[kind] else { return }
        var subjects: [Subject] = []
        for signer in held.keys.sorted() {
            if let subject = held[signer]?.vote.subject, !subjects.contains(subject) { subjects.append(subject) }
        }
        for subject in subjects {
            var good: [Vote] = []
            var unchecked: [Vote] = []
            var goodWeight: UInt64 = 0
            var possible: UInt64 = 0
            for signer in held.keys.sorted() {
                guard let entry = held[signer], entry.vote.subject == subject else { continue }
                let weight = validators[Int(signer)].weight
                possible += weight
                switch entry.check {
                case .good:
                    good.append(entry.vote)
                    goodWeight += weight
                case .unchecked: unchecked.append(entry.vote)
                case .underWay: break
                }
            }
            if goodWeight >= validators.quorumWeight {
                apply(Certificate(subject: subject, votes: good), from: nil, at: now)
                return
            }
            if possible >= validators.quorumWeight { check(unchecked) }
        }
    }

    mutating func checked(_ id: UInt64, _ results: [Bool], at now: Instant) {
        guard let pending = checks.removeValue(forKey: id) else { return }
        switch pending {
        case .votes(let votes):
            if results.count != votes.count { return }
            for (vote, good) in zip(votes, results) {
                let voteView = vote.subject.view
                if !good {
                    // Whoever forged it, the signer's own vote may still come.
                    withRound(voteView) { $0.votes[vote.subject.kind]?[vote.signer] = nil }
                    continue
                }
                guard rounds[voteView]?.votes[vote.subject.kind]?[vote.signer]?.vote == vote else { continue }
                withRound(voteView) { $0.votes[vote.subject.kind]?[vote.signer]?.check = .good }
                heard(Int(vote.signer), in: voteView)
                let isLeader = Int(vote.signer) == leader(of: voteView)
                if isLeader, case .notarize(let proposal) = vote.subject {
                    fillSlot(proposal, from: rounds[voteView]?.proposalSource, at: now)
                }
                if isLeader, vote.subject.kind == .nullify, voteView == view { giveUp(.leaderNullified, at: now) }
            }
            for (voteView, kind) in Set(votes.map { Key(view: $0.subject.view, kind: $0.subject.kind) }).sorted().map({
                ($0.view, $0.kind)
            }) {
                gather(voteView, kind, at: now)
            }
        case .certificate(let certificate, let peer):
            if results.count == certificate.signers.count, results.allSatisfy({ $0 }) {
                apply(certificate, from: peer, at: now)
            }
        }
    }

    private struct Key: Hashable, Comparable {
        let view: View
        let kind: Subject.Kind

        static func < (x: Key, y: Key) -> Bool {
            x.view != y.view ? x.view < y.view : x.kind.rawValue < y.kind.rawValue
        }
    }

    private mutating func heard(_ signer: Int, in voteView: View) {
        if lastHeard[signer] < voteView { lastHeard[signer] = voteView }
    }

    /// Whether a certificate would tell us anything.
    private func isNews(_ certificate: Certificate) -> Bool {
        let subject = certificate.subject
        if subject.epoch != epoch || subject.view.value == 0 { return false }
        if subject.view <= lastFinalized { return false }
        return rounds[subject.view]?.certificate(subject.kind) == nil
    }

    mutating func receive(_ certificate: Certificate, from peer: PublicKey) {
        guard isNews(certificate), checks.count < Simplex.maximumChecks else { return }
        // The same certificate from several peers is checked once.
        for pending in checks.values {
            if case .certificate(let other, _) = pending, other.subject == certificate.subject { return }
        }
        guard let items = certificate.verificationItems(validators, network: network) else { return }
        let id = nextCheck
        nextCheck += 1
        checks[id] = .certificate(certificate, from: peer)
        outputs.append(.verifySignatures(id, items))
    }

    /// A certificate that holds, ours or another's.
    mutating func apply(_ certificate: Certificate, from peer: PublicKey?, at now: Instant) {
        guard isNews(certificate) else { return }
        let certified = certificate.subject.view
        for signer in certificate.signers { heard(Int(signer), in: certified) }
        outputs.append(.persist(.certificate(certificate)))
        standstillAt = nil
        switch certificate.subject {
        case .notarize(let proposal): applyNotarization(proposal, certificate, from: peer)
        case .nullify:
            withRound(certified) { $0.nullification = certificate }
            outputs.append(.broadcast(.certificate(certificate)))
            enter(certified.next(), at: now)
        case .finalize(let proposal): applyFinalization(proposal, certificate, at: now)
        }
        liftAbstention(certificate)
        // What waited for this: our proposal, and the slots of this view and the next.
        proposeIfLeader()
        verifySlot(view)
    }

    /// Rule 6.
    private mutating func applyNotarization(_ proposal: Proposal, _ certificate: Certificate, from peer: PublicKey?) {
        withRound(proposal.view) { round in
            round.notarization = certificate
            if let held = round.slot.proposal, held != proposal { round.slot = .equivocated }
            round.leaderDeadline = nil
        }
        outputs.append(.broadcast(.certificate(certificate)))
        outputs.append(.notarized(proposal, certificate))
        if rounds[proposal.view]?.certification == Round.Certification.none {
            withRound(proposal.view) { $0.certification = .outstanding }
            outputs.append(.certify(proposal, from: peer))
        }
    }

    private mutating func applyFinalization(_ proposal: Proposal, _ certificate: Certificate, at now: Instant) {
        withRound(proposal.view) { $0.finalization = certificate }
        outputs.append(.broadcast(.certificate(certificate)))
        // Only ever forward: the floor does not move back.
        if proposal.view > lastFinalized {
            lastFinalized = proposal.view
            lastFinalizedDigest = proposal.payloadDigest
            lastFinalization = certificate
            strain = 0
            outputs.append(.finalized(proposal, certificate))
        }
        enter(proposal.view.next(), at: now)
    }

    /// Rule 7.
    mutating func certified(_ proposal: Proposal, _ verdict: Bool, at now: Instant) {
        guard let round = rounds[proposal.view], round.certification == .outstanding,
            case .notarize(let notarized)? = round.notarization?.subject, notarized == proposal
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

    /// Rule 8, checked at the one place where finalize votes are made.
    mutating func finalizeIfPossible(_ candidate: View, at now: Instant) {
        guard maySign, candidate > lastFinalized, let round = rounds[candidate],
            case .notarize(let proposal)? = round.notarization?.subject, round.certification == .yes,
            round.sentNullify == nil, round.sentFinalize == nil, round.slot != .equivocated
        else { return }
        cast(.finalize(proposal), at: now)
    }
}
