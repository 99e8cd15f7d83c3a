import Primitives

/// Records that keep their shape: changed as bytes, where they will be written.
extension TreeUpdate {
    /// One of them, already among the writes.
    struct Kept {
        let place: Int
        /// The slot above that it stands in.
        let slot: Int
    }

    /// One of their slots whose leaves have changed.
    struct KeptSlot {
        /// Its record's among the writes, and where in it the slot begins.
        let place: Int
        let offset: Int
        /// Where it lies in the tree, in bits.
        let bit: Int
    }

    /// Reads a record. Where every change below it is a new value of one of its leaves, it stays among the writes and is changed there, and the answer is
    /// true; else it is taken apart as the last 16 of `slots`.
    mutating func keep(
        _ changes: ArraySlice<Change>, in slot: Int, _ depth: Int, _ writes: inout StateWrites
    ) throws(LedgerFault) -> Bool {
        guard let path = changes.first?.path else { return false }
        let found: Int?
        do throws(StateFault) { found = try writes.set(TreeKey(path, depth), from: store) } catch {
            throw .state(error)
        }
        guard let place = found else { throw .corrupt("a tree record is missing") }
        switch writes.withValue(place, { shape(of: $0, changes, depth) }) {
        case .damaged: throw .corrupt("a tree record")
        case .changes:
            let isSound = writes.withValue(place) { decode($0, depth, under: path) }
            writes.removeLast()
            if !isSound { throw .corrupt("a tree record") }
            return false
        case .stays:
            change(place, changes, in: slot, depth, &writes)
            return true
        }
    }

    private enum Shape { case stays, changes, damaged }

    /// Whether a record keeps its shape. Of one that does, the slots that change are examined as `TreeSlot.decode` does it; the others' bytes stay as they are.
    private func shape(of bytes: UnsafeRawBufferPointer, _ changes: ArraySlice<Change>, _ depth: Int) -> Shape {
        var offset = 0
        var next = changes.startIndex
        // All agree in the nibbles above.
        let some = changes[next].path
        for index in 0..<16 {
            guard let size = TreeSlot.size(at: offset, in: bytes) else { return .damaged }
            defer { offset += size }
            guard next < changes.endIndex, StateTree.nibble(changes[next].path, depth) == index else { continue }
            let count = Int(bytes[offset])
            if count == 0 || count > StateTree.inlineLeaves { return .changes }
            var before: Digest?
            for leaf in 0..<count {
                let path = bytes.loadUnaligned(fromByteOffset: offset + 33 + 64 * leaf, as: Digest.self)
                if let before, before >= path { return .damaged }
                before = path
                if StateTree.nibble(path, depth) != index || !TreeSlot.isBelow(some, depth, path) { return .damaged }
                if next < changes.endIndex, changes[next].path == path {
                    if changes[next].value == nil { return .changes }
                    next += 1
                }
            }
            // What is left for this slot is a leaf that it does not have.
            if next < changes.endIndex, StateTree.nibble(changes[next].path, depth) == index { return .changes }
        }
        return offset == bytes.count && next == changes.endIndex ? .stays : .damaged
    }

    private mutating func change(
        _ place: Int, _ changes: ArraySlice<Change>, in slot: Int, _ depth: Int, _ writes: inout StateWrites
    ) {
        while kept.count <= depth { kept.append([]) }
        kept[depth].append(Kept(place: place, slot: slot))
        var stale: [Int] = []
        writes.changeValue(place) { bytes in
            var offset = 0
            var next = changes.startIndex
            for index in 0..<16 where next < changes.endIndex {
                let count = Int(bytes[offset])
                let size = TreeSlot.size(count)
                if StateTree.nibble(changes[next].path, depth) == index {
                    stale.append(offset)
                    for leaf in 0..<count where next < changes.endIndex {
                        let start = offset + 33 + 64 * leaf
                        let path = bytes.loadUnaligned(fromByteOffset: start, as: Digest.self)
                        // `shape` has seen to it that there is a value, and a leaf for each change.
                        guard path == changes[next].path, let value = changes[next].value else { continue }
                        bytes.storeBytes(of: value, toByteOffset: start + 32, as: Digest.self)
                        next += 1
                    }
                }
                offset += size
            }
        }
        for offset in stale { keptStale.append(KeptSlot(place: place, offset: offset, bit: 4 * (depth + 1))) }
    }
}
