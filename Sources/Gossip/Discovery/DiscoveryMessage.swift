public import Primitives

/// A signed datagram of at most 1,280 bytes. Answers echo the asker's nonce, so clocks need not agree.
public struct DiscoveryMessage: Sendable, Hashable {
    public enum Content: Sendable, Hashable {
        case ping
        case pong
        /// Asks for the records nearest to a place in the key space.
        case findNode(Digest)
        case nodes([NodeRecord])
    }

    public static let maximumLength = 1_280
    public static let maximumNodes = 4

    public let sender: NodeRecord
    public let nonce: UInt64
    public let content: Content

    public init(sender: NodeRecord, nonce: UInt64, content: Content) {
        self.sender = sender
        self.nonce = nonce
        self.content = content
    }

    private var body: [UInt8] {
        var writer = ByteWriter(capacity: DiscoveryMessage.maximumLength)
        writer.write(sender)
        writer.write(nonce)
        switch content {
        case .ping: writer.write(UInt8(0))
        case .pong: writer.write(UInt8(1))
        case .findNode(let target):
            writer.write(UInt8(2))
            writer.write(target)
        case .nodes(let records):
            writer.write(UInt8(3))
            writer.write(list: records)
        }
        return writer.bytes
    }

    /// The datagram: the body and the sender's signature over it.
    public func datagram(key: SecretKey) -> [UInt8] {
        let body = body
        return body + key.sign(body).bytes
    }

    /// Reads a datagram and checks both signatures.
    public init(datagram: [UInt8]) throws(DecodingFault) {
        if datagram.count > DiscoveryMessage.maximumLength {
            throw .tooLong(found: datagram.count, limit: DiscoveryMessage.maximumLength)
        }
        if datagram.count < 64 { throw .truncated(needed: 64, left: datagram.count) }
        let body = Array(datagram.dropLast(64))
        var reader = ByteReader(body)
        sender = try reader.read(NodeRecord.self)
        nonce = try reader.readUInt64()
        switch try reader.readUInt8() {
        case 0: content = .ping
        case 1: content = .pong
        case 2: content = .findNode(try reader.read(Digest.self))
        case 3: content = .nodes(try reader.readList(NodeRecord.self, max: DiscoveryMessage.maximumNodes))
        case let tag: throw .invalid("a discovery message has no kind \(tag)")
        }
        try reader.finish()
        if !sender.identity.verify(try Signature(bytes: datagram.suffix(64)), of: body) {
            throw .invalid("a discovery message's signature does not hold")
        }
    }
}
