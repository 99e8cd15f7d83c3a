internal import Consensus
internal import Ledger
internal import Primitives
internal import Replica

/// Makes two blocks in each of its turns, both sound: one half of the others gets one and the votes for it, the other half the other.
struct TwoBlocks: NodeLiar {
    private var others = FalseBlocks()

    mutating func say(_ word: Word, to targets: [Int], _ context: inout NodeLiarContext) -> [NodeTransmission] {
        switch word {
        case .block(let bytes):
            guard let block = try? Block(canonicalBytes: bytes), block.header.proposer == context.place else { break }
            let other = others.add(TwoBlocks.sibling(of: block, context.parameters), insteadOf: block.digest)
            return split(word, .block(other), targets, block.header.view)
        case .consensus(.vote(let vote)):
            guard let turned = others.turn(vote, context) else { break }
            return split(word, .consensus(.vote(turned)), targets, vote.subject.view)
        default: break
        }
        return honestly(word, targets)
    }

    mutating func answer(_ request: BlockRequest, honest: BlockAnswer?, _ context: inout NodeLiarContext) -> LiarsAnswer
    {
        .says(others.answer(request) ?? honest)
    }

    /// The halves are other ones in each view.
    private func split(_ first: Word, _ second: Word, _ targets: [Int], _ view: View) -> [NodeTransmission] {
        targets.map { target in
            NodeTransmission(word: (UInt64(target) &+ view.value) % 2 == 0 ? first : second, target: target)
        }
    }

    /// The same without its last transaction, or a millisecond later.
    private static func sibling(of block: Block, _ parameters: ChainParameters) -> Block {
        var sibling = block
        if let last = sibling.transactions.popLast() {
            sibling.header.weight -= Fees.weight(last.transaction, parameters)
            sibling.header.txRoot = Block.txRoot(sibling.transactions)
        } else {
            sibling.header.time = sibling.header.time.adding(milliseconds: 1)
        }
        return sibling
    }
}
