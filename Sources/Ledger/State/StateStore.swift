public import Primitives

/// The two key spaces: typed objects, and the nodes of the tree that authenticates them.
public enum StateSpace: UInt8, Sendable, Hashable, CaseIterable {
    case state = 0
    case tree = 1
}

/// Why a store could not answer.
public enum StateFault: Error, Equatable, Sendable, CustomStringConvertible {
    /// The device or the database refused.
    case unavailable(String)
    /// What was read is not what was written.
    case corrupt(String)
    /// A commit that does not follow the last one.
    case wrongHeight(expected: Height, found: Height)

    public var description: String {
        switch self {
        case .unavailable(let what): "the state cannot be reached: \(what)"
        case .corrupt(let what): "the state is damaged: \(what)"
        case .wrongHeight(let expected, let found): "the state expects height \(expected), found \(found)"
        }
    }
}

/// What one block changes, each key once: the state's in key order, the tree's in an order that depends on nothing else. A nil value deletes.
///
/// Keys and values lie one behind the other in rows of bytes: a block has tens of thousands, and an array for each would cost more than the rest.
public struct StateWrites: Sendable {
    public struct Entry: Sendable, Equatable {
        public let space: StateSpace
        public let key: [UInt8]
        public let value: [UInt8]?

        public init(space: StateSpace, key: [UInt8], value: [UInt8]?) {
            self.space = space
            self.key = key
            self.value = value
        }
    }

    private struct Place: Sendable {
        let space: StateSpace
        let isDeletion: Bool
        let row: Int32
        let start: Int
        let middle: Int
        let end: Int
    }

    /// A row that has so many bytes is full: one row of all would be copied whenever it grows.
    private static let rowBytes = 256 << 10

    private var rows: [ByteWriter] = []
    private var places: [Place] = []

    public init(_ entries: [Entry] = []) {
        for entry in entries { set(entry.space, entry.key, entry.value) }
    }

    public var count: Int { places.count }

    public mutating func set(_ space: StateSpace, _ key: [UInt8], _ value: [UInt8]?) {
        set(space, key: { $0.write(raw: key) }, value: value.map { value in { $0.write(raw: value) } })
    }

    /// The same, with a key and a value that are written where they shall lie.
    @inline(__always)
    mutating func set(_ space: StateSpace, key: (inout ByteWriter) -> Void, value: ((inout ByteWriter) -> Void)?) {
        let row = openRow()
        let start = rows[row].count
        key(&rows[row])
        let middle = rows[row].count
        value?(&rows[row])
        places.append(
            Place(
                space: space, isDeletion: value == nil, row: Int32(row), start: start, middle: middle,
                end: rows[row].count))
    }

    /// The row for what comes next.
    @inline(__always)
    private mutating func openRow() -> Int {
        if (rows.last?.count ?? StateWrites.rowBytes) >= StateWrites.rowBytes {
            rows.append(ByteWriter(capacity: rows.isEmpty ? 1_024 : StateWrites.rowBytes + 4_096))
        }
        return rows.count - 1
    }

    /// Sets a tree record as a store has it, to be changed where it lies then, or taken back by `removeLast`. Answers its place; nil where the store has none.
    mutating func set(_ key: TreeKey, from store: any StateStore) throws(StateFault) -> Int? {
        let row = openRow()
        let start = rows[row].count
        key.withUnsafeBytes { rows[row].write(raw: $0) }
        let middle = rows[row].count
        let isThere: Bool
        do throws(StateFault) { isThere = try store.copy(key, to: &rows[row]) } catch {
            rows[row].cut(to: start)
            throw error
        }
        if !isThere {
            rows[row].cut(to: start)
            return nil
        }
        places.append(
            Place(
                space: .tree, isDeletion: false, row: Int32(row), start: start, middle: middle, end: rows[row].count))
        return places.count - 1
    }

    /// Takes back what was set last.
    mutating func removeLast() {
        let place = places.removeLast()
        rows[Int(place.row)].cut(to: place.start)
    }

    /// Lends the value at a place.
    @inline(__always)
    func withValue<R>(_ place: Int, _ body: (UnsafeRawBufferPointer) -> R) -> R {
        let found = places[place]
        return rows[Int(found.row)].bytes.withUnsafeBytes {
            body(UnsafeRawBufferPointer(rebasing: $0[found.middle..<found.end]))
        }
    }

    /// Changes the value at a place where it lies.
    @inline(__always)
    mutating func changeValue(_ place: Int, _ body: (UnsafeMutableRawBufferPointer) -> Void) {
        let found = places[place]
        rows[Int(found.row)].change(found.middle..<found.end, body)
    }

    /// Everything as arrays.
    public var entries: [Entry] {
        var entries: [Entry] = []
        forEach { entries.append(Entry(space: $0, key: Array($1), value: $2.map { Array($0) })) }
        return entries
    }

    /// Hands over each space, key and value, in order. The memory may not be kept.
    public func forEach<E: Error>(
        _ body: (StateSpace, UnsafeRawBufferPointer, UnsafeRawBufferPointer?) throws(E) -> Void
    ) throws(E) {
        for place in places {
            try rows[Int(place.row)].bytes.withUnsafeBufferPointer { buffer throws(E) in
                let bytes = UnsafeRawBufferPointer(buffer)
                try body(
                    place.space, UnsafeRawBufferPointer(rebasing: bytes[place.start..<place.middle]),
                    place.isDeletion ? nil : UnsafeRawBufferPointer(rebasing: bytes[place.middle..<place.end]))
            }
        }
    }
}

/// An ordered key-value store with two spaces: LMDB in a node, memory in tests.
public protocol StateStore: AnyObject {
    /// The value under a key, or nil.
    func value(_ space: StateSpace, _ key: [UInt8]) throws(StateFault) -> [UInt8]?
    /// Writes down a tree record; false where there is none. The same as `value` without an array between.
    func copy(_ key: TreeKey, to writer: inout ByteWriter) throws(StateFault) -> Bool
    /// What is under each of many keys of one length that lie one behind the other; quickest where they ascend.
    func values(_ space: StateSpace, keys: [UInt8], each length: Int) throws(StateFault) -> StateValues
    /// Up to `limit` entries whose keys start with `prefix`, in byte order, those at or before `after` left out.
    func scan(_ space: StateSpace, prefix: [UInt8], after: [UInt8]?, limit: Int) throws(StateFault)
        -> [(key: [UInt8], value: [UInt8])]
    /// Applies all writes or none, and moves to `height`.
    func commit(_ writes: StateWrites, height: Height) throws(StateFault)
    /// The height of the last commit; nil before the genesis is written.
    var height: Height? { get throws(StateFault) }
}

extension StateStore {
    public func copy(_ key: TreeKey, to writer: inout ByteWriter) throws(StateFault) -> Bool {
        guard let value = try value(.tree, key.withUnsafeBytes { Array($0) }) else { return false }
        writer.write(raw: value)
        return true
    }

    public func values(_ space: StateSpace, keys: [UInt8], each length: Int) throws(StateFault) -> StateValues {
        var values = StateValues()
        for start in stride(from: 0, to: keys.count, by: length) {
            let value = try value(space, Array(keys[start..<start + length]))
            if let value { value.withUnsafeBytes { values.append($0) } } else { values.append(nil) }
        }
        return values
    }
}

/// Many values, or that there is none, one behind the other in one row of bytes.
public struct StateValues: Sendable {
    private var bytes: [UInt8] = []
    private var ends: [(isThere: Bool, end: Int)] = []

    public init() {}

    public var count: Int { ends.count }

    public mutating func append(_ value: UnsafeRawBufferPointer?) {
        if let value { bytes.append(contentsOf: value) }
        ends.append((value != nil, bytes.count))
    }

    /// Hands over each value, nil where there is none. The memory may not be kept.
    public func forEach(_ body: (Int, UnsafeRawBufferPointer?) -> Void) {
        bytes.withUnsafeBytes { bytes in
            var start = 0
            for (index, place) in ends.enumerated() {
                body(index, place.isThere ? UnsafeRawBufferPointer(rebasing: bytes[start..<place.end]) : nil)
                start = place.end
            }
        }
    }
}

/// A store in memory: sorted keys beside a dictionary. For tests, simulation and light checks.
public final class MemoryStateStore: StateStore {
    private var values: [StateSpace: [[UInt8]: [UInt8]]] = [.state: [:], .tree: [:]]
    private var sorted: [StateSpace: [[UInt8]]] = [.state: [], .tree: []]
    private var unsorted: Set<StateSpace> = []
    private var committed: Height?

    public init() {}

    public var height: Height? { committed }

    public func value(_ space: StateSpace, _ key: [UInt8]) throws(StateFault) -> [UInt8]? { values[space]?[key] }

    public func scan(_ space: StateSpace, prefix: [UInt8], after: [UInt8]?, limit: Int) throws(StateFault)
        -> [(key: [UInt8], value: [UInt8])]
    {
        if unsorted.remove(space) != nil {
            sorted[space] = values[space, default: [:]].keys.sorted { $0.lexicographicallyPrecedes($1) }
        }
        guard let keys = sorted[space], let table = values[space], limit > 0 else { return [] }
        var low = 0
        var high = keys.count
        while low < high {
            let middle = (low + high) / 2
            let isBefore: Bool
            if let after, !after.lexicographicallyPrecedes(prefix) {
                isBefore = !after.lexicographicallyPrecedes(keys[middle])
            } else {
                isBefore = keys[middle].lexicographicallyPrecedes(prefix)
            }
            if isBefore { low = middle + 1 } else { high = middle }
        }
        var found: [(key: [UInt8], value: [UInt8])] = []
        while low < keys.count, found.count < limit, keys[low].starts(with: prefix) {
            if let value = table[keys[low]] { found.append((keys[low], value)) }
            low += 1
        }
        return found
    }

    public func commit(_ writes: StateWrites, height: Height) throws(StateFault) {
        if let committed, height != committed.next() {
            throw .wrongHeight(expected: committed.next(), found: height)
        }
        for entry in writes.entries {
            let isNew = values[entry.space]?[entry.key] == nil
            if isNew != (entry.value == nil) { unsorted.insert(entry.space) }
            values[entry.space]?[entry.key] = entry.value
        }
        committed = height
    }

    /// Everything in one space, in key order.
    public func all(_ space: StateSpace) -> [(key: [UInt8], value: [UInt8])] {
        values[space, default: [:]].sorted { $0.key.lexicographicallyPrecedes($1.key) }
            .map { (key: $0.key, value: $0.value) }
    }
}
