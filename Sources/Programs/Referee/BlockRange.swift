public import Primitives

/// Neighbouring blocks of a tensor with one path for all of them.
public struct BlockRange: Hashable, Sendable, CanonicalCodable {
    /// The most blocks in one range: what 256 terms of the longest elements may touch.
    public static let maximumBlocks = 3
    /// Two at each level, and no tensor has more than 2³³ blocks.
    public static let maximumSiblings = 2 * 33

    /// The number of the first block.
    public let first: UInt64
    /// Whole blocks of 1,024 bytes.
    public let bytes: [UInt8]
    /// As `MerkleLevels.siblings` lists them.
    public let siblings: [Digest]

    /// Blocks that a prover took from a tensor.
    public init(first: UInt64, bytes: [UInt8], siblings: [Digest]) {
        self.first = first
        self.bytes = bytes
        self.siblings = siblings
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        first = try reader.readUInt64()
        let count = Int(try reader.readUInt8())
        if count == 0 || count > BlockRange.maximumBlocks {
            throw .invalid("a range has 1 to \(BlockRange.maximumBlocks) blocks, found \(count)")
        }
        bytes = try reader.readRaw(count * TensorRoot.blockLength)
        siblings = try reader.readList(Digest.self, max: BlockRange.maximumSiblings)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(first)
        writer.write(UInt8(truncatingIfNeeded: count))
        writer.write(raw: bytes)
        writer.write(list: siblings)
    }

    /// How many blocks.
    public var count: UInt64 { UInt64(bytes.count / TensorRoot.blockLength) }

    /// The root of a tree over `blocks` leaves that has these blocks there; nil where it has no such leaves or the siblings are not as many as it takes.
    public func root(ofTreeOver blocks: UInt64) -> Digest? {
        guard count > 0, first < blocks, count <= blocks - first else { return nil }
        var nodes = bytes.withUnsafeBytes { TensorRoot.leaves($0) }
        var (low, high) = (first, first + count - 1)
        var rest = siblings[...]
        for _ in 0..<MerkleLevels.height(of: blocks) {
            if low & 1 == 1 {
                guard let node = rest.popFirst() else { return nil }
                nodes.insert(node, at: 0)
            }
            if high & 1 == 0 {
                guard let node = rest.popFirst() else { return nil }
                nodes.append(node)
            }
            nodes = stride(from: 0, to: nodes.count, by: 2).map { MerkleTree.node(nodes[$0], nodes[$0 + 1]) }
            (low, high) = (low >> 1, high >> 1)
        }
        return rest.isEmpty && nodes.count == 1 ? nodes[0] : nil
    }
}
