internal import CLZ4
package import NIOCore
package import Primitives

/// What kind of talk a frame belongs to. Lower goes first.
public enum NetworkChannel: UInt8, Sendable, CaseIterable {
    case consensus = 0
    case blocks = 1
    case transactions = 2
    case blobs = 3
    /// Providers are asked what stands in their results.
    case disputes = 4

    /// The most bytes of a frame's content.
    public var limit: Int {
        switch self {
        case .consensus: 1 << 20
        case .blocks: 4 << 20
        case .transactions: 1 << 20
        // A manifest of the most chunks is 1 MiB of digests and some bytes; of the most steps with one output each, 1.125 MiB.
        case .blobs: (1 << 20) + (256 << 10)
        // A whole walk, as much of it as a transaction may hold.
        case .disputes: 64 << 10
        }
    }
}

/// One message on the wire: `u32` length of the rest, a channel byte, a kind byte, then (requests and answers) a `u64` id, then the content,
/// LZ4-compressed above 1 KiB where that shrinks it, with its true length before it.
package struct Frame: Equatable, Sendable {
    package enum Kind: UInt8 {
        case message = 0
        case request = 1
        case answer = 2
        /// An answer that says no.
        case refusal = 3
        case hello = 4
        case ping = 5
        case pong = 6
    }

    package let channel: NetworkChannel
    package let kind: Kind
    package let id: UInt64
    package let content: [UInt8]

    static let compressed: UInt8 = 0x80
    static let compressionThreshold = 1_024
    /// LZ4 makes of a byte at most this many: a greater length is a lie, and no memory is taken for it.
    static let greatestRatio = 255
    /// Bytes besides the content: channel, kind, id, true length.
    static let overhead = 14

    package init(channel: NetworkChannel, kind: Kind, id: UInt64, content: [UInt8]) {
        self.channel = channel
        self.kind = kind
        self.id = id
        self.content = content
    }

    private var hasID: Bool { kind == .request || kind == .answer || kind == .refusal }

    package func write(into buffer: inout ByteBuffer) {
        var body = content
        var flags: UInt8 = 0
        if content.count > Frame.compressionThreshold, let smaller = Frame.compress(content) {
            body = smaller
            flags = Frame.compressed
        }
        let length = 2 + (hasID ? 8 : 0) + (flags != 0 ? 4 : 0) + body.count
        buffer.writeInteger(UInt32(length), endianness: .little)
        buffer.writeInteger(channel.rawValue)
        buffer.writeInteger(kind.rawValue | flags)
        if hasID { buffer.writeInteger(id, endianness: .little) }
        if flags != 0 { buffer.writeInteger(UInt32(content.count), endianness: .little) }
        buffer.writeBytes(body)
    }

    /// Takes the next whole frame off the front, or nil where it has not all arrived. A length beyond the channel's bound is a fault before any of
    /// it is kept.
    package static func read(from buffer: inout ByteBuffer) throws(DecodingFault) -> Frame? {
        let start = buffer.readerIndex
        guard let length = buffer.getInteger(at: start, endianness: .little, as: UInt32.self) else { return nil }
        guard buffer.readableBytes >= 6 else {
            if Int(length) > (4 << 20) + overhead { throw .tooLong(found: Int(length), limit: (4 << 20) + overhead) }
            return nil
        }
        guard let tag = buffer.getInteger(at: start + 4, as: UInt8.self), let channel = NetworkChannel(rawValue: tag)
        else {
            throw .invalid("a frame has no channel of that number")
        }
        if length < 2 { throw .truncated(needed: 2, left: Int(length)) }
        if Int(length) > channel.limit + overhead {
            throw .tooLong(found: Int(length), limit: channel.limit + overhead)
        }
        if buffer.readableBytes < 4 + Int(length) { return nil }
        buffer.moveReaderIndex(forwardBy: 5)
        var body = buffer.readSlice(length: Int(length) - 1) ?? ByteBuffer()
        let bits = body.readInteger(as: UInt8.self) ?? 0
        guard let kind = Kind(rawValue: bits & ~compressed) else {
            throw .invalid("a frame has no kind of that number")
        }
        var id: UInt64 = 0
        if kind == .request || kind == .answer || kind == .refusal {
            guard let found = body.readInteger(endianness: .little, as: UInt64.self) else {
                throw .truncated(needed: 8, left: body.readableBytes)
            }
            id = found
        }
        if bits & compressed == 0 {
            if body.readableBytes > channel.limit { throw .tooLong(found: body.readableBytes, limit: channel.limit) }
            return Frame(
                channel: channel, kind: kind, id: id, content: body.readBytes(length: body.readableBytes) ?? [])
        }
        guard let trueLength = body.readInteger(endianness: .little, as: UInt32.self) else {
            throw .truncated(needed: 4, left: body.readableBytes)
        }
        if Int(trueLength) > channel.limit { throw .tooLong(found: Int(trueLength), limit: channel.limit) }
        let limit = body.readableBytes * greatestRatio
        if Int(trueLength) > limit { throw .tooLong(found: Int(trueLength), limit: limit) }
        let packed = body.readBytes(length: body.readableBytes) ?? []
        return Frame(channel: channel, kind: kind, id: id, content: try decompress(packed, to: Int(trueLength)))
    }

    private static func compress(_ bytes: [UInt8]) -> [UInt8]? {
        let capacity = bytes.count - 16
        var out = [UInt8](repeating: 0, count: capacity)
        let written = bytes.withUnsafeBytes { source in
            out.withUnsafeMutableBytes { target in
                LZ4_compress_default(
                    source.bindMemory(to: CChar.self).baseAddress, target.bindMemory(to: CChar.self).baseAddress,
                    Int32(bytes.count), Int32(capacity))
            }
        }
        return written > 0 ? Array(out[0..<Int(written)]) : nil
    }

    private static func decompress(_ bytes: [UInt8], to length: Int) throws(DecodingFault) -> [UInt8] {
        var out = [UInt8](repeating: 0, count: length)
        let written = bytes.withUnsafeBytes { source in
            out.withUnsafeMutableBytes { target in
                LZ4_decompress_safe(
                    source.bindMemory(to: CChar.self).baseAddress, target.bindMemory(to: CChar.self).baseAddress,
                    Int32(bytes.count), Int32(length))
            }
        }
        if Int(written) != length { throw .invalid("a compressed frame does not unpack to its stated length") }
        return out
    }
}
