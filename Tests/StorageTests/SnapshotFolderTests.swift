import Ledger
import Primitives
import Storage
import Testing

/// Snapshots written while commits go on.
@Suite struct SnapshotFolderTests {
    private let home = TemporaryHome()

    private func commit(_ store: LMDBStore, _ height: UInt64, keys: Int) throws -> Digest {
        var changes: [(key: [UInt8], value: [UInt8]?)] = []
        for key in 0..<keys {
            let number = UInt64(key) &* 7 &+ height
            changes.append((number.canonicalBytes, [UInt8](repeating: UInt8(height & 255), count: 60)))
        }
        var writes = StateWrites()
        for change in changes { writes.set(.state, change.key, change.value) }
        let root = try StateTree.update(changes, in: store, writes: &writes)
        try store.commit(writes, height: Height(height))
        return root
    }

    private func open(_ folder: String, keeping height: UInt64) throws -> LMDBStore {
        let marker = height.canonicalBytes
        let store = try LMDBStore(
            directory: home.path + "/" + folder, blocksPerFlush: 100, initialMapBytes: 1 << 20,
            keeps: { $0.entries.contains { $0.key == marker } })
        // What the first commit brings is never kept.
        try store.commit(StateWrites([.init(space: .tree, key: marker, value: [])]), height: 0)
        try store.flush()
        #expect(store.takeView() == nil)
        return store
    }

    private func check(_ folder: SnapshotFolder, _ about: StoredSnapshot) throws -> [SnapshotChunk] {
        var chunks: [SnapshotChunk] = []
        for index in 0..<about.chunkCount {
            let bytes = try #require(folder.chunk(height: about.height, index: index))
            let chunk = try SnapshotChunk(canonicalBytes: bytes)
            #expect(chunk.verify(root: about.root))
            #expect(Int(chunk.index) == index && chunk.depth == about.depth)
            chunks.append(chunk)
        }
        return chunks
    }

    @Test func theKeptHeightIsExportedWhileCommitsGoOn() throws {
        // Keys are `7 k + height`: the key 3 is new at height 3.
        let store = try open("state", keeping: 3)
        var roots: [UInt64: Digest] = [:]
        for height in 1...5 as ClosedRange<UInt64> { roots[height] = try commit(store, height, keys: 500) }
        #expect(store.keepsView)
        #expect(store.takeView() == nil)
        try store.flush()
        #expect(!store.keepsView && store.flushedHeight == 5)
        let view = try #require(store.takeView())
        #expect(store.takeView() == nil)
        #expect(view.height == 3)
        // Between two walks the state goes on, and what it held is overwritten.
        var writes = StateWrites()
        writes.set(.state, UInt64(3).canonicalBytes, [9])
        writes.set(.state, UInt64(10).canonicalBytes, nil)
        try store.commit(writes, height: 6)
        try store.flush()
        let folder = try SnapshotFolder(
            path: home.path + "/snapshots", chunkBytes: 4_096, memoryBytes: 20_000)
        let about = try folder.export(view, root: try #require(roots[3]))
        #expect(about.depth == 2 && about.entryCount == 1_500)
        #expect(folder.snapshots == [about])
        let chunks = try check(folder, about)
        #expect(chunks.reduce(0) { $0 + UInt64($1.entries.count) } == about.entryCount)
        #expect(folder.chunk(height: 3, index: 256) == nil && folder.chunk(height: 4, index: 0) == nil)
        // A store built of the chunks is the state after height 3.
        let built = try LMDBStore(directory: home.path + "/built")
        for chunk in chunks { try built.build(try StateTree.writes(adding: chunk.entries, to: built)) }
        #expect(built.height == nil)
        try built.commit(StateTree.writes(noting: about.root, at: 3), height: 3)
        #expect(try StateTree.root(of: built) == roots[3])
        #expect(try Query.stateRoot(at: 3, in: built) == roots[3])
        // Opened again it is there still; what an interrupted export left is not.
        #expect(try SnapshotFolder(path: home.path + "/snapshots").snapshots == [about])
    }

    @Test func aWrongRootIsNoticedAndNothingIsLeft() throws {
        let store = try open("state", keeping: 1)
        _ = try commit(store, 1, keys: 50)
        try store.flush()
        let folder = try SnapshotFolder(path: home.path + "/snapshots")
        let view = try #require(store.takeView())
        #expect(throws: SnapshotFault.self) { try folder.export(view, root: .zero) }
        #expect(folder.snapshots.isEmpty && TemporaryHome.names(home.path + "/snapshots").isEmpty)
        #expect(throws: SnapshotFault.self) { try folder.export(view, root: .zero, isStopped: { true }) }
    }

    @Test func aDatabaseThatGrowsEndsTheViewAndLosesNothing() throws {
        let store = try open("state", keeping: 1)
        let root = try commit(store, 1, keys: 50)
        try store.flush()
        let view = try #require(store.takeView())
        for height in 2...12 as ClosedRange<UInt64> {
            let entries = (0..<100).map {
                StateWrites.Entry(
                    space: .state, key: [UInt8(height), UInt8($0)], value: [UInt8](repeating: 1, count: 2_000))
            }
            try store.commit(StateWrites(entries), height: Height(height))
            try store.flush()
        }
        let folder = try SnapshotFolder(path: home.path + "/snapshots")
        #expect(throws: StorageFault.self) { try folder.export(view, root: root) }
        #expect(folder.snapshots.isEmpty)
        #expect(try store.value(.state, UInt64(1).canonicalBytes)?.count == 60)
    }

    @Test func twoAreKeptAndTheOneThatIsReadLonger() throws {
        let folder = try SnapshotFolder(path: home.path + "/snapshots")
        for height in 1...4 as ClosedRange<UInt64> {
            let store = try open("state-\(height)", keeping: height)
            var root = Digest.zero
            for each in 1...height { root = try commit(store, each, keys: 1) }
            try store.flush()
            try folder.export(try #require(store.takeView()), root: root)
            if height == 1 { #expect(folder.chunk(height: 1, index: 0) != nil) }
        }
        #expect(folder.snapshots.map(\.height) == [4, 3, 1])
        #expect(TemporaryHome.names(home.path + "/snapshots") == ["1", "3", "4"])
    }
}
