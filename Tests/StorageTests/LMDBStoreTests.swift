import Ledger
import Primitives
import Storage
import Testing

@Suite struct LMDBStoreTests {
    let home = TemporaryHome()

    /// Drives LMDB and memory with the same random writes and compares every answer, over restarts.
    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func answersAsTheMemoryStoreDoes(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        var opened: LMDBStore? = try LMDBStore(directory: home.path, blocksPerFlush: 3, initialMapBytes: 1 << 20)
        let memory = MemoryStateStore()
        func key(_ random: inout SplitMix64) -> [UInt8] {
            (0..<Int.random(in: 1...4, using: &random)).map { _ in UInt8.random(in: 0...3, using: &random) }
        }
        for height in 0..<60 {
            if height % 7 == 6 {
                try opened?.flush()
                // LMDB wants an environment closed before it is opened again in the same process.
                opened = nil
                opened = try LMDBStore(directory: home.path, blocksPerFlush: 3)
            }
            let store = try #require(opened)
            var writes = StateWrites()
            for _ in 0..<Int.random(in: 0...30, using: &random) {
                let space: StateSpace = Bool.random(using: &random) ? .state : .tree
                let value =
                    Int.random(in: 0...2, using: &random) == 0
                    ? nil : [UInt8](repeating: UInt8(height), count: Int.random(in: 0...3000, using: &random))
                writes.set(space, key(&random), value)
            }
            try store.commit(writes, height: Height(UInt64(height)))
            try memory.commit(writes, height: Height(UInt64(height)))
            #expect(store.height == memory.height)
            for _ in 0..<20 {
                let space: StateSpace = Bool.random(using: &random) ? .state : .tree
                let one = key(&random)
                #expect(try store.value(space, one) == memory.value(space, one), "seed \(seed)")
                let prefix = Array(key(&random).dropLast(Int.random(in: 0...4, using: &random)))
                let after = Bool.random(using: &random) ? key(&random) : nil
                let limit = Int.random(in: 0...20, using: &random)
                let found = try store.scan(space, prefix: prefix, after: after, limit: limit)
                let expected = try memory.scan(space, prefix: prefix, after: after, limit: limit)
                #expect(
                    found.map(\.key) == expected.map(\.key),
                    "seed \(seed) prefix \(prefix) after \(String(describing: after))")
                #expect(found.map(\.value) == expected.map(\.value))
            }
        }
    }

    /// Records are read from the overlay, from LMDB and after deletions, and changed where they will be written.
    @Test(arguments: [1, 2, 3] as [UInt64])
    func theTreeIsTheSameInBoth(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let store = try LMDBStore(directory: home.path, blocksPerFlush: 3, initialMapBytes: 1 << 20)
        let memory = MemoryStateStore()
        for height in 0..<40 as Range<UInt64> {
            // All are there from the start; then mostly new values, so that records keep their shape.
            let keys: [UInt64] =
                height == 0 ? Array(0..<3_000) : (0..<random.next() % 400).map { _ in random.next() % 3_000 }
            let changes = Set(keys).sorted().map { key in
                let goes = height % 8 == 7 && random.next() % 4 == 0
                return (key: key.canonicalBytes, value: goes ? nil : random.next().canonicalBytes)
            }.sorted { $0.key.lexicographicallyPrecedes($1.key) }
            var roots: [Digest] = []
            for target in [store, memory] as [any StateStore] {
                var writes = StateWrites()
                for change in changes { writes.set(.state, change.key, change.value) }
                roots.append(try StateTree.update(changes, in: target, writes: &writes))
                try target.commit(writes, height: Height(height))
            }
            #expect(roots[0] == roots[1], "seed \(seed) height \(height)")
        }
        // What is stored depends on the content alone.
        let fresh = MemoryStateStore()
        var writes = StateWrites()
        _ = try StateTree.update(memory.all(.state).map { ($0.key, $0.value) }, in: fresh, writes: &writes)
        try fresh.commit(writes, height: 0)
        let stored = try store.scan(.tree, prefix: [], after: nil, limit: .max / 2)
        #expect(stored.map(\.key) == fresh.all(.tree).map(\.key), "seed \(seed)")
        #expect(stored.map(\.value) == fresh.all(.tree).map(\.value), "seed \(seed)")
    }

    @Test func aCrashFallsBackToAWholeFlushAndTheBlocksGoInAgain() throws {
        do {
            let store = try LMDBStore(directory: home.path, blocksPerFlush: 8)
            for height in 0..<21 {
                try store.commit(
                    StateWrites([.init(space: .state, key: [1], value: [UInt8(height)])]),
                    height: Height(UInt64(height)))
                try store.put(index: [(key: [UInt8(height)], value: [1])])
            }
            #expect(store.height == 20 && store.flushedHeight == 15)
        }
        let store = try LMDBStore(directory: home.path, blocksPerFlush: 8)
        #expect(store.height == 15)
        #expect(try store.value(.state, [1]) == [15])
        #expect(try store.index([15]) == [1] && store.index([16]) == nil)
        #expect(throws: StateFault.wrongHeight(expected: 16, found: 17)) { try store.commit(StateWrites(), height: 17) }
        try store.commit(StateWrites(), height: 16)
    }

    @Test func theMapGrowsAsTheStateDoes() throws {
        let store = try LMDBStore(directory: home.path, initialMapBytes: 1 << 16)
        for height in 0..<20 {
            let entries = (0..<100).map {
                StateWrites.Entry(
                    space: .state, key: [UInt8(height), UInt8($0)], value: [UInt8](repeating: 1, count: 2000))
            }
            try store.commit(StateWrites(entries), height: Height(UInt64(height)))
        }
        try store.flush()
        #expect(try store.scan(.state, prefix: [], after: nil, limit: 5000).count == 2000)
    }

    @Test func aKeyAtTheBoundIsTakenAndOneBeyondIsNot() throws {
        let store = try LMDBStore(directory: home.path)
        let long = [UInt8](repeating: 1, count: StorageLimits.stateKeyBytes)
        try store.commit(StateWrites([.init(space: .state, key: long, value: [2])]), height: 0)
        try store.flush()
        #expect(try store.value(.state, long) == [2])
        #expect(throws: StateFault.self) {
            try store.commit(StateWrites([.init(space: .state, key: long + [1], value: [2])]), height: 1)
        }
        #expect(try store.scan(.state, prefix: [], after: long + [0], limit: 3).isEmpty)
        #expect(store.height == 0)
    }
}
