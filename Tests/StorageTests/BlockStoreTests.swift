import Primitives
import Storage
import Testing

@Suite struct BlockStoreTests {
    let home = TemporaryHome()
    let domain = Domain("test.block")

    func block(_ i: Int, _ length: Int = 100) -> (Digest, [UInt8]) {
        var random = SplitMix64(seed: UInt64(i))
        // Half of it repeats, so that it compresses.
        let bytes = (0..<length).map { $0 % 2 == 0 ? 7 : UInt8(truncatingIfNeeded: random.next()) }
        return (Digest.of(domain, bytes), bytes)
    }

    @Test func whatWasPutAndMarkedIsThereAfterAReopening() throws {
        do {
            let store = try BlockStore(directory: home.path)
            for i in 1...20 {
                let (digest, bytes) = block(i, i * 300)
                try store.put(digest, bytes)
                try store.put(digest, bytes)
                try store.markFinalized(Height(UInt64(i)), digest, certificate: i % 3 == 0 ? [UInt8(i)] : nil)
            }
            try store.sync()
        }
        let store = try BlockStore(directory: home.path)
        #expect(store.finalizedTip == 20 && store.cutBytes == 0)
        for i in 1...20 {
            let (digest, bytes) = block(i, i * 300)
            #expect(try store.get(digest) == bytes)
            let found = try store.finalized(Height(UInt64(i)))
            #expect(found?.digest == digest && found?.block == bytes)
            #expect(found?.certificate == (i % 3 == 0 ? [UInt8(i)] : nil))
        }
        #expect(try store.finalized(21) == nil)
        #expect(try store.get(Digest.zero) == nil)
    }

    @Test func aCertificateMayComeLaterAndAnotherBlockMayNot() throws {
        let store = try BlockStore(directory: home.path)
        let (a, bytes) = block(1)
        let (b, _) = block(2)
        try store.put(a, bytes)
        try store.markFinalized(1, a, certificate: nil)
        try store.markFinalized(1, a, certificate: [5])
        try store.markFinalized(1, a, certificate: nil)
        #expect(try store.finalized(1)?.certificate == [5])
        #expect(throws: StorageFault.conflictingFinalization(1, a, b)) {
            try store.markFinalized(1, b, certificate: nil)
        }
    }

    @Test func aTornTailIsCutAtEveryByteAndDurableRecordsStay() throws {
        let (a, aBytes) = block(1)
        let (b, bBytes) = block(2)
        let (c, cBytes) = block(3)
        let store = try BlockStore(directory: home.path)
        try store.put(a, aBytes)
        try store.put(b, bBytes)
        try store.sync()
        let path = home.path + "/0000000001.segment"
        let durable = TemporaryHome.read(path).count
        try store.put(c, cBytes)
        let bytes = TemporaryHome.read(path)
        for length in durable..<bytes.count {
            TemporaryHome.write(path, Array(bytes[..<length]))
            let reopened = try BlockStore(directory: home.path)
            #expect(try reopened.get(a) == aBytes && reopened.get(b) == bBytes)
            #expect(!reopened.contains(c))
            try reopened.put(c, cBytes)
            #expect(try reopened.get(c) == cBytes)
        }
    }

    @Test func damageBeforeAMarkStopsAndAHoleInTheUnsyncedTailIsCut() throws {
        let store = try BlockStore(directory: home.path)
        let (a, aBytes) = block(1)
        let (b, bBytes) = block(2)
        let (c, cBytes) = block(3)
        try store.put(a, aBytes)
        try store.sync()
        let path = home.path + "/0000000001.segment"
        let first = TemporaryHome.read(path).count
        try store.put(b, bBytes)
        let second = TemporaryHome.read(path).count
        try store.put(c, cBytes)
        let bytes = TemporaryHome.read(path)
        // The mark and `b` were one write after the sync; a hole in `b` with `c` whole is what a lost page leaves.
        var hole = bytes
        for i in second - 20..<second { hole[i] = 0 }
        TemporaryHome.write(path, hole)
        let reopened = try BlockStore(directory: home.path)
        #expect(reopened.contains(a) && !reopened.contains(b) && !reopened.contains(c))
        var damaged = bytes
        damaged[first - 1] ^= 1
        TemporaryHome.write(path, damaged)
        #expect(throws: StorageFault.self) { try BlockStore(directory: home.path) }
    }

    @Test func segmentsRollAreIndexedAndPrunedWhole() throws {
        var store = try BlockStore(directory: home.path, segmentBytes: 2000)
        for i in 1...60 {
            let (digest, bytes) = block(i, 400)
            try store.put(digest, bytes)
            try store.markFinalized(Height(UInt64(i)), digest, certificate: [1])
            try store.sync()
        }
        #expect(TemporaryHome.names(home.path).filter { $0.hasSuffix(".segment") }.count > 5)
        #expect(try store.prune(below: 40) > 0)
        #expect(try store.finalized(19) == nil)
        // A damaged index is made again from its segment.
        let index = TemporaryHome.names(home.path).first { $0.hasSuffix(".index") }
        TemporaryHome.write(home.path + "/" + (try #require(index)), [1, 2, 3])
        store = try BlockStore(directory: home.path, segmentBytes: 2000)
        #expect(store.finalizedTip == 60)
        for i in 40...60 { #expect(try store.finalized(Height(UInt64(i)))?.block == block(i, 400).1) }
        #expect(try store.prune(below: 61) > 0)
        #expect(TemporaryHome.names(home.path).filter { $0.hasSuffix(".segment") }.count == 2)
    }

    @Test func aBlockBeyondTheBoundIsRefused() throws {
        let store = try BlockStore(directory: home.path)
        let long = [UInt8](repeating: 0, count: BlockStore.maximumBlockBytes)
        try store.put(Digest.of(domain, [1]), long)
        #expect(try store.get(Digest.of(domain, [1])) == long)
        #expect(throws: StorageFault.self) { try store.put(Digest.of(domain, [2]), long + [0]) }
    }
}
