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
        pairs.withUnsafeBufferPointer { ofEach(domain, pairs: $0) }
    }

    /// The same of pairs that lie in memory.
    package static func ofEach(_ domain: Domain, pairs: UnsafeBufferPointer<Digest>) -> [Digest] {
        [Digest](unsafeUninitializedCapacity: pairs.count / 2) { out, initialized in
            out.initialize(repeating: .zero)
            initialized = pairs.count / 2
            ofEach(domain, pairs: pairs, into: UnsafeMutableBufferPointer(rebasing: out[0..<pairs.count / 2]))
        }
    }

    /// The same of pairs that lie in memory, into memory for half as many.
    package static func ofEach(
        _ domain: Domain, pairs: UnsafeBufferPointer<Digest>, into out: UnsafeMutableBufferPointer<Digest>
    ) {
        precondition(pairs.count == 2 * out.count, "each pair has two")
        if out.isEmpty { return }
        if out.count == 1 { return out[0] = of(domain, UnsafeRawBufferPointer(pairs)) }
        many(
            domain, UnsafeRawBufferPointer(pairs), ends: nil, length: 64, UnsafeMutableRawBufferPointer(out), out.count)
    }

    private static func many(
        _ domain: Domain, _ bytes: UnsafeRawBufferPointer, ends: UnsafePointer<UInt>?, length: Int,
        _ out: UnsafeMutableRawBufferPointer, _ count: Int
    ) {
        guard let target = out.baseAddress else { return }
        // Where all messages are empty there may be no memory; any address will do then, none is read.
        let start = (bytes.baseAddress ?? UnsafeRawPointer(target)).assumingMemoryBound(to: UInt8.self)
        withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 2) { personal in
            personal[0] = domain.low
            personal[1] = domain.high
            plasma_digest_many(
                personal.baseAddress, start, ends, length, count, target.assumingMemoryBound(to: UInt8.self))
        }
    }

    fileprivate static func many(
        _ domain: Domain, _ bytes: UnsafeRawBufferPointer, ends: [UInt]?, length: Int, count: Int
    ) -> [Digest] {
        if count == 0 { return [] }
        if count == 1 { return [of(domain, bytes)] }
        return [Digest](unsafeUninitializedCapacity: count) { out, initialized in
            out.initialize(repeating: .zero)
            initialized = count
            let target = UnsafeMutableRawBufferPointer(out)
            if let ends {
                ends.withUnsafeBufferPointer { many(domain, bytes, ends: $0.baseAddress, length: 0, target, count) }
            } else {
                many(domain, bytes, ends: nil, length: length, target, count)
            }
        }
    }
}
