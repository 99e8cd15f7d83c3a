import CSodium
import Primitives
import Testing

/// ECVRF-EDWARDS25519-SHA512-TAI (RFC 9381).
@Suite struct VRFTests {
    private static func bytes(_ hex: String) throws -> [UInt8] { try #require(Hexadecimal.decode(hex)) }
    private static let key = TestKeys.key(7)
    private static let alpha: [UInt8] = [1, 2, 3]

    /// RFC 9381, appendix B.3, examples 16, 17 and 18: seed, public key, input, proof, output.
    static let examples = [
        [
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
            "8657106690b5526245a92b003bb079ccd1a92130477671f6fc01ad16f26f723f26f8a57ccaed74ee1b190bed1f479d97"
                + "27d2d0f9b005a6e456a35d4fb0daab1268a1b0db10836d9826a528ca76567805",
            "90cf1df3b703cce59e2a35b925d411164068269d7b2d29f3301c03dd757876ff",
        ],
        [
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
            "f3141cd382dc42909d19ec5110469e4feae18300e94f304590abdced48aed5933bf0864a62558b3ed7f2fea45c92a465"
                + "301b3bbf5e3e54ddf2d935be3b67926da3ef39226bbc355bdc9850112c8f4b02",
            "eb4440665d3891d668e7e0fcaf587f1b4bd7fbfe99d0eb2211ccec90496310eb",
        ],
        [
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
            "9bc0f79119cc5604bf02d23b4caede71393cedfbb191434dd016d30177ccbf8096bb474e53895c362d8628ee9f9ea3c0"
                + "e52c7a5c691b6c18c9979866568add7a2d41b00b05081ed0f58ee5e31b3a970e",
            "645427e5d00c62a23fb703732fa5d892940935942101e456ecca7bb217c61c45",
        ],
    ]

    @Test(arguments: examples) func theExamplesOfRFC9381ComeOut(_ example: [String]) throws {
        let key = try SecretKey(seed: try VRFTests.bytes(example[0]))
        let alpha = try VRFTests.bytes(example[2])
        #expect(key.publicKey.hex == example[1])
        let proof = VRF.prove(key, alpha: alpha)
        #expect(Hexadecimal.encode(proof.bytes) == example[3])
        let output = VRF.verify(key.publicKey, proof, alpha: alpha)
        #expect(output?.hex == example[4])
        #expect(output == VRF.output(of: proof))
    }

    @Test(arguments: 0..<80) func aProofWithAFlippedBitProvesNothing(_ position: Int) throws {
        let (key, alpha) = (VRFTests.key, VRFTests.alpha)
        let proof = VRF.prove(key, alpha: alpha)
        #expect(VRF.verify(key.publicKey, proof, alpha: alpha) == VRF.output(of: proof))
        for bit in 0..<8 {
            var bytes = proof.bytes
            bytes[position] ^= 1 << UInt8(bit)
            #expect(VRF.verify(key.publicKey, try VRFProof(bytes: bytes), alpha: alpha) == nil)
        }
    }

    /// Of many keys and inputs: each proves its own, and nothing that is one bit beside it.
    @Test func theOutputWithoutAProofIsTheProofs() throws {
        for number in 0..<20 as Range<UInt8> {
            let key = try SecretKey(seed: [UInt8](repeating: number, count: 32))
            let alpha = [UInt8](repeating: number, count: Int(number))
            #expect(VRF.output(key, alpha: alpha) == VRF.output(of: VRF.prove(key, alpha: alpha)))
        }
    }

    @Test func aProofIsOfOneKeyAndOneInput() throws {
        var random = SplitMix64(seed: 9381)
        for round in 0..<60 {
            var alpha = (0..<Int(random.next() % 90)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            let key = try SecretKey(seed: (0..<32).map { _ in UInt8(truncatingIfNeeded: random.next()) })
            let proof = VRF.prove(key, alpha: alpha)
            #expect(VRF.prove(key, alpha: alpha) == proof)
            #expect(VRF.verify(key.publicKey, proof, alpha: alpha) == VRF.output(of: proof), "round \(round)")
            var other = key.publicKey.bytes
            other[Int(random.next() % 32)] ^= 1 << UInt8(random.next() % 8)
            #expect(VRF.verify(try PublicKey(bytes: other), proof, alpha: alpha) == nil, "round \(round)")
            #expect(VRF.verify(VRFTests.key.publicKey, proof, alpha: alpha) == nil)
            #expect(VRF.verify(key.publicKey, proof, alpha: alpha + [0]) == nil)
            if alpha.isEmpty { continue }
            alpha[Int(random.next() % UInt64(alpha.count))] ^= 1 << UInt8(random.next() % 8)
            #expect(VRF.verify(key.publicKey, proof, alpha: alpha) == nil, "round \(round)")
        }
    }

    /// The output is the key's and the input's alone: whoever proves with another nonce has another proof of the same.
    @Test func anotherProofGivesTheSameOutput() throws {
        let (key, alpha) = (VRFTests.key, VRFTests.alpha)
        let usual = VRF.prove(key, alpha: alpha)
        let maker = ProofMaker(key, alpha: alpha)
        #expect(maker.proof(nonce: maker.usualNonce) == usual)
        for seed in 1...8 {
            let other = maker.proof(nonce: ProofMaker.reduce(ProofMaker.sha512([UInt8(seed)])))
            #expect(other != usual)
            #expect(VRF.verify(key.publicKey, other, alpha: alpha) == VRF.output(of: usual))
        }
    }

    /// A multiple of another point has no proof, whatever its nonce.
    @Test func nobodyChoosesItsOutput() throws {
        let (key, alpha) = (VRFTests.key, VRFTests.alpha)
        let maker = ProofMaker(key, alpha: alpha)
        let chosen = maker.proof(nonce: maker.usualNonce, gamma: ProofMaker(key, alpha: [9]).gamma)
        #expect(VRF.verify(key.publicKey, chosen, alpha: alpha) == nil)
        // Γ with a point of small order added has the same output once the cofactor is cleared. There is one such proof only.
        for torsion in VRFTests.smallOrder.prefix(8) where torsion != VRFTests.smallOrder[0] {
            var moved = [UInt8](repeating: 0, count: 32)
            #expect(crypto_core_ed25519_add(&moved, maker.gamma, try VRFTests.bytes(torsion)) == 0)
            for seed in 1...16 {
                let proof = maker.proof(nonce: ProofMaker.reduce(ProofMaker.sha512([UInt8(seed)])), gamma: moved)
                #expect(VRF.verify(key.publicKey, proof, alpha: alpha) == nil)
            }
        }
    }

    @Test func whatIsNotCanonicalProvesNothing() throws {
        let (key, alpha) = (VRFTests.key, VRFTests.alpha)
        let proof = VRF.prove(key, alpha: alpha)
        // The response and the group's order: the same number, in other bytes.
        let order = try VRFTests.bytes("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")
        var carry = 0
        var response = Array(proof.bytes[48...])
        for place in 0..<32 {
            carry += Int(response[place]) + Int(order[place])
            response[place] = UInt8(carry & 255)
            carry >>= 8
        }
        #expect(carry == 0)
        let shifted = try VRFProof(bytes: Array(proof.bytes[..<48]) + response)
        #expect(VRF.verify(key.publicKey, shifted, alpha: alpha) == nil)
        #expect(throws: DecodingFault.self) { try VRFProof(bytes: Array(proof.bytes.dropLast())) }
        #expect(throws: DecodingFault.self) { try VRFProof(bytes: proof.bytes + [0]) }
        #expect(throws: DecodingFault.self) { try VRFProof(canonicalBytes: proof.bytes + [0]) }
        #expect(try VRFProof(canonicalBytes: proof.canonicalBytes) == proof)
    }

    /// The points of order 1, 2, 4 and 8, and their other encodings: a y of p and above, and the sign of a zero x.
    static let smallOrder = [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    ]

    /// With a key of small order anybody could prove anything: a zero response, whatever the challenge.
    @Test(arguments: smallOrder) func aKeyOfSmallOrderProvesNothing(_ hex: String) throws {
        let key = try PublicKey(bytes: try VRFTests.bytes(hex))
        let proof = VRF.prove(VRFTests.key, alpha: [])
        #expect(VRF.verify(key, proof, alpha: []) == nil)
        let zero = try VRFProof(
            bytes: try VRFTests.bytes(hex) + [UInt8](repeating: 0, count: 48))
        #expect(VRF.verify(key, zero, alpha: []) == nil)
        #expect(VRF.verify(VRFTests.key.publicKey, zero, alpha: []) == nil)
        let gamma = try VRFProof(bytes: try VRFTests.bytes(hex) + proof.bytes[32...])
        #expect(VRF.verify(VRFTests.key.publicKey, gamma, alpha: []) == nil)
    }
}

private enum TestKeys {
    static func key(_ byte: UInt8) -> SecretKey {
        guard let key = try? SecretKey(seed: [UInt8](repeating: byte, count: 32)) else {
            preconditionFailure("a seed has 32 bytes")
        }
        return key
    }
}

/// RFC 9381 §5.1 written again, with a nonce and a Γ of one's choice.
private struct ProofMaker {
    private let publicBytes: [UInt8]
    private let scalar: [UInt8]
    private let point: [UInt8]
    let usualNonce: [UInt8]
    let gamma: [UInt8]

    init(_ key: SecretKey, alpha: [UInt8]) {
        publicBytes = key.publicKey.bytes
        let expanded = ProofMaker.sha512(key.seed)
        var scalar = Array(expanded[..<32])
        scalar[0] &= 248
        scalar[31] = scalar[31] & 127 | 64
        self.scalar = ProofMaker.reduce(scalar + [UInt8](repeating: 0, count: 32))
        var point: [UInt8] = []
        var counter: UInt8 = 0
        while point.isEmpty {
            let candidate = Array(ProofMaker.sha512([3, 1] + publicBytes + alpha + [counter, 0])[..<32])
            var twice = [UInt8](repeating: 0, count: 32)
            if crypto_core_ed25519_add(&twice, candidate, candidate) == 0 {
                var eight = twice
                for _ in 0..<2 {
                    let now = eight
                    _ = crypto_core_ed25519_add(&eight, now, now)
                }
                point = eight
            }
            counter += 1
        }
        self.point = point
        usualNonce = ProofMaker.reduce(ProofMaker.sha512(Array(expanded[32...]) + point))
        gamma = ProofMaker.multiply(scalar, point)
    }

    func proof(nonce: [UInt8], gamma: [UInt8]? = nil) -> VRFProof {
        let gamma = gamma ?? self.gamma
        var u = [UInt8](repeating: 0, count: 32)
        _ = crypto_scalarmult_ed25519_base_noclamp(&u, nonce)
        let v = ProofMaker.multiply(nonce, point)
        let challenge = Array(ProofMaker.sha512([3, 2] + publicBytes + point + gamma + u + v + [0])[..<16])
        var product = [UInt8](repeating: 0, count: 32)
        crypto_core_ed25519_scalar_mul(&product, challenge + [UInt8](repeating: 0, count: 16), scalar)
        var response = [UInt8](repeating: 0, count: 32)
        crypto_core_ed25519_scalar_add(&response, nonce, product)
        guard let proof = try? VRFProof(bytes: gamma + challenge + response) else {
            preconditionFailure("32 + 16 + 32 bytes are a proof")
        }
        return proof
    }

    static func multiply(_ scalar: [UInt8], _ point: [UInt8]) -> [UInt8] {
        var out = [UInt8](repeating: 0, count: 32)
        _ = crypto_scalarmult_ed25519_noclamp(&out, scalar, point)
        return out
    }

    static func reduce(_ wide: [UInt8]) -> [UInt8] {
        var out = [UInt8](repeating: 0, count: 32)
        crypto_core_ed25519_scalar_reduce(&out, wide)
        return out
    }

    static func sha512(_ bytes: [UInt8]) -> [UInt8] {
        var out = [UInt8](repeating: 0, count: 64)
        _ = crypto_hash_sha512(&out, bytes, UInt64(bytes.count))
        return out
    }
}
