public import Primitives

/// The path from the state root to where a key is, or would be.
public struct StateProof: Hashable, Sendable, CanonicalCodable {
    public static let maximumDepth = 256

    /// The one leaf of the subtree where the path ends.
    public struct Leaf: Hashable, Sendable, CanonicalCodable, BitwiseCopyable {
        public let path: Digest
        public let value: Digest

        public init(path: Digest, value: Digest) {
            self.path = path
            self.value = value
        }

        public init(from reader: inout ByteReader) throws(DecodingFault) {
            path = try reader.read(Digest.self)
            value = try reader.read(Digest.self)
        }

        public func encode(into writer: inout ByteWriter) {
            writer.write(path)
            writer.write(value)
        }
    }

    /// From the root down.
    public let siblings: [Digest]
    public let leaf: Leaf?

    public init(siblings: [Digest], leaf: Leaf?) {
        self.siblings = siblings
        self.leaf = leaf
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        siblings = try reader.readList(Digest.self, max: StateProof.maximumDepth)
        leaf = try reader.readOptional(Leaf.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(list: siblings)
        writer.write(optional: leaf)
    }

    /// Whether the tree with this root holds exactly this value under the key; a nil value asks that it holds none.
    public func verify(root: Digest, key: [UInt8], value: [UInt8]?) -> Bool {
        if siblings.count > StateProof.maximumDepth { return false }
        let path = StateTree.path(key)
        if let value {
            guard let leaf, leaf.path == path, leaf.value == StateTree.valueDigest(value) else { return false }
        } else if let leaf {
            // Another leaf stands alone where the key would be: it must belong to that very subtree.
            if leaf.path == path { return false }
            for depth in 0..<siblings.count where leaf.path[bit: depth] != path[bit: depth] { return false }
        }
        var digest = leaf.map { Digest.of(.stateLeaf, $0.path, $0.value) } ?? .zero
        for depth in stride(from: siblings.count - 1, through: 0, by: -1) {
            digest =
                path[bit: depth]
                ? Digest.of(.stateNode, siblings[depth], digest) : Digest.of(.stateNode, digest, siblings[depth])
        }
        return digest == root
    }
}
