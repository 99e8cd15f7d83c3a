import Primitives
import Storage
import Testing

@Suite struct BlobStoreTests {
    let home = TemporaryHome()
    let domain = Domain("test.blob")

    func blob(_ length: Int, seed: UInt64 = 1) -> (Digest, [UInt8]) {
        var random = SplitMix64(seed: seed)
        let bytes = (0..<length).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        return (Digest.of(domain, bytes), bytes)
    }

    func piece(_ bytes: [UInt8], _ index: Int) -> [UInt8] {
        let start = index * BlobStore.chunkLength
        return Array(bytes[start..<min(bytes.count, start + BlobStore.chunkLength)])
    }

    @Test(arguments: [0, 1, 65_535, 65_536, 65_537, 300_000])
    func aWholeBlobIsMappedReadAndServedAfterAReopening(length: Int) throws {
        let (id, bytes) = blob(length)
        try BlobStore(directory: home.path).put(id, manifest: [1, 2], bytes)
        let store = try BlobStore(directory: home.path)
        let record = try #require(store.record(id))
        #expect(record.isComplete && record.length == UInt64(length))
        #expect(try store.openMapped(id).withUnsafeBytes { Array($0) } == bytes)
        #expect(store.manifest(id) == [1, 2])
        #expect(try store.read(id, at: 1, count: 10) == Array(bytes.dropFirst().prefix(10)))
        #expect(try store.read(id, at: UInt64(length) + 5, count: 10).isEmpty)
        for i in 0..<record.chunkCount { #expect(try store.chunk(id, i) == piece(bytes, i)) }
        #expect(try store.chunk(id, record.chunkCount) == nil)
    }

    @Test func aFetchGoesOnAfterACrashFromItsLastCheckpoint() throws {
        let (id, bytes) = blob(10 * BlobStore.chunkLength + 5)
        do {
            let store = try BlobStore(directory: home.path)
            try store.begin(id, length: UInt64(bytes.count), manifest: [9])
            for i in [0, 3, 10] { try store.write(id, chunk: i, piece(bytes, i)) { $0 == piece(bytes, i) } }
            try store.checkpoint(id)
            // Not in the bitmap yet: asked for again after the crash.
            try store.write(id, chunk: 4, piece(bytes, 4)) { _ in true }
        }
        let store = try BlobStore(directory: home.path)
        #expect(try store.missingChunks(id) == [1, 2, 4, 5, 6, 7, 8, 9])
        #expect(try store.chunk(id, 3) == piece(bytes, 3) && store.chunk(id, 4) == nil)
        #expect(throws: StorageFault.incompleteBlob(id, have: 3, of: 11)) { try store.openMapped(id) }
        #expect(throws: StorageFault.badChunk(id, index: 1)) {
            try store.write(id, chunk: 1, piece(bytes, 1)) { _ in false }
        }
        #expect(throws: StorageFault.badChunk(id, index: 1)) { try store.write(id, chunk: 1, [1]) { _ in true } }
        #expect(throws: StorageFault.badChunk(id, index: 11)) { try store.write(id, chunk: 11, [1]) { _ in true } }
        for i in try store.missingChunks(id) {
            let isWhole = try store.write(id, chunk: i, piece(bytes, i)) { _ in true }
            #expect(isWhole == (i == 9))
        }
        #expect(try store.openMapped(id).withUnsafeBytes { Array($0) } == bytes)
        #expect(TemporaryHome.names(home.path).count == 2)
    }

    @Test func draftsBecomeBlobsOrVanish() throws {
        let store = try BlobStore(directory: home.path)
        let (id, bytes) = blob(100_000)
        do {
            let draft = try store.newDraft()
            try draft.append(Array(bytes[..<50_000]))
            try draft.append(Array(bytes[50_000...]))
            #expect(try draft.mapped().withUnsafeBytes { Array($0) } == bytes)
            let dropped = try store.newDraft()
            try dropped.append([1, 2, 3])
            try store.finish(draft, id: id, manifest: [])
        }
        #expect(store.usedBytes == 100_000)
        #expect(try store.openMapped(id).withUnsafeBytes { Array($0) } == bytes)
        #expect(TemporaryHome.names(home.path).count == 2)
        // What a killed upload leaves is dropped at the next start.
        TemporaryHome.write(home.path + "/abc.draft", [1])
        TemporaryHome.write(home.path + "/" + Digest.zero.hex + ".part", [1])
        _ = try BlobStore(directory: home.path)
        #expect(TemporaryHome.names(home.path).count == 2)
    }

    @Test func quotaPinsAndDeletionHold() throws {
        let store = try BlobStore(directory: home.path, quota: 1000)
        let (a, aBytes) = blob(600, seed: 1)
        let (b, bBytes) = blob(401, seed: 2)
        try store.put(a, manifest: [], aBytes)
        #expect(throws: StorageFault.quotaExceeded(needed: 401, free: 400)) { try store.put(b, manifest: [], bBytes) }
        #expect(throws: StorageFault.quotaExceeded(needed: 401, free: 400)) {
            try store.begin(b, length: 401, manifest: [])
        }
        #expect(throws: StorageFault.conflictingBlob(a)) { try store.begin(a, length: 1, manifest: []) }
        try store.pin(a)
        let again = try BlobStore(directory: home.path, quota: 1000)
        #expect(again.record(a)?.isPinned == true)
        #expect(throws: StorageFault.blobPinned(a)) { try again.delete(a) }
        let mapped = try again.openMapped(a)
        try again.unpin(a)
        try again.delete(a)
        #expect(mapped.withUnsafeBytes { Array($0) } == aBytes)
        #expect(again.list().isEmpty && again.usedBytes == 0)
        #expect(throws: StorageFault.unknownBlob(a)) { try again.openMapped(a) }
        try again.put(b, manifest: [], bBytes)
    }
}
