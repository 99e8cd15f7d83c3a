public import Primitives

/// What validators vote on. Its digest is consensus's payload digest, so a light client needs no bodies.
public struct Header: Hashable, Sendable, CanonicalCodable {
    public var network: Digest
    public var epoch: Epoch
    public var view: View
    public var height: Height
    public var parent: Digest
    public var time: Timestamp
    /// The proposer's place in the epoch's validator set.
    public var proposer: UInt16
    /// The Merkle root over the transactions' signed bytes, opaque ones by their digest.
    public var txRoot: Digest
    /// The digest of the body's `BlockVotes`.
    public var votesDigest: Digest
    /// The sum of the transactions' weights.
    public var weight: UInt64
    /// Base units per weight unit.
    public var baseFee: UInt64
    /// The newest height whose result this header attests, and the state root after it.
    public var executedHeight: Height
    public var stateRoot: Digest
    /// The next epoch's record, once `executedHeight` has reached the height that fixes it.
    public var nextEpochRecord: Digest?
    public var vrfProof: VRFProof
    public var beacon: Digest

    public init(
        network: Digest, epoch: Epoch, view: View, height: Height, parent: Digest, time: Timestamp, proposer: UInt16,
        txRoot: Digest, votesDigest: Digest = BlockVotes().digest, weight: UInt64, baseFee: UInt64,
        executedHeight: Height, stateRoot: Digest,
        nextEpochRecord: Digest? = nil, vrfProof: VRFProof, beacon: Digest
    ) {
        self.network = network
        self.epoch = epoch
        self.view = view
        self.height = height
        self.parent = parent
        self.time = time
        self.proposer = proposer
        self.txRoot = txRoot
        self.votesDigest = votesDigest
        self.weight = weight
        self.baseFee = baseFee
        self.executedHeight = executedHeight
        self.stateRoot = stateRoot
        self.nextEpochRecord = nextEpochRecord
        self.vrfProof = vrfProof
        self.beacon = beacon
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        network = try reader.read(Digest.self)
        epoch = try reader.read(Epoch.self)
        view = try reader.read(View.self)
        height = try reader.read(Height.self)
        parent = try reader.read(Digest.self)
        time = try reader.read(Timestamp.self)
        proposer = try reader.readUInt16()
        txRoot = try reader.read(Digest.self)
        votesDigest = try reader.read(Digest.self)
        weight = try reader.readUInt64()
        baseFee = try reader.readUInt64()
        executedHeight = try reader.read(Height.self)
        stateRoot = try reader.read(Digest.self)
        nextEpochRecord = try reader.readOptional(Digest.self)
        vrfProof = try reader.read(VRFProof.self)
        beacon = try reader.read(Digest.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(network)
        writer.write(epoch)
        writer.write(view)
        writer.write(height)
        writer.write(parent)
        writer.write(time)
        writer.write(proposer)
        writer.write(txRoot)
        writer.write(votesDigest)
        writer.write(weight)
        writer.write(baseFee)
        writer.write(executedHeight)
        writer.write(stateRoot)
        writer.write(optional: nextEpochRecord)
        writer.write(vrfProof)
        writer.write(beacon)
    }

    /// The digest that consensus votes on.
    public var digest: Digest { Digest.of(.header, encoding: self) }

    /// The beacon that follows `parent`, given the proposer's VRF output over it.
    public static func beacon(after parent: Digest, output: Digest) -> Digest { Digest.of(.beacon, parent, output) }
}

/// A header with its transactions and what it says of votes.
public struct Block: Hashable, Sendable, CanonicalCodable {
    /// More than the weight limit lets in.
    public static let maximumTransactions = 65_536
    /// A block's canonical bytes are at most this many.
    public static let maximumBytes = 4 * 1024 * 1024

    public var header: Header
    public var transactions: [SignedTransaction]
    public var votes: BlockVotes

    public init(header: Header, transactions: [SignedTransaction], votes: BlockVotes = BlockVotes()) {
        self.header = header
        self.transactions = transactions
        self.votes = votes
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        if reader.remaining > Block.maximumBytes {
            throw .tooLong(found: reader.remaining, limit: Block.maximumBytes)
        }
        header = try reader.read(Header.self)
        transactions = try reader.readList(SignedTransaction.self, max: Block.maximumTransactions)
        votes = try reader.read(BlockVotes.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(header)
        writer.write(list: transactions)
        writer.write(votes)
    }

    public var digest: Digest { header.digest }

    /// Whether the body is the one that the header commits to.
    public var bodyMatches: Bool {
        header.txRoot == Block.txRoot(transactions) && header.votesDigest == votes.digest
    }

    /// What `header.txRoot` must be.
    public static func txRoot(_ transactions: [SignedTransaction]) -> Digest {
        var leaves = DigestBatch(messages: transactions.count, bytesEach: 256)
        for signed in transactions { leaves.append { signed.encodeSummary(into: &$0) } }
        return MerkleTree.root(MerkleTree.leaves(leaves))
    }
}
