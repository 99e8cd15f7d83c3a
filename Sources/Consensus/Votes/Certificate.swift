public import Primitives

/// A quorum's votes for one subject: who, as a bitmap, and their signatures in that order.
public struct Certificate: Hashable, Sendable, CanonicalCodable {
    public let subject: Subject
    /// Places in the validator set, ascending.
    public let signers: [UInt16]
    public let signatures: [Signature]

    /// Makes a certificate of votes for `subject`, in any order.
    public init(subject: Subject, votes: [Vote]) {
        let sorted = votes.sorted { $0.signer < $1.signer }
        self.subject = subject
        signers = sorted.map(\.signer)
        signatures = sorted.map(\.signature)
    }

    /// Makes a certificate of signers, ascending, and their signatures.
    init(subject: Subject, signers: [UInt16], signatures: [Signature]) {
        self.subject = subject
        self.signers = signers
        self.signatures = signatures
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        subject = try reader.read(Subject.self)
        let bitmap = try reader.readBytes(max: ValidatorSet.maximumCount / 8)
        if bitmap.last == 0 { throw .invalid("a signer bitmap ends with an empty byte") }
        var signers: [UInt16] = []
        for (index, byte) in bitmap.enumerated() {
            for bit in 0..<8 where byte & (1 << UInt8(bit)) != 0 { signers.append(UInt16(index * 8 + bit)) }
        }
        if signers.isEmpty { throw .invalid("a certificate has no signer") }
        var signatures: [Signature] = []
        signatures.reserveCapacity(signers.count)
        for _ in signers { signatures.append(try reader.read(Signature.self)) }
        self.signers = signers
        self.signatures = signatures
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(subject)
        var bitmap = [UInt8](repeating: 0, count: signers.last.map { Int($0) / 8 + 1 } ?? 0)
        for signer in signers { bitmap[Int(signer) / 8] |= 1 << UInt8(signer % 8) }
        writer.write(bytes: bitmap)
        for signature in signatures { writer.write(signature) }
    }

    /// The signers' weight, or nil where one is not in the set, or not in order: a signer counts once.
    public func weight(in validators: ValidatorSet) -> UInt64? {
        var weight: UInt64 = 0
        var above = -1
        for signer in signers {
            if Int(signer) >= validators.count || Int(signer) <= above { return nil }
            above = Int(signer)
            weight += validators[Int(signer)].weight
        }
        return weight
    }

    /// What must be checked for the certificate to hold, or nil where it lacks a quorum.
    public func verificationItems(_ validators: ValidatorSet, network: Digest) -> [VerificationItem]? {
        guard let weight = weight(in: validators), weight >= validators.quorumWeight else { return nil }
        let message = subject.signingBytes(network: network)
        return zip(signers, signatures).map {
            VerificationItem(key: validators[Int($0)].publicKey, signature: $1, message: message)
        }
    }

    /// Whether a quorum of `validators` signed this. One signature check a signer.
    public func verify(_ validators: ValidatorSet, network: Digest, scheme: any SignatureScheme) -> Bool {
        guard let items = verificationItems(validators, network: network) else { return false }
        return items.allSatisfy { scheme.verify($0.key, $0.signature, $0.message) }
    }
}

/// One signature to check, off the machine's thread.
public struct VerificationItem: Hashable, Sendable {
    public let key: PublicKey
    public let signature: Signature
    public let message: [UInt8]

    public init(key: PublicKey, signature: Signature, message: [UInt8]) {
        self.key = key
        self.signature = signature
        self.message = message
    }
}
