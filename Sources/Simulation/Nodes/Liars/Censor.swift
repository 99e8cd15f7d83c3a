internal import Consensus
internal import Ledger
internal import Primitives
internal import Replica

/// Lets no transaction in and passes none on, so all its blocks are empty, and valid.
struct Censor: NodeLiar {
    mutating func hears(_ input: ReplicaInput, _ context: inout NodeLiarContext) -> Bool {
        if case .transactions = input { false } else { true }
    }

    mutating func say(_ word: Word, to targets: [Int], _ context: inout NodeLiarContext) -> [NodeTransmission] {
        honestly(word, targets)
    }
}
