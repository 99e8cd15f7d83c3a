internal import Consensus
internal import Primitives

/// Tells each thing to one other alone, and answers no request.
struct Withholder: Liar {
    mutating func say(_ message: ConsensusMessage, to targets: [Int], _ context: inout LiarContext) -> [Transmission] {
        switch message {
        case .vote:
            [Transmission(message: message, target: targets[Int(context.random.next() % UInt64(targets.count))])]
        case .certificate: context.chance(1, in: 4) ? honestly(message, [context.someone()]) : []
        case .request, .evidence, .positionRequest, .position: honestly(message, targets)
        }
    }
}
