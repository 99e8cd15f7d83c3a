import Primitives

/// One of a record's 16 subtrees: empty, a few leaves, or a record of its own.
///
/// Stored as a byte for the number of leaves (255 for a record), then, unless it is empty, the digest and each leaf's path and value.
/// The digest of leaves is stored too, so that a change digests only what lies on its way.
struct TreeSlot {
    /// Of the subtree; zero where it is empty.
    var digest: Digest
    /// Where the leaves begin among all that are read, in ascending order of their paths.
    var start: Int32 = 0
    /// 0 to `StateTree.inlineLeaves`, or `record`.
    var count: UInt8

    static let record: UInt8 = 255
    static let empty = TreeSlot(digest: .zero, count: 0)

    var isRecord: Bool { count == TreeSlot.record }

    var leaves: Range<Int> { isRecord ? 0..<0 : Int(start)..<Int(start) + Int(count) }

    /// How many bytes it takes.
    var byteCount: Int { TreeSlot.size(Int(count)) }

    /// How many bytes a slot of so many leaves takes.
    static func size(_ count: Int) -> Int {
        switch count {
        case 0: 1
        case Int(TreeSlot.record): 33
        default: 33 + 64 * count
        }
    }

    /// How many bytes the slot at `offset` takes; nil where there is none, or not all of it.
    static func size(at offset: Int, in bytes: UnsafeRawBufferPointer) -> Int? {
        guard offset < bytes.count else { return nil }
        let count = Int(bytes[offset])
        let size = size(count)
        return (count <= StateTree.inlineLeaves || count == Int(record)) && offset + size <= bytes.count ? size : nil
    }

    func entry(_ all: [StateProof.Leaf]) -> StateTree.Entry {
        switch count {
        case 0: .empty
        case 1: .leaf(path: all[Int(start)].path, value: all[Int(start)].value)
        default: .node(digest)
        }
    }

    static func encode(_ slots: ArraySlice<TreeSlot>, _ leaves: [StateProof.Leaf], into writer: inout ByteWriter) {
        var size = 0
        for slot in slots { size += slot.byteCount }
        writer.write(count: size) { bytes in
            var offset = 0
            for slot in slots {
                bytes[offset] = slot.count
                offset += 1
                if slot.count == 0 { continue }
                bytes.storeBytes(of: slot.digest, toByteOffset: offset, as: Digest.self)
                offset += 32
                for leaf in slot.leaves {
                    bytes.storeBytes(of: leaves[leaf], toByteOffset: offset, as: StateProof.Leaf.self)
                    offset += 64
                }
            }
        }
    }

    /// Appends `count` slots of the record below `depth` nibbles of a path, with their leaves. Answers whether the bytes are such slots: damage must
    /// end in a fault, and leaves out of order or out of place would end elsewhere.
    static func decode(
        _ bytes: UnsafeRawBufferPointer, count: Int, depth: Int, under path: Digest, _ slots: inout [TreeSlot],
        _ leaves: inout [StateProof.Leaf]
    ) -> Bool {
        var offset = 0
        for index in 0..<count {
            guard offset < bytes.count else { return false }
            var slot = TreeSlot(digest: .zero, start: Int32(leaves.count), count: bytes[offset])
            guard slot.count <= StateTree.inlineLeaves || slot.isRecord, offset + slot.byteCount <= bytes.count
            else { return false }
            offset += 1
            if slot.count > 0 {
                slot.digest = bytes.loadUnaligned(fromByteOffset: offset, as: Digest.self)
                offset += 32
            }
            for place in slot.leaves {
                let leaf = bytes.loadUnaligned(fromByteOffset: offset, as: StateProof.Leaf.self)
                offset += 64
                if place > slot.leaves.lowerBound, leaves[place - 1].path >= leaf.path { return false }
                if count == 16, StateTree.nibble(leaf.path, depth) != index { return false }
                if !isBelow(path, depth, leaf.path) { return false }
                leaves.append(leaf)
            }
            slots.append(slot)
        }
        return offset == bytes.count
    }

    /// Whether two paths agree in so many nibbles.
    static func isBelow(_ path: Digest, _ depth: Int, _ leaf: Digest) -> Bool {
        withUnsafeBytes(of: path) { path in
            withUnsafeBytes(of: leaf) { leaf in
                let whole = depth / 2
                for index in 0..<whole where path[index] != leaf[index] { return false }
                return depth & 1 == 0 || (path[whole] ^ leaf[whole]) & 0xf0 == 0
            }
        }
    }
}
