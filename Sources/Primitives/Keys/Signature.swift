/// An Ed25519 signature (RFC 8032), 64 bytes.
public struct Signature: Hashable, Sendable, CanonicalCodable {
    private var first: Digest
    private var second: Digest

    /// Takes exactly 64 bytes.
    public init(bytes: some Collection<UInt8>) throws(DecodingFault) {
        if bytes.count != 64 { throw .invalid("a signature has 64 bytes, found \(bytes.count)") }
        first = try Digest(bytes: bytes.prefix(32))
        second = try Digest(bytes: bytes.suffix(32))
    }

    /// Of two halves: what stands in for a signature where nothing is signed.
    package init(_ first: Digest, _ second: Digest) {
        self.first = first
        self.second = second
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        first = try Digest(from: &reader)
        second = try Digest(from: &reader)
    }

    public func encode(into writer: inout ByteWriter) {
        first.encode(into: &writer)
        second.encode(into: &writer)
    }

    /// The 64 bytes.
    public var bytes: [UInt8] { first.bytes + second.bytes }

    func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
        Swift.withUnsafeBytes(of: (first, second)) { body($0) }
    }
}
