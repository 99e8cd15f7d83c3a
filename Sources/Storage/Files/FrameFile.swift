internal import Glibc
internal import Primitives

extension Domain {
    static let frame = Domain("plasma.frame")
}

/// An append-only file of checksummed frames: the ground of the journal and of the block segments.
///
/// The file begins with 16 bytes that name its kind. A frame is `magic (4) | payload length (4) | checksum (8) | payload`;
/// the checksum covers the frame's place in the file, its length and its payload, so that nothing stale or displaced passes.
///
/// A frame that fails its check is either what an interrupted append left behind (then nothing durable follows) or
/// corruption. `open` tells them apart: it looks for a frame behind the damage that proves that the damaged part had been
/// durable, and stops if there is one.
struct FrameFile {
    static let magic: [UInt8] = [0xF1, 0x50, 0x4C, 0x53]
    static let headLength = 16
    static let preambleLength: UInt64 = 16

    let file: File
    private(set) var end: UInt64
    private var usable = true

    var path: String { file.path }

    private init(file: File, end: UInt64) {
        self.file = file
        self.end = end
    }

    /// Makes an empty file, durable with its name. `kind` has 16 bytes.
    static func create(_ path: String, kind: StaticString) throws(StorageFault) -> FrameFile {
        let file = try File(path, .createNew)
        try file.write(preamble(kind), at: 0)
        try file.sync()
        try File.syncDirectory(File.parent(path))
        return FrameFile(file: file, end: preambleLength)
    }

    /// Opens a file that is only read from here on, without looking at its frames.
    static func sealed(_ path: String) throws(StorageFault) -> FrameFile {
        let file = try File(path, .read)
        return FrameFile(file: file, end: try file.size())
    }

    /// Opens a file and hands every frame to `visit` with its payload's offset.
    ///
    /// - Parameter proves: whether a whole frame proves that everything before it had been durable.
    /// - Returns: the file, cut behind its last whole frame, and how many bytes were cut.
    static func open(
        _ path: String, kind: StaticString, proves: (_ payload: ArraySlice<UInt8>) -> Bool,
        visit: (_ payload: ArraySlice<UInt8>, _ offset: UInt64) throws(StorageFault) -> Void
    ) throws(StorageFault) -> (file: FrameFile, cut: UInt64) {
        let file = try File(path, .readWrite)
        let size = try file.size()
        let head = try file.read(Int(preambleLength), at: 0)
        let expected = preamble(kind)
        if head.count < expected.count && expected.starts(with: head) {
            // The creation itself was interrupted: nothing was ever put here.
            try file.write(expected, at: 0)
            try file.sync()
            return (FrameFile(file: file, end: preambleLength), 0)
        }
        if head != expected {
            throw .corrupt(path: path, offset: 0, reason: "it is not a file of this kind")
        }
        let bytes = try file.read(Int(size), at: 0)
        var position = Int(preambleLength)
        while position < bytes.count, let payload = frame(in: bytes, at: position) {
            try visit(payload, UInt64(payload.startIndex))
            position = payload.endIndex
        }
        let cut = bytes.count - position
        if cut > 0 {
            if durableFrame(in: bytes, after: position, proves: proves) {
                throw .corrupt(
                    path: path, offset: UInt64(position), reason: "a record fails its checksum and whole records follow"
                )
            }
            try file.truncate(to: UInt64(position))
            try file.sync()
        }
        return (FrameFile(file: file, end: UInt64(position)), UInt64(cut))
    }

    /// Appends frames with one write; durable after `sync`. Returns the payloads' offsets.
    mutating func append(_ payloads: [[UInt8]]) throws(StorageFault) -> [UInt64] {
        if !usable { throw .unusable(path: path) }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(payloads.reduce(0) { $0 + $1.count + FrameFile.headLength })
        var offsets: [UInt64] = []
        for payload in payloads {
            if payload.count > StorageLimits.recordBytes {
                throw .tooLarge(
                    what: "a record", found: UInt64(payload.count), limit: UInt64(StorageLimits.recordBytes))
            }
            let position = end + UInt64(bytes.count)
            bytes += FrameFile.magic
            bytes += FrameFile.littleEndian(UInt32(payload.count))
            bytes += FrameFile.checksum(payload[...], at: position)
            bytes += payload
            offsets.append(position + UInt64(FrameFile.headLength))
        }
        do throws(StorageFault) {
            try file.write(bytes, at: end)
        } catch {
            // What is there of the write would look like a torn tail in the middle of the file once more is appended.
            do throws(StorageFault) { try file.truncate(to: end) } catch { usable = false }
            throw error
        }
        end += UInt64(bytes.count)
        return offsets
    }

    mutating func sync() throws(StorageFault) {
        if !usable { throw .unusable(path: path) }
        do throws(StorageFault) { try file.sync() } catch {
            usable = false
            throw error
        }
    }

    /// Reads back one frame's payload and checks it.
    func payload(at offset: UInt64, length: Int) throws(StorageFault) -> [UInt8] {
        let start = offset - UInt64(FrameFile.headLength)
        let bytes = try file.read(FrameFile.headLength + length, at: start)
        guard bytes.count == FrameFile.headLength + length,
            bytes[8..<16].elementsEqual(FrameFile.checksum(bytes[FrameFile.headLength...], at: start))
        else { throw .corrupt(path: path, offset: start, reason: "a record fails its checksum") }
        return Array(bytes[FrameFile.headLength...])
    }

    // MARK: Bytes

    private static func frame(in bytes: [UInt8], at position: Int) -> ArraySlice<UInt8>? {
        guard bytes.count - position >= headLength, bytes[position..<position + 4].elementsEqual(magic) else {
            return nil
        }
        var length = 0
        for i in (4..<8).reversed() { length = length << 8 | Int(bytes[position + i]) }
        let start = position + headLength
        guard length <= StorageLimits.recordBytes, length <= bytes.count - start else { return nil }
        let payload = bytes[start..<start + length]
        guard bytes[position + 8..<start].elementsEqual(checksum(payload, at: UInt64(position))) else { return nil }
        return payload
    }

    private static func durableFrame(
        in bytes: [UInt8], after position: Int, proves: (ArraySlice<UInt8>) -> Bool
    ) -> Bool {
        var candidate = position + 1
        while candidate + headLength <= bytes.count {
            if bytes[candidate] == magic[0], let payload = frame(in: bytes, at: candidate), proves(payload) {
                return true
            }
            candidate += 1
        }
        return false
    }

    private static func checksum(_ payload: ArraySlice<UInt8>, at position: UInt64) -> ArraySlice<UInt8> {
        let hasher = DigestHasher(.frame)
        hasher.update(littleEndian(position))
        hasher.update(littleEndian(UInt32(payload.count)))
        payload.withUnsafeBytes { hasher.update($0) }
        return hasher.finalize().bytes[..<8]
    }

    private static func littleEndian(_ value: some FixedWidthInteger) -> [UInt8] {
        withUnsafeBytes(of: value.littleEndian) { Array($0) }
    }

    private static func preamble(_ kind: StaticString) -> [UInt8] {
        let bytes = kind.withUTF8Buffer { Array($0) }
        precondition(bytes.count == preambleLength, "a kind has 16 bytes")
        return bytes
    }
}
