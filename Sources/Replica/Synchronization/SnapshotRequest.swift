public import Consensus
public import Ledger
public import Primitives

/// What a new node asks a peer before it has a chain. Goes on the channel of `BlockRequest`, whose kinds end where these begin.
public enum SnapshotRequest: Sendable, Hashable, CanonicalCodable {
    /// The steps of a light client from an epoch on: `EpochAnswer`.
    case epochs(from: Epoch)
    /// What snapshots the peer offers: `SnapshotOffers`.
    case offers
    /// A chunk of one of them: `SnapshotChunk`.
    case chunk(height: Height, index: UInt32)
    /// One block: `BlockAnswer`. The same bytes as `BlockRequest.byDigest`.
    case block(Digest)

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        switch try reader.readUInt8() {
        case 0: self = .block(try reader.read(Digest.self))
        case 2: self = .epochs(from: try reader.read(Epoch.self))
        case 3: self = .offers
        case 4: self = .chunk(height: try reader.read(Height.self), index: try reader.readUInt32())
        case let tag: throw .invalid("a snapshot request has no kind \(tag)")
        }
    }

    public func encode(into writer: inout ByteWriter) {
        switch self {
        case .block(let digest):
            writer.write(UInt8(0))
            writer.write(digest)
        case .epochs(let epoch):
            writer.write(UInt8(2))
            writer.write(epoch)
        case .offers: writer.write(UInt8(3))
        case .chunk(let height, let index):
            writer.write(UInt8(4))
            writer.write(height)
            writer.write(index)
        }
    }
}

/// Steps of a light client, in order.
public struct EpochAnswer: Hashable, Sendable, CanonicalCodable {
    /// A step has a certificate and a set: some 20 KiB with 100 validators.
    public static let maximumSteps = 64

    public let steps: [EpochStep]

    public init(steps: [EpochStep]) { self.steps = steps }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        steps = try reader.readList(EpochStep.self, max: EpochAnswer.maximumSteps)
    }

    public func encode(into writer: inout ByteWriter) { writer.write(list: steps) }
}

/// A snapshot that a peer offers, and why its root is the chain's.
///
/// Only the headers and the certificate are proof. Depth and counts are the peer's word; each chunk proves itself.
public struct SnapshotManifest: Hashable, Sendable, CanonicalCodable {
    /// A row longer than this would mean that no block of the epoch's end got a certificate of its own.
    public static let maximumHeaders = 64

    public let height: Height
    public let depth: UInt8
    public let entryCount: UInt64
    public let byteCount: UInt64
    /// From the first that attests the state after `height` to one that has a finalization, each the parent of the next.
    public let headers: [Header]
    /// A finalization of the last header.
    public let certificate: Certificate

    public init(
        height: Height, depth: UInt8, entryCount: UInt64, byteCount: UInt64, headers: [Header],
        certificate: Certificate
    ) {
        self.height = height
        self.depth = depth
        self.entryCount = entryCount
        self.byteCount = byteCount
        self.headers = headers
        self.certificate = certificate
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        height = try reader.read(Height.self)
        depth = try reader.readUInt8()
        if Int(depth) > SnapshotChunk.maximumDepth {
            throw .tooLong(found: Int(depth), limit: SnapshotChunk.maximumDepth)
        }
        entryCount = try reader.readUInt64()
        byteCount = try reader.readUInt64()
        headers = try reader.readList(Header.self, max: SnapshotManifest.maximumHeaders)
        if headers.isEmpty { throw .invalid("a snapshot has no header") }
        certificate = try reader.read(Certificate.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(height)
        writer.write(depth)
        writer.write(entryCount)
        writer.write(byteCount)
        writer.write(list: headers)
        writer.write(certificate)
    }

    public var chunkCount: Int { SnapshotChunk.count(depth: Int(depth)) }

    /// The state root after `height`.
    public var root: Digest { headers[0].stateRoot }

    public var epoch: Epoch { headers[0].epoch }

    /// Checks that the root is that of the chain whose validators of the headers' epoch the client knows.
    public func check(by client: LightClient) throws(LightClient.Fault) {
        // The decoder and whoever makes one see to a header being there.
        guard let first = headers.first, let last = headers.last else { throw .anotherHeader }
        if first.executedHeight != height || first.height <= height || first.nextEpochRecord == nil {
            throw .noCommitment
        }
        for (parent, child) in zip(headers, headers.dropFirst())
        where child.parent != parent.digest || child.height != parent.height.next() || child.epoch != parent.epoch {
            throw .anotherHeader
        }
        try client.check(last, certificate)
    }
}

/// What a peer offers, newest first.
public struct SnapshotOffers: Hashable, Sendable, CanonicalCodable {
    public static let maximumOffers = 4

    public let manifests: [SnapshotManifest]

    public init(manifests: [SnapshotManifest]) { self.manifests = manifests }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        manifests = try reader.readList(SnapshotManifest.self, max: SnapshotOffers.maximumOffers)
    }

    public func encode(into writer: inout ByteWriter) { writer.write(list: manifests) }
}
