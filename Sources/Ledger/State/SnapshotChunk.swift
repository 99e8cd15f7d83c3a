public import Primitives

/// A part of a whole state, provable alone: every entry whose tree path begins with the same nibbles, and the way from there to the root.
///
/// The chunks of one state are all of one depth: `16^depth` of them, chunk `index` holds the paths whose first `depth` nibbles are the number `index`.
/// `siblings` lead from the root down to the subtree of the chunk, or to where the tree ends above it: a subtree of one leaf is that leaf, so there
/// it holds at most one leaf, this chunk's or the `stranger`. One state has exactly one such form: what is left out, added, changed or
/// moved makes another root.
public struct SnapshotChunk: Hashable, Sendable, CanonicalCodable {
    /// 65,536 chunks at most.
    public static let maximumDepth = 4
    /// A chunk's canonical bytes are at most this many.
    public static let maximumBytes = 2 << 20
    public static let maximumKeyBytes = 511
    public static let maximumEntries = maximumBytes / 9

    public struct Entry: Hashable, Sendable, CanonicalCodable {
        public let key: [UInt8]
        public let value: [UInt8]

        public init(key: [UInt8], value: [UInt8]) {
            self.key = key
            self.value = value
        }

        public init(from reader: inout ByteReader) throws(DecodingFault) {
            key = try reader.readBytes(max: SnapshotChunk.maximumKeyBytes)
            value = try reader.readBytes(max: SnapshotChunk.maximumBytes)
        }

        public func encode(into writer: inout ByteWriter) {
            writer.write(bytes: key)
            writer.write(bytes: value)
        }
    }

    public let depth: UInt8
    public let index: UInt32
    /// From the root down, at most four a nibble.
    public let siblings: [Digest]
    /// The one leaf of the subtree where the siblings end, where it is none of this chunk's.
    public let stranger: StateProof.Leaf?
    /// In ascending order of their paths.
    public let entries: [Entry]

    public init(depth: UInt8, index: UInt32, siblings: [Digest], stranger: StateProof.Leaf?, entries: [Entry]) {
        self.depth = depth
        self.index = index
        self.siblings = siblings
        self.stranger = stranger
        self.entries = entries
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        if reader.remaining > SnapshotChunk.maximumBytes {
            throw .tooLong(found: reader.remaining, limit: SnapshotChunk.maximumBytes)
        }
        depth = try reader.readUInt8()
        if Int(depth) > SnapshotChunk.maximumDepth {
            throw .tooLong(found: Int(depth), limit: SnapshotChunk.maximumDepth)
        }
        index = try reader.readUInt32()
        if Int(index) >= SnapshotChunk.count(depth: Int(depth)) { throw .invalid("a state has no chunk \(index)") }
        siblings = try reader.readList(Digest.self, max: 4 * Int(depth))
        stranger = try reader.readOptional(StateProof.Leaf.self)
        entries = try reader.readList(Entry.self, max: SnapshotChunk.maximumEntries)
    }

    public func encode(into writer: inout ByteWriter) {
        SnapshotChunk.encodeHead(depth, index, siblings, stranger, into: &writer)
        writer.write(list: entries)
    }

    static func encodeHead(
        _ depth: UInt8, _ index: UInt32, _ siblings: [Digest], _ stranger: StateProof.Leaf?,
        into writer: inout ByteWriter
    ) {
        writer.write(depth)
        writer.write(index)
        writer.write(list: siblings)
        writer.write(optional: stranger)
    }

    /// How many chunks a state of that depth has.
    public static func count(depth: Int) -> Int { 1 << (4 * depth) }

    /// The chunk that a key belongs to.
    public static func index(of key: [UInt8], depth: Int) -> Int { index(of: StateTree.path(key), depth: depth) }

    static func index(of path: Digest, depth: Int) -> Int {
        var index = 0
        for level in 0..<depth { index = index << 4 | StateTree.nibble(path, level) }
        return index
    }

    /// Whether the state with this root has exactly these entries in this chunk. Costs some digests an entry.
    public func verify(root: Digest) -> Bool {
        let depth = Int(depth)
        let bits = 4 * depth
        guard depth <= SnapshotChunk.maximumDepth, Int(index) < SnapshotChunk.count(depth: depth),
            siblings.count <= bits
        else { return false }
        var leaves: [StateProof.Leaf] = []
        leaves.reserveCapacity(entries.count)
        for entry in entries {
            let path = StateTree.path(entry.key)
            if SnapshotChunk.index(of: path, depth: depth) != Int(index) { return false }
            if let last = leaves.last, last.path >= path { return false }
            leaves.append(StateProof.Leaf(path: path, value: StateTree.valueDigest(entry.value)))
        }
        if let stranger {
            // It stands where the tree ends above this chunk, and the chunk is empty.
            if siblings.count >= bits || !leaves.isEmpty { return false }
            for bit in 0..<siblings.count where stranger.path[bit: bit] != isRight(bit) { return false }
            if SnapshotChunk.index(of: stranger.path, depth: depth) == Int(index) { return false }
            leaves.append(stranger)
        } else if siblings.count < bits, leaves.count > 1 {
            return false
        }
        var digest = StateTree.subtree(leaves[...], bit: siblings.count)
        for bit in stride(from: siblings.count - 1, through: 0, by: -1) {
            digest =
                isRight(bit)
                ? Digest.of(.stateNode, siblings[bit], digest) : Digest.of(.stateNode, digest, siblings[bit])
        }
        return digest == root
    }

    /// Whether the way from the root to this chunk goes right at a bit.
    private func isRight(_ bit: Int) -> Bool { index >> UInt32(4 * Int(depth) - 1 - bit) & 1 == 1 }
}

/// Makes the proofs of all chunks of one state. Needs each chunk once, in any order, and keeps one entry of the tree for each.
public struct SnapshotTop: Sendable {
    public let depth: Int
    /// Level by level from the chunks up to the root; nodes of one row lie side by side.
    private var rows: [[StateTree.Entry]]
    private var isFolded = false

    public init(depth: Int) {
        precondition(depth >= 0 && depth <= SnapshotChunk.maximumDepth, "a snapshot has at most 16^4 chunks")
        self.depth = depth
        rows = [[StateTree.Entry](repeating: .empty, count: SnapshotChunk.count(depth: depth))]
    }

    /// Sorts a chunk's entries and takes up their digest. Returns the canonical bytes of the entries, the part of a chunk behind its proof.
    public mutating func add(_ entries: [SnapshotChunk.Entry], at index: Int) -> [UInt8] {
        precondition(!isFolded, "the proofs are made when all chunks are known")
        let sorted = entries.map { (path: StateTree.path($0.key), entry: $0) }.sorted { $0.path < $1.path }
        let leaves = sorted.map { StateProof.Leaf(path: $0.path, value: StateTree.valueDigest($0.entry.value)) }
        rows[0][index] =
            switch leaves.count {
            case 0: .empty
            case 1: .leaf(path: leaves[0].path, value: leaves[0].value)
            default: .node(StateTree.subtree(leaves[...], bit: 4 * depth))
            }
        var writer = ByteWriter(capacity: entries.reduce(4) { $0 + 8 + $1.key.count + $1.value.count })
        writer.write(list: sorted.map(\.entry))
        return writer.bytes
    }

    /// Folds the chunks to the root.
    public mutating func root() -> Digest {
        if !isFolded {
            isFolded = true
            while let row = rows.last, row.count > 1 {
                rows.append(stride(from: 0, to: row.count, by: 2).map { StateTree.join(row[$0], row[$0 + 1]) })
            }
        }
        return rows[rows.count - 1][0].digest
    }

    /// The canonical bytes of a chunk up to its entries.
    public mutating func head(of index: Int) -> [UInt8] {
        _ = root()
        var siblings: [Digest] = []
        var stranger: StateProof.Leaf?
        // From the root down: `level` is the row's number, `place` the node on the way.
        var level = rows.count - 1
        while level > 0, case .node = rows[level][index >> level] {
            level -= 1
            siblings.append(rows[level][(index >> level) ^ 1].digest)
        }
        if level > 0, case .leaf(let path, let value) = rows[level][index >> level],
            SnapshotChunk.index(of: path, depth: depth) != index
        {
            stranger = StateProof.Leaf(path: path, value: value)
        }
        var writer = ByteWriter(capacity: 640)
        SnapshotChunk.encodeHead(UInt8(depth), UInt32(index), siblings, stranger, into: &writer)
        return writer.bytes
    }
}

extension StateWrites {
    /// Whether these are the writes of a block that fixes an epoch's record: the state after it is what snapshots are made of, since
    /// some final header attests it.
    public var fixesEpoch: Bool {
        var fixes = false
        forEach { space, key, value in
            if space == .state, key.first == StateKey.epochRecords[0], value != nil { fixes = true }
        }
        return fixes
    }
}

extension StateTree {
    /// What adds a chunk's entries, and their part of the tree, to a store that is being built.
    public static func writes(adding entries: [SnapshotChunk.Entry], to store: any StateStore) throws(LedgerFault)
        -> StateWrites
    {
        var writes = StateWrites()
        for entry in entries { writes.set(.state, entry.key, entry.value) }
        _ = try update(&writes, in: store)
        return writes
    }

    /// What finishes a store that was built: its root is noted as that of a height.
    public static func writes(noting root: Digest, at height: Height) -> StateWrites {
        var writes = StateWrites()
        writes.set(.tree, StateKey.root(height), root.bytes)
        return writes
    }
}
