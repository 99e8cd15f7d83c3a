import Gossip
import Primitives
import TestSupport
import Testing

@Suite struct DiscoveryMessageTests {
    static let key = Actors.key(1)
    static let sender = Actors.record(key, at: Actors.endpoint(27_600))

    static func others(_ count: Int, address: [UInt8] = [192, 0, 2, 1]) -> [NodeRecord] {
        (0..<count).map { Actors.record(Actors.key(10 + $0), at: Actors.endpoint(address, UInt16(1 + $0))) }
    }

    static let contents: [DiscoveryMessage.Content] = [
        .ping, .pong, .findNode(Actors.digest(1)), .nodes([]), .nodes(others(1)),
        .nodes(others(DiscoveryMessage.maximumNodes)),
    ]
    /// Signs the body again, as the sender could.
    static let form = WireForm(
        samples: contents.map { DiscoveryMessage(sender: sender, nonce: 0x0123_4567_89ab_cdef, content: $0) },
        encode: { $0.datagram(key: key) }, decode: { try DiscoveryMessage(datagram: $0) },
        repair: { bytes in
            if bytes.count < 64 { return bytes }
            let body = Array(bytes.dropLast(64))
            return body + key.sign(body).bytes
        })

    @Test func everyDatagramHasOneEncoding() throws {
        try Self.form.roundTrips()
        Self.form.refusesEveryTruncationAndWhatTrails()
    }

    @Test func changedDatagramsNeverTrapAndHaveOneEncoding() { #expect(Self.form.survivesMutation() > 100) }

    @Test func anyAlteredByteIsRefused() {
        for sample in Self.form.samples {
            let datagram = sample.datagram(key: Self.key)
            for index in datagram.indices {
                var altered = datagram
                altered[index] ^= 0x40
                #expect(throws: DecodingFault.self, "byte \(index)") { try DiscoveryMessage(datagram: altered) }
            }
        }
    }

    @Test func theSenderOfTheRecordMustHaveSignedTheDatagram() {
        let datagram = DiscoveryMessage(sender: Self.sender, nonce: 1, content: .pong).datagram(key: Actors.key(2))
        #expect(throws: DecodingFault.invalid("a discovery message's signature does not hold")) {
            try DiscoveryMessage(datagram: datagram)
        }
    }

    @Test func theLargestDatagramFitsAndOneMoreRecordIsRefused() throws {
        let address = [UInt8](repeating: 7, count: 16)
        let sender = Actors.record(Self.key, at: Actors.endpoint(address, 1))
        let largest = DiscoveryMessage(
            sender: sender, nonce: 1,
            content: .nodes(Self.others(DiscoveryMessage.maximumNodes, address: address))
        ).datagram(key: Self.key)
        #expect(largest.count <= DiscoveryMessage.maximumLength)
        _ = try DiscoveryMessage(datagram: largest)
        let more = DiscoveryMessage(
            sender: sender, nonce: 1, content: .nodes(Self.others(DiscoveryMessage.maximumNodes + 1))
        ).datagram(key: Self.key)
        #expect(throws: DecodingFault.tooLong(found: 5, limit: 4)) { try DiscoveryMessage(datagram: more) }
        let padded = largest + [UInt8](repeating: 0, count: DiscoveryMessage.maximumLength + 1 - largest.count)
        #expect(throws: DecodingFault.tooLong(found: 1_281, limit: 1_280)) { try DiscoveryMessage(datagram: padded) }
    }
}
