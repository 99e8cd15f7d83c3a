/// Pieces of a vocabulary by their bytes: open addressing over one buffer, so that a lookup allocates nothing.
struct VocabularyTable: Sendable {
    private var slots: [Int32]
    private var starts: [Int32] = [0]
    private var bytes: [UInt8] = []
    private var ids: [Int32] = []
    /// The most bytes a piece has: longer words need not be looked up.
    private(set) var longest = 0

    init(capacity: Int) {
        var size = 16
        while size < capacity * 2 { size *= 2 }
        slots = Array(repeating: 0, count: size)
    }

    /// Adds a piece; of equal pieces the last one counts.
    mutating func insert(_ piece: some Collection<UInt8>, id: Int32) {
        if ids.count * 2 >= slots.count { grow() }
        let start = bytes.count
        bytes.append(contentsOf: piece)
        let slot = bytes.withUnsafeBufferPointer { find(UnsafeBufferPointer(rebasing: $0[start...])) }
        longest = max(longest, bytes.count - start)
        if slots[slot] != 0 {
            ids[Int(slots[slot]) - 1] = id
            bytes.removeLast(bytes.count - start)
            return
        }
        ids.append(id)
        starts.append(Int32(bytes.count))
        slots[slot] = Int32(ids.count)
    }

    /// The id of a piece.
    func id(_ piece: UnsafeBufferPointer<UInt8>) -> Int32? {
        let index = slots[find(piece)]
        return index == 0 ? nil : ids[Int(index) - 1]
    }

    /// The slot that holds a piece, or the empty one where it belongs.
    private func find(_ piece: UnsafeBufferPointer<UInt8>) -> Int {
        // Seeded anew in each process: a file cannot choose pieces that all fall into one place.
        var hasher = Hasher()
        hasher.combine(bytes: UnsafeRawBufferPointer(piece))
        let mask = slots.count - 1
        var slot = hasher.finalize() & mask
        while slots[slot] != 0 {
            let index = Int(slots[slot]) - 1
            let range = Int(starts[index])..<Int(starts[index + 1])
            if range.count == piece.count, bytes[range].elementsEqual(piece) { return slot }
            slot = (slot + 1) & mask
        }
        return slot
    }

    private mutating func grow() {
        slots = Array(repeating: 0, count: slots.count * 2)
        for index in 0..<ids.count {
            let slot = bytes.withUnsafeBufferPointer {
                find(UnsafeBufferPointer(rebasing: $0[Int(starts[index])..<Int(starts[index + 1])]))
            }
            slots[slot] = Int32(index + 1)
        }
    }
}
