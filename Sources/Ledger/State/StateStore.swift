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

/// What one block changes, in key order within each space. A nil value deletes.
public struct StateWrites: Sendable, Equatable {
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

    public var entries: [Entry]

    public init(_ entries: [Entry] = []) { self.entries = entries }

    public mutating func set(_ space: StateSpace, _ key: [UInt8], _ value: [UInt8]?) {
        entries.append(Entry(space: space, key: key, value: value))
    }
}

/// An ordered key-value store with two spaces: LMDB in a node, memory in tests.
public protocol StateStore: AnyObject {
    /// The value under a key, or nil.
    func value(_ space: StateSpace, _ key: [UInt8]) throws(StateFault) -> [UInt8]?
    /// Up to `limit` entries whose keys start with `prefix`, in byte order, those at or before `after` left out.
    func scan(_ space: StateSpace, prefix: [UInt8], after: [UInt8]?, limit: Int) throws(StateFault)
        -> [(key: [UInt8], value: [UInt8])]
    /// Applies all writes or none, and moves to `height`.
    func commit(_ writes: StateWrites, height: Height) throws(StateFault)
    /// The height of the last commit; nil before the genesis is written.
    var height: Height? { get throws(StateFault) }
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
