internal import Consensus
internal import Primitives

/// Brings old certificates as if they were news, cut below a quorum or with another's signature in a place, beside the true ones.
struct StaleSender: Liar {
    private var held: [Certificate] = []

    mutating func say(_ message: ConsensusMessage, to targets: [Int], _ context: inout LiarContext) -> [Transmission] {
        honestly(message, targets)
    }

    mutating func heard(_ message: ConsensusMessage, _ context: inout LiarContext) -> [Transmission] {
        if case .certificate(let certificate) = message, held.count < 500 { held.append(certificate) }
        guard !held.isEmpty, context.chance(1, in: 2) else { return [] }
        let old = held[Int(context.random.next() % UInt64(held.count))]
        let newer = held[Int(context.random.next() % UInt64(held.count))]
        var votes = zip(old.signers, old.signatures).map { Vote(subject: old.subject, signer: $0, signature: $1) }
        let forged: Certificate
        switch context.random.next() % 3 {
        case 0: forged = old
        case 1:
            votes.removeLast()
            forged = Certificate(subject: old.subject, votes: votes)
        default:
            // The signatures of one subject under another.
            forged = Certificate(
                subject: newer.subject,
                votes: votes.map { Vote(subject: newer.subject, signer: $0.signer, signature: $0.signature) })
        }
        return [Transmission(message: .certificate(forged), target: context.someone())]
    }
}
