public import Primitives

/// The sparse Merkle tree over the state: path = digest of the key; an empty subtree is zero, a subtree of one leaf is that leaf,
/// anything else the digest of its two halves. So its shape depends on its content alone, never on its history.
///
/// Stored four levels a record (`TreeSlot`): 16 subtrees, each empty, some leaves, or the digest of a record below. Only a subtree of more
/// leaves than `inlineLeaves` has a record of its own, so most leaves lie in one record that is read and written once.
public enum StateTree {
    /// A subtree of at most this many leaves lies in the record above it. With four, of a million leaves one in sixty has a record below the
    /// one that most are in, and a record has some 1,500 bytes.
    static let inlineLeaves = 4

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

    static func nibble(_ path: Digest, _ depth: Int) -> Int {
        withUnsafeBytes(of: path) { depth & 1 == 0 ? Int($0[depth >> 1] >> 4) : Int($0[depth >> 1] & 15) }
    }

    /// What the store has at the top: one slot.
    static func readRoot(
        _ store: any StateStore, _ slots: inout [TreeSlot], _ leaves: inout [StateProof.Leaf]
    ) throws(LedgerFault) {
        let bytes: [UInt8]?
        do { bytes = try store.value(.tree, rootKey) } catch { throw .state(error) }
        guard let bytes else { return slots.append(.empty) }
        if !bytes.withUnsafeBytes({ TreeSlot.decode($0, count: 1, depth: 0, under: .zero, &slots, &leaves) }) {
            throw .corrupt("the tree's root")
        }
    }

    /// Appends a record's 16 slots.
    static func readRecord(
        _ store: any StateStore, at path: Digest, _ depth: Int, _ slots: inout [TreeSlot],
        _ leaves: inout [StateProof.Leaf]
    ) throws(LedgerFault) {
        var writer = ByteWriter(capacity: 2_048)
        let isThere: Bool
        do throws(StateFault) { isThere = try store.copy(TreeKey(path, depth), to: &writer) } catch {
            throw .state(error)
        }
        if !isThere { throw .corrupt("a tree record is missing") }
        let isSound = writer.bytes.withUnsafeBytes {
            TreeSlot.decode($0, count: 16, depth: depth, under: path, &slots, &leaves)
        }
        if !isSound { throw .corrupt("a tree record") }
    }

    /// The digest of a subtree by its leaves, in ascending order of their paths and no two alike, and their digests.
    static func subtree(
        _ leaves: ArraySlice<StateProof.Leaf>, _ digests: ArraySlice<Digest>, bit: Int
    ) -> Digest {
        if leaves.count < 2 { return digests.first ?? .zero }
        // Distinct paths part before their last bit.
        let middle = middle(leaves, bit: bit)
        let cut = digests.startIndex + middle - leaves.startIndex
        return Digest.of(
            .stateNode, subtree(leaves[..<middle], digests[..<cut], bit: bit + 1),
            subtree(leaves[middle...], digests[cut...], bit: bit + 1))
    }

    static func subtree(_ leaves: ArraySlice<StateProof.Leaf>, bit: Int) -> Digest {
        let digests = Digest.ofEach(.stateLeaf, pairs: leaves.flatMap { [$0.path, $0.value] })
        return subtree(leaves, digests[...], bit: bit)
    }

    /// The first leaf that goes right at a bit, where all before it agree.
    static func middle(_ leaves: ArraySlice<StateProof.Leaf>, bit: Int) -> Int {
        var low = leaves.startIndex
        var high = leaves.endIndex
        while low < high {
            let middle = (low + high) / 2
            if leaves[middle].path[bit: bit] { high = middle } else { low = middle + 1 }
        }
        return low
    }

    /// The root of the store's tree.
    public static func root(of store: any StateStore) throws(LedgerFault) -> Digest {
        var slots: [TreeSlot] = []
        var leaves: [StateProof.Leaf] = []
        try readRoot(store, &slots, &leaves)
        return slots[0].digest
    }

    /// Changes keys, each at most once; adds the tree's writes to `writes` and returns the new root.
    public static func update(
        _ changes: [(key: [UInt8], value: [UInt8]?)], in store: any StateStore, writes: inout StateWrites
    ) throws(LedgerFault) -> Digest {
        var state = StateWrites()
        for change in changes { state.set(.state, change.key, change.value) }
        return try TreeUpdate.run(state, in: store, &writes)
    }

    /// Adds the tree's writes to those of the state, which have each key at most once, and returns the new root.
    static func update(_ writes: inout StateWrites, in store: any StateStore) throws(LedgerFault) -> Digest {
        try TreeUpdate.run(writes, in: store, &writes)
    }

    /// A proof of what the store's tree says of a key: its value, or that there is none.
    public static func proof(of key: [UInt8], in store: any StateStore) throws(LedgerFault) -> StateProof {
        let path = path(key)
        var slots: [TreeSlot] = []
        var leaves: [StateProof.Leaf] = []
        try readRoot(store, &slots, &leaves)
        var siblings: [Digest] = []
        var slot = slots[0]
        var depth = 0
        while slot.isRecord {
            slots.removeAll(keepingCapacity: true)
            leaves.removeAll(keepingCapacity: true)
            try readRecord(store, at: path, depth, &slots, &leaves)
            // From the 16 slots upwards: levels[0] is the bottom.
            var levels = [slots.map { $0.entry(leaves) }]
            while let level = levels.last, level.count > 1 {
                levels.append(stride(from: 0, to: level.count, by: 2).map { join(level[$0], level[$0 + 1]) })
            }
            let index = nibble(path, depth)
            for bit in stride(from: 3, through: 0, by: -1) {
                siblings.append(levels[bit][(index >> bit) ^ 1].digest)
                if case .node = levels[bit][index >> bit] { continue }
                // The subtree on the way has one leaf or none: here the path ends.
                return StateProof(siblings: siblings, leaf: levels[bit][index >> bit].leaf)
            }
            slot = slots[index]
            depth += 1
        }
        var own = leaves[slot.leaves]
        var bit = 4 * depth
        while own.count > 1 {
            let middle = middle(own, bit: bit)
            let (left, right) = (own[..<middle], own[middle...])
            siblings.append(subtree(path[bit: bit] ? left : right, bit: bit + 1))
            own = path[bit: bit] ? right : left
            bit += 1
        }
        return StateProof(siblings: siblings, leaf: own.first)
    }
}

extension StateTree.Entry {
    fileprivate var leaf: StateProof.Leaf? {
        guard case .leaf(let path, let value) = self else { return nil }
        return StateProof.Leaf(path: path, value: value)
    }
}
