internal import CDigest

/// Many messages of one domain, digested several at a time: about a third of the processor time that they take one by one.
/// Each digest is `Digest.of` of its message.
public struct DigestBatch: Sendable {
    private var writer: ByteWriter
    private var ends: [UInt] = []

    /// Empty, with room.
    public init(messages: Int = 16, bytesEach: Int = 64) {
        writer = ByteWriter(capacity: messages * bytesEach)
        ends.reserveCapacity(messages)
    }

    public var count: Int { ends.count }

    /// Adds a message: what `body` writes.
    @inline(__always)
    public mutating func append(_ body: (inout ByteWriter) -> Void) {
        body(&writer)
        ends.append(UInt(writer.count))
    }

    /// Adds a message.
    public mutating func append(_ bytes: [UInt8]) { append { $0.write(raw: bytes) } }

    /// How many bytes a message has.
    public func length(_ index: Int) -> Int { Int(ends[index] - (index == 0 ? 0 : ends[index - 1])) }

    /// All messages' digests, in order.
    public func digests(_ domain: Domain) -> [Digest] {
        writer.bytes.withUnsafeBytes { bytes in Digest.many(domain, bytes, ends: ends, length: 0, count: ends.count) }
    }
}

extension Digest {
    /// The digests of pairs that lie one behind the other: `Digest.of(domain, pairs[0], pairs[1])` and so on.
    public static func ofEach(_ domain: Domain, pairs: [Digest]) -> [Digest] {
        precondition(pairs.count % 2 == 0, "each pair has two")
        return pairs.withUnsafeBytes { many(domain, $0, ends: nil, length: 64, count: pairs.count / 2) }
    }

    fileprivate static func many(
        _ domain: Domain, _ bytes: UnsafeRawBufferPointer, ends: [UInt]?, length: Int, count: Int
    ) -> [Digest] {
        if count == 0 { return [] }
        if count == 1 { return [of(domain, bytes)] }
        let personal = [domain.low, domain.high]
        return [Digest](unsafeUninitializedCapacity: count) { out, initialized in
            out.initialize(repeating: .zero)
            initialized = count
            // Where all messages are empty there may be no memory; any address will do then, none is read.
            guard let target = UnsafeMutableRawPointer(out.baseAddress) else { return }
            let start = (bytes.baseAddress ?? UnsafeRawPointer(target)).assumingMemoryBound(to: UInt8.self)
            let place = target.assumingMemoryBound(to: UInt8.self)
            if let ends {
                ends.withUnsafeBufferPointer { plasma_digest_many(personal, start, $0.baseAddress, 0, count, place) }
            } else {
                plasma_digest_many(personal, start, nil, length, count, place)
            }
        }
    }
}
