public import Primitives

/// How votes are signed. Two stand behind it: Ed25519 for real, and a symbolic one that lets a simulator run a thousand times faster.
public protocol SignatureScheme: Sendable {
    func sign(_ message: [UInt8]) -> Signature
    func verify(_ key: PublicKey, _ signature: Signature, _ message: [UInt8]) -> Bool
}

/// Ed25519 by libsodium's rule.
public struct Ed25519Scheme: SignatureScheme {
    private let secret: SecretKey

    public init(_ secret: SecretKey) { self.secret = secret }

    public func sign(_ message: [UInt8]) -> Signature { secret.sign(message) }

    public func verify(_ key: PublicKey, _ signature: Signature, _ message: [UInt8]) -> Bool {
        key.verify(signature, of: message)
    }

    /// Checks signatures and makes none.
    public static let verifier: any SignatureScheme = Verifier()

    private struct Verifier: SignatureScheme {
        func sign(_: [UInt8]) -> Signature { preconditionFailure("a verifier has no key to sign with") }

        func verify(_ key: PublicKey, _ signature: Signature, _ message: [UInt8]) -> Bool {
            key.verify(signature, of: message)
        }
    }
}

/// Digests in place of signatures: whoever knows the key's public half can make one, so it is for simulations alone.
public struct SymbolicScheme: SignatureScheme {
    private let key: PublicKey

    public init(_ key: PublicKey) { self.key = key }

    public func sign(_ message: [UInt8]) -> Signature { SymbolicScheme.signature(key, message) }

    public func verify(_ key: PublicKey, _ signature: Signature, _ message: [UInt8]) -> Bool {
        SymbolicScheme.signature(key, message) == signature
    }

    private static func signature(_ key: PublicKey, _ message: [UInt8]) -> Signature {
        let digest = Digest.of(Domain("plasma.symbolic"), key.bytes + message).bytes
        guard let signature = try? Signature(bytes: digest + digest) else {
            preconditionFailure("64 bytes are a signature")
        }
        return signature
    }
}
