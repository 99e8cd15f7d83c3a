internal import CSodium

/// A secret under a password: Argon2id stretches it, XChaCha20-Poly1305 seals.
public enum SealedSecret {
    /// How much work a guess costs.
    public enum Strength: UInt8, Sendable {
        /// 64 MiB and two passes: a person waits a fraction of a second.
        case interactive = 1
        /// 8 MiB and one pass, for development networks and tests, where many keys are opened at once.
        case development = 2

        var operations: UInt64 { self == .interactive ? 2 : 1 }
        var memory: Int { self == .interactive ? 64 << 20 : 8 << 20 }
    }

    /// Sizes in bytes.
    public static let saltLength = 16
    public static let nonceLength = 24

    /// Seals `secret`. `salt` (16 bytes) and `nonce` (24 bytes) must be new and random.
    public static func seal(
        _ secret: [UInt8], password: String, salt: [UInt8], nonce: [UInt8], strength: Strength
    ) throws(SealFault) -> [UInt8] {
        var key = try stretch(password, salt: salt, nonce: nonce, strength: strength)
        defer { sodium_memzero(&key, key.count) }
        var out = [UInt8](repeating: 0, count: secret.count + 16)
        _ = crypto_aead_xchacha20poly1305_ietf_encrypt(
            &out, nil, secret, UInt64(secret.count), nil, 0, nil, nonce, key)
        return out
    }

    /// Opens what `seal` made, or throws `wrongPassword` (a changed box looks the same).
    public static func open(
        _ sealed: [UInt8], password: String, salt: [UInt8], nonce: [UInt8], strength: Strength
    ) throws(SealFault) -> [UInt8] {
        if sealed.count < 16 { throw .wrongPassword }
        var key = try stretch(password, salt: salt, nonce: nonce, strength: strength)
        defer { sodium_memzero(&key, key.count) }
        var out = [UInt8](repeating: 0, count: sealed.count - 16)
        let status = crypto_aead_xchacha20poly1305_ietf_decrypt(
            &out, nil, nil, sealed, UInt64(sealed.count), nil, 0, nonce, key)
        if status != 0 { throw .wrongPassword }
        return out
    }

    private static func stretch(
        _ password: String, salt: [UInt8], nonce: [UInt8], strength: Strength
    ) throws(SealFault) -> [UInt8] {
        Sodium.ensureReady()
        if salt.count != saltLength || nonce.count != nonceLength { throw .malformed }
        var key = [UInt8](repeating: 0, count: 32)
        let text = Array(password.utf8).map { CChar(bitPattern: $0) }
        let status = crypto_pwhash(
            &key, 32, text, UInt64(text.count), salt, strength.operations, strength.memory, crypto_pwhash_ALG_ARGON2ID13
        )
        if status != 0 { throw .outOfMemory }
        return key
    }
}

/// Why a sealed secret stays closed.
public enum SealFault: Error, Equatable, Sendable, CustomStringConvertible {
    case wrongPassword
    case malformed
    case outOfMemory

    public var description: String {
        switch self {
        case .wrongPassword: "the password does not open this key: check it and try again"
        case .malformed: "the key file is damaged: restore it from a backup"
        case .outOfMemory: "there is not enough memory to open the key: free some and try again"
        }
    }
}
