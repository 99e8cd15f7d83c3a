internal import CSodium

/// 80 bytes that prove a VRF output: Γ (32), c (16), s (32).
public struct VRFProof: Hashable, Sendable, CanonicalCodable {
    /// The 80 bytes.
    public let bytes: [UInt8]

    /// Takes exactly 80 bytes.
    public init(bytes: [UInt8]) throws(DecodingFault) {
        if bytes.count != 80 { throw .invalid("a VRF proof has 80 bytes, found \(bytes.count)") }
        self.bytes = bytes
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) { bytes = try reader.readRaw(80) }

    public func encode(into writer: inout ByteWriter) { writer.write(raw: bytes) }
}

/// ECVRF-EDWARDS25519-SHA512-TAI (RFC 9381, suite 0x03) with full key validation (§5.4.5): a number that only the key's owner can make, that
/// everyone can check, and of which there is one per key and input.
public enum VRF {
    private static let suite: UInt8 = 0x03

    /// Proves the output of `key` on `alpha` (RFC 9381 §5.1; nonce by §5.4.2.2).
    ///
    /// The nonce is made as a signature's is, with a point in the message's place: a signature by the same key under those very 32 bytes would give the key
    /// away. A key that proves signs nothing here but digests, which nobody can make come out as a point.
    public static func prove(_ key: SecretKey, alpha: [UInt8]) -> VRFProof {
        Sodium.ensureReady()
        let expanded = sha512(key.seed)
        let scalar = scalar(of: expanded)
        let publicBytes = key.publicKey.bytes
        guard let point = encodeToCurve(salt: publicBytes, alpha: alpha) else {
            preconditionFailure("256 tries all missed the curve, which has a chance of 2^-256")
        }
        let nonce = reduce(sha512(Array(expanded[32..<64]) + point))
        guard
            let gamma = multiply(scalar, point), let u = multiplyBase(nonce), let v = multiply(nonce, point)
        else { preconditionFailure("the nonce is zero, which has a chance of 2^-252; no clamped scalar is one") }
        let challenge = challengeOf([publicBytes, point, gamma, u, v])
        // s = k + c·x mod q
        var product = [UInt8](repeating: 0, count: 32)
        let reducedScalar = reduce(scalar + [UInt8](repeating: 0, count: 32))
        crypto_core_ed25519_scalar_mul(&product, challenge + [UInt8](repeating: 0, count: 16), reducedScalar)
        var response = [UInt8](repeating: 0, count: 32)
        crypto_core_ed25519_scalar_add(&response, nonce, product)
        guard let proof = try? VRFProof(bytes: gamma + challenge + response) else {
            preconditionFailure("32 + 16 + 32 bytes are a proof")
        }
        return proof
    }

    /// The output of `key` on `alpha` without its proof, at a third of the cost: for the key's owner.
    public static func output(_ key: SecretKey, alpha: [UInt8]) -> Digest {
        Sodium.ensureReady()
        guard let point = encodeToCurve(salt: key.publicKey.bytes, alpha: alpha),
            let gamma = multiply(scalar(of: sha512(key.seed)), point)
        else {
            preconditionFailure(
                "256 tries all missed the curve, which has a chance of 2^-256; no clamped scalar is zero")
        }
        return output(of: gamma)
    }

    /// A secret key's number, clamped (RFC 8032 §5.1.5).
    private static func scalar(of expanded: [UInt8]) -> [UInt8] {
        var scalar = Array(expanded[0..<32])
        scalar[0] &= 248
        scalar[31] &= 127
        scalar[31] |= 64
        return scalar
    }

    /// The output that `proof` proves for `key` on `alpha`, or nil where it proves nothing (RFC 9381 §5.3).
    public static func verify(_ key: PublicKey, _ proof: VRFProof, alpha: [UInt8]) -> Digest? {
        Sodium.ensureReady()
        let publicBytes = key.bytes
        let gamma = Array(proof.bytes[0..<32])
        let challenge = Array(proof.bytes[32..<48])
        let response = Array(proof.bytes[48..<80])
        if reduce(response + [UInt8](repeating: 0, count: 32)) != response { return nil }
        guard let point = encodeToCurve(salt: publicBytes, alpha: alpha) else { return nil }
        let wide = challenge + [UInt8](repeating: 0, count: 16)
        // U = s·B − c·Y, V = s·H − c·Γ. Each product takes only points of the prime-order group, so the key is validated, and Γ is held to the same: an
        // honest one is a multiple of such a point.
        guard
            let u = subtract(multiplyBase(response), multiply(wide, publicBytes)),
            let v = subtract(multiply(response, point), multiply(wide, gamma))
        else { return nil }
        if challengeOf([publicBytes, point, gamma, u, v]) != challenge { return nil }
        return output(of: gamma)
    }

    /// The output of a proof that the caller made or has checked: the first half of RFC 9381's 64-byte β.
    public static func output(of proof: VRFProof) -> Digest {
        output(of: Array(proof.bytes[0..<32]))
    }

    private static func output(of gamma: [UInt8]) -> Digest {
        let beta = sha512([suite, 0x03] + multiplyByCofactor(gamma) + [0x00])
        // 32 bytes are a digest.
        guard let digest = try? Digest(bytes: beta[0..<32]) else { preconditionFailure("32 bytes are a digest") }
        return digest
    }

    private static let identity: [UInt8] = [1] + [UInt8](repeating: 0, count: 31)

    /// Try-and-increment (§5.4.1.1), cofactor cleared.
    private static func encodeToCurve(salt: [UInt8], alpha: [UInt8]) -> [UInt8]? {
        for counter in UInt8.min...UInt8.max {
            let candidate = Array(sha512([suite, 0x01] + salt + alpha + [counter, 0x00])[0..<32])
            var decoded = [UInt8](repeating: 0, count: 32)
            // Adding the identity decodes the point and encodes it again: it fails off the curve, and gives other bytes for a y of p and above or the sign
            // of a zero x, which libsodium decodes and interpret_hash_value_as_a_point (RFC 8032 §5.1.3) refuses.
            if crypto_core_ed25519_add(&decoded, candidate, identity) != 0 || decoded != candidate { continue }
            let cleared = multiplyByCofactor(candidate)
            if cleared == identity { continue }
            return cleared
        }
        return nil
    }

    private static func multiplyByCofactor(_ point: [UInt8]) -> [UInt8] {
        var value = point
        for _ in 0..<3 {
            var doubled = [UInt8](repeating: 0, count: 32)
            _ = crypto_core_ed25519_add(&doubled, value, value)
            value = doubled
        }
        return value
    }

    /// Nil for a point that is not canonical, not on the curve or not of the prime-order group, and for a zero scalar, which an honest proof has with a
    /// chance of at most 2^-128.
    private static func multiply(_ scalar: [UInt8], _ point: [UInt8]) -> [UInt8]? {
        var product = [UInt8](repeating: 0, count: 32)
        return crypto_scalarmult_ed25519_noclamp(&product, scalar, point) == 0 ? product : nil
    }

    /// Nil for a zero scalar.
    private static func multiplyBase(_ scalar: [UInt8]) -> [UInt8]? {
        var product = [UInt8](repeating: 0, count: 32)
        return crypto_scalarmult_ed25519_base_noclamp(&product, scalar) == 0 ? product : nil
    }

    private static func subtract(_ x: [UInt8]?, _ y: [UInt8]?) -> [UInt8]? {
        guard let x, let y else { return nil }
        var out = [UInt8](repeating: 0, count: 32)
        return crypto_core_ed25519_sub(&out, x, y) == 0 ? out : nil
    }

    private static func challengeOf(_ points: [[UInt8]]) -> [UInt8] {
        Array(sha512([suite, 0x02] + points.flatMap { $0 } + [0x00])[0..<16])
    }

    private static func reduce(_ wide: [UInt8]) -> [UInt8] {
        var out = [UInt8](repeating: 0, count: 32)
        crypto_core_ed25519_scalar_reduce(&out, wide)
        return out
    }

    private static func sha512(_ bytes: [UInt8]) -> [UInt8] {
        var out = [UInt8](repeating: 0, count: 64)
        _ = crypto_hash_sha512(&out, bytes, UInt64(bytes.count))
        return out
    }
}
