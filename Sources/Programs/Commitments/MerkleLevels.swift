public import Primitives

/// A Merkle tree with all its levels kept, for whoever reveals nodes of it one after another.
public struct MerkleLevels: Sendable {
    /// From the leaves up; each level without its padding.
    private let levels: [[Digest]]

    public init(_ leaves: [Digest]) {
        var levels = [leaves]
        while let level = levels.last, level.count > 1 {
            var next: [Digest] = []
            let padding = MerkleLevels.padding(levels.count - 1)
            for place in stride(from: 0, to: level.count, by: 2) {
                next.append(MerkleTree.node(level[place], place + 1 < level.count ? level[place + 1] : padding))
            }
            levels.append(next)
        }
        self.levels = levels
    }

    /// Levels above the leaves.
    public var height: Int { levels.count - 1 }

    public var root: Digest { levels[height].first ?? .zero }

    /// What stands at a height (0 for leaves) where there is nothing: a tree of zero digests.
    public static func padding(_ height: Int) -> Digest {
        (0..<height).reduce(Digest.zero) { padding, _ in MerkleTree.node(padding, padding) }
    }

    /// A node, padding where the list has ended; nil outside the tree.
    public func node(height: Int, _ index: Int) -> Digest? {
        guard levels.indices.contains(height), index >= 0, index < 1 << (self.height - height) else { return nil }
        return index < levels[height].count ? levels[height][index] : MerkleLevels.padding(height)
    }

    /// The 2^depth nodes that combine to a node `depth` levels above them; fewer levels where the leaves come first. Nil outside the tree.
    public func children(height: Int, _ index: Int, depth: Int) -> [Digest]? {
        guard node(height: height, index) != nil, depth >= 0 else { return nil }
        let steps = min(depth, height)
        return (index << steps..<(index + 1) << steps).compactMap { node(height: height - steps, $0) }
    }

    /// The path from a leaf that exists to the root.
    public func proof(_ index: Int) -> MerkleProof {
        precondition(levels[0].indices.contains(index), "a proof is of a leaf that exists")
        // Every sibling of a node below the root is in the tree.
        let siblings = (0..<height).compactMap { node(height: $0, index >> $0 ^ 1) }
        return MerkleProof(index: UInt64(index), siblings: siblings)
    }

    /// What is needed beside the leaves `first` to `first + count − 1` to compute the root: at each level the left neighbour, then the right one,
    /// where the run of nodes does not begin or end with a pair. `BlockRange.root` is the other half.
    public func siblings(first: Int, count: Int) -> [Digest] {
        precondition(
            count > 0 && first >= 0 && first + count <= max(1, levels[0].count), "a range is of leaves that exist")
        var (low, high) = (first, first + count - 1)
        var siblings: [Digest] = []
        for height in 0..<height {
            if low & 1 == 1, let node = node(height: height, low - 1) { siblings.append(node) }
            if high & 1 == 0, let node = node(height: height, high + 1) { siblings.append(node) }
            (low, high) = (low >> 1, high >> 1)
        }
        return siblings
    }

    /// The height of a tree over so many leaves.
    public static func height(of count: UInt64) -> Int { count <= 1 ? 0 : 64 - (count - 1).leadingZeroBitCount }
}
