public import Primitives

/// What validators say to one another.
public enum ConsensusMessage: Hashable, Sendable, CanonicalCodable {
    case vote(Vote)
    case certificate(Certificate)
    /// Asks for the certificates of the views `from…through`.
    case request(from: View, through: View)

    /// At most this many views are answered to one request.
    public static let maximumRequestedViews: UInt64 = 64

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        switch try reader.readUInt8() {
        case 0: self = .vote(try reader.read(Vote.self))
        case 1: self = .certificate(try reader.read(Certificate.self))
        case 2:
            let first = try reader.read(View.self)
            let last = try reader.read(View.self)
            if last < first || last.value - first.value >= ConsensusMessage.maximumRequestedViews {
                throw .invalid("a request for the views \(first) to \(last) is empty or too wide")
            }
            self = .request(from: first, through: last)
        case let tag: throw .invalid("a consensus message has no kind \(tag)")
        }
    }

    public func encode(into writer: inout ByteWriter) {
        switch self {
        case .vote(let vote):
            writer.write(UInt8(0))
            writer.write(vote)
        case .certificate(let certificate):
            writer.write(UInt8(1))
            writer.write(certificate)
        case .request(let first, let last):
            writer.write(UInt8(2))
            writer.write(first)
            writer.write(last)
        }
    }

    /// Whether someone who is no validator passes it on: votes and certificates, never a request.
    public var isRelayed: Bool {
        if case .request = self { false } else { true }
    }
}

/// Two votes of one validator that no honest one casts.
public struct Evidence: Hashable, Sendable, CanonicalCodable {
    public let first: Vote
    public let second: Vote

    public init(first: Vote, second: Vote) {
        self.first = first
        self.second = second
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        first = try reader.read(Vote.self)
        second = try reader.read(Vote.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(first)
        writer.write(second)
    }
}
