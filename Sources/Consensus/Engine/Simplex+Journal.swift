public import Primitives

/// The journal read back, and the start from it.
extension Simplex {
    /// Takes back what the journal holds. To be called once, with every record, before `start`. Records of other epochs are passed over:
    /// replayed into this one they would be votes that nobody cast.
    public mutating func restore(_ records: [JournalRecord]) {
        precondition(!started, "a journal is replayed before the engine starts")
        for record in records where record.epoch == epoch {
            if record.view < floorOfMemory { continue }
            switch record {
            case .vote(let vote): restore(vote)
            case .certificate(let certificate): restore(certificate)
            case .certification(let proposal, let verdict):
                withRound(proposal.view) { $0.certification = verdict ? .yes : .no }
            }
        }
    }

    private mutating func restore(_ vote: Vote) {
        guard let ownIndex, Int(vote.signer) == ownIndex else { return }
        let (weight, count) = (validators[ownIndex].weight, validators.count)
        withRound(vote.subject.view) { round in
            round.withBallot(vote.subject.kind) {
                $0.hold(vote, .good, weight: weight, from: nil, validators: count)
            }
            switch vote.subject {
            case .notarize(let proposal):
                round.sentNotarize = vote
                if round.slot == .none { round.slot = .verified(proposal) }
                if let notarized = round.notarized, notarized != proposal { round.slot = .equivocated }
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
        for view in rounds.views {
            guard let round = rounds[view] else { continue }
            if round.nullification != nil || round.finalization != nil || round.certification == .yes {
                first = max(first, view.next())
            }
            // A vote of ours in a view means that we had entered it.
            if round.sentNotarize != nil || round.sentNullify != nil || round.sentFinalize != nil {
                first = max(first, view)
            }
            if view > lastFinalized, let proposal = round.notarized, round.certification == .none {
                rounds[view]?.certification = .outstanding
                outputs.append(.certify(proposal, from: nil))
            }
        }
        enter(first, at: now)
        askForPositions()
        finish(at: now)
        return outputs
    }
}
