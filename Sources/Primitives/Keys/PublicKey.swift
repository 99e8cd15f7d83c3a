internal import CSodium

/// An Ed25519 public key (RFC 8032), as four words.
public struct PublicKey: Hashable, Sendable, Comparable, CanonicalCodable, CustomStringConvertible {
    /// Same layout, same order, same cost as a digest.
    private var words: Digest

    /// Takes exactly 32 bytes. Whether they are a point shows when a signature is checked.
    public init(bytes: some Collection<UInt8>) throws(DecodingFault) {
        if bytes.count != 32 { throw .invalid("a public key has 32 bytes, found \(bytes.count)") }
        words = try Digest(bytes: bytes)
    }

    /// The same 32 bytes, for what digests them in pairs.
    package var asDigest: Digest { words }

    public init(from reader: inout ByteReader) throws(DecodingFault) { words = try Digest(from: &reader) }

    public func encode(into writer: inout ByteWriter) { words.encode(into: &writer) }

    /// The 32 bytes.
    public var bytes: [UInt8] { words.bytes }

    public var hex: String { words.hex }

    /// Reads 64 hexadecimal digits.
    public init?(hex: String) {
        guard let digest = Digest(hex: hex) else { return nil }
        words = digest
    }

    public var description: String { hex }

    /// Whether `signature` over `message` is by this key. libsodium's rule alone decides validity everywhere: canonical S, no
    /// small-order key, cofactorless equation.
    public func verify(_ signature: Signature, of message: [UInt8]) -> Bool {
        Sodium.ensureReady()
        return words.withUnsafeBytes { key in
            signature.withUnsafeBytes { signature in
                guard
                    let keyBytes = key.bindMemory(to: UInt8.self).baseAddress,
                    let signatureBytes = signature.bindMemory(to: UInt8.self).baseAddress
                else { return false }
                return crypto_sign_ed25519_verify_detached(signatureBytes, message, UInt64(message.count), keyBytes)
                    == 0
            }
        }
    }

    /// The account that this key controls.
    public var address: Address { Address(of: self) }

    public static func < (x: PublicKey, y: PublicKey) -> Bool { x.words < y.words }
}
