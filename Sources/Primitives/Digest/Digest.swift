internal import CSodium

/// 32 bytes of BLAKE2b-256, as four words: no allocation, cheap to hash and compare.
public struct Digest: Hashable, Sendable, BitwiseCopyable, Comparable, CanonicalCodable, CustomStringConvertible {
    /// The words in memory order: `a` holds bytes 0 to 7 as they lie.
    @usableFromInline var a: UInt64
    @usableFromInline var b: UInt64
    @usableFromInline var c: UInt64
    @usableFromInline var d: UInt64

    init(a: UInt64, b: UInt64, c: UInt64, d: UInt64) {
        self.a = a
        self.b = b
        self.c = c
        self.d = d
    }

    /// 32 zero bytes: "nothing", never the digest of something.
    public static let zero = Digest(a: 0, b: 0, c: 0, d: 0)

    /// Takes exactly 32 bytes.
    public init(bytes: some Collection<UInt8>) throws(DecodingFault) {
        if bytes.count != 32 { throw .invalid("a digest has 32 bytes, found \(bytes.count)") }
        self = .zero
        withUnsafeMutableBytes(of: &self) { $0.copyBytes(from: bytes) }
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        // Word by word, without an array between: tree records and blocks are made of these.
        a = try reader.readUInt64().littleEndian
        b = try reader.readUInt64().littleEndian
        c = try reader.readUInt64().littleEndian
        d = try reader.readUInt64().littleEndian
    }

    public func encode(into writer: inout ByteWriter) {
        withUnsafeBytes { writer.write(raw: $0) }
    }

    /// Lends the 32 bytes without a copy.
    @inline(__always)
    public func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
        Swift.withUnsafeBytes(of: self) { body($0) }
    }

    /// The 32 bytes.
    public var bytes: [UInt8] { withUnsafeBytes { Array($0) } }

    /// 64 lower-case hexadecimal digits.
    public var hex: String { Hexadecimal.encode(bytes) }

    /// Reads 64 hexadecimal digits of either case.
    public init?(hex: String) {
        guard let bytes = Hexadecimal.decode(hex), let digest = try? Digest(bytes: bytes) else { return nil }
        self = digest
    }

    public var description: String { hex }

    /// Bit `i`, counted from the most significant bit of byte 0.
    public subscript(bit i: Int) -> Bool {
        precondition(i >= 0 && i < 256, "a digest has 256 bits")
        return withUnsafeBytes { $0[i >> 3] & (0x80 >> UInt8(i & 7)) != 0 }
    }

    public func hash(into hasher: inout Hasher) { hasher.combine(a) }

    /// By bytes, as a big-endian number.
    @inlinable
    public static func < (x: Digest, y: Digest) -> Bool {
        if x.a != y.a { return x.a.bigEndian < y.a.bigEndian }
        if x.b != y.b { return x.b.bigEndian < y.b.bigEndian }
        if x.c != y.c { return x.c.bigEndian < y.c.bigEndian }
        return x.d.bigEndian < y.d.bigEndian
    }
}

extension Digest {
    /// The digest of `bytes` in `domain`.
    public static func of(_ domain: Domain, _ bytes: [UInt8]) -> Digest {
        bytes.withUnsafeBytes { of(domain, $0) }
    }

    /// The digest of memory in `domain`.
    public static func of(_ domain: Domain, _ bytes: UnsafeRawBufferPointer) -> Digest {
        Sodium.ensureReady()
        var out = Digest.zero
        Swift.withUnsafeMutableBytes(of: &out) { out in
            Swift.withUnsafeBytes(of: (domain.low, domain.high)) { personal in
                // The pointers are those of live buffers and the sizes are libsodium's own, so the call cannot fail.
                guard let target = out.baseAddress else { return }
                _ = crypto_generichash_blake2b_salt_personal(
                    target, 32, bytes.baseAddress, UInt64(bytes.count), nil, 0, nil, personal.baseAddress)
            }
        }
        return out
    }

    /// The digest of two digests, one after the other.
    public static func of(_ domain: Domain, _ left: Digest, _ right: Digest) -> Digest {
        Swift.withUnsafeBytes(of: (left, right)) { of(domain, $0) }
    }

    /// The digest of a value's canonical bytes.
    public static func of<T: CanonicalCodable>(_ domain: Domain, encoding value: T) -> Digest {
        of(domain, value.canonicalBytes)
    }
}
