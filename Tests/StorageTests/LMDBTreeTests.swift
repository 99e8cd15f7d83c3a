import Ledger
import Primitives
import Storage
import TestSupport
import Testing

/// The tree on LMDB, over crashes between flushes and over restarts.
@Suite struct LMDBTreeTests {
    private let home = TemporaryHome()

    private func changes(_ height: UInt64, seed: UInt64) -> [(key: [UInt8], value: [UInt8]?)] {
        var random = SplitMix64(seed: seed &* 1_000 &+ height)
        var changes: [[UInt8]: [UInt8]?] = [:]
        for _ in 0..<Int(random.next() % 600) + 1 {
            let key: [UInt8] = [UInt8(random.next() % 3)] + (random.next() % 3_000).canonicalBytes
            changes[key] =
                .some(random.next() % 4 == 0 ? nil : [UInt8](repeating: UInt8(height), count: Int(random.next() % 90)))
        }
        return changes.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map { ($0.key, $0.value) }
    }

    @Test(arguments: [1, 2, 3] as [UInt64]) func rootsValuesAndProofsHoldOverCrashes(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        var naive: [NaiveStateTree] = []
        var opened: LMDBStore? = try LMDBStore(directory: home.path, blocksPerFlush: 4, initialMapBytes: 1 << 20)
        var crashes = 0
        while naive.count < 60 || crashes < 8 {
            if random.next() % 6 == 0 {
                if random.next() % 3 == 0 { try opened?.flush() }
                // What was not flushed is lost, and its blocks come again.
                opened = nil
                opened = try LMDBStore(directory: home.path, blocksPerFlush: 4)
                let kept = opened?.height.map { Int($0.value) + 1 } ?? 0
                if kept < naive.count { crashes += 1 }
                naive.removeLast(naive.count - kept)
            }
            let store = try #require(opened)
            let height = UInt64(naive.count)
            var expected = naive.last ?? NaiveStateTree()
            let changes = changes(height, seed: seed)
            for change in changes { expected.set(change.key, change.value) }
            var writes = StateWrites()
            for change in changes { writes.set(.state, change.key, change.value) }
            let root = try StateTree.update(changes, in: store, writes: &writes)
            try store.commit(writes, height: Height(height))
            naive.append(expected)
            #expect(root == expected.root, "seed \(seed) height \(height)")
            var keys: [[UInt8]] = []
            for _ in 0..<30 { keys.append([UInt8(random.next() % 3)] + (random.next() % 3_300).canonicalBytes) }
            var found: [[UInt8]?] = []
            try store.values(.state, keys: keys.flatMap(\.self), each: 9).forEach { found.append($1.map { Array($0) }) }
            #expect(found == keys.map { expected.values[$0] }, "seed \(seed) height \(height)")
            for key in keys.prefix(5) {
                let proof = try StateTree.proof(of: key, in: store)
                #expect(
                    proof.verify(root: root, key: key, value: expected.values[key]), "seed \(seed) height \(height)")
            }
        }
    }
}
