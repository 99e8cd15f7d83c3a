internal import CLMDB
internal import Glibc
internal import Primitives

/// The named tables of a node's LMDB environment.
enum Table: Int, CaseIterable {
    case state, tree, index, meta

    var name: String {
        switch self {
        case .state: "state"
        case .tree: "tree"
        case .index: "index"
        case .meta: "meta"
        }
    }
}

/// One LMDB environment, used by one thread at a time (its owner holds a lock): so the map may grow whenever it is full.
final class Environment {
    let path: String
    private let environment: OpaquePointer
    private var tables: [MDB_dbi] = []
    /// A read transaction kept between reads; reset before every write, so that it holds no old pages.
    private var reader: OpaquePointer?
    private var readerIsLive = false
    /// Readers of another thread's, which end before the map grows: nothing may read while it moves.
    private var views: [WeakView] = []

    private struct WeakView { weak var view: StateView? }

    init(_ path: String, mapBytes: Int) throws(StorageFault) {
        self.path = path
        var made: OpaquePointer?
        try Environment.check(mdb_env_create(&made), "create", path)
        guard let made else { throw .database(operation: "create", path: path, reason: "no environment") }
        environment = made
        do throws(StorageFault) {
            try check(mdb_env_set_maxdbs(made, 8), "set up")
            try check(mdb_env_set_mapsize(made, mapBytes), "set up")
            try check(mdb_env_open(made, path, UInt32(MDB_NOTLS), 0o644), "open")
            var transaction: OpaquePointer?
            try check(mdb_txn_begin(made, nil, 0, &transaction), "begin a write")
            for table in Table.allCases {
                var handle: MDB_dbi = 0
                let status = mdb_dbi_open(transaction, table.name, UInt32(MDB_CREATE), &handle)
                if status != 0 { mdb_txn_abort(transaction) }
                try check(status, "open table \(table.name) of")
                tables.append(handle)
            }
            try check(mdb_txn_commit(transaction), "commit")
            try check(mdb_txn_begin(made, nil, UInt32(MDB_RDONLY), &reader), "begin a read")
            readerIsLive = true
        } catch {
            mdb_env_close(made)
            throw error
        }
    }

    deinit {
        if let reader { mdb_txn_abort(reader) }
        mdb_env_close(environment)
    }

    func get(_ table: Table, _ key: [UInt8]) throws(StorageFault) -> [UInt8]? {
        try renewReader()
        var found: [UInt8]?
        let status = Environment.withValue(key) { key in
            var value = MDB_val()
            let status = mdb_get(reader, tables[table.rawValue], &key, &value)
            if status == 0 { found = Array(UnsafeRawBufferPointer(start: value.mv_data, count: value.mv_size)) }
            return status
        }
        if status == MDB_NOTFOUND { return nil }
        try check(status, "read")
        return found
    }

    /// Writes down the value under a key; false where there is none.
    func copy(
        _ table: Table, _ key: UnsafeRawBufferPointer, to writer: inout ByteWriter
    ) throws(StorageFault) -> Bool {
        try renewReader()
        var key = Environment.value(key)
        var value = MDB_val()
        let status = mdb_get(reader, tables[table.rawValue], &key, &value)
        if status == MDB_NOTFOUND { return false }
        try check(status, "read")
        writer.write(raw: UnsafeRawBufferPointer(start: value.mv_data, count: value.mv_size))
        return true
    }

    /// Hands over entries from the first key at or behind `start`, in order, until `body` answers false.
    func walk(
        _ table: Table, from start: [UInt8], _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Bool
    ) throws(StorageFault) {
        try renewReader()
        var cursor: OpaquePointer?
        try check(mdb_cursor_open(reader, tables[table.rawValue], &cursor), "read")
        defer { mdb_cursor_close(cursor) }
        try check(Environment.walk(cursor, from: start, body), "read")
    }

    /// The same with a cursor; the status is zero where it went well.
    static func walk(
        _ cursor: OpaquePointer?, from start: [UInt8],
        _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Bool
    ) -> Int32 {
        let status = withValue(start) { bound in
            var key = bound
            var value = MDB_val()
            var status = mdb_cursor_get(cursor, &key, &value, start.isEmpty ? MDB_FIRST : MDB_SET_RANGE)
            while status == 0 {
                let more = body(
                    UnsafeRawBufferPointer(start: key.mv_data, count: key.mv_size),
                    UnsafeRawBufferPointer(start: value.mv_data, count: value.mv_size))
                if !more { break }
                status = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)
            }
            return status
        }
        return status == MDB_NOTFOUND ? 0 : status
    }

    /// A cursor of its caller's, to find many keys one after the other. It must be closed before anything else is done here.
    func reader(of table: Table) throws(StorageFault) -> ReadCursor {
        try renewReader()
        var cursor: OpaquePointer?
        try check(mdb_cursor_open(reader, tables[table.rawValue], &cursor), "read")
        guard let cursor else { throw .database(operation: "read", path: path, reason: "no cursor") }
        return ReadCursor(cursor: cursor, path: path)
    }

    /// Writes everything, each table's part in key order, in one synced transaction, all or nothing, growing the map as often as it is full.
    func write(
        _ overlays: [(table: Table, writes: Overlay)], note: (key: [UInt8], value: [UInt8])?
    ) throws(StorageFault) {
        if readerIsLive {
            mdb_txn_reset(reader)
            readerIsLive = false
        }
        while true {
            let status = attempt(overlays, note)
            if status != MDB_MAP_FULL { return try check(status, "write") }
            for held in views { held.view?.end() }
            views.removeAll()
            var information = MDB_envinfo()
            try check(mdb_env_info(environment, &information), "examine")
            try check(mdb_env_set_mapsize(environment, information.me_mapsize * 2), "grow")
        }
    }

    /// Everything as it is now, for another thread to read while this one goes on writing.
    func view(at height: Height) throws(StorageFault) -> StateView {
        var transaction: OpaquePointer?
        try check(mdb_txn_begin(environment, nil, UInt32(MDB_RDONLY), &transaction), "begin a read")
        guard let transaction else { throw .database(operation: "begin a read", path: path, reason: "no transaction") }
        let view = StateView(transaction, tables: tables, of: self, height: height)
        views.removeAll { $0.view == nil }
        views.append(WeakView(view: view))
        return view
    }

    private func attempt(
        _ overlays: [(table: Table, writes: Overlay)], _ note: (key: [UInt8], value: [UInt8])?
    ) -> Int32 {
        var transaction: OpaquePointer?
        var status = mdb_txn_begin(environment, nil, 0, &transaction)
        if status != 0 { return status }
        for (table, writes) in overlays where status == 0 { status = put(writes, table, transaction) }
        if let note, status == 0 {
            status = Environment.withValue(note.key) { key in
                Environment.withValue(note.value) { value in
                    mdb_put(transaction, tables[Table.meta.rawValue], &key, &value, 0)
                }
            }
        }
        if status == 0 { return mdb_txn_commit(transaction) }
        mdb_txn_abort(transaction)
        return status
    }

    /// With one cursor for all, which finds a key on the page of the one before without going down the tree again.
    private func put(_ writes: Overlay, _ table: Table, _ transaction: OpaquePointer?) -> Int32 {
        if writes.isEmpty { return 0 }
        var cursor: OpaquePointer?
        let status = mdb_cursor_open(transaction, tables[table.rawValue], &cursor)
        if status != 0 { return status }
        defer { mdb_cursor_close(cursor) }
        return writes.forEach { key, value in
            var key = Environment.value(key)
            guard let value else {
                var old = MDB_val()
                let status = mdb_cursor_get(cursor, &key, &old, MDB_SET)
                return status == 0 ? mdb_cursor_del(cursor, 0) : status == MDB_NOTFOUND ? 0 : status
            }
            var bytes = Environment.value(value)
            return mdb_cursor_put(cursor, &key, &bytes, 0)
        }
    }

    /// LMDB reads keys and values through this pointer and never writes.
    static func value(_ bytes: UnsafeRawBufferPointer) -> MDB_val {
        MDB_val(mv_size: bytes.count, mv_data: UnsafeMutableRawPointer(mutating: bytes.baseAddress))
    }

    private func renewReader() throws(StorageFault) {
        if readerIsLive { return }
        try check(mdb_txn_renew(reader), "read")
        readerIsLive = true
    }

    static func withValue(_ bytes: [UInt8], _ body: (inout MDB_val) -> Int32) -> Int32 {
        bytes.withUnsafeBytes { buffer in
            var value = value(buffer)
            return body(&value)
        }
    }

    private func check(_ status: Int32, _ operation: String) throws(StorageFault) {
        try Environment.check(status, operation, path)
    }

    static func check(_ status: Int32, _ operation: String, _ path: String) throws(StorageFault) {
        if status == 0 { return }
        if status == ENOSPC { throw .diskFull(path: path) }
        let reason = mdb_strerror(status).map { String(cString: $0) } ?? "error \(status)"
        throw .database(operation: operation, path: path, reason: reason)
    }
}

/// Finds keys, quickest in ascending order.
struct ReadCursor {
    fileprivate let cursor: OpaquePointer
    fileprivate let path: String

    /// Lends the value under a key, nil where there is none.
    func find(_ key: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer?) -> Void) throws(StorageFault) {
        var key = Environment.value(key)
        var value = MDB_val()
        let status = mdb_cursor_get(cursor, &key, &value, MDB_SET)
        if status == MDB_NOTFOUND { return body(nil) }
        try Environment.check(status, "read", path)
        body(UnsafeRawBufferPointer(start: value.mv_data, count: value.mv_size))
    }

    func close() { mdb_cursor_close(cursor) }
}
