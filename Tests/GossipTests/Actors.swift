import Gossip
import Primitives

/// The same keys, addresses and bytes in every run.
enum Actors {
    static let network = Digest.of(Domain("test.network"), [1])
    static let otherNetwork = Digest.of(Domain("test.network"), [2])

    static func key(_ index: Int) -> SecretKey {
        guard let key = try? SecretKey(seed: Digest.of(Domain("test.key"), UInt64(index).canonicalBytes).bytes) else {
            preconditionFailure("32 bytes are a seed")
        }
        return key
    }

    static func endpoint(_ address: [UInt8], _ port: UInt16) -> Endpoint {
        guard let endpoint = try? Endpoint(address: address, port: port) else {
            preconditionFailure("an address of 4 or 16 bytes and a port above 0 are an endpoint")
        }
        return endpoint
    }

    static func endpoint(_ port: UInt16) -> Endpoint { endpoint([127, 0, 0, 1], port) }

    static func record(
        _ key: SecretKey, network: Digest = network, sequence: UInt64 = 1, at endpoint: Endpoint,
        roles: NodeRoles = .follower
    ) -> NodeRecord {
        NodeRecord(
            key: key, network: network, sequence: sequence, endpoint: endpoint, tcpPort: endpoint.port, roles: roles)
    }

    static func bytes(_ count: Int, seed: UInt64) -> [UInt8] {
        var random = SplitMix64(seed: seed)
        return (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }

    static func digest(_ index: Int) -> Digest { Digest.of(Domain("test.digest"), UInt64(index).canonicalBytes) }
}
