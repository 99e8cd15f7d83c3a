internal import Consensus
internal import Primitives

/// Votes in others' names: what they said with another subject, and what they said of one view as if it were of the next.
struct Forger: Liar {
    mutating func say(_ message: ConsensusMessage, to targets: [Int], _ context: inout LiarContext) -> [Transmission] {
        honestly(message, targets)
    }

    mutating func heard(_ message: ConsensusMessage, _ context: inout LiarContext) -> [Transmission] {
        guard case .vote(let vote) = message, context.chance(1, in: 2) else { return [] }
        let victim = UInt16(context.someone())
        let subject: Subject
        switch (context.random.next() % 3, vote.subject.proposal) {
        case (0, let proposal?): subject = .finalize(proposal)
        case (1, let proposal?):
            subject = .notarize(
                Proposal(
                    epoch: proposal.epoch, view: proposal.view.next(), parentView: proposal.view,
                    parentDigest: proposal.payloadDigest, payloadDigest: Digest.of(Domain("sim.forged"), [])))
        default: subject = .nullify(vote.subject.epoch, vote.subject.view)
        }
        // The signature is a true one of its own, or one that the victim gave for something else.
        let signature = context.chance(1, in: 2) ? vote.signature : context.sign(subject).signature
        let forged = ConsensusMessage.vote(Vote(subject: subject, signer: victim, signature: signature))
        return honestly(forged, context.peers)
    }
}
