import Primitives

/// A batch of changes to the tree, or to the part of it below one slot. First all records on the way to a change are read and changed, in the
/// order of the paths; then the digests are made, all of one level at once (many together cost a third of what each costs alone); then
/// each record is written once.
///
/// A record that keeps its shape, since every change below it is a new value of a leaf that lies in it, is not taken apart: its bytes are copied to where they
/// will be written, and values and digests are changed there (`TreeUpdate+Kept.swift`). Of a block of transfers nearly all are such.
///
/// A large batch is done part by part below the second level, so that what is worked on stays in the processor's near memory.
struct TreeUpdate {
    struct Change {
        let path: Digest
        let value: Digest?
    }

    private struct Record {
        /// Some path below it.
        let path: Digest
        /// In nibbles.
        let depth: Int
        /// The slot above that it stands in.
        let slot: Int
        let isStored: Bool
        /// Folded into the slot above, since too few leaves were left.
        var isGone = false
    }

    /// Where parts begin, in nibbles: 256 of them, of the same size since paths are digests.
    private static let partDepth = 2
    /// Fewer changes are not worth parts.
    private static let partChanges = 16

    let store: any StateStore
    /// In nibbles, of the slot that all is about.
    private let depth: Int
    /// That slot, then 16 for each record in the order in which they were met.
    private var slots: [TreeSlot] = []
    private var leaves: [StateProof.Leaf] = []
    private var records: [Record] = []
    /// Slots whose leaves have changed.
    private var stale: [Int] = []
    /// Which records lie below so many nibbles, by path.
    private var rows: [[Int]] = []
    /// Records that keep their shape, by what lies above them, and their slots whose leaves have changed.
    var kept: [[Kept]] = []
    var keptStale: [KeptSlot] = []

    private init(_ store: any StateStore, depth: Int) {
        self.store = store
        self.depth = depth
    }

    /// Adds what the state's writes change in the tree to the writes. Returns the tree's root.
    static func run(
        _ state: StateWrites, in store: any StateStore, _ writes: inout StateWrites
    ) throws(LedgerFault) -> Digest {
        let changes = try changes(state)
        var update = TreeUpdate(store, depth: 0)
        try StateTree.readRoot(store, &update.slots, &update.leaves)
        if changes.isEmpty { return update.slots[0].digest }
        try update.run(changes[...], &writes)
        let (slots, leaves) = (update.slots, update.leaves)
        writes.set(
            .tree, key: { $0.write(raw: StateTree.rootKey) },
            value: { TreeSlot.encode(slots[0...0], leaves, into: &$0) })
        return slots[0].digest
    }

    /// The changed paths in ascending order.
    private static func changes(_ writes: StateWrites) throws(LedgerFault) -> [Change] {
        var keys = DigestBatch(messages: writes.count, bytesEach: 24)
        var values = DigestBatch(messages: writes.count, bytesEach: 24)
        var isDeletion: [Bool] = []
        isDeletion.reserveCapacity(writes.count)
        writes.forEach { space, key, value in
            if space != .state { return }
            keys.append { $0.write(raw: key) }
            // What is deleted has no digest; this one is not used.
            values.append { $0.write(raw: value ?? UnsafeRawBufferPointer(start: nil, count: 0)) }
            isDeletion.append(value == nil)
        }
        let paths = keys.digests(.statePath)
        let digests = values.digests(.stateValue)
        // Eight bytes of a path decide nearly always; what is moved about is small.
        var order = paths.indices.map { index in
            (head: paths[index].withUnsafeBytes { UInt64(bigEndian: $0.load(as: UInt64.self)) }, index: index)
        }
        order.sort { $0.head != $1.head ? $0.head < $1.head : paths[$0.index] < paths[$1.index] }
        let changes = order.map {
            Change(path: paths[$0.index], value: isDeletion[$0.index] ? nil : digests[$0.index])
        }
        for index in changes.indices.dropFirst() where changes[index - 1].path == changes[index].path {
            throw .corrupt("two keys share a path")
        }
        return changes
    }

    private mutating func run(_ changes: ArraySlice<Change>, _ writes: inout StateWrites) throws(LedgerFault) {
        try apply(changes, to: 0, depth, &writes)
        digestLeaves(&writes)
        for depth in (0..<max(rows.count, kept.count)).reversed() { digestRecords(depth, &writes) }
        write(&writes)
    }

    /// Takes a record apart, as the last 16 of `slots`.
    mutating func decode(_ bytes: UnsafeRawBufferPointer, _ depth: Int, under path: Digest) -> Bool {
        TreeSlot.decode(bytes, count: 16, depth: depth, under: path, &slots, &leaves)
    }

    // MARK: The shape

    private mutating func apply(
        _ changes: ArraySlice<Change>, to slot: Int, _ depth: Int, _ writes: inout StateWrites
    ) throws(LedgerFault) {
        guard let path = changes.first?.path else { return }
        if !slots[slot].isRecord {
            let start = leaves.count
            merge(slots[slot].leaves, changes)
            return place(start..<leaves.count, in: slot, depth)
        }
        if depth == TreeUpdate.partDepth, self.depth < depth, changes.count >= TreeUpdate.partChanges {
            return try applyPart(changes, to: slot, depth, &writes)
        }
        let first = slots.count
        if try keep(changes, in: slot, depth, &writes) { return }
        add(Record(path: path, depth: depth, slot: slot, isStored: true))
        let record = records.count - 1
        var rest = changes
        while let path = rest.first?.path {
            let index = StateTree.nibble(path, depth)
            let own = rest.prefix { StateTree.nibble($0.path, depth) == index }
            try apply(own, to: first + index, depth + 1, &writes)
            rest = rest[own.endIndex...]
        }
        fold(record, first)
    }

    /// Does what lies below a slot with memory of its own.
    private mutating func applyPart(
        _ changes: ArraySlice<Change>, to slot: Int, _ depth: Int, _ writes: inout StateWrites
    ) throws(LedgerFault) {
        var part = TreeUpdate(store, depth: depth)
        part.slots = [slots[slot]]
        try part.run(changes, &writes)
        slots[slot] = part.slots[0]
        slots[slot].start = Int32(leaves.count)
        leaves += part.leaves[part.slots[0].leaves]
    }

    /// Puts leaves into a slot, those of too many into a record of their own.
    private mutating func place(_ range: Range<Int>, in slot: Int, _ depth: Int) {
        if range.count <= StateTree.inlineLeaves { return put(range, in: slot) }
        slots[slot] = TreeSlot(digest: .zero, count: TreeSlot.record)
        let first = slots.count
        for _ in 0..<16 { slots.append(.empty) }
        add(Record(path: leaves[range.lowerBound].path, depth: depth, slot: slot, isStored: false))
        var start = range.lowerBound
        while start < range.upperBound {
            let index = StateTree.nibble(leaves[start].path, depth)
            var end = start + 1
            while end < range.upperBound, StateTree.nibble(leaves[end].path, depth) == index { end += 1 }
            place(start..<end, in: first + index, depth + 1)
            start = end
        }
    }

    private mutating func put(_ range: Range<Int>, in slot: Int) {
        slots[slot] = TreeSlot(digest: .zero, start: Int32(range.lowerBound), count: UInt8(range.count))
        stale.append(slot)
    }

    /// Appends what a slot's leaves are after the changes.
    private mutating func merge(_ old: Range<Int>, _ changes: ArraySlice<Change>) {
        var next = old.lowerBound
        for change in changes {
            while next < old.upperBound, leaves[next].path < change.path {
                leaves.append(leaves[next])
                next += 1
            }
            if next < old.upperBound, leaves[next].path == change.path { next += 1 }
            if let value = change.value { leaves.append(StateProof.Leaf(path: change.path, value: value)) }
        }
        while next < old.upperBound {
            leaves.append(leaves[next])
            next += 1
        }
    }

    private mutating func add(_ record: Record) {
        while rows.count <= record.depth { rows.append([]) }
        rows[record.depth].append(records.count)
        records.append(record)
    }

    /// Takes back into the slot above what is too little for a record.
    private mutating func fold(_ record: Int, _ first: Int) {
        var count = 0
        for slot in slots[first..<first + 16] {
            if slot.isRecord { return }
            count += Int(slot.count)
        }
        if count > StateTree.inlineLeaves { return }
        let start = leaves.count
        for slot in first..<first + 16 {
            for leaf in slots[slot].leaves { leaves.append(leaves[leaf]) }
        }
        put(start..<leaves.count, in: records[record].slot)
        records[record].isGone = true
    }

    private func slots(of record: Int) -> Range<Int> { 1 + 16 * record..<17 + 16 * record }

    // MARK: The digests

    /// Digests all slots whose leaves have changed, a level of all of them at a time.
    private mutating func digestLeaves(_ writes: inout StateWrites) {
        let stale = stale.filter { $0 == 0 || !records[($0 - 1) / 16].isGone }
        var fold = LeafFold(slots: stale.count + keptStale.count)
        for slot in stale {
            // A record's slots lie four bits below it.
            let bit = slot == 0 ? 4 * depth : 4 * (records[(slot - 1) / 16].depth + 1)
            fold.add(leaves[slots[slot].leaves], bit: bit)
        }
        for slot in keptStale { writes.withValue(slot.place) { fold.add($0, slot) } }
        let digests = fold.digests()
        for (index, slot) in stale.enumerated() { slots[slot].digest = digests[index] }
        for (index, slot) in keptStale.enumerated() {
            writes.changeValue(slot.place) {
                $0.storeBytes(of: digests[stale.count + index], toByteOffset: slot.offset + 1, as: Digest.self)
            }
        }
    }

    /// Folds the 16 slots of each record at a depth, and gives the slot above the digest.
    private mutating func digestRecords(_ depth: Int, _ writes: inout StateWrites) {
        let living = depth < rows.count ? rows[depth].filter { !records[$0].isGone } : []
        let kept = depth < kept.count ? kept[depth] : []
        var fold = RecordFold(records: living.count + kept.count)
        for record in living { fold.add(slots[slots(of: record)]) }
        for record in kept { writes.withValue(record.place) { fold.add($0) } }
        let digests = fold.digests()
        for (index, record) in living.enumerated() { slots[records[record].slot].digest = digests[index] }
        for (index, record) in kept.enumerated() { slots[record.slot].digest = digests[living.count + index] }
    }

    private func write(_ writes: inout StateWrites) {
        for row in rows {
            for record in row {
                let (path, depth) = (records[record].path, records[record].depth)
                if !records[record].isGone {
                    let slots = slots[slots(of: record)]
                    writes.set(
                        .tree, key: { key in TreeKey(path, depth).withUnsafeBytes { key.write(raw: $0) } },
                        value: { TreeSlot.encode(slots, leaves, into: &$0) })
                } else if records[record].isStored {
                    writes.set(
                        .tree, key: { key in TreeKey(path, depth).withUnsafeBytes { key.write(raw: $0) } }, value: nil)
                }
            }
        }
    }
}
