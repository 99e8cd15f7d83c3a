import Primitives
import Testing

@Suite struct EncodingTests {
    @Test func integersAreLittleEndianAndFixedWidth() throws {
        var writer = ByteWriter()
        writer.write(UInt16(0x0102))
        writer.write(UInt64(1))
        #expect(writer.bytes == [2, 1, 1, 0, 0, 0, 0, 0, 0, 0])
    }

    @Test func trailingBytesAreRefused() {
        #expect(throws: DecodingFault.trailing(1)) { try Height(canonicalBytes: [0, 0, 0, 0, 0, 0, 0, 0, 9]) }
    }

    @Test func aLengthAboveItsBoundIsRefusedBeforeAllocation() {
        var reader = ByteReader([0xff, 0xff, 0xff, 0xff])
        #expect(throws: DecodingFault.tooLong(found: 0xffff_ffff, limit: 10)) { try reader.readBytes(max: 10) }
        var list = ByteReader([11, 0, 0, 0])
        #expect(throws: DecodingFault.tooLong(found: 11, limit: 10)) { try list.readList(UInt64.self, max: 10) }
    }

    @Test func aLengthAtItsBoundIsTaken() throws {
        var reader = ByteReader([2, 0, 0, 0, 7, 8])
        #expect(try reader.readBytes(max: 2) == [7, 8])
    }

    @Test func aFlagIsZeroOrOne() {
        var reader = ByteReader([2])
        #expect(throws: DecodingFault.self) { try reader.readBool() }
    }

    @Test func invalidTextIsRefused() {
        var reader = ByteReader([1, 0, 0, 0, 0xff])
        #expect(throws: DecodingFault.self) { try reader.readString(max: 8) }
    }

    @Test(arguments: 0..<8) func truncationIsAFaultAtEveryLength(_ length: Int) {
        #expect(throws: DecodingFault.truncated(needed: 8, left: length)) {
            try Height(canonicalBytes: [UInt8](repeating: 0, count: length))
        }
    }
}

@Suite struct DigestTests {
    @Test func domainsSeparate() {
        #expect(Digest.of(Domain("a"), [1, 2, 3]) != Digest.of(Domain("b"), [1, 2, 3]))
    }

    @Test func piecesEqualTheWhole() {
        let hasher = DigestHasher(Domain("test"))
        hasher.update([1, 2])
        hasher.update([3])
        #expect(hasher.finalize() == Digest.of(Domain("test"), [1, 2, 3]))
    }

    @Test func bitsCountFromTheMostSignificant() throws {
        let digest = try Digest(bytes: [0x80, 0x01] + [UInt8](repeating: 0, count: 30))
        #expect(digest[bit: 0] && !digest[bit: 1] && digest[bit: 15])
    }

    @Test func orderIsThatOfTheBytes() throws {
        let low = try Digest(bytes: [0, 0xff] + [UInt8](repeating: 0xff, count: 30))
        let high = try Digest(bytes: [1, 0] + [UInt8](repeating: 0, count: 30))
        #expect(low < high && !(high < low))
    }

    @Test func hexadecimalRoundTrips() {
        let digest = Digest.of(Domain("test"), [])
        #expect(Digest(hex: digest.hex) == digest)
        #expect(Digest(hex: "xyz") == nil)
    }

    /// hashlib.blake2b(b"abc", digest_size=32, person=b"plasma.test").hexdigest(), CPython 3.11.
    @Test func equalsAnIndependentBlake2b() {
        #expect(
            Digest.of(Domain("plasma.test"), Array("abc".utf8)).hex
                == "212d2dec4d96fc7eac8f62e5b7d1c5768f7ae1da1aab2c4421b474a68dbf822d")
    }
}

@Suite struct KeyTests {
    /// RFC 8032 §7.1, test 1.
    @Test func signsAsRFC8032() throws {
        let seed = try #require(
            Hexadecimal.decode("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))
        let key = try SecretKey(seed: seed)
        #expect(key.publicKey.hex == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
        let signature = key.sign([])
        #expect(
            Hexadecimal.encode(signature.bytes)
                == "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        )
        #expect(key.publicKey.verify(signature, of: []))
        #expect(!key.publicKey.verify(signature, of: [0]))
    }

    @Test func addressesRoundTripAndFindTypingErrors() throws {
        let address = SecretKey.generate().publicKey.address
        #expect(try Address(parsing: address.description) == address)
        #expect(address.description.hasPrefix("xpl1"))
        #expect(try Address(parsing: address.description.uppercased()) == address)
        var text = Array(address.description)
        text[10] = text[10] == "q" ? "p" : "q"
        #expect(throws: AddressFault.badChecksum) { try Address(parsing: String(text)) }
        #expect(throws: AddressFault.self) { try Address(parsing: "xpl1") }
        #expect(throws: AddressFault.wrongPrefix("abc")) {
            try Address(parsing: Bech32m.encode(prefix: "abc", bytes: address.bytes))
        }
        #expect(throws: AddressFault.wrongLength(3)) {
            try Address(parsing: Bech32m.encode(prefix: "xpl", bytes: [1, 2, 3]))
        }
        #expect(try Address(bytes: address.bytes) == address)
    }

    /// BIP 350's valid and invalid strings.
    @Test func bech32mFollowsBIP350() throws {
        #expect(try Bech32m.decode("A1LQFN3A").prefix == "a")
        #expect(try Bech32m.decode("abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx").bytes.count == 20)
        for bad in ["A1G7SGD8", "M1VUXWEZ", "16plkw9", "1p2gdwpf", "in1muywd", "y1b0jsk6g", "lt1igcx5c0"] {
            #expect(throws: AddressFault.self) { try Bech32m.decode(bad) }
        }
    }

    @Test func aSealedSecretOpensWithItsPasswordAlone() throws {
        let salt = SystemRandom.bytes(SealedSecret.saltLength)
        let nonce = SystemRandom.bytes(SealedSecret.nonceLength)
        let box = try SealedSecret.seal(
            [1, 2, 3], password: "correct", salt: salt, nonce: nonce, strength: .development)
        #expect(
            try SealedSecret.open(box, password: "correct", salt: salt, nonce: nonce, strength: .development) == [
                1, 2, 3,
            ])
        #expect(throws: SealFault.wrongPassword) {
            try SealedSecret.open(box, password: "wrong", salt: salt, nonce: nonce, strength: .development)
        }
    }
}

@Suite struct AmountTests {
    @Test func everyOperationIsChecked() {
        let most = Amount(baseUnits: .max)
        #expect(throws: AmountFault.overflow) { try most.adding(Amount(baseUnits: 1)) }
        #expect(throws: AmountFault.overflow) { try most.multiplied(by: 2) }
        #expect(throws: AmountFault.divisionByZero) { try most.scaled(1, over: 0) }
        #expect(throws: AmountFault.insufficient(has: .zero, needs: .xpl(1))) { try Amount.zero.subtracting(.xpl(1)) }
    }

    @Test func scalingPassesThroughWiderNumbers() throws {
        #expect(try Amount(baseUnits: .max).scaled(3, over: 3).baseUnits == .max)
        #expect(throws: AmountFault.overflow) { try Amount(baseUnits: .max).scaled(4, over: 3) }
        #expect(try Amount(baseUnits: 10).scaled(1, over: 3).baseUnits == 3)
    }

    @Test(arguments: [("12", 12_000_000_000), ("0.5", 500_000_000), ("0.000000001", 1), ("1.000000001", 1_000_000_001)])
    func textRoundTrips(_ text: String, _ units: UInt128) throws {
        let amount = try Amount(parsing: text)
        #expect(amount.baseUnits == units)
        #expect(amount.description == text)
    }

    @Test(arguments: ["", ".", "1.", ".5", "-1", "1e9", "1.0000000001", "1,5", "+1", " 1", "1 "])
    func whatIsNoAmountIsRefused(_ text: String) {
        #expect(throws: AmountFault.malformed(text)) { try Amount(parsing: text) }
    }

    @Test func anAbsurdAmountOverflows() {
        #expect(throws: AmountFault.overflow) { try Amount(parsing: String(repeating: "9", count: 39)) }
        #expect(throws: AmountFault.overflow) { try Amount(parsing: "340282366920938463463374607432") }
    }

    @Test func aPriceIsRoundedUp() throws {
        let price = Amount(baseUnits: 1000)
        #expect(try ComputeUnits(weightedOperations: 1).price(perThousandUnits: price).baseUnits == 1)
        #expect(try ComputeUnits(weightedOperations: 1_000_000_000).price(perThousandUnits: price).baseUnits == 1)
        #expect(try ComputeUnits(weightedOperations: 1_000_000_001).price(perThousandUnits: price).baseUnits == 2)
        #expect(try ComputeUnits(weightedOperations: 0).price(perThousandUnits: price).baseUnits == 0)
    }
}

@Suite struct MerkleTests {
    @Test(arguments: 1...17) func everyLeafHasAProof(_ count: Int) {
        let leaves = (0..<count).map { MerkleTree.leaf([UInt8($0)]) }
        let root = MerkleTree.root(leaves)
        for index in 0..<count {
            let proof = MerkleTree.proof(leaves, index)
            #expect(proof.root(of: leaves[index]) == root)
            #expect(count == 1 || proof.root(of: leaves[(index + 1) % count]) != root)
        }
    }

    @Test func theTreeIsPaddedWithTheZeroDigest() {
        let leaves = (0..<3).map { MerkleTree.leaf([UInt8($0)]) }
        #expect(MerkleTree.root(leaves) == MerkleTree.root(leaves + [.zero]))
        #expect(MerkleTree.root([]) == .zero)
        #expect(MerkleTree.root([leaves[0]]) == leaves[0])
    }

    @Test func aNodeIsNotALeaf() {
        let left = MerkleTree.leaf([0])
        let right = MerkleTree.leaf([1])
        #expect(MerkleTree.leaf(left.bytes + right.bytes) != MerkleTree.node(left, right))
    }

    @Test func aProofForALeafBeyondItsDepthIsRefused() {
        let bad = MerkleProof(index: 2, siblings: [.zero])
        #expect(throws: DecodingFault.self) { try MerkleProof(canonicalBytes: bad.canonicalBytes) }
    }

    @Test func depthIsBounded() {
        let deep = MerkleProof(index: 0, siblings: [Digest](repeating: .zero, count: MerkleProof.maximumDepth + 1))
        #expect(throws: DecodingFault.tooLong(found: 65, limit: 64)) {
            try MerkleProof(canonicalBytes: deep.canonicalBytes)
        }
    }
}
