public import Primitives

/// One wish of one account. The network digest keeps it off every other network; the nonce lets it happen once.
public struct Transaction: Hashable, Sendable, CanonicalCodable {
    /// A transaction's canonical bytes are at most this many, besides the opaque ones that it carries.
    public static let maximumBytes = 16 * 1024

    /// Of a dispute's move, which carries evidence.
    public static let maximumDisputeBytes = 64 * 1024

    /// Of one that shows a small result's bytes, with the types and shapes of its tensors.
    public static let maximumOutputBytes = 2 * PostedOutput.maximumBytes

    public var network: Digest
    public var sender: PublicKey
    public var nonce: Nonce
    /// What goes to the proposer, on top of the base fee.
    public var tip: Amount
    /// The most that base fee and tip together may take.
    public var maximumFee: Amount
    public var payload: Payload

    public init(
        network: Digest, sender: PublicKey, nonce: Nonce, tip: Amount = .zero, maximumFee: Amount, payload: Payload
    ) {
        self.network = network
        self.sender = sender
        self.nonce = nonce
        self.tip = tip
        self.maximumFee = maximumFee
        self.payload = payload
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        network = try reader.read(Digest.self)
        sender = try reader.read(PublicKey.self)
        nonce = try reader.read(Nonce.self)
        tip = try reader.read(Amount.self)
        maximumFee = try reader.read(Amount.self)
        payload = try reader.read(Payload.self)
    }

    public func encode(into writer: inout ByteWriter) {
        encodeTerms(into: &writer)
        writer.write(payload)
    }

    /// What is digested of it: the encoding, but of opaque bytes their digest.
    func encodeSummary(into writer: inout ByteWriter) {
        encodeTerms(into: &writer)
        payload.encodeSummary(into: &writer)
    }

    private func encodeTerms(into writer: inout ByteWriter) {
        writer.write(network)
        writer.write(sender)
        writer.write(nonce)
        writer.write(tip)
        writer.write(maximumFee)
    }

    var summary: [UInt8] {
        var writer = ByteWriter(capacity: 256)
        encodeSummary(into: &writer)
        return writer.bytes
    }

    /// What the sender's key signs.
    public var signedMessage: [UInt8] { Digest.of(.transactionSignature, summary).bytes }

    /// Signs with the sender's key.
    public func signed(by key: SecretKey) -> SignedTransaction {
        SignedTransaction(transaction: self, signature: key.sign(signedMessage))
    }
}

/// A transaction with its sender's signature.
public struct SignedTransaction: Hashable, Sendable, CanonicalCodable {
    public let transaction: Transaction
    public let signature: Signature

    public init(transaction: Transaction, signature: Signature) {
        self.transaction = transaction
        self.signature = signature
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        transaction = try reader.read(Transaction.self)
        signature = try reader.read(Signature.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(transaction)
        writer.write(signature)
    }

    /// The transaction's name, and that of the job it posts. The signature is no part of it.
    public var id: Digest { Digest.of(.transaction, transaction.summary) }

    /// What a block's root has of it.
    func encodeSummary(into writer: inout ByteWriter) {
        transaction.encodeSummary(into: &writer)
        writer.write(signature)
    }

    /// The length of its canonical bytes.
    public var byteCount: Int { transaction.summary.count + transaction.payload.summaryExcess + 64 }

    /// Whether the sender's key made it: the signature, and where it carries one the VRF proof, or another's signature.
    public var isSigned: Bool {
        if !transaction.sender.verify(signature, of: transaction.signedMessage) { return false }
        if case .sponsorProvider(let registration, _) = transaction.payload {
            return registration.isSigned(for: transaction.network)
        }
        for case .openResult(let job, _, let opening) in transaction.payload.moves {
            if let trap = opening.trap, !trap.isProven(job: job, by: transaction.sender) { return false }
        }
        return true
    }
}
