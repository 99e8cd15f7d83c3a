public import Gossip
public import Primitives

/// What both sides say first, inside TLS.
public struct Hello: Sendable, Hashable, CanonicalCodable {
    /// The version of everything that nodes say to one another.
    public static let currentVersion: UInt16 = 1

    public let network: Digest
    public let version: UInt16
    public let headHeight: UInt64
    public let record: NodeRecord

    public init(network: Digest, version: UInt16 = Hello.currentVersion, headHeight: UInt64, record: NodeRecord) {
        self.network = network
        self.version = version
        self.headHeight = headHeight
        self.record = record
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        network = try reader.read(Digest.self)
        version = try reader.readUInt16()
        headHeight = try reader.readUInt64()
        record = try reader.read(NodeRecord.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(network)
        writer.write(version)
        writer.write(headHeight)
        writer.write(record)
    }
}
