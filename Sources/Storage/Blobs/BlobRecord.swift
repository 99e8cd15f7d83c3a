public import Primitives

/// What the store knows of a blob.
public struct BlobRecord: Sendable, Equatable {
    public let id: Digest
    /// In bytes.
    public let length: UInt64
    public let chunkCount: Int
    public let receivedChunks: Int
    public let isPinned: Bool

    public var isComplete: Bool { receivedChunks == chunkCount }
}

extension Domain {
    static let blobFile = Domain("plasma.blobfile")
}

/// The file beside a blob's data: length and manifest, checked.
struct BlobDescription: Equatable {
    let length: UInt64
    let manifest: [UInt8]

    var fileBytes: [UInt8] {
        var writer = ByteWriter(capacity: manifest.count + 44)
        writer.write(length)
        writer.write(bytes: manifest)
        writer.write(Digest.of(.blobFile, writer.bytes))
        return writer.bytes
    }

    init(length: UInt64, manifest: [UInt8]) {
        self.length = length
        self.manifest = manifest
    }

    init?(fileBytes: [UInt8]) {
        guard fileBytes.count >= 44 else { return nil }
        let body = Array(fileBytes.dropLast(32))
        guard Digest.of(.blobFile, body).bytes == Array(fileBytes.suffix(32)) else { return nil }
        var reader = ByteReader(body)
        guard let length = try? reader.readUInt64(),
            let manifest = try? reader.readBytes(max: StorageLimits.manifestBytes), reader.remaining == 0
        else { return nil }
        self.init(length: length, manifest: manifest)
    }
}
