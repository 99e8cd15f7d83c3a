public import Primitives

/// A node of a Merkle tree over a known number of leaves, by its height above them and its place among its like.
public struct TreeNode: Hashable, Sendable, CanonicalCodable {
    public let height: UInt8
    public let index: UInt64

    public init(height: UInt8, index: UInt64) {
        self.height = height
        self.index = index
    }

    /// The root of a tree over so many leaves.
    public init(topOf count: UInt64) { self.init(height: UInt8(MerkleLevels.height(of: count)), index: 0) }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        height = try reader.readUInt8()
        index = try reader.readUInt64()
        if height > MerkleProof.maximumDepth { throw .invalid("no tree is \(height) levels high") }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(height)
        writer.write(index)
    }

    /// The leaves under it, in a tree of `count`.
    public func leaves(of count: UInt64) -> Range<UInt64> {
        let start = min(count, height < 64 ? index << height : 0)
        let end = height >= 63 ? count : min(count, (index + 1) << height)
        return start..<max(start, end)
    }

    /// The nodes that stand `levels` below it, or the leaves where these come first: only those with a leaf under them, since the rest is padding.
    public func children(levels: UInt8, of count: UInt64) -> [TreeNode] {
        let below = height - min(levels, height)
        let leaves = leaves(of: count)
        if leaves.isEmpty { return [] }
        return (leaves.lowerBound >> below...(leaves.upperBound - 1) >> below).map {
            TreeNode(height: below, index: $0)
        }
    }

    /// How many there are of these.
    public func childCount(levels: UInt8, of count: UInt64) -> Int {
        let below = height - min(levels, height)
        let leaves = leaves(of: count)
        if leaves.isEmpty { return 0 }
        return Int((leaves.upperBound - 1) >> below - leaves.lowerBound >> below) + 1
    }

    /// What a node's children, as `children` counts them, combine to.
    public func digest(ofChildren digests: [Digest], levels: UInt8) -> Digest {
        let levels = min(levels, height)
        var padding = MerkleLevels.padding(Int(height - levels))
        var level = digests
        for _ in 0..<levels {
            if level.count % 2 == 1 { level.append(padding) }
            level = stride(from: 0, to: level.count, by: 2).map { MerkleTree.node(level[$0], level[$0 + 1]) }
            padding = MerkleTree.node(padding, padding)
        }
        return level.first ?? padding
    }

    /// The siblings on the way from a child, by its place among `children`, up to this node.
    public func siblings(ofChild place: Int, among digests: [Digest], levels: UInt8) -> [Digest] {
        let levels = min(levels, height)
        var padding = MerkleLevels.padding(Int(height - levels))
        var level = digests
        var siblings: [Digest] = []
        var place = place
        for _ in 0..<levels {
            if level.count % 2 == 1 { level.append(padding) }
            siblings.append(place ^ 1 < level.count ? level[place ^ 1] : padding)
            level = stride(from: 0, to: level.count, by: 2).map { MerkleTree.node(level[$0], level[$0 + 1]) }
            padding = MerkleTree.node(padding, padding)
            place >>= 1
        }
        return siblings
    }
}
