public import Primitives

/// What a leader puts forward: a payload by its digest, on a parent by view *and* digest.
public struct Proposal: Hashable, Sendable, CanonicalCodable {
    public let epoch: Epoch
    public let view: View
    public let parentView: View
    public let parentDigest: Digest
    public let payloadDigest: Digest

    public init(epoch: Epoch, view: View, parentView: View, parentDigest: Digest, payloadDigest: Digest) {
        self.epoch = epoch
        self.view = view
        self.parentView = parentView
        self.parentDigest = parentDigest
        self.payloadDigest = payloadDigest
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        epoch = try reader.read(Epoch.self)
        view = try reader.read(View.self)
        parentView = try reader.read(View.self)
        parentDigest = try reader.read(Digest.self)
        payloadDigest = try reader.read(Digest.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(epoch)
        writer.write(view)
        writer.write(parentView)
        writer.write(parentDigest)
        writer.write(payloadDigest)
    }
}

/// What a vote says.
public enum Subject: Hashable, Sendable, CanonicalCodable {
    case notarize(Proposal)
    case nullify(Epoch, View)
    case finalize(Proposal)

    public enum Kind: UInt8, Sendable, CaseIterable {
        case notarize = 0
        case nullify = 1
        case finalize = 2
    }

    public var kind: Kind {
        switch self {
        case .notarize: .notarize
        case .nullify: .nullify
        case .finalize: .finalize
        }
    }

    public var epoch: Epoch {
        switch self {
        case .notarize(let proposal), .finalize(let proposal): proposal.epoch
        case .nullify(let epoch, _): epoch
        }
    }

    public var view: View {
        switch self {
        case .notarize(let proposal), .finalize(let proposal): proposal.view
        case .nullify(_, let view): view
        }
    }

    public var proposal: Proposal? {
        switch self {
        case .notarize(let proposal), .finalize(let proposal): proposal
        case .nullify: nil
        }
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        switch try reader.readUInt8() {
        case 0: self = .notarize(try reader.read(Proposal.self))
        case 1: self = .nullify(try reader.read(Epoch.self), try reader.read(View.self))
        case 2: self = .finalize(try reader.read(Proposal.self))
        case let tag: throw .invalid("a vote has no kind \(tag)")
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(kind.rawValue)
        switch self {
        case .notarize(let proposal), .finalize(let proposal): writer.write(proposal)
        case .nullify(let epoch, let view):
            writer.write(epoch)
            writer.write(view)
        }
    }

    /// What is signed: the network, then the subject with its kind, so that no signature means anything elsewhere.
    public func signingBytes(network: Digest) -> [UInt8] {
        var writer = ByteWriter(capacity: 160)
        writer.write(raw: Array("plasma.vote".utf8))
        writer.write(network)
        writer.write(self)
        return writer.bytes
    }
}

/// One validator's signed word.
public struct Vote: Hashable, Sendable, CanonicalCodable {
    public let subject: Subject
    public let signer: UInt16
    public let signature: Signature

    public init(subject: Subject, signer: UInt16, signature: Signature) {
        self.subject = subject
        self.signer = signer
        self.signature = signature
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        subject = try reader.read(Subject.self)
        signer = try reader.readUInt16()
        signature = try reader.read(Signature.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(subject)
        writer.write(signer)
        writer.write(signature)
    }
}
