public import Consensus
public import Primitives

/// What a block says of its validators' votes: who voted for its parent, and who signed two things. The header commits to it.
public struct BlockVotes: Hashable, Sendable, CanonicalCodable {
    /// Pieces of evidence a block: two signature checks each.
    public static let maximumEvidence = 4

    /// Votes of at least a quorum for the parent, as many as the proposer held. None on the first block of an epoch, and none where the
    /// proposer had lost them.
    public var certificate: Certificate?
    public var evidence: [Evidence]

    public init(certificate: Certificate? = nil, evidence: [Evidence] = []) {
        self.certificate = certificate
        self.evidence = evidence
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        certificate = try reader.readOptional(Certificate.self)
        evidence = try reader.readList(Evidence.self, max: BlockVotes.maximumEvidence)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(optional: certificate)
        writer.write(list: evidence)
    }

    public var digest: Digest { Digest.of(.blockVotes, encoding: self) }
}
