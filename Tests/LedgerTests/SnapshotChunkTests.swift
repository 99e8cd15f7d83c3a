import Ledger
import Primitives
import TestSupport
import Testing

/// A state cut into chunks: each is proven alone, and nothing but what is there can be proven.
@Suite struct SnapshotChunkTests {
    private struct State {
        let store = MemoryStateStore()
        let root: Digest
        let entries: [SnapshotChunk.Entry]

        init(_ count: Int, seed: UInt64) throws {
            var random = SplitMix64(seed: seed)
            var entries: [[UInt8]: [UInt8]] = [:]
            while entries.count < count {
                let key = (0..<Int.random(in: 1...9, using: &random)).map { _ in
                    UInt8.random(in: 0...255, using: &random)
                }
                entries[key] = (0..<Int.random(in: 0...40, using: &random)).map { _ in
                    UInt8.random(in: 0...255, using: &random)
                }
            }
            self.entries = entries.map { SnapshotChunk.Entry(key: $0.key, value: $0.value) }
            var writes = StateWrites()
            root = try StateTree.update(self.entries.map { ($0.key, $0.value) }, in: store, writes: &writes)
        }

        /// All chunks, by the proofs' maker, as a reader decodes them.
        func chunks(depth: Int) throws -> [SnapshotChunk] {
            var top = SnapshotTop(depth: depth)
            var bodies: [[UInt8]] = []
            for index in 0..<SnapshotChunk.count(depth: depth) {
                bodies.append(
                    top.add(entries.filter { SnapshotChunk.index(of: $0.key, depth: depth) == index }, at: index))
            }
            #expect(top.root() == root)
            return try bodies.indices.map { try SnapshotChunk(canonicalBytes: top.head(of: $0) + bodies[$0]) }
        }
    }

    private static func with(
        _ chunk: SnapshotChunk, depth: UInt8? = nil, index: UInt32? = nil, siblings: [Digest]? = nil,
        stranger: StateProof.Leaf?? = nil, entries: [SnapshotChunk.Entry]? = nil
    ) -> SnapshotChunk {
        SnapshotChunk(
            depth: depth ?? chunk.depth, index: index ?? chunk.index, siblings: siblings ?? chunk.siblings,
            stranger: stranger ?? chunk.stranger, entries: entries ?? chunk.entries)
    }

    @Test(arguments: [0, 1, 2, 3, 5, 17, 60, 400], [0, 1, 2]) func everyChunkIsProvenAlone(_ count: Int, _ depth: Int)
        throws
    {
        let seed = UInt64.random(in: 0...UInt64.max)
        let state = try State(count, seed: seed)
        let chunks = try state.chunks(depth: depth)
        #expect(chunks.count == 1 << (4 * depth))
        for (index, chunk) in chunks.enumerated() {
            #expect(Int(chunk.index) == index)
            #expect(chunk.verify(root: state.root), "seed \(seed), chunk \(index)")
            #expect(!chunk.verify(root: .zero) || count == 0)
        }
        #expect(chunks.reduce(0) { $0 + $1.entries.count } == count)
        // The chunks make the state again.
        let built = MemoryStateStore()
        var height: Height = 0
        for chunk in chunks.shuffled() {
            try built.commit(try StateTree.writes(adding: chunk.entries, to: built), height: height)
            height = height.next()
        }
        #expect(try StateTree.root(of: built) == state.root)
        #expect(built.all(.state).map(\.key) == state.entries.map(\.key).sorted { $0.lexicographicallyPrecedes($1) })
    }

    @Test(arguments: [1, 2, 3, 8, 20, 90]) func whatIsNotTheStateIsRefused(_ count: Int) throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        let state = try State(count, seed: seed)
        let extra = SnapshotChunk.Entry(key: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], value: [1])
        for depth in [0, 1, 2] {
            let chunks = try state.chunks(depth: depth)
            for chunk in chunks {
                func refused(_ changed: SnapshotChunk, _ what: String) {
                    #expect(
                        !changed.verify(root: state.root), "seed \(seed), depth \(depth), chunk \(chunk.index): \(what)"
                    )
                }
                for place in chunk.entries.indices {
                    let entry = chunk.entries[place]
                    var entries = chunk.entries
                    entries.remove(at: place)
                    refused(Self.with(chunk, entries: entries), "missing")
                    entries.insert(.init(key: entry.key, value: entry.value + [0]), at: place)
                    refused(Self.with(chunk, entries: entries), "changed value")
                    entries[place] = .init(key: entry.key + [0], value: entry.value)
                    refused(Self.with(chunk, entries: entries), "changed key")
                    refused(Self.with(chunk, entries: chunk.entries + [entry]), "twice")
                }
                if chunk.entries.count > 1 {
                    refused(Self.with(chunk, entries: chunk.entries.reversed()), "another order")
                    refused(Self.with(chunk, entries: []), "empty")
                }
                for place in 0...chunk.entries.count {
                    var entries = chunk.entries
                    entries.insert(extra, at: place)
                    refused(Self.with(chunk, entries: entries), "added")
                }
                for place in chunk.siblings.indices {
                    var siblings = chunk.siblings
                    siblings[place] = siblings[place] == .zero ? state.root : .zero
                    refused(Self.with(chunk, siblings: siblings), "wrong sibling")
                    siblings = chunk.siblings
                    siblings.remove(at: place)
                    refused(Self.with(chunk, siblings: siblings), "missing sibling")
                }
                refused(Self.with(chunk, siblings: chunk.siblings + [.zero]), "a sibling too many")
                for other in chunks where other.index != chunk.index {
                    // An empty chunk in an empty subtree proves its neighbours empty too: that is no lie where they are.
                    if chunk.entries.isEmpty && other.entries.isEmpty { continue }
                    refused(Self.with(chunk, index: other.index), "another place \(other.index)")
                }
                if chunk.stranger != nil {
                    refused(Self.with(chunk, stranger: .some(nil)), "no stranger")
                } else {
                    let leaf = StateProof.Leaf(path: state.root, value: .zero)
                    refused(Self.with(chunk, stranger: leaf), "a stranger")
                }
            }
        }
    }

    @Test func aChunkHasOneEncodingAndNoChangedByteIsProven() throws {
        let state = try State(40, seed: 7)
        let chunks = try state.chunks(depth: 1) + state.chunks(depth: 0)
        let few = try State(3, seed: 8)
        try WireForm(Array(chunks.prefix(3)) + few.chunks(depth: 2).filter { $0.stranger != nil }.prefix(1)).holds(
            inputs: 5_000)
        for chunk in chunks.prefix(4) {
            let bytes = chunk.canonicalBytes
            for place in bytes.indices {
                var changed = bytes
                changed[place] ^= 1
                guard let read = try? SnapshotChunk(canonicalBytes: changed) else { continue }
                #expect(!read.verify(root: state.root), "byte \(place)")
            }
        }
    }

    @Test func decodingIsBounded() throws {
        let chunk = SnapshotChunk(depth: 1, index: 15, siblings: [.zero], stranger: nil, entries: [])
        #expect(try SnapshotChunk(canonicalBytes: chunk.canonicalBytes) == chunk)
        for bad in [
            Self.with(chunk, index: 16), Self.with(chunk, depth: 5),
            Self.with(chunk, siblings: [Digest](repeating: .zero, count: 5)),
            Self.with(chunk, entries: [.init(key: [UInt8](repeating: 1, count: 512), value: [])]),
        ] {
            #expect(throws: DecodingFault.self) { try SnapshotChunk(canonicalBytes: bad.canonicalBytes) }
        }
        let long = [SnapshotChunk.Entry](
            repeating: .init(key: [1], value: [UInt8](repeating: 0, count: 1 << 20)), count: 2)
        #expect(throws: DecodingFault.self) {
            try SnapshotChunk(canonicalBytes: Self.with(chunk, entries: long).canonicalBytes)
        }
    }
}
