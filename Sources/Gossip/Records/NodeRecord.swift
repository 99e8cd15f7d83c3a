public import Primitives

/// What a node does, as bits.
public struct NodeRoles: OptionSet, Hashable, Sendable {
    public let rawValue: UInt8

    public init(rawValue: UInt8) { self.rawValue = rawValue }

    public static let validator = NodeRoles(rawValue: 1)
    public static let provider = NodeRoles(rawValue: 2)
    public static let follower = NodeRoles(rawValue: 4)

    /// For people.
    public var names: [String] {
        var names: [String] = []
        if contains(.validator) { names.append("validator") }
        if contains(.provider) { names.append("provider") }
        if contains(.follower) { names.append("follower") }
        return names
    }
}

/// An IP address and a port.
public struct Endpoint: Hashable, Sendable, CanonicalCodable, CustomStringConvertible {
    /// 4 bytes (IPv4) or 16 (IPv6).
    public let address: [UInt8]
    public let port: UInt16

    /// Takes 4 or 16 bytes of address and a port above 0.
    public init(address: [UInt8], port: UInt16) throws(DecodingFault) {
        if address.count != 4 && address.count != 16 {
            throw .invalid("an IP address has 4 or 16 bytes, found \(address.count)")
        }
        if port == 0 { throw .invalid("a port is above 0") }
        self.address = address
        self.port = port
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        let address = try reader.readBytes(max: 16)
        try self.init(address: address, port: try reader.readUInt16())
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(bytes: address)
        writer.write(port)
    }

    public var isLoopback: Bool {
        address.count == 4 ? address[0] == 127 : address.dropLast().allSatisfy { $0 == 0 } && address.last == 1
    }

    /// Whether this is 0.0.0.0 or ::, which one can listen on and nobody can reach.
    public var isUnspecified: Bool { address.allSatisfy { $0 == 0 } }

    /// The address alone, as text.
    public var host: String {
        if address.count == 4 { return address.map { String($0) }.joined(separator: ".") }
        return stride(from: 0, to: 16, by: 2)
            .map { String(UInt16(address[$0]) << 8 | UInt16(address[$0 + 1]), radix: 16) }.joined(separator: ":")
    }

    public var description: String { address.count == 4 ? "\(host):\(port)" : "[\(host)]:\(port)" }
}

/// Where a node can be reached, signed by it. At most 300 bytes; the highest sequence number counts.
public struct NodeRecord: Hashable, Sendable, CanonicalCodable {
    public static let maximumLength = 300

    public let identity: PublicKey
    public let network: Digest
    public let sequence: UInt64
    /// The UDP endpoint; TCP is at `tcpPort` of the same address.
    public let endpoint: Endpoint
    public let tcpPort: UInt16
    public let roles: NodeRoles
    public let signature: Signature

    /// Signs a record with the node's key.
    public init(
        key: SecretKey, network: Digest, sequence: UInt64, endpoint: Endpoint, tcpPort: UInt16, roles: NodeRoles
    ) {
        identity = key.publicKey
        self.network = network
        self.sequence = sequence
        self.endpoint = endpoint
        self.tcpPort = tcpPort
        self.roles = roles
        signature = key.sign(
            NodeRecord.signingBytes(key.publicKey, network, sequence, endpoint, tcpPort, roles))
    }

    /// Reads a record and checks its signature.
    public init(from reader: inout ByteReader) throws(DecodingFault) {
        identity = try reader.read(PublicKey.self)
        network = try reader.read(Digest.self)
        sequence = try reader.readUInt64()
        endpoint = try reader.read(Endpoint.self)
        tcpPort = try reader.readUInt16()
        let bits = try reader.readUInt8()
        if bits > 7 { throw .invalid("a node record has unknown roles \(bits)") }
        roles = NodeRoles(rawValue: bits)
        signature = try reader.read(Signature.self)
        let message = NodeRecord.signingBytes(identity, network, sequence, endpoint, tcpPort, roles)
        if !identity.verify(signature, of: message) { throw .invalid("a node record's signature does not hold") }
    }

    public func encode(into writer: inout ByteWriter) {
        NodeRecord.encodeContent(identity, network, sequence, endpoint, tcpPort, roles, into: &writer)
        writer.write(signature)
    }

    private static func encodeContent(
        _ identity: PublicKey, _ network: Digest, _ sequence: UInt64, _ endpoint: Endpoint, _ tcpPort: UInt16,
        _ roles: NodeRoles, into writer: inout ByteWriter
    ) {
        writer.write(identity)
        writer.write(network)
        writer.write(sequence)
        writer.write(endpoint)
        writer.write(tcpPort)
        writer.write(roles.rawValue)
    }

    private static func signingBytes(
        _ identity: PublicKey, _ network: Digest, _ sequence: UInt64, _ endpoint: Endpoint, _ tcpPort: UInt16,
        _ roles: NodeRoles
    ) -> [UInt8] {
        var writer = ByteWriter(capacity: 160)
        writer.write(raw: Array("plasma.record".utf8))
        encodeContent(identity, network, sequence, endpoint, tcpPort, roles, into: &writer)
        return writer.bytes
    }
}
