import Gossip
import Primitives
import TestSupport
import Testing

@Suite struct NodeRecordTests {
    static let key = Actors.key(1)
    static let addresses: [[UInt8]] = [
        [127, 0, 0, 1], [203, 0, 113, 7], [UInt8](repeating: 0, count: 15) + [1],
        [0x20, 0x01, 0x0d, 0xb8] + [UInt8](repeating: 0xee, count: 12),
    ]
    static let records = addresses.map { Actors.record(key, at: Actors.endpoint($0, 27_600), roles: [.validator]) }

    /// Signs the content again, as the record's owner could.
    static let record = WireForm(records) { bytes in
        if bytes.count < 64 { return bytes }
        let content = Array(bytes.dropLast(64))
        return content + key.sign(Array("plasma.record".utf8) + content).bytes
    }
    static let endpoint = WireForm(addresses.map { Actors.endpoint($0, 65_535) })

    @Test func everyFormHasOneEncoding() throws {
        try Self.record.roundTrips()
        try Self.endpoint.roundTrips()
        Self.record.refusesEveryTruncationAndWhatTrails()
        Self.endpoint.refusesEveryTruncationAndWhatTrails()
    }

    @Test func changedBytesNeverTrapAndHaveOneEncoding() {
        #expect(Self.record.survivesMutation() > 100)
        #expect(Self.endpoint.survivesMutation() > 100)
    }

    @Test func aRecordFitsItsBound() {
        for record in Self.records { #expect(record.canonicalBytes.count <= NodeRecord.maximumLength) }
    }

    @Test func anyAlteredByteBreaksTheSignature() {
        for record in Self.records {
            let bytes = record.canonicalBytes
            for index in bytes.indices {
                var altered = bytes
                altered[index] ^= 1
                #expect(throws: DecodingFault.self, "byte \(index)") { try NodeRecord(canonicalBytes: altered) }
            }
        }
    }

    /// Two records of one node: whatever is taken from the other, the signature of neither holds.
    @Test func noFieldOfAnotherRecordOfTheSameNodeCanBePutIn() throws {
        let first = Actors.record(Self.key, sequence: 1, at: Actors.endpoint(1_000)).canonicalBytes
        let second = Actors.record(
            Self.key, network: Actors.otherNetwork, sequence: 2, at: Actors.endpoint([10, 0, 0, 1], 2_000),
            roles: .provider
        ).canonicalBytes
        // Network, sequence, address, UDP port, TCP port, roles, signature.
        for field in [32..<64, 64..<72, 76..<80, 80..<82, 82..<84, 84..<85, 85..<149] {
            var mixed = first
            mixed.replaceSubrange(field, with: second[field])
            #expect(mixed != first)
            #expect(throws: DecodingFault.self, "\(field)") { try NodeRecord(canonicalBytes: mixed) }
        }
    }

    @Test func aRecordSignedByAnotherIsRefused() {
        let honest = Self.records[0].canonicalBytes
        let forged = Array(honest.dropLast(64))
        let signature = Actors.key(2).sign(Array("plasma.record".utf8) + forged)
        #expect(throws: DecodingFault.invalid("a node record's signature does not hold")) {
            try NodeRecord(canonicalBytes: forged + signature.bytes)
        }
    }

    @Test func rolesBeyondTheKnownAreRefused() throws {
        func signed(_ roles: UInt8) -> [UInt8] {
            Actors.record(Self.key, at: Actors.endpoint(1), roles: NodeRoles(rawValue: roles)).canonicalBytes
        }
        #expect(try NodeRecord(canonicalBytes: signed(7)).roles.names == ["validator", "provider", "follower"])
        #expect(throws: DecodingFault.invalid("a node record has unknown roles 8")) {
            try NodeRecord(canonicalBytes: signed(8))
        }
    }

    @Test func anEndpointHasFourOrSixteenBytesAndAPort() throws {
        for count in 0...17 {
            let address = [UInt8](repeating: 1, count: count)
            if count == 4 || count == 16 {
                #expect(try Endpoint(address: address, port: 1).address == address)
            } else {
                #expect(throws: DecodingFault.self) { try Endpoint(address: address, port: 1) }
            }
        }
        #expect(throws: DecodingFault.self) { try Endpoint(address: [127, 0, 0, 1], port: 0) }
        #expect(Actors.endpoint([127, 9, 9, 9], 1).isLoopback && Actors.endpoint(Self.addresses[2], 1).isLoopback)
        #expect(!Actors.endpoint([128, 0, 0, 1], 1).isLoopback && !Actors.endpoint(Self.addresses[3], 1).isLoopback)
        #expect(Actors.endpoint([10, 0, 0, 255], 80).description == "10.0.0.255:80")
        #expect(Actors.endpoint(Self.addresses[2], 80).description == "[0:0:0:0:0:0:0:1]:80")
    }
}
