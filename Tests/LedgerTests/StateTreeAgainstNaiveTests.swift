import Ledger
import Primitives
import TestSupport
import Testing

/// The tree in records against the tree as it is defined.
@Suite struct StateTreeAgainstNaiveTests {
    /// Batches of one change and of thousands, in trees of none and of thousands, so that records come, split, are done in parts and go again.
    @Test(arguments: [1, 2, 3, 4, 5, 6] as [UInt64]) func everyBatchMakesTheDefinedRoot(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let store = MemoryStateStore()
        var naive = NaiveStateTree()
        let names: UInt64 = seed % 3 == 0 ? 12 : seed % 3 == 1 ? 400 : 12_000
        for round in 0..<24 {
            var changes: [[UInt8]: [UInt8]?] = [:]
            let count = Int(random.next() % (round % 5 == 4 ? names : max(2, names / 40))) + 1
            // Now and then nearly everything goes.
            let deletes: UInt64 = round % 6 == 5 ? 90 : 25
            for _ in 0..<count {
                let key = (random.next() % names).canonicalBytes
                let goes = random.next() % 100 < deletes
                changes[key] = .some(goes ? nil : (random.next() % 50).canonicalBytes)
            }
            if round == 17 { for key in naive.values.keys { changes[key] = .some(nil) } }
            let sorted = changes.sorted { $0.key.lexicographicallyPrecedes($1.key) }
            for change in sorted { naive.set(change.key, change.value) }
            var writes = StateWrites()
            for change in sorted { writes.set(.state, change.key, change.value) }
            let root = try StateTree.update(sorted.map { ($0.key, $0.value) }, in: store, writes: &writes)
            try store.commit(writes, height: store.height?.next() ?? 0)
            #expect(root == naive.root, "seed \(seed) round \(round)")
            #expect(try StateTree.root(of: store) == root)
            for _ in 0..<20 {
                let key = (random.next() % (names + names / 4 + 1)).canonicalBytes
                let proof = try StateTree.proof(of: key, in: store)
                #expect(proof.verify(root: root, key: key, value: naive.values[key]), "seed \(seed) round \(round)")
                #expect(!proof.verify(root: root, key: key, value: [9]), "seed \(seed) round \(round)")
            }
        }
        // What is stored depends on the content alone.
        let fresh = MemoryStateStore()
        var writes = StateWrites()
        _ = try StateTree.update(
            naive.values.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map { ($0.key, $0.value) }, in: fresh,
            writes: &writes)
        try fresh.commit(writes, height: 0)
        #expect(store.all(.tree).map(\.key) == fresh.all(.tree).map(\.key), "seed \(seed)")
        #expect(store.all(.tree).map(\.value) == fresh.all(.tree).map(\.value), "seed \(seed)")
    }

    @Test func aDamagedRecordIsAFaultAndNoTrap() throws {
        let keys = (0..<300 as Range<UInt64>).map(\.canonicalBytes)
        let store = MemoryStateStore()
        var writes = StateWrites()
        _ = try StateTree.update(keys.map { ($0, $0) }, in: store, writes: &writes)
        try store.commit(writes, height: 0)
        var random = SplitMix64(seed: 7)
        var faults = 0
        for record in store.all(.tree) {
            for _ in 0..<40 {
                var bytes = record.value
                switch random.next() % 3 {
                case 0: bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
                case 1: bytes.removeLast(Int(random.next() % UInt64(bytes.count)) + 1)
                default: bytes.append(0)
                }
                let damaged = MemoryStateStore()
                try damaged.commit(writes, height: 0)
                try damaged.commit(StateWrites([.init(space: .tree, key: record.key, value: bytes)]), height: 1)
                var more = StateWrites()
                do {
                    _ = try StateTree.update(keys.map { ($0, [1]) }, in: damaged, writes: &more)
                    for key in keys.prefix(20) { _ = try StateTree.proof(of: key, in: damaged) }
                } catch { faults += 1 }
            }
        }
        #expect(faults > 300)
    }

    @Test func twoChangesOfOneKeyAreRefused() {
        var writes = StateWrites()
        #expect(throws: LedgerFault.self) {
            _ = try StateTree.update([([1], [2]), ([1], [3])], in: MemoryStateStore(), writes: &writes)
        }
    }

    @Test func writesGiveBackWhatWasSet() {
        var random = SplitMix64(seed: 3)
        var writes = StateWrites()
        var entries: [StateWrites.Entry] = []
        for _ in 0..<2_000 {
            let entry = StateWrites.Entry(
                space: random.next() % 2 == 0 ? .state : .tree,
                key: [UInt8](repeating: UInt8(truncatingIfNeeded: random.next()), count: Int(random.next() % 40)),
                value: random.next() % 4 == 0 ? nil : [UInt8](repeating: 5, count: Int(random.next() % 1_000)))
            writes.set(entry.space, entry.key, entry.value)
            entries.append(entry)
        }
        #expect(writes.entries == entries && StateWrites(entries).entries == entries)
    }
}
