import Gossip
import Primitives
import TestSupport
import Testing

@Suite struct BlobRequestTests {
    static let request = WireForm<BlobRequest>([
        .manifest(Actors.digest(1)), .chunks(Actors.digest(2), []), .chunks(Actors.digest(3), [0, 1, .max]),
        .chunks(Actors.digest(4), [UInt32](0..<8)), .small([]), .small((0..<5).map { Actors.digest($0) }),
    ])
    static let part = WireForm<BlobPart>([
        BlobPart(id: Actors.digest(1), manifest: nil, chunk: 0, bytes: nil),
        BlobPart(id: Actors.digest(1), manifest: BlobManifest.file([1, 2, 3]), chunk: 0, bytes: nil),
        BlobPart(id: Actors.digest(1), manifest: nil, chunk: .max, bytes: []),
        BlobPart(
            id: Actors.digest(1), manifest: BlobManifest.file(Actors.bytes(100, seed: 1)), chunk: 0,
            bytes: Actors.bytes(100, seed: 1)),
    ])

    @Test func everyFormHasOneEncoding() throws {
        try Self.request.roundTrips()
        try Self.part.roundTrips()
        Self.request.refusesEveryTruncationAndWhatTrails()
        Self.part.refusesEveryTruncationAndWhatTrails()
    }

    @Test func changedBytesNeverTrapAndHaveOneEncoding() {
        #expect(Self.request.survivesMutation() > 100)
        #expect(Self.part.survivesMutation() > 100)
    }

    @Test func everyBoundHoldsAndOneMoreIsRefused() throws {
        func isRead<T: CanonicalCodable & Equatable>(_ value: T) -> Bool {
            (try? T(canonicalBytes: value.canonicalBytes)) == value
        }
        func chunks(_ count: Int) -> BlobRequest { .chunks(.zero, [UInt32](repeating: 0, count: count)) }
        #expect(isRead(chunks(BlobRequest.maximumChunks)) && !isRead(chunks(BlobRequest.maximumChunks + 1)))
        func small(_ count: Int) -> BlobRequest { .small([Digest](repeating: .zero, count: count)) }
        #expect(isRead(small(BlobRequest.maximumSmall)) && !isRead(small(BlobRequest.maximumSmall + 1)))
        func part(_ count: Int) -> BlobPart {
            BlobPart(id: .zero, manifest: nil, chunk: 0, bytes: [UInt8](repeating: 0, count: count))
        }
        #expect(isRead(part(BlobManifest.chunkLength)) && !isRead(part(BlobManifest.chunkLength + 1)))
        #expect(BlobRequest.maximumChunks * part(BlobManifest.chunkLength).canonicalBytes.count < 1 << 20)
    }
}
