internal import Consensus
internal import Primitives

/// Gives up every view that it hears of, at once and to all, and votes in it besides.
struct Nullifier: Liar {
    private var last: View = 0

    mutating func say(_ message: ConsensusMessage, to targets: [Int], _ context: inout LiarContext) -> [Transmission] {
        honestly(message, targets)
    }

    mutating func heard(_ message: ConsensusMessage, _ context: inout LiarContext) -> [Transmission] {
        guard case .vote(let vote) = message, vote.subject.view > last else { return [] }
        last = vote.subject.view
        let nullify = ConsensusMessage.vote(context.sign(.nullify(vote.subject.epoch, last)))
        return honestly(nullify, context.peers)
    }
}
