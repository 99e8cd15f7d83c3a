internal import Primitives
internal import Synchronization

/// The consensus journal: what must be durable before a vote leaves, in one append-only file.
///
/// All records of one step are one frame, with one write and one `fdatasync`: after a crash a step is there whole or not
/// at all. A torn last step is cut at the next start; nobody had relied on it, as `append` had not returned. A broken step
/// with a whole one behind it is corruption and stops.
public final class Journal: Sendable {
    private static let kind: StaticString = "plasma.journal.1"
    public static let maximumRecordsPerStep = 1 << 20

    public let path: String
    /// How many bytes of a torn last step were cut when the journal was opened.
    public let cutBytes: UInt64
    private let state: Mutex<State>

    private struct State: ~Copyable {
        var frames: FrameFile
        /// The offsets of the steps that were there at the start.
        var found: [(offset: UInt64, length: Int)]
    }

    /// Makes an empty journal. Only who generates a consensus key may: a key without its journal is amnesiac.
    ///
    /// - Throws: `exists` where there is one.
    public static func create(_ path: String) throws(StorageFault) -> Journal {
        try File.makeDirectory(File.parent(path))
        return Journal(path: path, cut: 0, State(frames: try FrameFile.create(path, kind: kind), found: []))
    }

    /// Opens a journal and checks every step in it.
    ///
    /// - Throws: `missing` where there is none, `corrupt` where a step that had been durable is damaged.
    public static func open(_ path: String) throws(StorageFault) -> Journal {
        try File.remove(path + ".rewrite")
        var found: [(offset: UInt64, length: Int)] = []
        let opened = try FrameFile.open(path, kind: kind, proves: { _ in true }) {
            payload, offset throws(StorageFault) in
            _ = try records(Array(payload), path: path, offset: offset)
            found.append((offset, payload.count))
        }
        return Journal(path: path, cut: opened.cut, State(frames: opened.file, found: found))
    }

    public static func exists(_ path: String) -> Bool { File.exists(path) }

    private init(path: String, cut: UInt64, _ state: consuming State) {
        self.path = path
        cutBytes = cut
        self.state = Mutex(state)
    }

    /// The records that were in the journal when it was opened, in order, and those appended since.
    public func replay() throws(StorageFault) -> [[UInt8]] {
        try state.withLock { state throws(StorageFault) in
            var all: [[UInt8]] = []
            for step in state.found {
                let payload = try state.frames.payload(at: step.offset, length: step.length)
                all += try Journal.records(payload, path: path, offset: step.offset)
            }
            return all
        }
    }

    /// Appends the records of one step and returns once they are durable. An empty step costs nothing.
    ///
    /// - Throws: `diskFull`, and then nothing of the step is in the journal; `unusable` after a failed sync.
    public func append(_ records: [[UInt8]]) throws(StorageFault) {
        if records.isEmpty { return }
        let payload = Journal.payload(records)
        try state.withLock { state throws(StorageFault) in
            let offsets = try state.frames.append([payload])
            try state.frames.sync()
            state.found.append((offsets[0], payload.count))
        }
    }

    /// Replaces everything by the records given, as one step: a crash leaves the old journal or the new.
    public func rewrite(keeping records: [[UInt8]]) throws(StorageFault) {
        try state.withLock { state throws(StorageFault) in
            let temporary = path + ".rewrite"
            try File.remove(temporary)
            var frames = try FrameFile.create(temporary, kind: Journal.kind)
            var found: [(offset: UInt64, length: Int)] = []
            if !records.isEmpty {
                let payload = Journal.payload(records)
                found = [(try frames.append([payload])[0], payload.count)]
                try frames.sync()
            }
            try File.rename(temporary, to: path)
            try File.syncDirectory(File.parent(path))
            state.frames = frames
            state.found = found
        }
    }

    /// The journal's length in bytes, to decide when to rewrite it.
    public var byteCount: UInt64 { state.withLock { $0.frames.end } }

    private static func payload(_ records: [[UInt8]]) -> [UInt8] {
        var writer = ByteWriter(capacity: records.reduce(4) { $0 + 4 + $1.count })
        writer.write(UInt32(records.count))
        for record in records { writer.write(bytes: record) }
        return writer.bytes
    }

    private static func records(
        _ payload: [UInt8], path: String, offset: UInt64
    ) throws(StorageFault) -> [[UInt8]] {
        do throws(DecodingFault) {
            var reader = ByteReader(payload)
            let count = Int(try reader.readUInt32())
            if count > maximumRecordsPerStep { throw .tooLong(found: count, limit: maximumRecordsPerStep) }
            var records: [[UInt8]] = []
            for _ in 0..<count { records.append(try reader.readBytes(max: StorageLimits.recordBytes)) }
            try reader.finish()
            return records
        } catch {
            throw .corrupt(path: path, offset: offset, reason: "\(error)")
        }
    }
}
