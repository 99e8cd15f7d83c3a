internal import Consensus
internal import Primitives

/// Says one thing to half of the others and another to the rest: two proposals as leader, two notarizations of others' proposals, a finalization
/// of each.
struct Equivocator: Liar {
    mutating func say(_ message: ConsensusMessage, to targets: [Int], _ context: inout LiarContext) -> [Transmission] {
        guard case .vote(let vote) = message, let proposal = vote.subject.proposal else {
            return honestly(message, targets)
        }
        let other = Proposal(
            epoch: proposal.epoch, view: proposal.view, parentView: proposal.parentView,
            parentDigest: proposal.parentDigest,
            payloadDigest: Digest.of(Domain("sim.other"), proposal.payloadDigest.bytes))
        let lie = context.sign(vote.subject.kind == .finalize ? .finalize(other) : .notarize(other))
        // The halves are other ones in each view.
        return targets.map { target in
            let isFirst = (UInt64(target) &+ proposal.view.value) % 2 == 0
            return Transmission(message: isFirst ? message : .vote(lie), target: target)
        }
    }
}
