public import Primitives

/// What a blob is made of, so that each 64 KiB chunk can be checked by itself. The id is computed from the manifest: a false manifest has another id.
public struct BlobManifest: Hashable, Sendable, CanonicalCodable {
    public enum Kind: Hashable, Sendable {
        /// Any bytes. Id: the length and the Merkle root over the chunks.
        case file
        /// A tensor. Id: its root, over blocks of 1,024 bytes (docs/programs.md); a chunk is a subtree of 64 blocks.
        case tensor(type: UInt8, shape: [UInt64])
        /// What a job's output root commits to: each step's output tensors. It has no bytes: the list is all. Id: that output root. It binds which tensors
        /// there are, and their order; how they are parted into steps follows with the number of these, which a result names (`ResultRoots.parted`).
        case outputs(steps: [[ListedTensor]])
    }

    public static let chunkLength = 65_536
    public static let blockLength = 1_024
    public static let maximumChunks = 32_768
    public static let maximumRank = 8
    public static let maximumSteps = 32_768
    /// Of one step, as many as a program's scan may have.
    public static let maximumOutputs = 1 << 12

    public let kind: Kind
    public let length: UInt64
    public let chunks: [Digest]

    public init(kind: Kind, length: UInt64, chunks: [Digest]) {
        self.kind = kind
        self.length = length
        self.chunks = chunks
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        switch try reader.readUInt8() {
        case 0: kind = .file
        case 1:
            let type = try reader.readUInt8()
            kind = .tensor(type: type, shape: try reader.readList(UInt64.self, max: BlobManifest.maximumRank))
        case 2: kind = .outputs(steps: try OutputListCode.decode(from: &reader))
        case let tag: throw .invalid("a blob has no kind \(tag)")
        }
        length = try reader.readUInt64()
        chunks = try reader.readList(Digest.self, max: BlobManifest.maximumChunks)
        if case .outputs = kind, length != 0 { throw .invalid("a list of outputs has no bytes, found \(length)") }
        if case .tensor(let type, let shape) = kind, BlobManifest.tensorLength(type, shape) != length {
            // The tree pads its last block and its last chunks: another length could stand under the same id.
            throw .invalid("a tensor of type \(type) and shape \(shape) has not \(length) bytes")
        }
        if UInt64(chunks.count) != BlobManifest.chunkCount(length) {
            throw .invalid(
                "a blob of \(length) bytes has \(BlobManifest.chunkCount(length)) chunks, not \(chunks.count)")
        }
    }

    public func encode(into writer: inout ByteWriter) {
        switch kind {
        case .file: writer.write(UInt8(0))
        case .tensor(let type, let shape):
            writer.write(UInt8(1))
            writer.write(type)
            writer.write(list: shape)
        case .outputs(let steps):
            writer.write(UInt8(2))
            OutputListCode.encode(steps, into: &writer)
        }
        writer.write(length)
        writer.write(list: chunks)
    }

    /// Bytes of a tensor, or nil where the type is unknown or the shape has more elements than can be counted. The numbers and
    /// sizes are those of a program's element types; a test holds the two together.
    public static func tensorLength(_ type: UInt8, _ shape: [UInt64]) -> UInt64? {
        var length: UInt64
        switch type {
        case 2, 3, 6: length = 1
        case 7, 8: length = 2
        case 1, 4: length = 4
        case 5: length = 8
        default: return nil
        }
        for dimension in shape {
            let (product, overflow) = length.multipliedReportingOverflow(by: dimension)
            if overflow { return nil }
            length = product
        }
        return length
    }

    /// How many chunks a length needs.
    public static func chunkCount(_ length: UInt64) -> UInt64 {
        length / UInt64(chunkLength) + (length % UInt64(chunkLength) == 0 ? 0 : 1)
    }

    /// The blob's name.
    public var id: Digest {
        switch kind {
        case .file:
            var writer = ByteWriter(capacity: 40)
            writer.write(length)
            writer.write(MerkleTree.root(chunks))
            return Digest.of(Domain("plasma.file"), writer.bytes)
        case .tensor(let type, let shape): return ListedTensor(type: type, shape: shape, tree: tensorTree).root
        case .outputs(let steps):
            let roots = steps.map { step in MerkleTree.root(step.map(\.root)) }
            return Digest.of(Domain("plasma.outputs"), MerkleTree.root(roots).bytes)
        }
    }

    /// The tensor as a list of outputs names it; nil for a blob of another kind.
    public var listed: ListedTensor? {
        guard case .tensor(let type, let shape) = kind else { return nil }
        return ListedTensor(type: type, shape: shape, tree: tensorTree)
    }

    /// The Merkle root over all blocks, from the chunks' subtrees. Above one chunk each subtree is full: padded to 64 leaves with zero digests.
    private var tensorTree: Digest {
        if chunks.count <= 1 { return chunks.first ?? .zero }
        var level = chunks
        var padding = BlobManifest.emptySubtree
        while level.count > 1 {
            var above: [Digest] = []
            for i in stride(from: 0, to: level.count, by: 2) {
                above.append(MerkleTree.node(level[i], i + 1 < level.count ? level[i + 1] : padding))
            }
            level = above
            padding = MerkleTree.node(padding, padding)
        }
        return level[0]
    }

    /// The root over 64 zero leaves.
    private static let emptySubtree: Digest = {
        var value = Digest.zero
        for _ in 0..<6 { value = MerkleTree.node(value, value) }
        return value
    }()

    /// The range of bytes of a chunk.
    public func range(of chunk: Int) -> Range<Int> {
        let start = chunk * BlobManifest.chunkLength
        return start..<min(start + BlobManifest.chunkLength, Int(length))
    }

    /// Whether these are the bytes of that chunk.
    public func verify(_ bytes: [UInt8], chunk: Int) -> Bool {
        guard chunks.indices.contains(chunk), bytes.count == range(of: chunk).count else { return false }
        let whole = chunks.count == 1
        return bytes.withUnsafeBytes { BlobManifest.digest(of: $0, kind, alone: whole) } == chunks[chunk]
    }

    private static func digest(of chunk: UnsafeRawBufferPointer, _ kind: Kind, alone: Bool) -> Digest {
        guard case .tensor = kind else { return MerkleTree.leaf(chunk) }
        var leaves: [Digest] = []
        leaves.reserveCapacity(64)
        var start = 0
        while start < chunk.count {
            let end = min(start + blockLength, chunk.count)
            if end - start == blockLength {
                leaves.append(MerkleTree.leaf(UnsafeRawBufferPointer(rebasing: chunk[start..<end])))
            } else {
                leaves.append(
                    MerkleTree.leaf(
                        Array(chunk[start..<end]) + [UInt8](repeating: 0, count: blockLength - (end - start))))
            }
            start = end
        }
        if !alone { while leaves.count < 64 { leaves.append(.zero) } }
        return MerkleTree.root(leaves)
    }

    /// The manifest of bytes in memory (or mapped). Hashes everything once.
    public static func make(_ kind: Kind, _ bytes: UnsafeRawBufferPointer) -> BlobManifest {
        let count = Int(chunkCount(UInt64(bytes.count)))
        var chunks: [Digest] = []
        chunks.reserveCapacity(count)
        for index in 0..<count {
            let start = index * chunkLength
            let end = min(start + chunkLength, bytes.count)
            chunks.append(digest(of: UnsafeRawBufferPointer(rebasing: bytes[start..<end]), kind, alone: count == 1))
        }
        return BlobManifest(kind: kind, length: UInt64(bytes.count), chunks: chunks)
    }

    public static func file(_ bytes: [UInt8]) -> BlobManifest { bytes.withUnsafeBytes { make(.file, $0) } }
}
