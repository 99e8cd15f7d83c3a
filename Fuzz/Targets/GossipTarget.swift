import Gossip
import Networking
import Primitives

/// Node records and the datagrams of discovery, as they come and with the signatures that a liar could make.
enum GossipTarget: FuzzTarget {
    static let name = "discovery"

    static func forms() throws -> [Form] {
        let key = try Fixture.key(1)
        let record = try Fixture.record(key)
        let records = [record, try Fixture.record(key, address: [UInt8](repeating: 7, count: 16))]
        let others = try (2..<6).map { try Fixture.record(try Fixture.key($0)) }
        let contents: [DiscoveryMessage.Content] = [
            .ping, .pong, .findNode(Fixture.digest(1)), .nodes([]), .nodes(others),
        ]
        let datagrams = contents.map { DiscoveryMessage(sender: record, nonce: 7, content: $0).datagram(key: key) }
        /// A record of this key with any content.
        func signedRecord(_ bytes: [UInt8]) -> [UInt8] {
            let content = key.publicKey.bytes + bytes.dropFirst(32).dropLast(64)
            return content + key.sign(Array("plasma.record".utf8) + content).bytes
        }
        func check(_ datagram: [UInt8]) {
            guard let message = try? DiscoveryMessage(datagram: datagram) else { return }
            require(message.datagram(key: key) == datagram, "a datagram has a second encoding")
        }
        return [
            Form(records), Form(records, repair: signedRecord),
            // Only this key's datagrams can be written again.
            Form(seeds: datagrams) { _ = try? DiscoveryMessage(datagram: $0) },
            Form(seeds: datagrams) { bytes in
                let body = record.canonicalBytes + bytes.dropFirst(record.canonicalBytes.count).dropLast(64)
                check(body + key.sign(body).bytes)
            },
            Form([Hello(network: Fixture.digest(0), headHeight: 9, record: record)]),
        ]
    }
}
