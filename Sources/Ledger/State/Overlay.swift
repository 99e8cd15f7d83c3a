import Primitives

/// The state as one block sees it: the store below, this block's changes above, each undone where a transaction fails.
/// Accounts and totals are kept decoded, since every transaction touches them.
struct Overlay {
    let store: any StateStore
    private var accounts = AccountTable()
    private var values: [Key: Held] = [:]
    var totals: Totals
    var chain: ChainState
    let parameters: ChainParameters

    /// An array of bytes is hashed byte by byte; this is hashed as one.
    private struct Key: Hashable {
        let bytes: [UInt8]

        func hash(into hasher: inout Hasher) { bytes.withUnsafeBytes { hasher.combine(bytes: $0) } }
    }

    private typealias Held = (value: [UInt8]?, isDirty: Bool)

    /// The keys that were changed, in order, so that a scan looks at those under its prefix alone: a block of thousands of transactions, each of which scans, would
    /// else look at each change for each. A key whose change was undone stays here and is passed over.
    private var changes: [[UInt8]] = []

    private enum Undo {
        case account(Int, AccountTable.Held)
        case value(Key, Held)
    }
    private var undo: [Undo] = []
    private var saved: (Totals, ChainState)?

    init(_ store: any StateStore, parameters: ChainParameters) throws(LedgerFault) {
        self.store = store
        self.parameters = parameters
        guard let chain = try Query.read(ChainState.self, StateKey.chain, store),
            let totals = try Query.read(Totals.self, StateKey.totals, store)
        else { throw .noGenesis }
        self.chain = chain
        self.totals = totals
    }

    /// From here on `rollback` undoes.
    mutating func begin() {
        undo.removeAll(keepingCapacity: true)
        saved = (totals, chain)
    }

    mutating func rollback() {
        for step in undo.reversed() {
            switch step {
            case .account(let place, let held): accounts[place] = held
            case .value(let key, let held): values[key] = held
            }
        }
        undo.removeAll(keepingCapacity: true)
        if let saved { (totals, chain) = saved }
    }

    // MARK: Accounts

    /// Reads many accounts at once, so that each is found when it is asked for.
    mutating func load(_ addresses: [Address]) throws(LedgerFault) { try accounts.load(addresses, from: store) }

    mutating func account(_ address: Address) throws(LedgerFault) -> Account {
        accounts[try accounts.place(of: address, in: store)].value
    }

    mutating func set(_ account: Account, at address: Address) throws(LedgerFault) {
        let place = try accounts.place(of: address, in: store)
        undo.append(.account(place, accounts[place]))
        accounts[place].value = account
        accounts[place].isDirty = true
    }

    /// Changes an account where it lies.
    mutating func change(_ address: Address, _ body: (inout Account) throws -> Void) throws {
        let place = try accounts.place(of: address, in: store)
        let held = accounts[place]
        var value = held.value
        try body(&value)
        undo.append(.account(place, held))
        accounts[place].value = value
        accounts[place].isDirty = true
    }

    // MARK: Objects

    mutating func bytes(_ key: [UInt8]) throws(LedgerFault) -> [UInt8]? {
        if let held = values[Key(bytes: key)] { return held.value }
        let read = try read(key)
        values[Key(bytes: key)] = (read, false)
        return read
    }

    private func read(_ key: [UInt8]) throws(LedgerFault) -> [UInt8]? {
        do { return try store.value(.state, key) } catch { throw .state(error) }
    }

    mutating func object<T: CanonicalCodable>(_: T.Type, _ key: [UInt8]) throws(LedgerFault) -> T? {
        guard let bytes = try bytes(key) else { return nil }
        do { return try T(canonicalBytes: bytes) } catch { throw .corrupt("\(T.self): \(error)") }
    }

    mutating func set(bytes: [UInt8]?, _ key: [UInt8]) throws(LedgerFault) {
        let place = Key(bytes: key)
        if let index = values.index(forKey: place) {
            undo.append(.value(place, values.values[index]))
            if !values.values[index].isDirty { noteChange(of: key) }
            values.values[index] = (bytes, true)
        } else {
            undo.append(.value(place, (try read(key), false)))
            noteChange(of: key)
            values[place] = (bytes, true)
        }
    }

    private mutating func noteChange(of key: [UInt8]) {
        let place = position(of: key)
        // It may have been changed before, and that undone.
        if place < changes.count, changes[place] == key { return }
        changes.insert(key, at: place)
    }

    /// How many of the changed keys lie before this one.
    private func position(of key: [UInt8]) -> Int {
        var low = 0
        var high = changes.count
        while low < high {
            let middle = (low + high) / 2
            if changes[middle].lexicographicallyPrecedes(key) { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// The changes under a prefix, in key order.
    private func changed(under prefix: [UInt8]) -> [(key: [UInt8], value: [UInt8]?)] {
        changes[position(of: prefix)...].prefix { $0.starts(with: prefix) }.compactMap { key in
            guard let held = values[Key(bytes: key)], held.isDirty else { return nil }
            return (key, held.value)
        }
    }

    mutating func set<T: CanonicalCodable>(_ object: T, _ key: [UInt8]) throws(LedgerFault) {
        try set(bytes: object.canonicalBytes, key)
    }

    /// The entries under a prefix after a key, this block's changes in them, in key order.
    func scan(prefix: [UInt8], after: [UInt8]? = nil, limit: Int) throws(LedgerFault) -> [(
        key: [UInt8], value: [UInt8]
    )] {
        let changed = changed(under: prefix)
        let found: [(key: [UInt8], value: [UInt8])]
        do {
            found = try store.scan(.state, prefix: prefix, after: after, limit: limit + changed.count)
        } catch { throw .state(error) }
        if changed.isEmpty { return Array(found.prefix(limit)) }
        var merged: [(key: [UInt8], value: [UInt8])] = []
        var stored = found[...]
        for change in changed {
            if let after, !after.lexicographicallyPrecedes(change.key) { continue }
            while let next = stored.first, next.key.lexicographicallyPrecedes(change.key) {
                merged.append(next)
                stored.removeFirst()
            }
            if stored.first?.key == change.key { stored.removeFirst() }
            if let value = change.value { merged.append((change.key, value)) }
        }
        return Array((merged + stored).prefix(limit))
    }

    /// All changes of the block, in key order.
    mutating func finish() throws(LedgerFault) -> StateWrites {
        try set(totals, StateKey.totals)
        try set(chain, StateKey.chain)
        let changes = changed(under: [])
        let own = accounts.changes()
        var writes = StateWrites()
        var next = changes.startIndex
        while next < changes.endIndex, changes[next].key.lexicographicallyPrecedes(StateKey.accounts) {
            writes.set(.state, changes[next].key, changes[next].value)
            next += 1
        }
        for change in own {
            writes.set(
                .state, key: { StateKey.write(account: change.address, &$0) }, value: { $0.write(change.value) })
        }
        for change in changes[next...] { writes.set(.state, change.key, change.value) }
        return writes
    }
}
