public import Primitives

/// What a node asks of another's blob store.
public enum BlobRequest: Hashable, Sendable, CanonicalCodable {
    case manifest(Digest)
    /// Chunks of one blob, at most `maximumChunks`.
    case chunks(Digest, [UInt32])
    /// Whole blobs of one chunk each, as many as fit in an answer.
    case small([Digest])

    public static let maximumChunks = 8
    public static let maximumSmall = 128
    /// Bytes of an answer.
    public static let answerBudget = 640 << 10

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        switch try reader.readUInt8() {
        case 0: self = .manifest(try reader.read(Digest.self))
        case 1:
            self = .chunks(
                try reader.read(Digest.self), try reader.readList(UInt32.self, max: BlobRequest.maximumChunks))
        case 2: self = .small(try reader.readList(Digest.self, max: BlobRequest.maximumSmall))
        case let tag: throw .invalid("a blob request has no kind \(tag)")
        }
    }

    public func encode(into writer: inout ByteWriter) {
        switch self {
        case .manifest(let id):
            writer.write(UInt8(0))
            writer.write(id)
        case .chunks(let id, let indices):
            writer.write(UInt8(1))
            writer.write(id)
            writer.write(list: indices)
        case .small(let ids):
            writer.write(UInt8(2))
            writer.write(list: ids)
        }
    }
}

/// Part of an answer: a manifest, or a chunk by its index, or both for a small blob.
public struct BlobPart: Hashable, Sendable, CanonicalCodable {
    public let id: Digest
    public let manifest: BlobManifest?
    public let chunk: UInt32
    public let bytes: [UInt8]?

    public init(id: Digest, manifest: BlobManifest?, chunk: UInt32, bytes: [UInt8]?) {
        self.id = id
        self.manifest = manifest
        self.chunk = chunk
        self.bytes = bytes
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        id = try reader.read(Digest.self)
        manifest = try reader.readOptional(BlobManifest.self)
        chunk = try reader.readUInt32()
        bytes = try reader.readBool() ? try reader.readBytes(max: BlobManifest.chunkLength) : nil
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(id)
        writer.write(optional: manifest)
        writer.write(chunk)
        writer.write(bool: bytes != nil)
        if let bytes { writer.write(bytes: bytes) }
    }
}
