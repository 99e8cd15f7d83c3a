internal import CLMDB
public import Primitives
internal import Synchronization

/// The state as it was after one height, in one read transaction: later commits do not disturb it.
///
/// While it lives the database keeps the pages it reads, so it should not live for hours. Where the database must grow meanwhile the
/// view ends, and reading it throws: whoever reads it tries again with the next one.
public final class StateView: Sendable {
    public let height: Height
    private let tables: [MDB_dbi]
    private let content: Mutex<Content>

    /// Used by one thread at a time, under the mutex.
    private struct Content: @unchecked Sendable {
        var transaction: OpaquePointer?
        /// Kept open as long as the transaction is.
        let environment: Environment
    }

    init(_ transaction: OpaquePointer, tables: [MDB_dbi], of environment: Environment, height: Height) {
        self.height = height
        self.tables = tables
        content = Mutex(Content(transaction: transaction, environment: environment))
    }

    deinit { end() }

    /// Lets go of everything.
    public func end() {
        content.withLock { content in
            if let transaction = content.transaction { mdb_txn_abort(transaction) }
            content.transaction = nil
        }
    }

    /// Entries read under one hold of the lock, so that a growing database never waits long.
    private static let slice = 1_024

    /// Hands over every entry of the state, in key order.
    public func walkState(_ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws -> Void) throws {
        var start: [UInt8] = []
        while true {
            var next: [UInt8]?
            var thrown: (any Error)?
            try content.withLock { content throws(StorageFault) in
                let path = content.environment.path
                guard let transaction = content.transaction else {
                    throw .database(
                        operation: "read", path: path, reason: "it had to grow while this view of it was read")
                }
                var cursor: OpaquePointer?
                try Environment.check(
                    mdb_cursor_open(transaction, tables[Table.state.rawValue], &cursor), "read", path)
                defer { mdb_cursor_close(cursor) }
                var left = StateView.slice
                let status = Environment.walk(cursor, from: start) { key, value in
                    if left == 0 {
                        next = Array(key)
                        return false
                    }
                    left -= 1
                    do { try body(key, value) } catch {
                        thrown = error
                        return false
                    }
                    return true
                }
                try Environment.check(status, "read", path)
            }
            if let thrown { throw thrown }
            guard let next else { return }
            start = next
        }
    }
}
