public import Primitives

/// What the engine knows of others' votes, for the application to put on record.
extension Simplex {
    /// A certificate for the proposal that was notarized in a view, with every checked vote for it, or the finalization where that is all that
    /// is left; nil where nothing is known.
    public func attendance(of view: View) -> Certificate? {
        guard let notarization = rounds[view]?.notarization else {
            return lastFinalization.flatMap { $0.subject.view == view ? $0 : nil }
        }
        var votes: [UInt16: Vote] = [:]
        for (signer, signature) in zip(notarization.signers, notarization.signatures) {
            votes[signer] = Vote(subject: notarization.subject, signer: signer, signature: signature)
        }
        for held in rounds[view]?[.notarize].votes ?? []
        where held.check == .good && held.vote.subject == notarization.subject {
            votes[held.vote.signer] = held.vote
        }
        // Sorted by signer in there.
        return Certificate(subject: notarization.subject, votes: Array(votes.values))
    }

    /// Whether this vote's signature was checked here, alone or in a certificate.
    public func isChecked(_ vote: Vote) -> Bool {
        guard vote.subject.epoch == epoch, let round = rounds[vote.subject.view] else { return false }
        if let held = round[vote.subject.kind][vote.signer], held.check == .good, held.vote == vote {
            return true
        }
        guard let certificate = round.certificate(vote.subject.kind), certificate.subject == vote.subject,
            let place = certificate.signers.firstIndex(of: vote.signer)
        else { return false }
        return certificate.signatures[place] == vote.signature
    }

    /// A vote that came after its certificate: checked by the next leader alone, which tells of it in its block.
    mutating func checkLate(_ vote: Vote) {
        guard vote.subject.kind == .notarize, let ownIndex, let place = rounds.place(of: vote.subject.view),
            rounds.list[place].notarization?.subject == vote.subject
        else { return }
        if leader(of: vote.subject.view.next()) == ownIndex { check(vote) }
    }

    /// The number of the next signature check: an engine that takes another's place goes on counting, so that answers to the old one's
    /// requests mean nothing to it.
    public var nextCheckNumber: UInt64 { nextCheck }
}
