/// The blocks between the last finalized one and the tips, by digest, with the last finalized header as their root.
///
/// Bounded: only blocks above the finalized height are held, at most `capacity` of them and `maximumBytes` in all; the lowest go first when a peer sends
/// more. Each entry keeps the bytes as they came, so what is stored and sent is what was hashed.
public import Ledger
public import Primitives

public struct BlockTree: Sendable {
    public struct Entry: Sendable {
        public let block: Block
        public let bytes: [UInt8]
        /// Whether our own checks passed.
        public var verified = false
        /// Whether the bytes were handed to the shell to keep.
        public var stored = false

        public var header: Header { block.header }
    }

    public static let capacity = 4_096
    public static let maximumBytes = 256 << 20

    private var entries: [Digest: Entry] = [:]
    private var totalBytes = 0
    public private(set) var finalizedDigest: Digest
    public private(set) var finalizedHeader: Header

    public init(finalized: Header) {
        finalizedHeader = finalized
        finalizedDigest = finalized.digest
    }

    public subscript(digest: Digest) -> Entry? { entries[digest] }

    public var count: Int { entries.count }

    /// Adds a block above the finalized height. Returns false for one that is known, too old, or too far ahead to be worth memory.
    public mutating func insert(_ block: Block, bytes: [UInt8]) -> Bool {
        let digest = block.header.digest
        if entries[digest] != nil || block.header.height <= finalizedHeader.height { return false }
        if block.header.height.value - finalizedHeader.height.value > UInt64(BlockTree.capacity) { return false }
        if entries.count >= BlockTree.capacity || totalBytes + bytes.count > BlockTree.maximumBytes { return false }
        entries[digest] = Entry(block: block, bytes: bytes)
        totalBytes += bytes.count
        return true
    }

    public mutating func markVerified(_ digest: Digest) { entries[digest]?.verified = true }

    public mutating func markStored(_ digest: Digest) { entries[digest]?.stored = true }

    /// The header of a digest: of a held block or the finalized one.
    public func header(_ digest: Digest) -> Header? {
        digest == finalizedDigest ? finalizedHeader : entries[digest]?.header
    }

    /// The blocks from just above the finalized one up to `digest`, in order of height, or the digest of the first one that is missing.
    public func path(to digest: Digest) -> Path {
        var blocks: [Entry] = []
        var current = digest
        while current != finalizedDigest {
            guard let entry = entries[current] else { return .missing(current) }
            blocks.append(entry)
            if entry.header.height.value <= finalizedHeader.height.value + 1, entry.header.parent != finalizedDigest {
                return .conflicting
            }
            current = entry.header.parent
        }
        return .complete(blocks.reversed())
    }

    public enum Path: Sendable {
        case complete([Entry])
        case missing(Digest)
        /// The block does not descend from the finalized one.
        case conflicting
    }

    /// Moves the root up by one block, forgetting what lost.
    public mutating func finalize(_ header: Header) {
        finalizedHeader = header
        finalizedDigest = header.digest
        // Order of removal does not matter: the result is a set.
        for (digest, entry) in entries where entry.header.height <= header.height {
            totalBytes -= entry.bytes.count
            entries[digest] = nil
        }
    }
}
