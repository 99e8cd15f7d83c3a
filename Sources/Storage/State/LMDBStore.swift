public import Ledger
public import Primitives
internal import Synchronization

/// State, tree and indices in one LMDB environment.
///
/// Commits go to an overlay in memory, and every `blocksPerFlush` blocks the overlay goes to LMDB in one synced
/// transaction with its height. After a crash the store is at the height of its last flush, and the blocks behind it, which
/// are in the `BlockStore`, are executed again. So executing never waits for the disk.
///
/// The flush stands at the beginning of the commit after, so that index entries put between two commits go with the block
/// they belong to.
public final class LMDBStore: StateStore, Sendable {
    public let path: String
    private let blocksPerFlush: Int
    private let keeps: @Sendable (StateWrites) -> Bool
    private let content: Mutex<Content>

    private struct Content: ~Copyable {
        let environment: Environment
        var overlays: [Overlay] = [Overlay(), Overlay(), Overlay()]
        var height: Height?
        var flushed: Height?
        var pendingBlocks = 0
        /// The overlays as they were after a height that is kept, until the next flush.
        var kept: (overlays: [Overlay], height: Height)?
        var view: StateView?
    }

    private static let heightKey = Array("height".utf8)

    /// Opens the environment in a directory, making it where it is not there yet.
    ///
    /// - Parameter initialMapBytes: the map's size to begin with; it doubles when full.
    /// - Parameter keeps: whether the state after these writes is kept for `takeView`.
    public init(
        directory: String, blocksPerFlush: Int = 8, initialMapBytes: Int = 256 << 20,
        keeps: @escaping @Sendable (StateWrites) -> Bool = { _ in false }
    ) throws(StorageFault) {
        try File.makeDirectory(directory)
        let environment = try Environment(directory, mapBytes: initialMapBytes)
        var height: Height?
        if let bytes = try environment.get(.meta, LMDBStore.heightKey) {
            do throws(DecodingFault) { height = try Height(canonicalBytes: bytes) } catch {
                throw .corrupt(path: directory, offset: 0, reason: "its height: \(error)")
            }
        }
        path = directory
        self.blocksPerFlush = max(1, blocksPerFlush)
        self.keeps = keeps
        content = Mutex(Content(environment: environment, height: height, flushed: height))
    }

    // MARK: StateStore

    public var height: Height? { content.withLock { $0.height } }

    /// The height that is on disk: where a restart begins.
    public var flushedHeight: Height? { content.withLock { $0.flushed } }

    public func value(_ space: StateSpace, _ key: [UInt8]) throws(StateFault) -> [UInt8]? {
        do throws(StorageFault) { return try read(LMDBStore.table(space), key) } catch {
            throw LMDBStore.fault(error)
        }
    }

    public func copy(_ key: TreeKey, to writer: inout ByteWriter) throws(StateFault) -> Bool {
        do throws(StorageFault) {
            return try content.withLock { content throws(StorageFault) in
                try key.withUnsafeBytes { key throws(StorageFault) in
                    guard let place = content.overlays[Table.tree.rawValue].place(of: key) else {
                        return try content.environment.copy(.tree, key, to: &writer)
                    }
                    return content.overlays[Table.tree.rawValue].withPlace(place) { _, value in
                        if let value { writer.write(raw: value) }
                        return value != nil
                    }
                }
            }
        } catch { throw LMDBStore.fault(error) }
    }

    public func values(_ space: StateSpace, keys: [UInt8], each length: Int) throws(StateFault) -> StateValues {
        let table = LMDBStore.table(space)
        do throws(StorageFault) {
            return try content.withLock { content throws(StorageFault) in
                let overlay = content.overlays[table.rawValue]
                let cursor = try content.environment.reader(of: table)
                defer { cursor.close() }
                var values = StateValues()
                for start in stride(from: 0, to: keys.count, by: length) {
                    try keys[start..<start + length].withUnsafeBufferPointer { key throws(StorageFault) in
                        let key = UnsafeRawBufferPointer(key)
                        if let place = overlay.place(of: key) {
                            overlay.withPlace(place) { values.append($1) }
                        } else {
                            try cursor.find(key) { values.append($0) }
                        }
                    }
                }
                return values
            }
        } catch { throw LMDBStore.fault(error) }
    }

    public func scan(_ space: StateSpace, prefix: [UInt8], after: [UInt8]?, limit: Int) throws(StateFault)
        -> [(key: [UInt8], value: [UInt8])]
    {
        do throws(StorageFault) {
            return try scan(LMDBStore.table(space), prefix: prefix, after: after, limit: limit)
        } catch { throw LMDBStore.fault(error) }
    }

    public func commit(_ writes: StateWrites, height: Height) throws(StateFault) {
        try LMDBStore.check(writes)
        try content.withLock { content throws(StateFault) in
            if let last = content.height, height != last.next() {
                throw .wrongHeight(expected: last.next(), found: height)
            }
            if content.pendingBlocks >= blocksPerFlush {
                do throws(StorageFault) { try LMDBStore.flush(&content) } catch { throw LMDBStore.fault(error) }
            }
            writes.forEach { content.overlays[LMDBStore.table($0).rawValue].set($1, $2) }
            let isFirst = content.height == nil
            content.height = height
            content.pendingBlocks += 1
            // The first commit is the genesis, which everybody has. Of two within one flush the newer counts.
            if !isFirst && keeps(writes) { content.kept = (content.overlays, height) }
        }
    }

    /// Whether the next flush makes a view.
    public var keepsView: Bool { content.withLock { $0.kept != nil } }

    /// The state after the newest kept height, once it is flushed; nil where there is none, or it was taken.
    public func takeView() -> StateView? {
        content.withLock { content in
            defer { content.view = nil }
            return content.view
        }
    }

    /// Puts entries into a store that is being built and has no height yet: what is there counts once `commit` gives it one.
    public func build(_ writes: StateWrites) throws(StorageFault) {
        try content.withLock { content throws(StorageFault) in
            precondition(content.height == nil, "only a store without a height is built")
            do throws(StateFault) { try LMDBStore.check(writes) } catch {
                throw .database(operation: "write", path: path, reason: error.description)
            }
            writes.forEach { content.overlays[LMDBStore.table($0).rawValue].set($1, $2) }
            try LMDBStore.flush(&content)
        }
    }

    // MARK: Indices

    /// Puts entries into the index (transaction id to its place, and what else a node looks up). Durable with the next
    /// flush; what is not is put again when its block is executed again.
    public func put(index entries: [(key: [UInt8], value: [UInt8])]) throws(StorageFault) {
        for entry in entries where entry.key.isEmpty || entry.key.count > StorageLimits.stateKeyBytes {
            throw .tooLarge(
                what: "an index key", found: UInt64(entry.key.count), limit: UInt64(StorageLimits.stateKeyBytes))
        }
        content.withLock { content in
            for entry in entries { content.overlays[Table.index.rawValue].set(entry.key, entry.value) }
        }
    }

    /// Takes entries out of the index, durably at once: they may be very many, and none of them is newer than the last flush.
    public func remove(index keys: [[UInt8]]) throws(StorageFault) {
        var gone = Overlay()
        for key in keys { gone.set(key, nil) }
        try content.withLock { content throws(StorageFault) in
            for key in keys where content.overlays[Table.index.rawValue].value(of: key) != nil {
                content.overlays[Table.index.rawValue].set(key, nil)
            }
            gone.order()
            try content.environment.write([(.index, gone)], note: nil)
        }
    }

    /// What the index has under a key.
    public func index(_ key: [UInt8]) throws(StorageFault) -> [UInt8]? { try read(.index, key) }

    /// Up to `limit` index entries whose keys start with `prefix`, in byte order, those at or before `after` left out.
    public func scanIndex(prefix: [UInt8], after: [UInt8]? = nil, limit: Int) throws(StorageFault)
        -> [(key: [UInt8], value: [UInt8])]
    {
        try scan(.index, prefix: prefix, after: after, limit: limit)
    }

    /// Writes the overlay to the disk and returns once it is durable. Called when a node stops.
    public func flush() throws(StorageFault) {
        try content.withLock { content throws(StorageFault) in try LMDBStore.flush(&content) }
    }

    // MARK: Inside

    private static func flush(_ content: inout Content) throws(StorageFault) {
        if var kept = content.kept {
            content.kept = nil
            // The state after that very height is on the disk for a moment: long enough to begin reading it.
            try write(&kept.overlays, height: kept.height, to: content.environment)
            content.flushed = kept.height
            content.view = try content.environment.view(at: kept.height)
        }
        if content.height == content.flushed && content.overlays.allSatisfy(\.isEmpty) { return }
        try write(&content.overlays, height: content.height, to: content.environment)
        for i in content.overlays.indices { content.overlays[i].removeAll() }
        content.flushed = content.height
        content.pendingBlocks = 0
    }

    private static func write(
        _ overlays: inout [Overlay], height: Height?, to environment: Environment
    ) throws(StorageFault) {
        for index in overlays.indices { overlays[index].order() }
        try environment.write(
            [Table.state, .tree, .index].map { ($0, overlays[$0.rawValue]) },
            note: height.map { (heightKey, $0.canonicalBytes) })
    }

    private static func check(_ writes: StateWrites) throws(StateFault) {
        try writes.forEach { _, key, _ throws(StateFault) in
            if key.isEmpty || key.count > StorageLimits.stateKeyBytes {
                throw .unavailable("a key of \(key.count) bytes, 1 to \(StorageLimits.stateKeyBytes) are taken")
            }
        }
    }

    private func read(_ table: Table, _ key: [UInt8]) throws(StorageFault) -> [UInt8]? {
        if key.isEmpty || key.count > StorageLimits.stateKeyBytes { return nil }
        return try content.withLock { content throws(StorageFault) in
            if let known = content.overlays[table.rawValue].value(of: key) { return known }
            return try content.environment.get(table, key)
        }
    }

    private func scan(
        _ table: Table, prefix: [UInt8], after: [UInt8]?, limit: Int
    ) throws(StorageFault) -> [(key: [UInt8], value: [UInt8])] {
        if limit <= 0 { return [] }
        var bound = prefix
        var excluding = false
        if let after, !after.lexicographicallyPrecedes(prefix) {
            bound = after
            excluding = true
        }
        if bound.count > StorageLimits.stateKeyBytes {
            // No key is that long; the first key behind such a bound is the first behind what a key may have of it.
            bound.removeLast(bound.count - StorageLimits.stateKeyBytes)
            excluding = true
        }
        return try content.withLock { content throws(StorageFault) in
            let ordered = content.overlays[table.rawValue].ordered(prefix)
            let overlay = content.overlays[table.rawValue]
            var next = overlay.position(in: ordered, of: bound, excluding: excluding)
            var found: [(key: [UInt8], value: [UInt8])] = []

            /// Takes overlay entries up to `key` (all that match, where nil); answers whether the overlay has `key` itself.
            func takeOverlay(upTo key: [UInt8]?) -> Bool {
                while next < ordered.count, found.count < limit {
                    let place = Int(ordered[next])
                    let candidate = overlay.key(place)
                    if !candidate.starts(with: prefix) { return false }
                    if let key, key.lexicographicallyPrecedes(candidate) { return false }
                    next += 1
                    if let value = overlay.value(place) { found.append((candidate, value)) }
                    if candidate == key { return true }
                }
                return false
            }

            try content.environment.walk(table, from: bound) { keyBytes, valueBytes in
                guard keyBytes.starts(with: prefix) else { return false }
                let key = Array(keyBytes)
                if excluding && key == bound { return true }
                if !takeOverlay(upTo: key) && found.count < limit { found.append((key, Array(valueBytes))) }
                return found.count < limit
            }
            _ = takeOverlay(upTo: nil)
            return found
        }
    }

    private static func table(_ space: StateSpace) -> Table {
        switch space {
        case .state: .state
        case .tree: .tree
        }
    }

    private static func fault(_ fault: StorageFault) -> StateFault {
        if case .corrupt = fault { return .corrupt(fault.description) }
        return .unavailable(fault.description)
    }
}
