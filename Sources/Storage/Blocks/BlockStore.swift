public import Primitives
internal import Synchronization

/// A finalized block as it was stored.
public struct StoredFinalization: Sendable, Equatable {
    public let digest: Digest
    public let block: [UInt8]
    /// Nil where a descendant's certificate finalized it.
    public let certificate: [UInt8]?
}

/// Block bodies and finalizations, in append-only segment files that are rolled at a size and deleted whole.
///
/// Writes are durable after `sync()`. Behind each sync the next write begins with a mark, so that a start can tell a torn
/// tail (cut) from damage to what had been durable (`corrupt`). The index by digest and height is in memory: read from the
/// sealed segments' index files and by scanning the last segment.
public final class BlockStore: Sendable {
    public static let maximumBlockBytes = 32 << 20
    private static let kind: StaticString = "plasma.blocks.01"

    public let directory: String
    /// How many bytes of a torn tail were cut at the start.
    public let cutBytes: UInt64
    private let segmentBytes: UInt64
    private let state: Mutex<State>

    private struct State {
        var blocks: [Digest: BlockLocation] = [:]
        var finalizations: [UInt64: (digest: Digest, at: BlockLocation, certified: Bool)] = [:]
        var tip: UInt64?
        var segments: [UInt32: FrameFile] = [:]
        var active: UInt32 = 1
        var activeEntries: [SegmentEntry] = []
        var dirty = false
        var markDue = false

        mutating func take(_ entry: SegmentEntry, in segment: UInt32) {
            let at = BlockLocation(segment: segment, offset: entry.offset, length: entry.length)
            guard let height = entry.height else {
                blocks[entry.digest] = at
                return
            }
            // A finalization without certificate is its 41 bytes of head alone.
            finalizations[height] = (entry.digest, at, entry.length > 41)
            tip = max(tip ?? 0, height)
        }
    }

    /// Opens the store, making it where it is not there yet.
    public init(directory: String, segmentBytes: UInt64 = 64 << 20) throws(StorageFault) {
        try File.makeDirectory(directory)
        let numbers = try File.names(in: directory).compactMap { name in
            name.hasSuffix(".segment") ? UInt32(name.dropLast(8)) : nil
        }
        var state = State()
        var cut: UInt64 = 0
        for number in numbers {
            let path = BlockStore.path(directory, number)
            let last = number == numbers.last
            var entries: [SegmentEntry] = []
            if !last, let known = SegmentIndex.read(path + ".index") {
                entries = known
                state.segments[number] = try FrameFile.sealed(path)
            } else {
                let opened = try FrameFile.open(path, kind: BlockStore.kind, proves: { $0.first == 3 }) {
                    payload, offset throws(StorageFault) in
                    if let entry = try BlockStore.entry(Array(payload), path: path, offset: offset) {
                        entries.append(entry)
                    }
                }
                if !last && opened.cut > 0 {
                    throw .corrupt(
                        path: path, offset: opened.file.end, reason: "a sealed segment ends in a broken record")
                }
                cut += opened.cut
                state.segments[number] = opened.file
                if !last { try SegmentIndex.write(entries, to: path + ".index") }
            }
            for entry in entries { state.take(entry, in: number) }
            state.active = number
            state.activeEntries = entries
        }
        if numbers.isEmpty {
            state.segments[1] = try FrameFile.create(BlockStore.path(directory, 1), kind: BlockStore.kind)
        }
        self.directory = directory
        self.segmentBytes = segmentBytes
        cutBytes = cut
        self.state = Mutex(state)
    }

    /// Stores a block's bytes under its digest; a block that is here already costs nothing. Durable after `sync()`.
    public func put(_ digest: Digest, _ block: [UInt8]) throws(StorageFault) {
        if block.count > BlockStore.maximumBlockBytes {
            throw .tooLarge(what: "a block", found: UInt64(block.count), limit: UInt64(BlockStore.maximumBlockBytes))
        }
        let known = state.withLock { $0.blocks[digest] != nil }
        if known { return }
        let record = BlockRecord.block(digest, packed: Compression.pack(block))
        try state.withLock { state throws(StorageFault) in
            if state.blocks[digest] == nil { try append(record, height: nil, digest, &state) }
        }
    }

    /// The bytes of a block; nil where it is not here.
    public func get(_ digest: Digest) throws(StorageFault) -> [UInt8]? {
        try state.withLock { state throws(StorageFault) in try block(digest, state) }
    }

    public func contains(_ digest: Digest) -> Bool { state.withLock { $0.blocks[digest] != nil } }

    /// Records that the block is final at a height, with the certificate that says so where there is one. Durable after
    /// `sync()`. The same again costs nothing; a certificate may be added later.
    ///
    /// - Throws: `conflictingFinalization` where another block is final at that height: the chain has split.
    public func markFinalized(_ height: Height, _ digest: Digest, certificate: [UInt8]?) throws(StorageFault) {
        let record = BlockRecord.finalization(
            height: height.value, digest, packedCertificate: certificate.map(Compression.pack) ?? [])
        try state.withLock { state throws(StorageFault) in
            if let known = state.finalizations[height.value] {
                if known.digest != digest { throw .conflictingFinalization(height, known.digest, digest) }
                if known.certified || certificate == nil { return }
            }
            try append(record, height: height.value, digest, &state)
        }
    }

    /// The block final at a height; nil where it is not here (any more).
    public func finalized(_ height: Height) throws(StorageFault) -> StoredFinalization? {
        try state.withLock { state throws(StorageFault) in
            guard let known = state.finalizations[height.value], let block = try block(known.digest, state) else {
                return nil
            }
            guard case .finalization(_, _, let packed) = try record(known.at, state) else {
                throw damaged(known.at, "it is not a finalization")
            }
            if packed.isEmpty { return StoredFinalization(digest: known.digest, block: block, certificate: nil) }
            guard let certificate = Compression.unpack(packed, limit: BlockStore.maximumBlockBytes) else {
                throw damaged(known.at, "its certificate does not unpack")
            }
            return StoredFinalization(digest: known.digest, block: block, certificate: certificate)
        }
    }

    /// The digest of the block final at a height.
    public func finalizedDigest(_ height: Height) -> Digest? {
        state.withLock { $0.finalizations[height.value]?.digest }
    }

    /// The highest height marked final.
    public var finalizedTip: Height? { state.withLock { $0.tip.map { Height($0) } } }

    /// Returns once everything put and marked before is durable.
    public func sync() throws(StorageFault) {
        try state.withLock { state throws(StorageFault) in try sync(&state) }
    }

    /// Deletes the segments that hold nothing final at `height` or above, but never the newest two.
    ///
    /// - Returns: the bytes given back to the disk.
    public func prune(below height: Height) throws(StorageFault) -> UInt64 {
        try state.withLock { state throws(StorageFault) in
            var keep: Set<UInt32> = Set(state.segments.keys.sorted().suffix(2))
            for (final, known) in state.finalizations where final >= height.value {
                keep.insert(known.at.segment)
                if let at = state.blocks[known.digest] { keep.insert(at.segment) }
            }
            var freed: UInt64 = 0
            for number in state.segments.keys.sorted() where !keep.contains(number) {
                let path = BlockStore.path(directory, number)
                freed += state.segments[number]?.end ?? 0
                state.segments[number] = nil
                state.blocks = state.blocks.filter { $0.value.segment != number }
                state.finalizations = state.finalizations.filter { $0.value.at.segment != number }
                try File.remove(path)
                try File.remove(path + ".index")
            }
            if freed > 0 { try File.syncDirectory(directory) }
            return freed
        }
    }

    // MARK: Segments

    private func append(
        _ record: BlockRecord, height: UInt64?, _ digest: Digest, _ state: inout State
    ) throws(StorageFault) {
        if let end = state.segments[state.active]?.end, end >= segmentBytes { try roll(&state) }
        let payload = record.payload
        let payloads = state.markDue ? [BlockRecord.durable.payload, payload] : [payload]
        guard let offsets = try state.segments[state.active]?.append(payloads), let offset = offsets.last else {
            throw .missing(path: BlockStore.path(directory, state.active))
        }
        state.markDue = false
        state.dirty = true
        let entry = SegmentEntry(height: height, digest: digest, offset: offset, length: payload.count)
        state.activeEntries.append(entry)
        state.take(entry, in: state.active)
    }

    private func sync(_ state: inout State) throws(StorageFault) {
        if !state.dirty { return }
        try state.segments[state.active]?.sync()
        state.dirty = false
        state.markDue = true
    }

    private func roll(_ state: inout State) throws(StorageFault) {
        try sync(&state)
        try SegmentIndex.write(state.activeEntries, to: BlockStore.path(directory, state.active) + ".index")
        let next = state.active + 1
        state.segments[next] = try FrameFile.create(BlockStore.path(directory, next), kind: BlockStore.kind)
        state.active = next
        state.activeEntries = []
        state.markDue = false
    }

    private func record(_ at: BlockLocation, _ state: borrowing State) throws(StorageFault) -> BlockRecord {
        guard let payload = try state.segments[at.segment]?.payload(at: at.offset, length: at.length) else {
            throw .missing(path: BlockStore.path(directory, at.segment))
        }
        do throws(DecodingFault) { return try BlockRecord(payload: payload) } catch { throw damaged(at, "\(error)") }
    }

    private func block(_ digest: Digest, _ state: borrowing State) throws(StorageFault) -> [UInt8]? {
        guard let at = state.blocks[digest] else { return nil }
        guard case .block(_, let packed) = try record(at, state),
            let bytes = Compression.unpack(packed, limit: BlockStore.maximumBlockBytes)
        else { throw damaged(at, "its block does not unpack") }
        return bytes
    }

    private func damaged(_ at: BlockLocation, _ reason: String) -> StorageFault {
        .corrupt(path: BlockStore.path(directory, at.segment), offset: at.offset, reason: reason)
    }

    private static func entry(_ payload: [UInt8], path: String, offset: UInt64) throws(StorageFault) -> SegmentEntry? {
        do throws(DecodingFault) {
            switch try BlockRecord(payload: payload) {
            case .block(let digest, _):
                return SegmentEntry(height: nil, digest: digest, offset: offset, length: payload.count)
            case .finalization(let height, let digest, _):
                return SegmentEntry(height: height, digest: digest, offset: offset, length: payload.count)
            case .durable: return nil
            }
        } catch { throw .corrupt(path: path, offset: offset, reason: "\(error)") }
    }

    private static func path(_ directory: String, _ number: UInt32) -> String {
        let digits = String(number)
        return directory + "/" + String(repeating: "0", count: 10 - digits.count) + digits + ".segment"
    }
}
