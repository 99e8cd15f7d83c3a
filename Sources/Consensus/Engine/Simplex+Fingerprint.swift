package import Primitives

/// The engine's state as one digest, for searches that must know whether they have been somewhere before.
extension Simplex {
    /// Two engines of one validator with equal fingerprints do the same on all inputs that may come, but for the names of signature checks.
    ///
    /// Covered is everything that later steps read: the order in which dictionaries keep their entries is not, nor is what only a step in
    /// progress uses. Times count by their distance from `now`. Deadlines of other views than the current one, requests and answers
    /// older than a retry are never read again and left out. Checks under way are in, in their order; their numbers are but names.
    package func fingerprint(at now: Instant) -> Digest {
        var writer = ByteWriter(capacity: 4_096)
        writer.write(network)
        writer.write(epoch)
        writer.write(seed)
        writer.write(UInt32(ownIndex.map { $0 + 1 } ?? 0))
        writer.write(view)
        writer.write(lastFinalized)
        writer.write(lastFinalizedDigest)
        writer.write(optional: lastFinalization)
        writer.write(strain)
        writer.write(bool: work)
        writer.write(list: lastHeard)
        writer.write(list: missedTurn)
        write(amnesia, into: &writer)
        writer.write(bool: isKeyInUseElsewhere)
        writer.write(bool: started)
        write(standstillAt, at: now, into: &writer)
        writer.write(giveUpReason)
        for round in rounds.list {
            writer.write(round.view)
            write(round, isCurrent: round.view == view, at: now, into: &writer)
        }
        writeBooks(at: now, into: &writer)
        return Digest.of(.fingerprint, writer.bytes)
    }

    /// What decides about votes, views and certificates to come, where all signatures are good and checked at once, nobody is silent for long, and
    /// what is asked for and said again is of no interest.
    ///
    /// Left out besides what `fingerprint` leaves out: rounds that are final; who signed a certificate, and the votes of its kind and view, which can make no
    /// other; who was accused, but for a leader whose view is open; who brought a word; when a deadline is, though not whether the view was given up. All that
    /// reads evidence, re-sends, asks and answers, or passes over silent leaders (`ConsensusParameters.inactivity` says whether any is).
    package func decisionFingerprint() -> Digest {
        var writer = ByteWriter(capacity: 1_024)
        writer.write(view)
        writer.write(lastFinalized)
        writer.write(lastFinalizedDigest)
        writer.write(bool: work)
        write(amnesia, into: &writer)
        writer.write(bool: isKeyInUseElsewhere)
        writer.write(bool: started)
        writer.write(bool: giveUpReason != nil)
        for round in rounds.list where round.view > lastFinalized {
            writer.write(round.view)
            writeDecisions(of: round, isCurrent: round.view == view, into: &writer)
        }
        return Digest.of(.fingerprint, writer.bytes)
    }

    private func writeDecisions(of round: Round, isCurrent: Bool, into writer: inout ByteWriter) {
        // Until then a leader that is found out loses our word: what is held of it, and whether it was accused, decides about that.
        let isOpen = round.notarization == nil && round.sentNotarize == nil
        let leader = UInt16(round.leader)
        write(round.slot, into: &writer)
        writer.write(bool: round.verificationAsked)
        writer.write(bool: round.refused)
        for kind in Subject.Kind.allCases {
            let certificate = round.certificate(kind)
            writer.write(optional: certificate?.subject)
            let held = round[kind].votes
            let votes = certificate == nil ? held : held.filter { isOpen && $0.vote.signer == leader }
            writer.write(UInt32(votes.count))
            for held in votes {
                writer.write(held.vote.signer)
                writer.write(held.vote.subject)
                write(held.check, into: &writer)
            }
        }
        writer.write(bool: isOpen && round.accused.contains(leader))
        write(round.certification, into: &writer)
        write(round.askedParent, into: &writer)
        writer.write(optional: round.sentNotarize?.subject)
        writer.write(optional: round.sentNullify?.subject)
        writer.write(optional: round.sentFinalize?.subject)
        if isCurrent { writer.write(bool: round.timeoutReason != nil) }
    }

    private func write(_ amnesia: AmnesiaGuard, into writer: inout ByteWriter) {
        switch amnesia {
        case .none: writer.write(UInt8(0))
        case .asking(let nonce, let answers):
            writer.write(UInt8(1))
            writer.write(nonce)
            writer.write(UInt32(answers.count))
            for (signer, view) in answers.sorted(by: { $0.key < $1.key }) {
                writer.write(signer)
                writer.write(view)
            }
        case .abstaining(let through, let passed):
            writer.write(UInt8(2))
            writer.write(through)
            writer.write(optional: passed)
        }
    }

    private func write(_ slot: Round.Slot, into writer: inout ByteWriter) {
        switch slot {
        case .none: writer.write(UInt8(0))
        case .unverified(let proposal):
            writer.write(UInt8(1))
            writer.write(proposal)
        case .verified(let proposal):
            writer.write(UInt8(2))
            writer.write(proposal)
        case .equivocated: writer.write(UInt8(3))
        }
    }

    private func write(_ check: Ballot.HeldVote.Check, into writer: inout ByteWriter) {
        switch check {
        case .unchecked: writer.write(UInt8(0))
        case .underWay: writer.write(UInt8(1))
        case .good: writer.write(UInt8(2))
        }
    }

    private func write(_ certification: Round.Certification, into writer: inout ByteWriter) {
        switch certification {
        case .none: writer.write(UInt8(0))
        case .outstanding: writer.write(UInt8(1))
        case .yes: writer.write(UInt8(2))
        case .no: writer.write(UInt8(3))
        }
    }

    private func write(_ parent: ParentReference?, into writer: inout ByteWriter) {
        writer.write(bool: parent != nil)
        if let parent {
            writer.write(parent.view)
            writer.write(parent.digest)
        }
    }

    private func write(_ instant: Instant?, at now: Instant, into writer: inout ByteWriter) {
        writer.write(optional: instant?.interval(since: now))
    }

    private func write(_ round: Round, isCurrent: Bool, at now: Instant, into writer: inout ByteWriter) {
        write(round.slot, into: &writer)
        writer.write(optional: round.proposalSource)
        writer.write(bool: round.verificationAsked)
        writer.write(bool: round.refused)
        for kind in Subject.Kind.allCases {
            let votes = round[kind].votes
            writer.write(UInt32(votes.count))
            for held in votes {
                writer.write(held.vote)
                write(held.check, into: &writer)
                writer.write(optional: held.source)
            }
        }
        writer.write(UInt32(round.accused.count))
        for signer in round.accused.sorted() { writer.write(signer) }
        writer.write(optional: round.notarization)
        writer.write(optional: round.nullification)
        writer.write(optional: round.finalization)
        write(round.certification, into: &writer)
        write(round.askedParent, into: &writer)
        writer.write(optional: round.sentNotarize)
        writer.write(optional: round.sentNullify)
        writer.write(optional: round.sentFinalize)
        guard isCurrent else { return }
        write(round.leaderDeadline, at: now, into: &writer)
        write(round.advanceDeadline, at: now, into: &writer)
        write(round.retryAt, at: now, into: &writer)
        write(round.enteredAt, at: now, into: &writer)
        writer.write(round.timeoutReason)
    }

    /// Checks under way, and what bounds asking and answering.
    private func writeBooks(at now: Instant, into writer: inout ByteWriter) {
        writer.write(UInt32(checks.count))
        for id in checks.keys.sorted() {
            switch checks[id] {
            case .votes(let batch):
                writer.write(UInt8(1))
                writer.write(list: batch.votes)
            case .certificate(let delivered):
                writer.write(UInt8(2))
                writer.write(delivered.certificate)
                writer.write(delivered.peer)
            case .rival(let vote, let held, let peer):
                writer.write(UInt8(3))
                writer.write(vote)
                writer.write(held)
                writer.write(peer)
            case .own(let vote, let peer):
                writer.write(UInt8(4))
                writer.write(vote)
                writer.write(peer)
            case .position(let position, let peer, _):
                writer.write(UInt8(5))
                writer.write(position)
                writer.write(peer)
            case nil: break
            }
        }
        write(positionsDue, at: now, into: &writer)
        let waiting = waitingCertificates.map { (subject: $0.key.canonicalBytes, certificates: $0.value) }
        writer.write(UInt32(waiting.count))
        for (subject, certificates) in waiting.sorted(by: { $0.subject.lexicographicallyPrecedes($1.subject) }) {
            writer.write(bytes: subject)
            writer.write(UInt32(certificates.count))
            for delivered in certificates {
                writer.write(delivered.certificate)
                writer.write(delivered.peer)
            }
        }
        write(checksOfPeer, into: &writer)
        // A window that is over is opened anew by the next request, whatever was answered in it.
        if now.interval(since: answersSince) < parameters.retry {
            write(answersSince, at: now, into: &writer)
            write(answersToPeer, into: &writer)
        }
        writer.write(UInt8(0xFF))
        for view in requestedAt.keys.sorted() {
            guard let instant = requestedAt[view], now.interval(since: instant) < parameters.retry else { continue }
            writer.write(view)
            write(instant, at: now, into: &writer)
        }
    }

    private func write(_ counts: [PublicKey: Int], into writer: inout ByteWriter) {
        writer.write(UInt32(counts.count))
        for peer in counts.keys.sorted() {
            writer.write(peer)
            writer.write(UInt64(counts[peer] ?? 0))
        }
    }
}

extension ByteWriter {
    fileprivate mutating func write(_ reason: TimeoutReason?) {
        write(UInt8(reason.flatMap { TimeoutReason.allCases.firstIndex(of: $0) }.map { $0 + 1 } ?? 0))
    }
}

extension Domain {
    fileprivate static let fingerprint = Domain("plasma.engine")
}
