import Ledger
import Primitives
import TestSupport
import Testing

/// Bytes that are ordered and not executed.
@Suite struct OpaqueTests {
    private static var allowing: ChainParameters {
        var parameters = TestNet.parameters
        parameters.opaqueByteLimit = 100_000
        return parameters
    }

    private static func batch(_ count: Int, _ salt: UInt8 = 0) -> OpaqueBytes {
        OpaqueBytes((0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) ^ salt })
    }

    @Test func theyAreCarriedAndPaidForAndChangeNothingElse() throws {
        let net = try TestNet(parameters: Self.allowing)
        let before = try net.balance(net.people[0])
        let signed = net.transaction(net.people[0], .opaque(Self.batch(66_000)))
        let weight = Fees.weight(signed.transaction, net.genesis.parameters)
        #expect(weight == 200 + UInt64(signed.canonicalBytes.count))
        #expect(signed.byteCount == signed.canonicalBytes.count)
        let result = try net.step([signed])
        #expect(result.receipts.map(\.succeeded) == [true] && result.receipts.map(\.id) == [signed.id])
        #expect(try net.balance(net.people[0]) == before.subtracting(result.receipts[0].fee))
        try net.assertConserved()
    }

    @Test func aNetworkThatDoesNotAllowThemTakesNone() throws {
        let net = try TestNet()
        let none = net.transaction(net.people[0], .opaque(Self.batch(1)))
        let fault = ValidityFault.transaction(index: 0, .opaque(bytes: 1, limit: 0))
        #expect(throws: fault) { try net.step([none]) }
    }

    @Test(arguments: [0, 100_001]) func theirLengthIsBounded(_ count: Int) throws {
        let net = try TestNet(parameters: Self.allowing)
        let signed = net.transaction(net.people[0], .opaque(Self.batch(count)))
        #expect(throws: ValidityFault.transaction(index: 0, .opaque(bytes: count, limit: 100_000))) {
            try net.step([signed])
        }
    }

    @Test func moreThanATransactionCanEverCarryIsNotDecoded() throws {
        let most = Payload.opaque(Self.batch(OpaqueBytes.maximumBytes))
        #expect(try Payload(canonicalBytes: most.canonicalBytes) == most)
        let more = Payload.opaque(Self.batch(OpaqueBytes.maximumBytes + 1)).canonicalBytes
        #expect(throws: DecodingFault.self) { try Payload(canonicalBytes: more) }
    }

    /// The digests in place of the bytes stand for every one of them.
    @Test func idSignatureAndRootDependOnEveryByte() throws {
        let net = try TestNet(parameters: Self.allowing)
        let signed = net.transaction(net.people[0], .opaque(Self.batch(5_000)))
        var seen: Set<Digest> = [signed.id, Block.txRoot([signed])]
        for changed in [Self.batch(5_001), Self.batch(4_999), Self.batch(5_000, 1)] {
            var other = signed.transaction
            other.payload = .opaque(changed)
            let forged = SignedTransaction(transaction: other, signature: signed.signature)
            #expect(!forged.isSigned)
            #expect(seen.insert(forged.id).inserted)
            #expect(seen.insert(Block.txRoot([forged])).inserted)
        }
        #expect(signed.isSigned)
    }

    @Test func theirEncodingIsOne() throws {
        try WireForm([1, 31, 32, 33, 500].map { Payload.opaque(Self.batch($0)) }).holds(inputs: 5_000)
    }
}
