internal import Consensus
internal import Ledger
internal import Primitives
internal import Replica

/// Brings old certificates as if they were news, cut below a quorum or under another subject, and answers those who catch up with blocks whose
/// certificates are not theirs.
struct StaleCertificates: NodeLiar {
    private var held: [Certificate] = []

    mutating func hears(_ input: ReplicaInput, _ context: inout NodeLiarContext) -> Bool {
        if case .consensus(.certificate(let certificate), _) = input, held.count < 500 { held.append(certificate) }
        return true
    }

    mutating func say(_ word: Word, to targets: [Int], _ context: inout NodeLiarContext) -> [NodeTransmission] {
        var said = honestly(word, targets)
        if !held.isEmpty, context.chance(1, in: 2) {
            let forged = stale(&context)
            said.append(NodeTransmission(word: .consensus(.certificate(forged)), target: context.someone()))
        }
        return said
    }

    private func stale(_ context: inout NodeLiarContext) -> Certificate {
        let old = held[Int(context.random.next() % UInt64(held.count))]
        let newer = held[Int(context.random.next() % UInt64(held.count))]
        var votes = zip(old.signers, old.signatures).map { Vote(subject: old.subject, signer: $0, signature: $1) }
        switch context.random.next() % 3 {
        case 0: return old
        case 1:
            votes.removeLast()
            return Certificate(subject: old.subject, votes: votes)
        default:
            let moved = votes.map { Vote(subject: newer.subject, signer: $0.signer, signature: $0.signature) }
            return Certificate(subject: newer.subject, votes: moved)
        }
    }

    mutating func answer(_ request: BlockRequest, honest: BlockAnswer?, _ context: inout NodeLiarContext) -> LiarsAnswer
    {
        guard case .range = request, let honest, !honest.blocks.isEmpty, !held.isEmpty else { return .says(honest) }
        switch context.random.next() % 4 {
        case 0: return .says(honest)
        case 1: return .says(BlockAnswer(blocks: []))
        case 2:
            // The row ends in a certificate of something else.
            var blocks = honest.blocks
            if let last = blocks.popLast() {
                blocks.append(FinalizedBlock(block: last.block, certificate: stale(&context)))
            }
            return .says(BlockAnswer(blocks: blocks))
        default:
            // One of the blocks is left out.
            var blocks = honest.blocks
            blocks.remove(at: Int(context.random.next() % UInt64(blocks.count)))
            return .says(BlockAnswer(blocks: blocks))
        }
    }
}
