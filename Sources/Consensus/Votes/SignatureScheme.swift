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

    /// Checks many at once, most of them over one message.
    public static func verify(_ items: [VerificationItem]) -> [Bool] {
        var pairs: [Digest] = []
        pairs.reserveCapacity(2 * items.count)
        var message: (bytes: [UInt8], digest: Digest)?
        for item in items {
            if message?.bytes != item.message { message = (item.message, Digest.of(.symbolic, item.message)) }
            pairs.append(item.key.asDigest)
            pairs.append(message?.digest ?? .zero)
        }
        let digests = Digest.ofEach(.symbolic, pairs: pairs)
        return items.indices.map { items[$0].signature == Signature(digests[$0], digests[$0]) }
    }

    private static func signature(_ key: PublicKey, _ message: [UInt8]) -> Signature {
        let digest = Digest.of(.symbolic, key.asDigest, Digest.of(.symbolic, message))
        return Signature(digest, digest)
    }
}

extension Domain {
    fileprivate static let symbolic = Domain("plasma.symbolic")
}
