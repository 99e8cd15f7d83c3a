import Primitives

/// Digests the leaves of many slots, and those of each slot to one digest: first all leaves, then all nodes of the lowest level, and so on upwards, since
/// many digests together cost a fraction of what each costs alone.
struct LeafFold {
    /// A subtree: zero is one without leaves, `n` above zero the leaf `n − 1`, `−n` the node `n − 1`.
    private typealias Subtree = Int32

    private var leaves: [StateProof.Leaf] = []
    private var nodes: [(left: Subtree, right: Subtree)] = []
    /// Numbers of nodes, by how many bits they lie below their slots.
    private var levels: [[Int32]] = []
    /// Of each slot.
    private var tops: [Subtree] = []

    init(slots: Int) {
        leaves.reserveCapacity(3 * slots)
        nodes.reserveCapacity(3 * slots)
        tops.reserveCapacity(slots)
    }

    /// Adds a slot's leaves.
    mutating func add(_ own: ArraySlice<StateProof.Leaf>, bit: Int) {
        let start = leaves.count
        leaves += own
        tops.append(subtree(start..<leaves.count, bit, 0))
    }

    /// Adds the leaves of a slot that lies in a record's bytes.
    mutating func add(_ record: UnsafeRawBufferPointer, _ slot: TreeUpdate.KeptSlot) {
        let start = leaves.count
        for leaf in 0..<Int(record[slot.offset]) {
            leaves.append(
                record.loadUnaligned(fromByteOffset: slot.offset + 33 + 64 * leaf, as: StateProof.Leaf.self))
        }
        tops.append(subtree(start..<leaves.count, slot.bit, 0))
    }

    private mutating func subtree(_ range: Range<Int>, _ bit: Int, _ level: Int) -> Subtree {
        if range.isEmpty { return 0 }
        if range.count == 1 { return Int32(range.lowerBound + 1) }
        // Distinct paths part before their last bit.
        let middle = StateTree.middle(leaves[range], bit: bit)
        let left = subtree(range.lowerBound..<middle, bit + 1, level + 1)
        let right = subtree(middle..<range.upperBound, bit + 1, level + 1)
        nodes.append((left, right))
        while levels.count <= level { levels.append([]) }
        levels[level].append(Int32(nodes.count - 1))
        return Int32(-nodes.count)
    }

    /// The digest of each slot, in the order in which they were added.
    func digests() -> [Digest] {
        let own = leaves.withUnsafeBytes { Digest.ofEach(.stateLeaf, pairs: $0.bindMemory(to: Digest.self)) }
        var made = [Digest](repeating: .zero, count: nodes.count)
        func digest(_ subtree: Subtree) -> Digest {
            subtree == 0 ? .zero : subtree > 0 ? own[Int(subtree) - 1] : made[Int(-subtree) - 1]
        }
        var pairs: [Digest] = []
        pairs.reserveCapacity(2 * (levels.first?.count ?? 0))
        for level in levels.reversed() {
            pairs.removeAll(keepingCapacity: true)
            for number in level {
                pairs.append(digest(nodes[Int(number)].left))
                pairs.append(digest(nodes[Int(number)].right))
            }
            for (number, digest) in zip(level, Digest.ofEach(.stateNode, pairs: pairs)) { made[Int(number)] = digest }
        }
        return tops.map(digest)
    }
}

/// Folds the 16 slots of many records to one digest each, a level of all of them at a time.
struct RecordFold {
    private var row: [Digest] = []
    /// How many leaves lie below, or that there are more than one.
    private var counts: [UInt8] = []

    init(records: Int) {
        row.reserveCapacity(16 * records)
        counts.reserveCapacity(16 * records)
    }

    /// Adds a record's 16 slots.
    mutating func add(_ slots: ArraySlice<TreeSlot>) {
        for slot in slots {
            row.append(slot.digest)
            counts.append(slot.count)
        }
    }

    /// Adds those of a record in its bytes, which were found to be 16 slots.
    mutating func add(_ record: UnsafeRawBufferPointer) {
        var offset = 0
        for _ in 0..<16 {
            let count = record[offset]
            row.append(
                count == 0 ? .zero : record.loadUnaligned(fromByteOffset: offset + 1, as: Digest.self))
            counts.append(count)
            offset += TreeSlot.size(Int(count))
        }
    }

    /// The digest of each record, in the order in which they were added.
    func digests() -> [Digest] {
        var digests = row
        var counts = counts
        let most = digests.count / 2
        withUnsafeTemporaryAllocation(of: Digest.self, capacity: 3 * most) { scratch in
            scratch.initialize(repeating: .zero)
            withUnsafeTemporaryAllocation(of: Int32.self, capacity: most) { places in
                var count = digests.count
                for _ in 0..<4 {
                    count /= 2
                    let used = RecordFold.gather(&digests, &counts, count, scratch, places)
                    let pairs = UnsafeBufferPointer(rebasing: scratch[0..<2 * used])
                    let made = UnsafeMutableBufferPointer(rebasing: scratch[2 * most..<2 * most + used])
                    Digest.ofEach(.stateNode, pairs: pairs, into: made)
                    for index in 0..<used { digests[Int(places[index])] = made[index] }
                }
            }
        }
        digests.removeLast(digests.count - digests.count / 16)
        return digests
    }

    /// Halves a level: puts those pairs that have a digest of their own into `pairs`, and where their digests go into `places`. One leaf or none is what it is
    /// without a digest of its own. Answers how many pairs there are.
    private static func gather(
        _ digests: inout [Digest], _ counts: inout [UInt8], _ count: Int, _ pairs: UnsafeMutableBufferPointer<Digest>,
        _ places: UnsafeMutableBufferPointer<Int32>
    ) -> Int {
        var used = 0
        digests.withUnsafeMutableBufferPointer { digests in
            counts.withUnsafeMutableBufferPointer { counts in
                for place in 0..<count {
                    let (left, right) = (2 * place, 2 * place + 1)
                    let both = Int(counts[left]) + Int(counts[right])
                    if both > 1 {
                        pairs[2 * used] = digests[left]
                        pairs[2 * used + 1] = digests[right]
                        places[used] = Int32(place)
                        used += 1
                    } else {
                        digests[place] = counts[left] == 1 ? digests[left] : digests[right]
                    }
                    counts[place] = UInt8(min(both, 2))
                }
            }
        }
        return used
    }
}
