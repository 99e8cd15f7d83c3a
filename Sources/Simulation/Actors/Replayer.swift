internal import Consensus
internal import Primitives

/// Says again what it has heard at any time, whoever said it, to anyone.
struct Replayer: Liar {
    private var memory: [ConsensusMessage] = []

    mutating func say(_ message: ConsensusMessage, to targets: [Int], _ context: inout LiarContext) -> [Transmission] {
        honestly(message, targets)
    }

    mutating func heard(_ message: ConsensusMessage, _ context: inout LiarContext) -> [Transmission] {
        if memory.count < 4_000 {
            memory.append(message)
        } else {
            memory[Int(context.random.next() % 4_000)] = message
        }
        if !context.chance(1, in: 3) { return [] }
        let old = memory[Int(context.random.next() % UInt64(memory.count))]
        return [Transmission(message: old, target: context.someone())]
    }
}
