internal import Glibc
public import Primitives
internal import Synchronization

/// Content-addressed blobs, each a data file and a description, fetched in chunks of 64 KiB that survive a crash.
///
/// While a blob is fetched, a bitmap says which chunks are there; it is written only after the chunks it speaks of are
/// durable. A whole blob is renamed from `.part` to `.data` once it is durable, so a `.data` file is always whole. What a
/// chunk must be is the caller's knowledge: it comes as a closure, and no unchecked byte is kept.
public final class BlobStore: Sendable {
    public static let chunkLength = 64 << 10
    /// After so many new chunks (16 MiB) data and bitmap are made durable.
    public static let chunksPerCheckpoint = 256

    public let directory: String
    /// The most bytes all blobs together may take.
    public let quota: UInt64
    private let state: Mutex<State>

    private struct Entry {
        let description: BlobDescription
        var have: [Bool]
        var received: Int
        var unsynced = 0
        var isPinned: Bool
        /// Open while chunks arrive.
        var part: File?
        var isWhole: Bool
    }

    private struct State {
        var blobs: [Digest: Entry] = [:]
        var used: UInt64 = 0
        var drafts: UInt64 = 0
    }

    /// Opens the store, making it where it is not there yet; drops what an interrupted upload or deletion left.
    public init(directory: String, quota: UInt64 = 64 << 30) throws(StorageFault) {
        self.directory = directory
        self.quota = quota
        try File.makeDirectory(directory)
        var state = State()
        let names = Set(try File.names(in: directory))
        for name in names.sorted() where name.hasSuffix(".manifest") {
            let stem = String(name.dropLast(9))
            guard let id = Digest(hex: stem) else { continue }
            let path = directory + "/" + name
            let limit = StorageLimits.manifestBytes + 64
            guard let description = BlobDescription(fileBytes: try File.contents(path, limit: limit)) else {
                throw .corrupt(path: path, offset: 0, reason: "its checksum fails")
            }
            let count = BlobStore.chunks(description.length)
            let isWhole = names.contains(stem + ".data")
            var have = [Bool](repeating: isWhole, count: count)
            if !isWhole {
                if !names.contains(stem + ".part") { continue }
                if names.contains(stem + ".bitmap") {
                    let bits = try File.contents(directory + "/" + stem + ".bitmap", limit: count / 8 + 1)
                    for i in 0..<count where i / 8 < bits.count { have[i] = bits[i / 8] >> (i % 8) & 1 == 1 }
                }
            }
            state.blobs[id] = Entry(
                description: description, have: have, received: have.count { $0 },
                isPinned: names.contains(stem + ".pin"), isWhole: isWhole)
            state.used += description.length
        }
        for name in names {
            let stem = name.prefix { $0 != "." }
            let known = Digest(hex: String(stem)).map { state.blobs[$0] != nil } ?? false
            if !known || name.hasSuffix(".new") { try File.remove(directory + "/" + name) }
        }
        self.state = Mutex(state)
        for id in list() where id.isComplete { try complete(id.id) }
    }

    // MARK: Fetching

    /// Makes room for a blob that will arrive in chunks. Again for a blob that is here costs nothing.
    ///
    /// - Parameter manifest: kept as it is, to be served to others.
    public func begin(_ id: Digest, length: UInt64, manifest: [UInt8]) throws(StorageFault) {
        let description = try checked(length, manifest)
        let isEmpty = try state.withLock { state throws(StorageFault) in
            if let known = state.blobs[id] {
                if known.description != description { throw .conflictingBlob(id) }
                return false
            }
            try require(length, state)
            let part = try File(path(id, "part"), .truncate)
            try part.truncate(to: length)
            try File.replace(path(id, "manifest"), with: description.fileBytes)
            let count = BlobStore.chunks(length)
            state.blobs[id] = Entry(
                description: description, have: [Bool](repeating: false, count: count), received: 0, isPinned: false,
                part: part, isWhole: false)
            state.used += length
            return count == 0
        }
        if isEmpty { try complete(id) }
    }

    /// Takes one chunk that `verify` accepts.
    ///
    /// - Returns: whether the blob is whole now; then it is durable.
    /// - Throws: `badChunk` where the length is wrong or `verify` says no.
    @discardableResult
    public func write(
        _ id: Digest, chunk index: Int, _ bytes: [UInt8], verify: ([UInt8]) -> Bool
    ) throws(StorageFault) -> Bool {
        let expected: Int? = try state.withLock { state throws(StorageFault) in
            guard let entry = state.blobs[id] else { throw .unknownBlob(id) }
            if !entry.have.indices.contains(index) { throw .badChunk(id, index: index) }
            if entry.have[index] { return nil }
            return BlobStore.length(of: index, in: entry.description.length)
        }
        guard let expected else { return isComplete(id) }
        if bytes.count != expected || !verify(bytes) { throw .badChunk(id, index: index) }
        let isAll = try state.withLock { state throws(StorageFault) in
            guard var entry = state.blobs[id] else { throw .unknownBlob(id) }
            if entry.have[index] { return false }
            let part: File
            if let open = entry.part { part = open } else { part = try File(path(id, "part"), .readWrite) }
            entry.part = part
            try part.write(bytes, at: UInt64(index) * UInt64(BlobStore.chunkLength))
            entry.have[index] = true
            entry.received += 1
            entry.unsynced += 1
            if entry.unsynced >= BlobStore.chunksPerCheckpoint { try checkpoint(id, &entry) }
            state.blobs[id] = entry
            return entry.received == entry.have.count
        }
        if isAll { try complete(id) }
        return isAll
    }

    /// The chunks that are not here yet, lowest first.
    public func missingChunks(_ id: Digest) throws(StorageFault) -> [Int] {
        try state.withLock { state throws(StorageFault) in
            guard let entry = state.blobs[id] else { throw .unknownBlob(id) }
            return entry.have.indices.filter { !entry.have[$0] }
        }
    }

    /// Makes what has arrived of a blob durable, as it happens every 16 MiB.
    public func checkpoint(_ id: Digest) throws(StorageFault) {
        try state.withLock { state throws(StorageFault) in
            guard var entry = state.blobs[id] else { throw .unknownBlob(id) }
            if !entry.isWhole && entry.unsynced > 0 { try checkpoint(id, &entry) }
            state.blobs[id] = entry
        }
    }

    // MARK: Whole blobs

    /// Stores a whole blob whose bytes the caller has checked. Durable on return; one that is here already costs nothing.
    public func put(_ id: Digest, manifest: [UInt8], _ bytes: [UInt8]) throws(StorageFault) {
        if isComplete(id) { return }
        let draft = try newDraft()
        try draft.append(bytes)
        try finish(draft, id: id, manifest: manifest)
    }

    /// Begins a blob whose id is not known yet.
    public func newDraft() throws(StorageFault) -> BlobDraft {
        var generator = SystemRandomNumberGenerator()
        let name = String(UInt64.random(in: 0...UInt64.max, using: &generator), radix: 16)
        return try BlobDraft(path: directory + "/" + name + ".draft", store: self)
    }

    /// Turns a draft into a blob. Durable on return.
    public func finish(_ draft: BlobDraft, id: Digest, manifest: [UInt8]) throws(StorageFault) {
        let description = try checked(draft.length, manifest)
        try draft.file.sync()
        try state.withLock { state throws(StorageFault) in
            if let known = state.blobs[id] {
                if known.description != description { throw .conflictingBlob(id) }
                if known.isWhole { return }
            }
            if link(draft.path, path(id, "whole")) != 0 && errno != EEXIST { throw File.fault("rename", draft.path) }
            try File.replace(path(id, "manifest"), with: description.fileBytes)
            try File.rename(path(id, "whole"), to: path(id, "data"))
            try File.syncDirectory(directory)
            try File.remove(path(id, "part"))
            try File.remove(path(id, "bitmap"))
            let count = BlobStore.chunks(description.length)
            if state.blobs[id] == nil { state.used += description.length }
            state.blobs[id] = Entry(
                description: description, have: [Bool](repeating: true, count: count), received: count,
                isPinned: state.blobs[id]?.isPinned ?? false, isWhole: true)
        }
    }

    /// Maps a whole blob into memory.
    public func openMapped(_ id: Digest) throws(StorageFault) -> MappedBlob {
        let length = try state.withLock { state throws(StorageFault) in try whole(id, state).description.length }
        return try MappedBlob(try File(path(id, "data"), .read), length: length)
    }

    /// Reads a piece of a whole blob; shorter where the blob ends.
    public func read(_ id: Digest, at offset: UInt64, count: Int) throws(StorageFault) -> [UInt8] {
        let length = try state.withLock { state throws(StorageFault) in try whole(id, state).description.length }
        let end = min(length, offset.addingReportingOverflow(UInt64(max(0, count))).partialValue)
        if offset >= end { return [] }
        return try File(path(id, "data"), .read).read(Int(end - offset), at: offset)
    }

    /// A chunk that is here, of a whole blob or of one still arriving; nil where it is not.
    public func chunk(_ id: Digest, _ index: Int) throws(StorageFault) -> [UInt8]? {
        let found: (file: String, count: Int)? = state.withLock { state in
            guard let entry = state.blobs[id], entry.have.indices.contains(index), entry.have[index] else { return nil }
            return (
                path(id, entry.isWhole ? "data" : "part"), BlobStore.length(of: index, in: entry.description.length)
            )
        }
        guard let found else { return nil }
        return try File(found.file, .read).read(found.count, at: UInt64(index) * UInt64(BlobStore.chunkLength))
    }

    // MARK: What is here

    public func record(_ id: Digest) -> BlobRecord? {
        state.withLock { state in state.blobs[id].map { record(id, $0) } }
    }

    public func manifest(_ id: Digest) -> [UInt8]? { state.withLock { $0.blobs[id]?.description.manifest } }

    public func isComplete(_ id: Digest) -> Bool { state.withLock { $0.blobs[id]?.isWhole ?? false } }

    /// All blobs, by id.
    public func list() -> [BlobRecord] {
        state.withLock { state in state.blobs.map { record($0.key, $0.value) } }.sorted { $0.id < $1.id }
    }

    /// The bytes that blobs and drafts take of the quota.
    public var usedBytes: UInt64 { state.withLock { $0.used + $0.drafts } }

    /// Keeps a blob from being deleted, across restarts too.
    public func pin(_ id: Digest) throws(StorageFault) {
        try state.withLock { state throws(StorageFault) in
            if state.blobs[id] == nil { throw .unknownBlob(id) }
            try File.replace(path(id, "pin"), with: [])
            state.blobs[id]?.isPinned = true
        }
    }

    public func unpin(_ id: Digest) throws(StorageFault) {
        try state.withLock { state throws(StorageFault) in
            if state.blobs[id] == nil { throw .unknownBlob(id) }
            try File.remove(path(id, "pin"))
            state.blobs[id]?.isPinned = false
        }
    }

    /// Deletes a blob, whole or arriving.
    ///
    /// - Throws: `blobPinned`.
    public func delete(_ id: Digest) throws(StorageFault) {
        try state.withLock { state throws(StorageFault) in
            guard let entry = state.blobs[id] else { throw .unknownBlob(id) }
            if entry.isPinned { throw .blobPinned(id) }
            // The description goes first: files without one are dropped at the next start.
            try File.remove(path(id, "manifest"))
            try File.syncDirectory(directory)
            for suffix in ["data", "part", "bitmap"] { try File.remove(path(id, suffix)) }
            state.blobs[id] = nil
            state.used -= entry.description.length
        }
    }

    // MARK: Inside

    func reserve(_ bytes: UInt64) throws(StorageFault) {
        try state.withLock { state throws(StorageFault) in
            try require(bytes, state)
            state.drafts += bytes
        }
    }

    func release(_ bytes: UInt64) { state.withLock { $0.drafts -= bytes } }

    private func require(_ bytes: UInt64, _ state: State) throws(StorageFault) {
        let taken = state.used + state.drafts
        let free = quota > taken ? quota - taken : 0
        if bytes > free { throw .quotaExceeded(needed: bytes, free: free) }
    }

    private func checked(_ length: UInt64, _ manifest: [UInt8]) throws(StorageFault) -> BlobDescription {
        if manifest.count > StorageLimits.manifestBytes {
            throw .tooLarge(
                what: "a manifest", found: UInt64(manifest.count), limit: UInt64(StorageLimits.manifestBytes))
        }
        return BlobDescription(length: length, manifest: manifest)
    }

    private func checkpoint(_ id: Digest, _ entry: inout Entry) throws(StorageFault) {
        try entry.part?.sync()
        var bits = [UInt8](repeating: 0, count: (entry.have.count + 7) / 8)
        for (i, has) in entry.have.enumerated() where has { bits[i / 8] |= 1 << (i % 8) }
        try File.replace(path(id, "bitmap"), with: bits)
        entry.unsynced = 0
    }

    private func complete(_ id: Digest) throws(StorageFault) {
        try state.withLock { state throws(StorageFault) in
            guard var entry = state.blobs[id], !entry.isWhole else { return }
            let part: File
            if let open = entry.part { part = open } else { part = try File(path(id, "part"), .readWrite) }
            try part.sync()
            try File.rename(path(id, "part"), to: path(id, "data"))
            try File.syncDirectory(directory)
            try File.remove(path(id, "bitmap"))
            entry.isWhole = true
            entry.part = nil
            state.blobs[id] = entry
        }
    }

    private func whole(_ id: Digest, _ state: State) throws(StorageFault) -> Entry {
        guard let entry = state.blobs[id] else { throw .unknownBlob(id) }
        if !entry.isWhole { throw .incompleteBlob(id, have: entry.received, of: entry.have.count) }
        return entry
    }

    private func record(_ id: Digest, _ entry: Entry) -> BlobRecord {
        BlobRecord(
            id: id, length: entry.description.length, chunkCount: entry.have.count, receivedChunks: entry.received,
            isPinned: entry.isPinned)
    }

    private func path(_ id: Digest, _ suffix: String) -> String { directory + "/" + id.hex + "." + suffix }

    /// How many chunks a blob of a length has.
    public static func chunks(_ length: UInt64) -> Int {
        Int(length / UInt64(chunkLength)) + (length % UInt64(chunkLength) == 0 ? 0 : 1)
    }

    private static func length(of index: Int, in length: UInt64) -> Int {
        Int(min(UInt64(chunkLength), length - UInt64(index) * UInt64(chunkLength)))
    }
}
