public import Primitives

/// Asks a peer for blocks.
public enum BlockRequest: Sendable, Equatable, CanonicalCodable {
    /// One block, finalized or not.
    case byDigest(Digest)
    /// Finalized blocks from a height on, as many as fit.
    case range(from: Height, count: UInt16)

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        switch try reader.readUInt8() {
        case 0: self = .byDigest(try reader.read(Digest.self))
        case 1: self = .range(from: try reader.read(Height.self), count: try reader.readUInt16())
        case let tag: throw .invalid("a block request has no kind \(tag)")
        }
    }

    public func encode(into writer: inout ByteWriter) {
        switch self {
        case .byDigest(let digest):
            writer.write(UInt8(0))
            writer.write(digest)
        case .range(let height, let count):
            writer.write(UInt8(1))
            writer.write(height)
            writer.write(count)
        }
    }
}

/// The blocks that a peer gives, in order of height.
public struct BlockAnswer: Hashable, Sendable, CanonicalCodable {
    public let blocks: [FinalizedBlock]

    /// At most this many blocks and bytes an answer; one block alone may be larger.
    public static let maximumBlocks = 64
    public static let softByteLimit = 1 << 20

    public init(blocks: [FinalizedBlock]) { self.blocks = blocks }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        blocks = try reader.readList(FinalizedBlock.self, max: BlockAnswer.maximumBlocks)
    }

    public func encode(into writer: inout ByteWriter) { writer.write(list: blocks) }
}
