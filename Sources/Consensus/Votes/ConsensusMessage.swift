public import Primitives

/// What validators say to one another.
public enum ConsensusMessage: Hashable, Sendable, CanonicalCodable {
    case vote(Vote)
    case certificate(Certificate)
    /// Asks for the certificates of the views `from…through`.
    case request(from: View, through: View)
    /// Somebody signed two things: told to everyone, so that a leader puts it on the chain.
    indirect case evidence(Evidence)
    /// Asks every validator where it stands: the key of the one who asks has lost its journal.
    case positionRequest(nonce: Digest)
    case position(Position)

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
        case 3: self = .evidence(try reader.read(Evidence.self))
        case 4: self = .positionRequest(nonce: try reader.read(Digest.self))
        case 5: self = .position(try reader.read(Position.self))
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
        case .evidence(let evidence):
            writer.write(UInt8(3))
            writer.write(evidence)
        case .positionRequest(let nonce):
            writer.write(UInt8(4))
            writer.write(nonce)
        case .position(let position):
            writer.write(UInt8(5))
            writer.write(position)
        }
    }

    /// The epoch it is about; a request names none.
    public var epoch: Epoch? {
        switch self {
        case .vote(let vote): vote.subject.epoch
        case .certificate(let certificate): certificate.subject.epoch
        case .request, .positionRequest: nil
        case .evidence(let evidence): evidence.epoch
        case .position(let position): position.epoch
        }
    }

    /// Whether someone who is no validator passes it on: votes and certificates, never a request or the answer to one.
    public var isRelayed: Bool {
        switch self {
        case .vote, .certificate, .evidence: true
        case .request, .positionRequest, .position: false
        }
    }

    /// The view of which, or of one after it, a final block makes this useless: nobody counts a vote on what is final. Nil for what is always of use.
    public var end: (epoch: Epoch, view: View)? {
        switch self {
        case .vote(let vote): (vote.subject.epoch, vote.subject.view)
        // The newest finalization is news to whoever has missed it.
        case .certificate(let certificate): (certificate.subject.epoch, certificate.subject.view.next())
        case .evidence, .request, .positionRequest, .position: nil
        }
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

    /// Of the first vote.
    public var epoch: Epoch { first.subject.epoch }

    /// Of the first vote.
    public var signer: UInt16 { first.signer }

    /// Whether no honest validator casts both: two notarizes, two finalizes, or nullify and finalize, in one view (rule 10).
    public var isDoubleVote: Bool {
        if first.signer != second.signer || first.subject == second.subject { return false }
        if first.subject.epoch != second.subject.epoch || first.subject.view != second.subject.view { return false }
        switch (first.subject.kind, second.subject.kind) {
        case (.notarize, .notarize), (.finalize, .finalize), (.nullify, .finalize), (.finalize, .nullify): return true
        default: return false
        }
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
