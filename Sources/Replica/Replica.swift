/// One node's whole protocol as one machine: consensus, mempool, blocks, execution and catch-up.
///
/// A shell (the node, or the simulator) hands in what happened and the time, and carries out the outputs **in order**: a `persist` or a
/// `storeBlock` is durable before the `broadcast` that stands after it leaves. The machine reads state and old blocks through two protocols
/// (`StateStore`, `BlockArchive`) whose answers depend only on what it wrote before.
///
/// Words: a block is *known* when its bytes are here; *verified* when we would vote for it; *certified* when a quorum notarized it and its
/// bytes are durable here; *finalized* when a finalization covers it; *executed* when its effects are in the state.
///
/// Rules (docs/consensus.md):
/// - Blocks are voted on before they are executed, and only finalized blocks are executed, in order of height.
/// - A block claims an execution result; we vote for it only once we have computed the same result ourselves.
/// - A verdict "invalid" is given only for what every correct node would see in the same bytes; what is missing here is pending.
public import Consensus
public import Ledger
public import Primitives

/// Keys and settings that make a replica one particular node.
public struct ReplicaConfiguration: Sendable {
    public let genesis: Genesis
    /// The key this node votes with in the epochs whose set has it; nil for a node that only follows.
    public let consensusKey: PublicKey?
    public let signer: (any SignatureScheme)?
    /// Checks the signatures of votes.
    public let verifier: any SignatureScheme
    public let vrfKey: SecretKey?
    public let consensus: ConsensusParameters
    public let pace: BlockPace
    /// A nonce that was never used, where a consensus key came without its journal: it abstains until others have answered it, and moved past what it
    /// may have signed.
    public let challenge: Digest?

    public init(
        genesis: Genesis, consensusKey: PublicKey?, signer: (any SignatureScheme)?, vrfKey: SecretKey?,
        consensus: ConsensusParameters, pace: BlockPace = BlockPace(), challenge: Digest? = nil,
        verifier: any SignatureScheme = Ed25519Scheme.verifier
    ) {
        self.genesis = genesis
        self.consensusKey = consensusKey
        self.verifier = verifier
        self.signer = signer
        self.vrfKey = vrfKey
        self.consensus = consensus
        self.pace = pace
        self.challenge = challenge
    }
}

/// How soon a leader builds on its parent. A matter of taste of the leader alone: no other node checks it.
public struct BlockPace: Sendable {
    /// With transactions waiting.
    public var withTransactions: Interval
    /// With nothing but results to attest, draws to make or timers to run.
    public var withWork: Interval
    /// With nothing at all.
    public var heartbeat: Interval

    public init(
        withTransactions: Interval = .milliseconds(10), withWork: Interval = .milliseconds(100),
        heartbeat: Interval = .seconds(2)
    ) {
        self.withTransactions = withTransactions
        self.withWork = withWork
        self.heartbeat = heartbeat
    }
}

/// A view that this node gave up, and why.
public struct GivenUpView: Hashable, Sendable {
    public let view: View
    public let leader: Int
    public let reason: TimeoutReason
}

/// A final block whose record of votes lacks ours, and why.
public struct MissedVote: Hashable, Sendable {
    public let height: Height
    public let view: View
    public let reason: MissedVoteReason
}

/// The time as a shell reads it: one clock that only runs, one that a person would read.
public struct ReplicaTime: Sendable {
    public let monotonic: Instant
    public let wall: Timestamp

    public init(monotonic: Instant, wall: Timestamp) {
        self.monotonic = monotonic
        self.wall = wall
    }
}

/// Old blocks, read back. The machine wrote them by `storeBlock` and `markFinalized`.
public protocol BlockArchive: AnyObject {
    func block(_ digest: Digest) -> [UInt8]?
    /// The block finalized at a height, with the finalization that names it, where one does.
    func finalized(at height: Height) -> FinalizedBlock?
}

/// A finalized block as it is kept and sent.
public struct FinalizedBlock: Hashable, Sendable, CanonicalCodable {
    public let block: [UInt8]
    /// A finalization of this very block; nil where it was finalized by a descendant's.
    public let certificate: Certificate?

    public static let maximumBlockBytes = 4 << 20

    public init(block: [UInt8], certificate: Certificate?) {
        self.block = block
        self.certificate = certificate
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        block = try reader.readBytes(max: FinalizedBlock.maximumBlockBytes)
        certificate = try reader.readOptional(Certificate.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(bytes: block)
        writer.write(optional: certificate)
    }
}
