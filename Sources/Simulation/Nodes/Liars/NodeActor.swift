internal import Consensus
internal import Ledger
internal import Primitives
internal import Replica

/// A validator that lies with whole blocks, in one named way. It runs the real machine and does something else with what that says.
public enum NodeActor: String, Sendable, CaseIterable {
    case invalidBlocks = "invalid-blocks"
    case censor
    case staleCertificates = "stale-certificates"
    case bodyWithholder = "body-withholder"
    case twoBlocks = "two-blocks"

    func make() -> any NodeLiar {
        switch self {
        case .invalidBlocks: InvalidBlocks()
        case .censor: Censor()
        case .staleCertificates: StaleCertificates()
        case .bodyWithholder: BodyWithholder()
        case .twoBlocks: TwoBlocks()
        }
    }
}

/// What goes from one node to another unasked.
enum Word: Sendable {
    case consensus(ConsensusMessage)
    case block([UInt8])
    case transactions([SignedTransaction])
}

/// A word on its way to one node.
struct NodeTransmission {
    let word: Word
    let target: Int
}

/// What a liar has to work with.
struct NodeLiarContext {
    let own: Int
    /// Its place in the validator set.
    let place: UInt16
    let key: SecretKey
    let network: Digest
    let parameters: ChainParameters
    /// All nodes but itself.
    let peers: [Int]
    var random: SplitMix64

    func sign(_ subject: Subject) -> Vote {
        Vote(subject: subject, signer: place, signature: key.sign(subject.signingBytes(network: network)))
    }

    mutating func chance(_ numerator: UInt64, in denominator: UInt64) -> Bool {
        random.next() % denominator < numerator
    }

    mutating func someone() -> Int { peers[Int(random.next() % UInt64(peers.count))] }
}

/// How a liar behaves. Each is a file of its own.
protocol NodeLiar {
    /// Whether its own machine is to hear this.
    mutating func hears(_ input: ReplicaInput, _ context: inout NodeLiarContext) -> Bool
    /// Its machine wants to say something to these: what is said instead.
    mutating func say(_ word: Word, to targets: [Int], _ context: inout NodeLiarContext) -> [NodeTransmission]
    /// A peer has asked for blocks: what it gets, nil for nothing at all. `honest` is what the disk has.
    mutating func answer(_ request: BlockRequest, honest: BlockAnswer?, _ context: inout NodeLiarContext) -> LiarsAnswer
}

enum LiarsAnswer {
    case silence
    case says(BlockAnswer?)
}

extension NodeLiar {
    mutating func hears(_ input: ReplicaInput, _ context: inout NodeLiarContext) -> Bool { true }

    mutating func answer(_ request: BlockRequest, honest: BlockAnswer?, _ context: inout NodeLiarContext) -> LiarsAnswer
    {
        .says(honest)
    }

    func honestly(_ word: Word, _ targets: [Int]) -> [NodeTransmission] {
        targets.map { NodeTransmission(word: word, target: $0) }
    }
}

/// Blocks that a liar made beside those of its machine, and which of these they stand for.
struct FalseBlocks {
    private var instead: [Digest: Digest] = [:]
    private var bodies: [Digest: [UInt8]] = [:]

    mutating func add(_ block: Block, insteadOf digest: Digest) -> [UInt8] {
        let bytes = block.canonicalBytes
        instead[digest] = block.digest
        bodies[block.digest] = bytes
        return bytes
    }

    /// The vote for the true block, said of the false one; nil where there is none.
    func turn(_ vote: Vote, _ context: NodeLiarContext) -> Vote? {
        guard vote.signer == context.place, let proposal = vote.subject.proposal,
            let other = instead[proposal.payloadDigest]
        else { return nil }
        let turned = Proposal(
            epoch: proposal.epoch, view: proposal.view, parentView: proposal.parentView,
            parentDigest: proposal.parentDigest, payloadDigest: other)
        return context.sign(vote.subject.kind == .finalize ? .finalize(turned) : .notarize(turned))
    }

    func answer(_ request: BlockRequest) -> BlockAnswer? {
        guard case .byDigest(let digest) = request, let bytes = bodies[digest] else { return nil }
        return BlockAnswer(blocks: [FinalizedBlock(block: bytes, certificate: nil)])
    }
}
