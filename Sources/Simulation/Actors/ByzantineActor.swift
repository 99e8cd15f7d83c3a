internal import Consensus
internal import Primitives

/// A validator that lies in one named way. It runs the real engine and does something else with what that says.
public enum ByzantineActor: String, Sendable, CaseIterable {
    case equivocator, withholder, nullifier, replayer, invalidProposer = "invalid-proposer", staleSender =
        "stale-sender", forger

    func make() -> any Liar {
        switch self {
        case .equivocator: Equivocator()
        case .withholder: Withholder()
        case .nullifier: Nullifier()
        case .replayer: Replayer()
        case .invalidProposer: InvalidProposer()
        case .staleSender: StaleSender()
        case .forger: Forger()
        }
    }
}

/// A message on its way to one node.
struct Transmission {
    let message: ConsensusMessage
    let target: Int
}

/// What a liar has to work with.
struct LiarContext {
    let own: Int
    let key: PublicKey
    let network: Digest
    /// All nodes but itself.
    let peers: [Int]
    var random: SplitMix64

    func sign(_ subject: Subject) -> Vote {
        Vote(
            subject: subject, signer: UInt16(own),
            signature: SymbolicScheme(key).sign(subject.signingBytes(network: network)))
    }

    mutating func chance(_ numerator: UInt64, in denominator: UInt64) -> Bool {
        random.next() % denominator < numerator
    }

    mutating func someone() -> Int { peers[Int(random.next() % UInt64(peers.count))] }
}

/// How a liar behaves. Each is a file of its own.
protocol Liar: Sendable {
    /// Its engine wants to say something to these: what is said instead.
    mutating func say(_ message: ConsensusMessage, to targets: [Int], _ context: inout LiarContext) -> [Transmission]
    /// Something came in: what is said besides what the engine will say.
    mutating func heard(_ message: ConsensusMessage, _ context: inout LiarContext) -> [Transmission]
}

extension Liar {
    mutating func heard(_ message: ConsensusMessage, _ context: inout LiarContext) -> [Transmission] { [] }

    func honestly(_ message: ConsensusMessage, _ targets: [Int]) -> [Transmission] {
        targets.map { Transmission(message: message, target: $0) }
    }
}
