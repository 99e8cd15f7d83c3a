import Ledger
import Primitives
import Testing

@Suite struct StateTreeTests {
    private func keys(_ count: Int) -> [[UInt8]] { (0..<count).map { [UInt8($0 & 255), UInt8($0 >> 8), 7] } }

    private func apply(_ changes: [(key: [UInt8], value: [UInt8]?)], _ store: MemoryStateStore) throws -> Digest {
        var writes = StateWrites()
        let root = try StateTree.update(changes, in: store, writes: &writes)
        try store.commit(writes, height: store.height?.next() ?? 0)
        return root
    }

    @Test(arguments: [1, 2, 3, 17, 300]) func everyKeyIsProvenAndEveryAbsenceToo(_ count: Int) throws {
        let store = MemoryStateStore()
        let root = try apply(keys(count).map { ($0, $0 + [1]) }, store)
        for key in keys(count) {
            let proof = try StateTree.proof(of: key, in: store)
            #expect(proof.verify(root: root, key: key, value: key + [1]))
            #expect(!proof.verify(root: root, key: key, value: key + [2]))
            #expect(!proof.verify(root: root, key: key, value: nil))
            #expect(!proof.verify(root: .zero, key: key, value: key + [1]))
        }
        for index in 0..<64 {
            let absent: [UInt8] = [UInt8(index), 99]
            let proof = try StateTree.proof(of: absent, in: store)
            #expect(proof.verify(root: root, key: absent, value: nil))
            #expect(!proof.verify(root: root, key: absent, value: [1]))
            for key in keys(count).prefix(8) { #expect(!proof.verify(root: root, key: key, value: nil)) }
        }
    }

    @Test func theRootDependsOnTheContentAndNotOnItsHistory() throws {
        var random = SplitMix64(seed: 42)
        let all = keys(200)
        let once = MemoryStateStore()
        let expected = try apply(all.prefix(100).map { ($0, [5]) }, once)
        let slowly = MemoryStateStore()
        for key in all.shuffled(using: &random) {
            _ = try apply([(key, [UInt8.random(in: 0...255, using: &random)])], slowly)
        }
        for key in all.shuffled(using: &random) {
            _ = try apply([(key, all.firstIndex(of: key)! < 100 ? [5] : nil)], slowly)
        }
        #expect(try StateTree.root(of: slowly) == expected)
        #expect(slowly.all(.tree).map(\.key) == once.all(.tree).map(\.key))
        _ = try apply(all.map { ($0, nil) }, slowly)
        #expect(try StateTree.root(of: slowly) == .zero)
        #expect(slowly.all(.tree).count == 1)
    }

    @Test func aTamperedProofNeverVerifies() throws {
        let store = MemoryStateStore()
        let root = try apply(keys(100).map { ($0, [1]) }, store)
        let key = keys(100)[31]
        let bytes = try StateTree.proof(of: key, in: store).canonicalBytes
        for index in bytes.indices {
            var bad = bytes
            bad[index] ^= 1
            guard let proof = try? StateProof(canonicalBytes: bad) else { continue }
            #expect(!proof.verify(root: root, key: key, value: [1]), "byte \(index)")
        }
    }
}
