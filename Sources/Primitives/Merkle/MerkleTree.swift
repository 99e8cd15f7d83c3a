/// Binary Merkle trees. Leaves and nodes are of different domains; a list is padded to a power of two with the zero digest, so its length
/// must be bound by whoever commits to the root.
public enum MerkleTree {
    /// The leaf of some bytes.
    public static func leaf(_ bytes: [UInt8]) -> Digest { Digest.of(.merkleLeaf, bytes) }

    /// The leaf of memory.
    public static func leaf(_ bytes: UnsafeRawBufferPointer) -> Digest { Digest.of(.merkleLeaf, bytes) }

    /// The leaves of many messages.
    public static func leaves(_ batch: DigestBatch) -> [Digest] { batch.digests(.merkleLeaf) }

    /// The node over two children.
    public static func node(_ left: Digest, _ right: Digest) -> Digest { Digest.of(.merkleNode, left, right) }

    /// The root over the leaves: zero for none, the leaf itself for one.
    public static func root(_ leaves: [Digest]) -> Digest {
        if leaves.isEmpty { return .zero }
        var level = leaves
        var padding = Digest.zero
        while level.count > 1 {
            level = parents(of: level, padding: padding)
            padding = node(padding, padding)
        }
        return level[0]
    }

    /// The path from leaf `index` to the root. `index` must be a leaf of the list.
    public static func proof(_ leaves: [Digest], _ index: Int) -> MerkleProof {
        precondition(leaves.indices.contains(index), "a proof is of a leaf that exists")
        var siblings: [Digest] = []
        var level = leaves
        var padding = Digest.zero
        var position = index
        while level.count > 1 {
            let other = position ^ 1
            siblings.append(other < level.count ? level[other] : padding)
            level = parents(of: level, padding: padding)
            padding = node(padding, padding)
            position >>= 1
        }
        return MerkleProof(index: UInt64(index), siblings: siblings)
    }

    private static func parents(of level: [Digest], padding: Digest) -> [Digest] {
        Digest.ofEach(.merkleNode, pairs: level.count % 2 == 0 ? level : level + [padding])
    }
}

/// The siblings from a leaf up to the root.
public struct MerkleProof: Hashable, Sendable, CanonicalCodable {
    /// Which leaf.
    public let index: UInt64
    /// From the leaf's level upward, at most 64.
    public let siblings: [Digest]

    public static let maximumDepth = 64

    public init(index: UInt64, siblings: [Digest]) {
        self.index = index
        self.siblings = siblings
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        index = try reader.readUInt64()
        siblings = try reader.readList(Digest.self, max: MerkleProof.maximumDepth)
        if siblings.count < 64 && index >> UInt64(siblings.count) != 0 {
            throw .invalid("a Merkle proof of depth \(siblings.count) has no leaf \(index)")
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(index)
        writer.write(list: siblings)
    }

    /// The root that this path leads to from `leaf`. The verifier must know the depth that it expects.
    public func root(of leaf: Digest) -> Digest {
        var value = leaf
        var position = index
        for sibling in siblings {
            value = position & 1 == 0 ? MerkleTree.node(value, sibling) : MerkleTree.node(sibling, value)
            position >>= 1
        }
        return value
    }
}
