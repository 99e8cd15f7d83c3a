public import Primitives

/// A provider whose bond is not full yet. It fills from the pay of its jobs.
///
/// What stands against its lies is the same multiple of a job's price as with anybody else (`Matching.share`): its bond, all of which a conviction takes, and
/// the fee it was registered for, which stands in for what the bond lacks. A convicted newcomer has neither any more, and another name costs another fee. So a
/// thousand names for nothing are not to be had, and none is worth more to lie with than the bond that it does without.
public struct Newcomer: Hashable, Sendable, CanonicalCodable {
    /// What is left of its registration fee to stand for it. The money itself is the audit pool's.
    public var standing: Amount
    /// The part of the bond that it has earned and not brought: its own once the bond is full, and given up where it leaves before.
    public var withheld = Amount.zero

    init(fee: Amount) { standing = fee }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        standing = try reader.read(Amount.self)
        withheld = try reader.read(Amount.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(standing)
        writer.write(withheld)
    }
}

/// What a machine's owner signs so that somebody else may pay for its registration. It brings no bond.
///
/// Whoever has it may use it, once: it names the owner's next nonce, and the owner's first transaction of its own ends it.
public struct Registration: Hashable, Sendable, CanonicalCodable {
    /// The operator's.
    public let key: PublicKey
    public let nonce: Nonce
    public let name: String
    public let node: PublicKey
    public let payout: Address
    public let signature: Signature

    public init(
        key: SecretKey, nonce: Nonce, name: String, node: PublicKey, payout: Address, network: Digest
    ) {
        self.key = key.publicKey
        self.nonce = nonce
        self.name = name
        self.node = node
        self.payout = payout
        signature = key.sign(
            Registration.message(network, key: key.publicKey, nonce, name: name, node: node, payout: payout))
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        key = try reader.read(PublicKey.self)
        nonce = try reader.read(Nonce.self)
        name = try reader.readString(max: Payload.maximumNameBytes)
        node = try reader.read(PublicKey.self)
        payout = try reader.read(Address.self)
        signature = try reader.read(Signature.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(key)
        writer.write(nonce)
        writer.write(string: name)
        writer.write(node)
        writer.write(payout)
        writer.write(signature)
    }

    private static func message(
        _ network: Digest, key: PublicKey, _ nonce: Nonce, name: String, node: PublicKey, payout: Address
    ) -> [UInt8] {
        var writer = ByteWriter(capacity: 256)
        writer.write(network)
        writer.write(key)
        writer.write(nonce)
        writer.write(string: name)
        writer.write(node)
        writer.write(payout)
        return Digest.of(.registration, writer.bytes).bytes
    }

    /// Whether its owner signed it for this network.
    public func isSigned(for network: Digest) -> Bool {
        key.verify(
            signature, of: Registration.message(network, key: key, nonce, name: name, node: node, payout: payout))
    }
}
