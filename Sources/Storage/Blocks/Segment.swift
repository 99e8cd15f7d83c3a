internal import Primitives

/// What one record of a block segment says.
enum BlockRecord {
    case block(Digest, packed: [UInt8])
    case finalization(height: UInt64, Digest, packedCertificate: [UInt8])
    /// Everything before it had been durable.
    case durable

    var payload: [UInt8] {
        var writer = ByteWriter(capacity: 64)
        switch self {
        case .block(let digest, let packed):
            writer.write(UInt8(1))
            writer.write(digest)
            writer.write(raw: packed)
        case .finalization(let height, let digest, let packed):
            writer.write(UInt8(2))
            writer.write(height)
            writer.write(digest)
            writer.write(raw: packed)
        case .durable: writer.write(UInt8(3))
        }
        return writer.bytes
    }

    init(payload: [UInt8]) throws(DecodingFault) {
        var reader = ByteReader(payload)
        switch try reader.readUInt8() {
        case 1: self = .block(try reader.read(Digest.self), packed: try reader.readRaw(reader.remaining))
        case 2:
            let height = try reader.readUInt64()
            let digest = try reader.read(Digest.self)
            self = .finalization(height: height, digest, packedCertificate: try reader.readRaw(reader.remaining))
        case 3:
            try reader.finish()
            self = .durable
        case let tag: throw .invalid("block record kind \(tag)")
        }
    }
}

/// Where a record is.
struct BlockLocation {
    let segment: UInt32
    let offset: UInt64
    let length: Int
}

/// One entry of a sealed segment's index: a record without its bytes.
struct SegmentEntry: CanonicalCodable {
    /// Nil for a block, the height for a finalization.
    let height: UInt64?
    let digest: Digest
    let offset: UInt64
    let length: Int

    init(height: UInt64?, digest: Digest, offset: UInt64, length: Int) {
        self.height = height
        self.digest = digest
        self.offset = offset
        self.length = length
    }

    init(from reader: inout ByteReader) throws(DecodingFault) {
        height = try reader.readOptional(UInt64.self)
        digest = try reader.read(Digest.self)
        offset = try reader.readUInt64()
        length = Int(try reader.readUInt32())
    }

    func encode(into writer: inout ByteWriter) {
        writer.write(optional: height)
        writer.write(digest)
        writer.write(offset)
        writer.write(UInt32(clamping: length))
    }
}

extension Domain {
    static let segmentIndex = Domain("plasma.segindex")
}

/// The index file of a sealed segment, so that a start need not read every block. A damaged one is made again.
enum SegmentIndex {
    static let maximumEntries = 1 << 22

    static func write(_ entries: [SegmentEntry], to path: String) throws(StorageFault) {
        var writer = ByteWriter(capacity: entries.count * 53 + 36)
        writer.write(list: entries)
        writer.write(Digest.of(.segmentIndex, writer.bytes))
        try File.replace(path, with: writer.bytes)
    }

    static func read(_ path: String) -> [SegmentEntry]? {
        guard let bytes = try? File.contents(path, limit: 512 << 20), bytes.count >= 36 else { return nil }
        let body = Array(bytes.dropLast(32))
        guard Digest.of(.segmentIndex, body).bytes == Array(bytes.suffix(32)) else { return nil }
        var reader = ByteReader(body)
        guard let entries = try? reader.readList(SegmentEntry.self, max: maximumEntries), reader.remaining == 0 else {
            return nil
        }
        return entries
    }
}
