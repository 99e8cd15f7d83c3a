internal import Ledger
public import Primitives
public import Programs

/// What a challenger asks a provider for in a walk that both take alone: the next reveal, signed.
///
/// It says all that the provider has to know, so that neither side keeps anything of the other: after a restart it is asked again, and answered in the same
/// way.
public struct WalkAsk: Hashable, Sendable, CanonicalCodable {
    /// As much as a transaction may hold: what is longer could not be shown.
    public static let maximumBytes = Transaction.maximumDisputeBytes

    public let job: Digest
    public let attempt: UInt32
    /// Whose right to challenge it is.
    public let challenger: PublicKey
    /// All moves so far. The next is the provider's.
    public let transcript: DisputeTranscript
    /// The provider's own, under its last reveal; nil where it has made none.
    public let signed: Signature?
    /// The challenger's, under all of this.
    public let signature: Signature

    public init(
        job: Digest, attempt: UInt32, transcript: DisputeTranscript, signed: Signature?, by challenger: SecretKey
    ) {
        self.job = job
        self.attempt = attempt
        self.challenger = challenger.publicKey
        self.transcript = transcript
        self.signed = signed
        signature = challenger.sign(
            WalkAsk.message(job, attempt, challenger.publicKey, transcript, signed))
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        if reader.remaining > WalkAsk.maximumBytes {
            throw .tooLong(found: reader.remaining, limit: WalkAsk.maximumBytes)
        }
        job = try reader.read(Digest.self)
        attempt = try reader.readUInt32()
        challenger = try reader.read(PublicKey.self)
        transcript = try reader.read(DisputeTranscript.self)
        signed = try reader.readOptional(Signature.self)
        signature = try reader.read(Signature.self)
    }

    public func encode(into writer: inout ByteWriter) {
        WalkAsk.encode(job, attempt, challenger, transcript, signed, into: &writer)
        writer.write(signature)
    }

    /// Whether the challenger has asked this.
    public var isSigned: Bool {
        challenger.verify(signature, of: WalkAsk.message(job, attempt, challenger, transcript, signed))
    }

    private static func encode(
        _ job: Digest, _ attempt: UInt32, _ challenger: PublicKey, _ transcript: DisputeTranscript,
        _ signed: Signature?, into writer: inout ByteWriter
    ) {
        writer.write(job)
        writer.write(attempt)
        writer.write(challenger)
        writer.write(transcript)
        writer.write(optional: signed)
    }

    private static func message(
        _ job: Digest, _ attempt: UInt32, _ challenger: PublicKey, _ transcript: DisputeTranscript,
        _ signed: Signature?
    ) -> [UInt8] {
        var writer = ByteWriter(capacity: 1024)
        encode(job, attempt, challenger, transcript, signed, into: &writer)
        return Digest.of(Domain("plasma.walk.ask"), writer.bytes).bytes
    }
}

/// What a provider says to a `WalkAsk`.
public enum WalkAnswer: Hashable, Sendable, CanonicalCodable {
    /// What stands at the point that is asked for, and the provider's signature under the walk with it (`Dispute.transcriptMessage`).
    case reveal(Reveal, key: PublicKey, Signature)
    /// It is found out: ask again.
    case computing
    case refused(WalkAskRefusal)

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        switch try reader.readUInt8() {
        case 0:
            self = .reveal(
                try reader.read(Reveal.self), key: try reader.read(PublicKey.self), try reader.read(Signature.self))
        case 1: self = .computing
        case 2:
            let code = try reader.readUInt8()
            guard let refusal = WalkAskRefusal(rawValue: code) else {
                throw .invalid("a provider does not refuse for reason \(code)")
            }
            self = .refused(refusal)
        case let tag: throw .invalid("no answer in a walk has the tag \(tag)")
        }
    }

    public func encode(into writer: inout ByteWriter) {
        switch self {
        case .reveal(let reveal, let key, let signature):
            writer.write(UInt8(0))
            writer.write(reveal)
            writer.write(key)
            writer.write(signature)
        case .computing: writer.write(UInt8(1))
        case .refused(let refusal):
            writer.write(UInt8(2))
            writer.write(refusal.rawValue)
        }
    }
}

/// Why a provider does not walk.
public enum WalkAskRefusal: UInt8, Error, Hashable, Sendable, CaseIterable, CustomStringConvertible {
    /// It has no such result, or none that lies open.
    case noResult = 0
    /// The chain would not let the challenger challenge, or it has not what that takes.
    case noRight = 1
    /// The ask is not signed by who it says.
    case unsigned = 2
    /// The moves are no walk over this result that waits for the provider, or not those that it has signed.
    case noWalk = 3
    /// The challenger has asked for as much as a walk takes, or strangers together have.
    case spent = 4
    /// As much as may be is being found out for others.
    case busy = 5
    /// The own run could not be made again, or has nothing there.
    case failed = 6

    public var description: String {
        switch self {
        case .noResult: "the provider has no such result that lies open"
        case .noRight: "the challenger has no right to challenge, or not what it takes"
        case .unsigned: "the challenger has not signed what it asks"
        case .noWalk: "the moves are no walk that waits for the provider"
        case .spent: "the challenger has been told as much as a walk takes"
        case .busy: "the provider answers others"
        case .failed: "the provider could not run the job again"
        }
    }
}
