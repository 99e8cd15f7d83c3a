public import Primitives

/// The sparse Merkle tree over the state: path = digest of the key; an empty subtree is zero, a subtree of one leaf is that leaf,
/// anything else the digest of its two halves. So its shape depends on its content alone, never on its history.
///
/// Stored four levels a record: 16 entries, each empty, a leaf or the digest of a record below. A record that would hold fewer
/// than two leaves is folded into its parent.
public enum StateTree {
    enum Entry: Equatable {
        case empty
        case leaf(path: Digest, value: Digest)
        case node(Digest)

        var digest: Digest {
            switch self {
            case .empty: .zero
            case .leaf(let path, let value): Digest.of(.stateLeaf, path, value)
            case .node(let digest): digest
            }
        }

        func encode(into writer: inout ByteWriter) {
            switch self {
            case .empty: writer.write(UInt8(0))
            case .leaf(let path, let value):
                writer.write(UInt8(1))
                writer.write(path)
                writer.write(value)
            case .node(let digest):
                writer.write(UInt8(2))
                writer.write(digest)
            }
        }

        init(from reader: inout ByteReader) throws(DecodingFault) {
            switch try reader.readUInt8() {
            case 0: self = .empty
            case 1: self = .leaf(path: try reader.read(Digest.self), value: try reader.read(Digest.self))
            case 2: self = .node(try reader.read(Digest.self))
            case let other: throw .invalid("no tree entry \(other)")
            }
        }
    }

    struct Change {
        let path: Digest
        let value: Digest?
    }

    /// The path of a key.
    static func path(_ key: [UInt8]) -> Digest { Digest.of(.statePath, key) }
    /// The digest of a value.
    static func valueDigest(_ value: [UInt8]) -> Digest { Digest.of(.stateValue, value) }

    static let rootKey: [UInt8] = [0xff]

    /// Two halves of a subtree as one entry.
    static func join(_ left: Entry, _ right: Entry) -> Entry {
        switch (left, right) {
        case (.empty, .empty): .empty
        case (.leaf, .empty): left
        case (.empty, .leaf): right
        default: .node(Digest.of(.stateNode, left.digest, right.digest))
        }
    }

    /// 2, 4, 8 … entries as one. Halves are folded where they lie: a row of its own for each level would cost more than the digests.
    static func fold(_ entries: [Entry]) -> Entry { entries.withUnsafeBufferPointer { fold($0, 0, $0.count) } }

    private static func fold(_ entries: UnsafeBufferPointer<Entry>, _ start: Int, _ count: Int) -> Entry {
        if count == 1 { return entries[start] }
        let half = count / 2
        return join(fold(entries, start, half), fold(entries, start + half, half))
    }

    static func nibble(_ path: Digest, _ depth: Int) -> Int {
        path.withUnsafeBytes { depth & 1 == 0 ? Int($0[depth >> 1] >> 4) : Int($0[depth >> 1] & 15) }
    }

    /// The record of the subtree that holds `path` below `depth` nibbles.
    static func recordKey(_ path: Digest, _ depth: Int) -> [UInt8] {
        var key: [UInt8] = [UInt8(depth)]
        path.withUnsafeBytes { key.append(contentsOf: $0[0..<((depth + 1) / 2)]) }
        if depth & 1 == 1 { key[key.count - 1] &= 0xf0 }
        return key
    }

    static func readEntry(_ store: any StateStore) throws(LedgerFault) -> Entry {
        do {
            guard let bytes = try store.value(.tree, rootKey) else { return .empty }
            var reader = ByteReader(bytes)
            let entry = try Entry(from: &reader)
            try reader.finish()
            return entry
        } catch let fault as StateFault {
            throw .state(fault)
        } catch {
            throw .corrupt("the tree's root")
        }
    }

    static func readRecord(_ store: any StateStore, _ key: [UInt8]) throws(LedgerFault) -> [Entry] {
        do {
            guard let bytes = try store.value(.tree, key) else { throw LedgerFault.corrupt("a tree record is missing") }
            var reader = ByteReader(bytes)
            var entries: [Entry] = []
            entries.reserveCapacity(16)
            for _ in 0..<16 { entries.append(try Entry(from: &reader)) }
            try reader.finish()
            return entries
        } catch let fault as StateFault {
            throw .state(fault)
        } catch let fault as LedgerFault {
            throw fault
        } catch {
            throw .corrupt("a tree record")
        }
    }

    /// The root of the store's tree.
    public static func root(of store: any StateStore) throws(LedgerFault) -> Digest { try readEntry(store).digest }

    /// Changes keys, each at most once; adds the tree's writes to `writes` and returns the new root.
    public static func update(
        _ changes: [(key: [UInt8], value: [UInt8]?)], in store: any StateStore, writes: inout StateWrites
    ) throws(LedgerFault) -> Digest {
        let old = try readEntry(store)
        let sorted = changes.map { Change(path: path($0.key), value: $0.value.map(valueDigest)) }
            .sorted { $0.path < $1.path }
        let new = try update(old, sorted[...], depth: 0, store, &writes)
        if new != old {
            var writer = ByteWriter(capacity: 65)
            new.encode(into: &writer)
            writes.set(.tree, rootKey, writer.bytes)
        }
        return new.digest
    }

    private static func update(
        _ old: Entry, _ changes: ArraySlice<Change>, depth: Int, _ store: any StateStore, _ writes: inout StateWrites
    ) throws(LedgerFault) -> Entry {
        guard let first = changes.first else { return old }
        var changes = changes
        var entries = [Entry](repeating: .empty, count: 16)
        var isStored = false
        switch old {
        case .node:
            entries = try readRecord(store, recordKey(first.path, depth))
            isStored = true
        case .leaf(let path, let value):
            // The leaf moves down beside the newcomers, unless one of them replaces it.
            if !changes.contains(where: { $0.path == path }) {
                let index = changes.firstIndex { path < $0.path } ?? changes.endIndex
                var merged = Array(changes)
                merged.insert(Change(path: path, value: value), at: index - changes.startIndex)
                changes = merged[...]
            }
        case .empty: break
        }
        if !isStored {
            changes = changes.filter { $0.value != nil }[...]
            if changes.isEmpty { return .empty }
            if changes.count == 1, let only = changes.first, let value = only.value {
                return .leaf(path: only.path, value: value)
            }
        }
        if depth >= 64 { throw .corrupt("two keys share a path") }
        var start = changes.startIndex
        while start < changes.endIndex {
            let index = nibble(changes[start].path, depth)
            var end = start + 1
            while end < changes.endIndex, nibble(changes[end].path, depth) == index { end += 1 }
            entries[index] = try update(entries[index], changes[start..<end], depth: depth + 1, store, &writes)
            start = end
        }
        let folded = fold(entries)
        let key = recordKey(first.path, depth)
        if case .node = folded {
            var writer = ByteWriter(capacity: 600)
            for entry in entries { entry.encode(into: &writer) }
            writes.set(.tree, key, writer.bytes)
        } else if isStored {
            writes.set(.tree, key, nil)
        }
        return folded
    }

    /// A proof of what the store's tree says of a key: its value, or that there is none.
    public static func proof(of key: [UInt8], in store: any StateStore) throws(LedgerFault) -> StateProof {
        let path = path(key)
        var entry = try readEntry(store)
        var siblings: [Digest] = []
        var depth = 0
        while case .node = entry {
            var level = try readRecord(store, recordKey(path, depth))
            var index = nibble(path, depth)
            // From the 16 entries upwards: levels[0] is the bottom.
            var levels: [[Entry]] = []
            while level.count > 1 {
                levels.append(level)
                level = stride(from: 0, to: level.count, by: 2).map { join(level[$0], level[$0 + 1]) }
            }
            let full = index
            for bit in stride(from: 3, through: 0, by: -1) {
                index = full >> bit
                entry = levels[bit][index]
                siblings.append(levels[bit][index ^ 1].digest)
                if case .node = entry { continue }
                break
            }
            depth += 1
        }
        guard case .leaf(let leafPath, let value) = entry else { return StateProof(siblings: siblings, leaf: nil) }
        return StateProof(siblings: siblings, leaf: StateProof.Leaf(path: leafPath, value: value))
    }
}
