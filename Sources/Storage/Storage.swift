/// What a node keeps on its disk, and nothing about what it means.
///
/// - `HomeLock`: one process a home.
/// - `Journal`: the consensus journal, one durable frame a step.
/// - `BlockStore`: block bodies and finalizations in segment files that are deleted whole.
/// - `BlobStore`: content-addressed data, fetched piece by piece, mapped to be read.
/// - `LMDBStore`: state, tree and indices, flushed every few blocks.
/// - `KeyStore`: secret keys under passwords.
///
/// Words: *durable* means that it survives loss of power; a *torn tail* is what an interrupted append leaves behind, and is
/// cut at the next start; *corruption* is damage to what was durable, and always stops with `StorageFault.corrupt`.
/// Everything here blocks its caller while the disk works, so shells call it off the event loops. All classes may be used
/// from any thread. Nothing here may be opened twice: take the `HomeLock` first.
public enum StorageLimits {
    /// The longest record a journal or segment file takes.
    public static let recordBytes = 64 << 20
    /// The longest key an LMDB state takes.
    public static let stateKeyBytes = 511
    /// The longest manifest of a blob.
    public static let manifestBytes = 16 << 20
}
