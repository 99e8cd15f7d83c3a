public import Primitives

/// Why storage could not do what it was asked.
public enum StorageFault: Error, Equatable, Sendable, CustomStringConvertible {
    /// Another process holds the home; its id where it could be read.
    case homeInUse(path: String, process: Int32?)
    /// The operating system refused; `code` is its `errno`.
    case system(operation: String, path: String, code: Int32)
    case diskFull(path: String)
    /// What was durable is damaged.
    case corrupt(path: String, offset: UInt64, reason: String)
    /// Two blocks were said to be final at one height.
    case conflictingFinalization(Height, Digest, Digest)
    case missing(path: String)
    case exists(path: String)
    /// A write failed half-way and could not be undone, so the file takes no more.
    case unusable(path: String)
    case tooLarge(what: String, found: UInt64, limit: UInt64)
    case database(operation: String, path: String, reason: String)
    case quotaExceeded(needed: UInt64, free: UInt64)
    case unknownBlob(Digest)
    case incompleteBlob(Digest, have: Int, of: Int)
    case badChunk(Digest, index: Int)
    /// A blob is already here with another length or manifest.
    case conflictingBlob(Digest)
    case blobPinned(Digest)
    case badKeyName(String)
    case keyMissing(name: String, path: String)
    case keyExists(name: String)
    case wrongPassword(name: String)
    case badKeyFile(path: String, reason: String)

    public var description: String {
        switch self {
        case .homeInUse(let path, let process?):
            "home \(path) is in use by process \(process); stop it or choose another --home"
        case .homeInUse(let path, nil):
            "home \(path) is in use by another process; stop it or choose another --home"
        case .system(let operation, let path, let code):
            "cannot \(operation) \(path): \(File.message(code))"
        case .diskFull(let path):
            "no space left on the disk of \(path); free some and start again: nothing acknowledged is lost"
        case .corrupt(let path, let offset, let reason):
            "\(path) is damaged at byte \(offset) (\(reason)); restore it from a backup or start from an empty home"
        case .conflictingFinalization(let height, let one, let other):
            "blocks \(one) and \(other) are both said to be final at height \(height.value): stop this node and report it"
        case .missing(let path): "\(path) does not exist"
        case .exists(let path): "\(path) exists already"
        case .unusable(let path): "an earlier write to \(path) failed; restart the node once the disk is well"
        case .tooLarge(let what, let found, let limit): "\(what) has \(found) bytes, at most \(limit) are taken"
        case .database(let operation, let path, let reason): "cannot \(operation) in database \(path): \(reason)"
        case .quotaExceeded(let needed, let free):
            "\(needed) bytes are needed and \(free) are free of the blob quota; raise it or delete blobs"
        case .unknownBlob(let id): "blob \(id) is not here"
        case .incompleteBlob(let id, let have, let count): "blob \(id) has \(have) of its \(count) chunks so far"
        case .badChunk(let id, let index): "chunk \(index) of blob \(id) is not what its manifest says"
        case .conflictingBlob(let id): "blob \(id) is here already with another length or manifest"
        case .blobPinned(let id): "blob \(id) is pinned; unpin it first"
        case .badKeyName(let name):
            "key name '\(name)' is not usable: take 1 to 64 letters, digits, '-' or '_'"
        case .keyMissing(let name, let path): "there is no key '\(name)' in \(path); make one with `plasma keys create`"
        case .keyExists(let name): "there is a key '\(name)' already; choose another name"
        case .wrongPassword(let name): "wrong password for key '\(name)'"
        case .badKeyFile(let path, let reason): "key file \(path) cannot be read (\(reason)); restore it from a backup"
        }
    }
}
