public import Primitives

/// What a validator must remember over a crash, in the order it happened. Each is durable before anything that relies on it is sent.
public enum JournalRecord: Hashable, Sendable, CanonicalCodable {
    /// Our own vote (of nullify votes the first of a view).
    case vote(Vote)
    case certificate(Certificate)
    /// The application's word on a notarized proposal.
    case certification(Proposal, Bool)

    /// Whether others may rely on it: it must be durable, with all records and blocks before it, before any word leaves. What is none was heard or found out,
    /// and a crash takes it back to where it can be heard and found out again, as if it had come later.
    public var isPromise: Bool { if case .vote = self { true } else { false } }

    public var epoch: Epoch {
        switch self {
        case .vote(let vote): vote.subject.epoch
        case .certificate(let certificate): certificate.subject.epoch
        case .certification(let proposal, _): proposal.epoch
        }
    }

    public var view: View {
        switch self {
        case .vote(let vote): vote.subject.view
        case .certificate(let certificate): certificate.subject.view
        case .certification(let proposal, _): proposal.view
        }
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        switch try reader.readUInt8() {
        case 0: self = .vote(try reader.read(Vote.self))
        case 1: self = .certificate(try reader.read(Certificate.self))
        case 2: self = .certification(try reader.read(Proposal.self), try reader.readBool())
        case let tag: throw .invalid("a journal record has no kind \(tag)")
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
        case .certification(let proposal, let verdict):
            writer.write(UInt8(2))
            writer.write(proposal)
            writer.write(bool: verdict)
        }
    }
}
