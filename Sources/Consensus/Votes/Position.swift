public import Primitives

/// A validator's signed word on where it stands, for one that has lost its journal (the amnesia guard).
///
/// It bears the nonce of whoever asked, so that it was signed after the asking, and the certificate that let the validator in, so that nobody can
/// claim a view that the network has not reached.
public struct Position: Hashable, Sendable, CanonicalCodable {
    /// Of the one who asked.
    public let nonce: Digest
    public let epoch: Epoch
    public let view: View
    public let signer: UInt16
    public let signature: Signature
    /// Of the view before, or of a higher one; none in an epoch's first view.
    public let certificate: Certificate?

    public init(
        nonce: Digest, epoch: Epoch, view: View, signer: UInt16, signature: Signature, certificate: Certificate?
    ) {
        self.nonce = nonce
        self.epoch = epoch
        self.view = view
        self.signer = signer
        self.signature = signature
        self.certificate = certificate
    }

    /// Whether the certificate, where it holds, shows that the network has ended the view before `view`.
    public var isProven: Bool {
        if view.value <= 1 { return view.value == 1 }
        guard let certificate, certificate.subject.epoch == epoch else { return false }
        return certificate.subject.view.value >= view.value - 1
    }

    /// What is signed.
    public static func signingBytes(nonce: Digest, epoch: Epoch, view: View, network: Digest) -> [UInt8] {
        var writer = ByteWriter(capacity: 112)
        writer.write(raw: Array("plasma.position".utf8))
        writer.write(network)
        writer.write(nonce)
        writer.write(epoch)
        writer.write(view)
        return writer.bytes
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        nonce = try reader.read(Digest.self)
        epoch = try reader.read(Epoch.self)
        view = try reader.read(View.self)
        signer = try reader.readUInt16()
        signature = try reader.read(Signature.self)
        certificate = try reader.readOptional(Certificate.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(nonce)
        writer.write(epoch)
        writer.write(view)
        writer.write(signer)
        writer.write(signature)
        writer.write(optional: certificate)
    }
}
