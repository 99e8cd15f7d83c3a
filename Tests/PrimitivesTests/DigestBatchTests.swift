import CDigest
import Primitives
import Testing

/// Digests made side by side against libsodium's, one by one.
@Suite struct DigestBatchTests {
    private func bytes(_ count: Int, _ random: inout SplitMix64) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }

    @Test func eachMessageHasItsOwnDigestWhateverStandsBesideIt() {
        var random = SplitMix64(seed: 11)
        for round in 0..<400 {
            var batch = DigestBatch()
            var messages: [[UInt8]] = []
            for _ in 0..<Int(random.next() % 20) {
                messages.append(bytes(Int(random.next() % (round % 4 == 0 ? 700 : 140)), &random))
            }
            for message in messages { batch.append(message) }
            #expect(batch.count == messages.count)
            #expect(messages.indices.allSatisfy { batch.length($0) == messages[$0].count })
            #expect(batch.digests(Domain("test")) == messages.map { Digest.of(Domain("test"), $0) }, "round \(round)")
        }
    }

    @Test func everyLengthUpToThreeBlocks() {
        var random = SplitMix64(seed: 12)
        let messages = (0...385).map { bytes($0, &random) }
        var batch = DigestBatch()
        for message in messages { batch.append(message) }
        #expect(batch.digests(Domain("a domain of 16 b")) == messages.map { Digest.of(Domain("a domain of 16 b"), $0) })
    }

    @Test(arguments: 0..<20) func pairsAreDigestedAsEachAlone(_ count: Int) {
        var random = SplitMix64(seed: UInt64(count))
        let digests = (0..<2 * count).map { _ in Digest.of(Domain("x"), bytes(8, &random)) }
        #expect(
            Digest.ofEach(Domain("pair"), pairs: digests)
                == (0..<count).map { Digest.of(Domain("pair"), digests[2 * $0], digests[2 * $0 + 1]) })
    }

    /// What a processor without wide registers runs.
    @Test func thePortableCodeAgrees() {
        var random = SplitMix64(seed: 13)
        let name = Array("plasma.portable\0".utf8)
        let personal = name.withUnsafeBytes {
            [$0.loadUnaligned(as: UInt64.self), $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self)]
        }
        for count in 1...11 {
            let messages = (0..<count).map { _ in bytes(Int(random.next() % 300), &random) }
            var ends: [Int] = []
            for message in messages { ends.append((ends.last ?? 0) + message.count) }
            var out = [UInt8](repeating: 0, count: 32 * count)
            plasma_digest_many_portable(personal, messages.flatMap(\.self) + [0], ends, 0, count, &out)
            #expect(out == messages.flatMap { Digest.of(Domain("plasma.portable"), $0).bytes })
        }
        #expect([4, 8].contains(plasma_digest_lanes()))
    }

    @Test func addressesOfManyKeysAreThoseOfEach() throws {
        var random = SplitMix64(seed: 14)
        let keys = try (0..<21).map { _ in try PublicKey(bytes: bytes(32, &random)) }
        #expect(Address.ofEach(keys) == keys.map(Address.init(of:)))
        for key in keys { #expect(try Address(canonicalBytes: key.address.bytes) == key.address) }
    }
}
