import Primitives

/// The state as one block sees it: the store below, this block's changes above, each undone where a transaction fails.
/// Accounts and totals are kept decoded, since every transaction touches them.
struct Overlay {
    let store: any StateStore
    private var accounts: [Address: (value: Account?, isDirty: Bool)] = [:]
    private var values: [[UInt8]: (value: [UInt8]?, isDirty: Bool)] = [:]
    var totals: Totals
    var chain: ChainState
    let parameters: ChainParameters

    private enum Undo {
        case account(Address, Account?, Bool)
        case value([UInt8], [UInt8]?, Bool)
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
            case .account(let address, let value, let isDirty): accounts[address] = (value, isDirty)
            case .value(let key, let value, let isDirty): values[key] = (value, isDirty)
            }
        }
        undo.removeAll(keepingCapacity: true)
        if let saved { (totals, chain) = saved }
    }

    // MARK: Accounts

    mutating func account(_ address: Address) throws(LedgerFault) -> Account {
        if let held = accounts[address] { return held.value ?? Account() }
        let read = try Query.read(Account.self, StateKey.account(address), store)
        accounts[address] = (read, false)
        return read ?? Account()
    }

    mutating func set(_ account: Account, at address: Address) {
        let old = accounts[address] ?? (nil, false)
        undo.append(.account(address, old.value, old.isDirty))
        accounts[address] = (account, true)
    }

    // MARK: Objects

    mutating func bytes(_ key: [UInt8]) throws(LedgerFault) -> [UInt8]? {
        if let held = values[key] { return held.value }
        let read: [UInt8]?
        do { read = try store.value(.state, key) } catch { throw .state(error) }
        values[key] = (read, false)
        return read
    }

    mutating func object<T: CanonicalCodable>(_: T.Type, _ key: [UInt8]) throws(LedgerFault) -> T? {
        guard let bytes = try bytes(key) else { return nil }
        do { return try T(canonicalBytes: bytes) } catch { throw .corrupt("\(T.self): \(error)") }
    }

    mutating func set(bytes: [UInt8]?, _ key: [UInt8]) throws(LedgerFault) {
        if values[key] == nil { _ = try self.bytes(key) }
        let old = values[key] ?? (nil, false)
        undo.append(.value(key, old.value, old.isDirty))
        values[key] = (bytes, true)
    }

    mutating func set<T: CanonicalCodable>(_ object: T, _ key: [UInt8]) throws(LedgerFault) {
        try set(bytes: object.canonicalBytes, key)
    }

    /// The entries under a prefix after a key, this block's changes in them, in key order.
    func scan(prefix: [UInt8], after: [UInt8]? = nil, limit: Int) throws(LedgerFault) -> [(
        key: [UInt8], value: [UInt8]
    )] {
        let changed = values.filter { $0.value.isDirty && $0.key.starts(with: prefix) }
        var found: [(key: [UInt8], value: [UInt8])]
        do {
            found = try store.scan(.state, prefix: prefix, after: after, limit: limit + changed.count)
        } catch { throw .state(error) }
        if changed.isEmpty { return Array(found.prefix(limit)) }
        found.removeAll { changed[$0.key] != nil }
        for (key, held) in changed {
            guard let value = held.value else { continue }
            if let after, !after.lexicographicallyPrecedes(key) { continue }
            found.append((key, value))
        }
        // Keys are distinct, so the order does not depend on how the dictionary was walked.
        found.sort { $0.key.lexicographicallyPrecedes($1.key) }
        return Array(found.prefix(limit))
    }

    /// All changes of the block, in key order.
    mutating func finish() throws(LedgerFault) -> [(key: [UInt8], value: [UInt8]?)] {
        try set(totals, StateKey.totals)
        try set(chain, StateKey.chain)
        var changes: [(key: [UInt8], value: [UInt8]?)] = []
        for (address, held) in accounts where held.isDirty {
            changes.append((StateKey.account(address), held.value.map { $0.canonicalBytes }))
        }
        for (key, held) in values where held.isDirty { changes.append((key, held.value)) }
        changes.sort { $0.key.lexicographicallyPrecedes($1.key) }
        return changes
    }
}
