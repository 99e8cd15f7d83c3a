public import Primitives

/// Bytes that the chain carries and does not read, with their digest, which stands for them wherever a transaction is digested: a batch of a hundred
/// kilobytes is digested once where it arrives, not once for its id, its signature and each root that it is under.
public struct OpaqueBytes: Sendable, CanonicalCodable {
    public static let maximumBytes = 256 * 1024
    /// A transaction that carries more than this is not told to others at once.
    public static let maximumToldBytes = 4 * 1024

    public let bytes: [UInt8]
    public let digest: Digest

    public init(_ bytes: [UInt8]) {
        self.bytes = bytes
        digest = Digest.of(.opaque, bytes)
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        self.init(try reader.readBytes(max: OpaqueBytes.maximumBytes))
    }

    public func encode(into writer: inout ByteWriter) { writer.write(bytes: bytes) }

    /// By length and digest.
    func encodeSummary(into writer: inout ByteWriter) {
        writer.write(UInt32(bytes.count))
        writer.write(digest)
    }

    /// By how many bytes the encoding is longer than the summary.
    var excess: Int { bytes.count - 32 }
}

extension OpaqueBytes: Hashable {
    public static func == (left: OpaqueBytes, right: OpaqueBytes) -> Bool {
        left.digest == right.digest && left.bytes.count == right.bytes.count
    }

    public func hash(into hasher: inout Hasher) { hasher.combine(digest) }
}
