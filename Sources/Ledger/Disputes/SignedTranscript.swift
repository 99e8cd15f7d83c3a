public import Primitives
public import Programs

/// A walk that a provider took with a challenger alone, with its signature (`Dispute.transcriptMessage`). Whoever holds it may show it.
public struct SignedTranscript: Hashable, Sendable, CanonicalCodable {
    /// For whom it was signed.
    public let challenger: Address
    public let transcript: DisputeTranscript
    public let signature: Signature

    public init(challenger: Address, transcript: DisputeTranscript, signature: Signature) {
        self.challenger = challenger
        self.transcript = transcript
        self.signature = signature
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        challenger = try reader.read(Address.self)
        transcript = try reader.read(DisputeTranscript.self)
        signature = try reader.read(Signature.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(challenger)
        writer.write(transcript)
        writer.write(signature)
    }
}
