internal import Consensus
internal import Ledger
internal import Primitives
internal import Replica

/// Votes like anyone, but gives the bodies of its blocks to one other at most, and answers nobody who asks for blocks.
struct BodyWithholder: NodeLiar {
    mutating func say(_ word: Word, to targets: [Int], _ context: inout NodeLiarContext) -> [NodeTransmission] {
        guard case .block = word else { return honestly(word, targets) }
        return context.chance(1, in: 2) ? honestly(word, [context.someone()]) : []
    }

    mutating func answer(_ request: BlockRequest, honest: BlockAnswer?, _ context: inout NodeLiarContext) -> LiarsAnswer
    {
        .silence
    }
}
