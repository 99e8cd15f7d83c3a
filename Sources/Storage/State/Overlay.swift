internal import Glibc

/// Writes that are not in the database yet, in key order where order is asked for.
///
/// Keys and values lie one behind the other in rows of bytes, found by a hash table of places: thousands come in with every block, and an array for each key
/// and each value would cost more than LMDB does.
struct Overlay {
    /// Where one key and its value lie.
    private struct Place {
        let hash: UInt32
        let keyRow: Int32
        let key: Int32
        let keyCount: Int32
        /// How many bytes the value has, and how many it may have where it is; `deleted` where it has none.
        var count: Int32
        var room: Int32
        var row: Int32
        var value: Int32
    }

    private static let deleted: Int32 = -1

    /// A row that has so many bytes is full: one row of all would be copied whenever it grows.
    private static let rowBytes = 256 << 10
    /// More than this is given back when the overlay is emptied.
    private static let keptRows = 64

    private var rows: [[UInt8]] = []
    /// The row that is being filled.
    private var row = 0
    private var places: [Place] = []
    /// A hash and the number of its place, found by linear probing; -1 where there is none. At most half full. The hash stands here too, so that
    /// no other memory is touched for a key that is not known.
    private var table: [(hash: UInt32, place: Int32)] = []
    /// Numbers of places by the first byte of their keys: so asking for the order of a few jobs does not sort all accounts.
    private var groups = [[Int32]](repeating: [], count: 256)
    private var isSorted = [Bool](repeating: true, count: 256)

    var isEmpty: Bool { places.isEmpty }

    mutating func removeAll() {
        let keeps = rows.count <= Overlay.keptRows
        if !keeps { rows = [] }
        for index in rows.indices { rows[index].removeAll(keepingCapacity: true) }
        row = 0
        places.removeAll(keepingCapacity: keeps)
        if keeps {
            for index in table.indices { table[index].place = -1 }
        } else {
            table = []
        }
        for index in groups.indices {
            groups[index].removeAll(keepingCapacity: keeps)
            isSorted[index] = true
        }
    }

    /// Puts a value under a key that is not empty. Nil stands for a deletion.
    mutating func set(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer?) {
        if 2 * places.count >= table.count { grow() }
        let hash = Overlay.hash(key)
        let slot = find(key, hash)
        if table[slot].place < 0 {
            let group = Int(key[0])
            table[slot] = (hash, Int32(places.count))
            groups[group].append(Int32(places.count))
            isSorted[group] = false
            let (row, start) = append(key)
            places.append(
                Place(
                    hash: hash, keyRow: row, key: start, keyCount: Int32(key.count), count: Overlay.deleted, room: 0,
                    row: 0, value: 0))
        }
        let place = Int(table[slot].place)
        guard let value else {
            places[place].count = Overlay.deleted
            return
        }
        if value.count > Int(places[place].room) || places[place].room == 0 {
            (places[place].row, places[place].value) = append(value)
            places[place].room = Int32(value.count)
        } else {
            let start = Int(places[place].value)
            rows[Int(places[place].row)].withUnsafeMutableBytes {
                $0[start..<start + value.count].copyBytes(from: value)
            }
        }
        places[place].count = Int32(value.count)
    }

    private mutating func append(_ bytes: UnsafeRawBufferPointer) -> (row: Int32, start: Int32) {
        if row < rows.count, rows[row].count >= Overlay.rowBytes { row += 1 }
        if row == rows.count {
            rows.append([])
            // A small overlay, as most are, wants no large row.
            if row > 0 { rows[row].reserveCapacity(Overlay.rowBytes + 4_096) }
        }
        let start = rows[row].count
        rows[row].append(contentsOf: bytes)
        return (Int32(row), Int32(start))
    }

    mutating func set(_ key: [UInt8], _ value: [UInt8]?) {
        key.withUnsafeBytes { key in
            if let value { value.withUnsafeBytes { set(key, $0) } } else { set(key, nil) }
        }
    }

    /// The number of a key's place, or nil where the overlay knows nothing of it.
    func place(of key: UnsafeRawBufferPointer) -> Int? {
        if table.isEmpty { return nil }
        let found = table[find(key, Overlay.hash(key))].place
        return found < 0 ? nil : Int(found)
    }

    /// Lends a place's key and value, nil for a deletion.
    @inline(__always)
    func withPlace<R>(_ place: Int, _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer?) -> R) -> R {
        let found = places[place]
        return withKey(found) { key in
            if found.count < 0 { return body(key, nil) }
            return rows[Int(found.row)].withUnsafeBytes { bytes in
                let start = Int(found.value)
                return body(key, UnsafeRawBufferPointer(rebasing: bytes[start..<start + Int(found.count)]))
            }
        }
    }

    @inline(__always)
    private func withKey<R>(_ found: Place, _ body: (UnsafeRawBufferPointer) -> R) -> R {
        rows[Int(found.keyRow)].withUnsafeBytes { bytes in
            let start = Int(found.key)
            return body(UnsafeRawBufferPointer(rebasing: bytes[start..<start + Int(found.keyCount)]))
        }
    }

    func key(_ place: Int) -> [UInt8] { withPlace(place) { key, _ in Array(key) } }

    /// What is under a key: nil where the overlay knows nothing of it.
    func value(of key: [UInt8]) -> [UInt8]?? {
        guard let place = key.withUnsafeBytes({ place(of: $0) }) else { return nil }
        return .some(value(place))
    }

    func value(_ place: Int) -> [UInt8]? { withPlace(place) { _, value in value.map { Array($0) } } }

    // MARK: Order

    /// Puts everything in order, for `forEach`.
    mutating func order() {
        for group in groups.indices where !isSorted[group] {
            groups[group] = sorted(groups[group])
            isSorted[group] = true
        }
    }

    /// Hands over all keys and values in byte order, as long as `body` answers zero. What it answered last is answered. `order` comes first.
    func forEach(_ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer?) -> Int32) -> Int32 {
        for group in groups.indices {
            precondition(isSorted[group], "what is not in order cannot be walked in order")
            for place in groups[group] {
                let status = withPlace(Int(place), body)
                if status != 0 { return status }
            }
        }
        return 0
    }

    /// Places in byte order, among them all whose keys begin so.
    mutating func ordered(_ prefix: [UInt8]) -> [Int32] {
        guard let first = prefix.first else {
            order()
            return groups.flatMap(\.self)
        }
        let group = Int(first)
        if !isSorted[group] {
            groups[group] = sorted(groups[group])
            isSorted[group] = true
        }
        return groups[group]
    }

    /// Eight bytes of a key decide nearly always, so they are compared as a number, and the rest only where these are alike.
    private func sorted(_ group: [Int32]) -> [Int32] {
        var heads = group.map { place in
            var head: UInt64 = 0
            withKey(places[Int(place)]) { key in
                withUnsafeMutableBytes(of: &head) { $0.copyBytes(from: key.dropFirst().prefix(8)) }
            }
            return (head: UInt64(bigEndian: head), place: place)
        }
        heads.sort { x, y in
            if x.head != y.head { return x.head < y.head }
            return withKey(places[Int(x.place)]) { x in
                withKey(places[Int(y.place)]) { y in Overlay.precedes(x, y) }
            }
        }
        return heads.map(\.place)
    }

    static func precedes(_ x: UnsafeRawBufferPointer, _ y: UnsafeRawBufferPointer) -> Bool {
        let count = min(x.count, y.count)
        guard count > 0, let start = x.baseAddress, let other = y.baseAddress else { return x.count < y.count }
        let order = memcmp(start, other, count)
        return order != 0 ? order < 0 : x.count < y.count
    }

    /// How many of ordered places lie before `bound` (or at it, where `excluding`).
    func position(in ordered: [Int32], of bound: [UInt8], excluding: Bool) -> Int {
        bound.withUnsafeBytes { bound in
            var low = 0
            var high = ordered.count
            while low < high {
                let middle = (low + high) / 2
                let isBefore = withPlace(Int(ordered[middle])) { key, _ in
                    excluding ? !Overlay.precedes(bound, key) : Overlay.precedes(key, bound)
                }
                if isBefore { low = middle + 1 } else { high = middle }
            }
            return low
        }
    }

    // MARK: The hash table

    /// Drawn anew in each process: nobody can choose keys that meet in one place.
    private static let seeds: (first: UInt64, second: UInt64) = {
        var generator = SystemRandomNumberGenerator()
        return (generator.next(), generator.next() | 1)
    }()

    /// Keys are short and nobody sees their hashes, so eight bytes at a time are mixed by one multiplication with what nobody knows.
    private static func hash(_ key: UnsafeRawBufferPointer) -> UInt32 {
        let (first, second) = seeds
        var state = first ^ UInt64(key.count)
        func mix(_ word: UInt64) {
            let product = (state ^ word).multipliedFullWidth(by: second)
            state = product.high ^ product.low ^ first
        }
        var offset = 0
        while offset + 8 <= key.count {
            mix(key.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            offset += 8
        }
        var rest: UInt64 = 0
        while offset < key.count {
            rest = rest << 8 | UInt64(key[offset])
            offset += 1
        }
        mix(rest)
        return UInt32(truncatingIfNeeded: state >> 32) ^ UInt32(truncatingIfNeeded: state)
    }

    /// Where a key's place is noted, or would be.
    private func find(_ key: UnsafeRawBufferPointer, _ hash: UInt32) -> Int {
        let mask = table.count - 1
        var slot = Int(hash) & mask
        while table[slot].place >= 0 {
            if table[slot].hash == hash {
                let found = places[Int(table[slot].place)]
                if Int(found.keyCount) == key.count, withKey(found, { Overlay.isEqual($0, key) }) { return slot }
            }
            slot = (slot + 1) & mask
        }
        return slot
    }

    private static func isEqual(_ x: UnsafeRawBufferPointer, _ y: UnsafeRawBufferPointer) -> Bool {
        guard let start = x.baseAddress, let other = y.baseAddress else { return x.count == y.count }
        return memcmp(start, other, x.count) == 0
    }

    private mutating func grow() {
        table = [(hash: UInt32, place: Int32)](repeating: (0, -1), count: max(64, 2 * table.count))
        let mask = table.count - 1
        for (index, place) in places.enumerated() {
            var slot = Int(place.hash) & mask
            while table[slot].place >= 0 { slot = (slot + 1) & mask }
            table[slot] = (place.hash, Int32(index))
        }
    }
}
