/// Byte pair encoding of one word: the pair of the lowest rank is merged first, the leftmost of equals, until no pair is left.
///
/// A heap and a linked list: n log n in the word's length, since some tokenizers take a whole text as one word.
struct BPEMerges: Sendable {
    private struct Merge: Sendable {
        let rank: Int32
        let id: Int32
    }

    private struct Symbol {
        var id: Int32
        var previous: Int32
        var next: Int32
        var isGone = false
    }

    /// A merge that may be done: ordered by rank, then by place.
    private struct Candidate {
        let rank: Int32
        let place: Int32
        let id: Int32

        static func < (a: Candidate, b: Candidate) -> Bool {
            a.rank != b.rank ? a.rank < b.rank : a.place < b.place
        }
    }

    private var merges: [UInt64: Merge] = [:]

    init(capacity: Int) { merges.reserveCapacity(capacity) }

    /// Adds the merge of the next rank; of equal pairs the last one counts.
    mutating func insert(_ left: Int32, _ right: Int32, rank: Int, makes id: Int32) {
        merges[BPEMerges.key(left, right)] = Merge(rank: Int32(clamping: rank), id: id)
    }

    private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
        UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
    }

    /// Merges the ids of a word's smallest pieces, and appends what is left.
    func append(_ pieces: [Int32], to ids: inout [Int32]) {
        if pieces.count < 2 {
            ids += pieces
            return
        }
        let count = Int32(pieces.count)
        var symbols = pieces.enumerated().map { place, id in
            Symbol(id: id, previous: Int32(place) - 1, next: Int32(place) + 1)
        }
        var heap: [Candidate] = []
        for place in 0..<pieces.count - 1 {
            if let merge = merges[BPEMerges.key(pieces[place], pieces[place + 1])] {
                BPEMerges.push(Candidate(rank: merge.rank, place: Int32(place), id: merge.id), &heap)
            }
        }
        while let top = BPEMerges.pop(&heap) {
            let place = Int(top.place)
            if symbols[place].isGone || symbols[place].next == count { continue }
            let right = symbols[Int(symbols[place].next)]
            // The pair may have changed since it was put down.
            guard let merge = merges[BPEMerges.key(symbols[place].id, right.id)], merge.id == top.id else { continue }
            symbols[Int(symbols[place].next)].isGone = true
            symbols[place].id = top.id
            symbols[place].next = right.next
            if right.next < count {
                symbols[Int(right.next)].previous = top.place
                if let merge = merges[BPEMerges.key(top.id, symbols[Int(right.next)].id)] {
                    BPEMerges.push(Candidate(rank: merge.rank, place: top.place, id: merge.id), &heap)
                }
            }
            let previous = symbols[place].previous
            if previous >= 0, let merge = merges[BPEMerges.key(symbols[Int(previous)].id, top.id)] {
                BPEMerges.push(Candidate(rank: merge.rank, place: previous, id: merge.id), &heap)
            }
        }
        for symbol in symbols where !symbol.isGone { ids.append(symbol.id) }
    }

    private static func push(_ candidate: Candidate, _ heap: inout [Candidate]) {
        heap.append(candidate)
        var place = heap.count - 1
        while place > 0, heap[place] < heap[(place - 1) / 2] {
            heap.swapAt(place, (place - 1) / 2)
            place = (place - 1) / 2
        }
    }

    private static func pop(_ heap: inout [Candidate]) -> Candidate? {
        guard let top = heap.first else { return nil }
        let last = heap.removeLast()
        if heap.isEmpty { return top }
        heap[0] = last
        var place = 0
        while true {
            var least = place
            for child in [2 * place + 1, 2 * place + 2] where child < heap.count && heap[child] < heap[least] {
                least = child
            }
            if least == place { return top }
            heap.swapAt(place, least)
            place = least
        }
    }
}
