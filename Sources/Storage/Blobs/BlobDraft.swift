internal import Glibc
internal import Synchronization

/// Bytes on their way to become a blob whose id is known only at their end: an upload, or an output being written.
///
/// Dropped without `BlobStore.finish`, it leaves nothing behind.
public final class BlobDraft: Sendable {
    let path: String
    let file: File
    private let store: BlobStore
    private let written = Mutex<UInt64>(0)

    init(path: String, store: BlobStore) throws(StorageFault) {
        self.path = path
        self.store = store
        file = try File(path, .createNew)
    }

    deinit {
        store.release(written.withLock { $0 })
        unlink(path)
    }

    /// How many bytes there are.
    public var length: UInt64 { written.withLock { $0 } }

    /// Appends bytes.
    ///
    /// - Throws: `quotaExceeded`, `diskFull`.
    public func append(_ bytes: [UInt8]) throws(StorageFault) {
        try store.reserve(UInt64(bytes.count))
        try written.withLock { written throws(StorageFault) in
            do throws(StorageFault) { try file.write(bytes, at: written) } catch {
                store.release(UInt64(bytes.count))
                throw error
            }
            written += UInt64(bytes.count)
        }
    }

    /// The bytes so far, to compute digests over.
    public func mapped() throws(StorageFault) -> MappedBlob { try MappedBlob(file, length: length) }
}
