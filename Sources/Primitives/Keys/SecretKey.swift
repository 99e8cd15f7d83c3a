internal import CSodium

/// An Ed25519 key pair. Signing is deterministic (RFC 8032), so a machine may sign.
public struct SecretKey: Sendable {
    /// The 32 bytes that the pair comes from. Whoever has them is the owner.
    public let seed: [UInt8]
    public let publicKey: PublicKey
    private let expanded: [UInt8]

    /// The pair of a 32-byte seed.
    public init(seed: [UInt8]) throws(DecodingFault) {
        if seed.count != 32 { throw .invalid("a key's seed has 32 bytes, found \(seed.count)") }
        Sodium.ensureReady()
        var publicBytes = [UInt8](repeating: 0, count: 32)
        var secretBytes = [UInt8](repeating: 0, count: 64)
        _ = crypto_sign_ed25519_seed_keypair(&publicBytes, &secretBytes, seed)
        self.seed = seed
        publicKey = try PublicKey(bytes: publicBytes)
        expanded = secretBytes
    }

    /// A new pair from the operating system's randomness. Shells only.
    public static func generate() -> SecretKey {
        // A seed of 32 bytes is always accepted.
        guard let key = try? SecretKey(seed: SystemRandom.bytes(32)) else { preconditionFailure("32 bytes are a seed") }
        return key
    }

    /// Signs `message`.
    public func sign(_ message: [UInt8]) -> Signature {
        var out = [UInt8](repeating: 0, count: 64)
        _ = crypto_sign_ed25519_detached(&out, nil, message, UInt64(message.count), expanded)
        // 64 bytes are a signature.
        guard let signature = try? Signature(bytes: out) else { preconditionFailure("64 bytes are a signature") }
        return signature
    }
}
