internal import Glibc
internal import Ledger
public import Primitives
internal import Synchronization

/// A whole snapshot on the disk.
public struct StoredSnapshot: Sendable, Hashable, CanonicalCodable {
    public let height: Height
    public let root: Digest
    public let depth: UInt8
    public let entryCount: UInt64
    /// Of all chunks.
    public let byteCount: UInt64

    public var chunkCount: Int { SnapshotChunk.count(depth: Int(depth)) }

    init(height: Height, root: Digest, depth: UInt8, entryCount: UInt64, byteCount: UInt64) {
        self.height = height
        self.root = root
        self.depth = depth
        self.entryCount = entryCount
        self.byteCount = byteCount
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        height = try reader.read(Height.self)
        root = try reader.read(Digest.self)
        depth = try reader.readUInt8()
        if Int(depth) > SnapshotChunk.maximumDepth {
            throw .tooLong(found: Int(depth), limit: SnapshotChunk.maximumDepth)
        }
        entryCount = try reader.readUInt64()
        byteCount = try reader.readUInt64()
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(height)
        writer.write(root)
        writer.write(depth)
        writer.write(entryCount)
        writer.write(byteCount)
    }
}

/// Why a snapshot was not made.
public enum SnapshotFault: Error, Sendable, CustomStringConvertible {
    case tooLarge(bytes: UInt64)
    case anotherRoot(expected: Digest, found: Digest)
    case stopped

    public var description: String {
        switch self {
        case .tooLarge(let bytes): "the state's \(bytes) bytes do not fit into the chunks of a snapshot"
        case .anotherRoot(let expected, let found):
            "the state's entries make the root \(found.hex.prefix(8)), its tree says \(expected.hex.prefix(8)): the state is damaged"
        case .stopped: "the node is stopping"
        }
    }
}

/// The snapshots that a node offers: a folder each, named by its height, with a file a chunk and one that says what they are.
///
/// A snapshot is written beside and renamed when it is whole. The two newest are kept, and an older one for as long as a
/// peer has asked for a chunk of it in the last ten minutes.
public final class SnapshotFolder: Sendable {
    public let path: String
    /// Bytes of entries that a chunk should have at most; a larger one is made where an entry is that large.
    private let chunkBytes: Int
    /// Bytes of entries held in memory. A larger state is walked as often as its size has these.
    private let memoryBytes: Int
    private let state: Mutex<State>

    private struct State {
        var whole: [UInt64: StoredSnapshot] = [:]
        /// When a chunk was last read, in seconds of a clock that only runs.
        var readAt: [UInt64: Int] = [:]
    }

    private static let kept = 2
    private static let readerSeconds = 600

    /// Opens the folder, making it where it is not there yet; what an interrupted export left is deleted.
    public init(path: String, chunkBytes: Int = 384 << 10, memoryBytes: Int = 64 << 20) throws(StorageFault) {
        self.path = path
        self.chunkBytes = chunkBytes
        self.memoryBytes = memoryBytes
        try File.makeDirectory(path)
        var whole: [UInt64: StoredSnapshot] = [:]
        for name in try File.names(in: path) {
            if let height = UInt64(name), let bytes = try? File.contents(path + "/" + name + "/about", limit: 256),
                let found = try? StoredSnapshot(canonicalBytes: bytes), found.height.value == height
            {
                whole[height] = found
            } else {
                try File.removeTree(path + "/" + name)
            }
        }
        state = Mutex(State(whole: whole))
    }

    /// What is offered, newest first.
    public var snapshots: [StoredSnapshot] {
        state.withLock { $0.whole.values.sorted { $0.height > $1.height } }
    }

    /// A chunk's canonical bytes; nil where they are not here.
    public func chunk(height: Height, index: Int) -> [UInt8]? {
        let known = state.withLock { state in
            guard let found = state.whole[height.value], index >= 0, index < found.chunkCount else { return false }
            state.readAt[height.value] = SnapshotFolder.seconds
            return true
        }
        if !known { return nil }
        return try? File.contents(
            SnapshotFolder.chunkPath(path + "/\(height.value)", index), limit: SnapshotChunk.maximumBytes)
    }

    /// Writes a state as a snapshot. Blocks its caller for as long as that takes; asks `isStopped` between entries' thousands.
    @discardableResult
    public func export(
        _ view: StateView, root: Digest, isStopped: () -> Bool = { false }
    ) throws -> StoredSnapshot {
        if let known = state.withLock({ $0.whole[view.height.value] }) { return known }
        var total: UInt64 = 0
        var count: UInt64 = 0
        try view.walkState { key, value in
            total += UInt64(key.count + value.count + 8)
            count += 1
            if count & 1_023 == 0, isStopped() { throw SnapshotFault.stopped }
        }
        var depth = 0
        while total > UInt64(chunkBytes) * UInt64(SnapshotChunk.count(depth: depth)) {
            depth += 1
            if depth > SnapshotChunk.maximumDepth { throw SnapshotFault.tooLarge(bytes: total) }
        }
        let temporary = path + "/\(view.height.value).new"
        try File.removeTree(temporary)
        defer { try? File.removeTree(temporary) }
        try File.makeDirectory(temporary)
        let bytes = try write(view, root: root, depth: depth, total: total, to: temporary, isStopped)
        let about = StoredSnapshot(
            height: view.height, root: root, depth: UInt8(depth), entryCount: count, byteCount: bytes)
        try File.replace(temporary + "/about", with: about.canonicalBytes)
        try File.rename(temporary, to: path + "/\(view.height.value)")
        try File.syncDirectory(path)
        state.withLock { $0.whole[view.height.value] = about }
        try prune()
        return about
    }

    private func write(
        _ view: StateView, root: Digest, depth: Int, total: UInt64, to folder: String, _ isStopped: () -> Bool
    ) throws -> UInt64 {
        var top = SnapshotTop(depth: depth)
        let chunks = SnapshotChunk.count(depth: depth)
        let rounds = Int(min(UInt64(chunks), total / UInt64(memoryBytes) + 1))
        let perRound = (chunks + rounds - 1) / rounds
        for first in stride(from: 0, to: chunks, by: perRound) {
            let range = first..<min(chunks, first + perRound)
            var held = [[SnapshotChunk.Entry]](repeating: [], count: range.count)
            var seen = 0
            try view.walkState { keyBytes, valueBytes in
                let key = Array(keyBytes)
                let index = SnapshotChunk.index(of: key, depth: depth)
                if range.contains(index) {
                    held[index - first].append(SnapshotChunk.Entry(key: key, value: Array(valueBytes)))
                }
                seen += 1
                if seen & 1_023 == 0, isStopped() { throw SnapshotFault.stopped }
            }
            for index in range {
                let body = top.add(held[index - first], at: index)
                held[index - first] = []
                let file = try File(SnapshotFolder.chunkPath(folder, index) + ".body", .truncate)
                try file.write(body, at: 0)
            }
        }
        let found = top.root()
        if found != root { throw SnapshotFault.anotherRoot(expected: root, found: found) }
        var bytes: UInt64 = 0
        for index in 0..<chunks {
            let path = SnapshotFolder.chunkPath(folder, index)
            let whole = top.head(of: index) + (try File.contents(path + ".body", limit: SnapshotChunk.maximumBytes))
            // Entries of a megabyte may fall together: then nobody could read the chunk.
            if whole.count > SnapshotChunk.maximumBytes { throw SnapshotFault.tooLarge(bytes: total) }
            let file = try File(path, .truncate)
            try file.write(whole, at: 0)
            try file.sync()
            try File.remove(path + ".body")
            bytes += UInt64(whole.count)
            if isStopped() { throw SnapshotFault.stopped }
        }
        try File.syncDirectory(folder)
        return bytes
    }

    private func prune() throws(StorageFault) {
        let now = SnapshotFolder.seconds
        let old = state.withLock { state in
            let old = state.whole.keys.sorted(by: >).dropFirst(SnapshotFolder.kept).filter {
                now - (state.readAt[$0] ?? .min / 2) > SnapshotFolder.readerSeconds
            }
            for height in old {
                state.whole[height] = nil
                state.readAt[height] = nil
            }
            return old
        }
        for height in old { try File.removeTree(path + "/\(height)") }
    }

    private static var seconds: Int {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return time.tv_sec
    }

    private static func chunkPath(_ folder: String, _ index: Int) -> String { folder + "/chunk-\(index)" }
}
