public import Primitives

/// Who runs jobs, with what is at stake.
public struct Provider: Hashable, Sendable, CanonicalCodable {
    /// Who signs for it: the account that registered.
    public let address: Address
    public var name: String
    public var node: PublicKey
    public var payout: Address
    public var bond: Amount
    /// The part of the bond that outstanding jobs hold.
    public var locked: Amount = .zero
    /// Its pay for results that lie open: paid out where their windows end without a conviction. It stands for nothing until then.
    public internal(set) var atStake: Amount = .zero
    public var reputation = Reputation()
    /// Jobs, for people to see: nothing is decided by how many they are.
    public var settled: UInt64 = 0
    public var lost: UInt64 = 0
    public var convictions: UInt64 = 0
    public var declines: UInt64 = 0
    /// The chain clock when the count of declines began.
    public var declinesSince: UInt64 = 0
    public var isWithdrawn = false
    /// Nil once its bond has been full.
    public var newcomer: Newcomer?

    public init(address: Address, name: String, node: PublicKey, payout: Address, bond: Amount) {
        self.address = address
        self.name = name
        self.node = node
        self.payout = payout
        self.bond = bond
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        address = try reader.read(Address.self)
        name = try reader.readString(max: Payload.maximumNameBytes)
        node = try reader.read(PublicKey.self)
        payout = try reader.read(Address.self)
        bond = try reader.read(Amount.self)
        locked = try reader.read(Amount.self)
        atStake = try reader.read(Amount.self)
        reputation = try reader.read(Reputation.self)
        settled = try reader.readUInt64()
        lost = try reader.readUInt64()
        convictions = try reader.readUInt64()
        declines = try reader.readUInt64()
        declinesSince = try reader.readUInt64()
        isWithdrawn = try reader.readBool()
        newcomer = try reader.readOptional(Newcomer.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(address)
        writer.write(string: name)
        writer.write(node)
        writer.write(payout)
        writer.write(bond)
        writer.write(locked)
        writer.write(atStake)
        writer.write(reputation)
        writer.write(settled)
        writer.write(lost)
        writer.write(convictions)
        writer.write(declines)
        writer.write(declinesSince)
        writer.write(bool: isWithdrawn)
        writer.write(optional: newcomer)
    }

    /// The bond that no job holds.
    public var free: Amount { (try? bond.subtracting(locked)) ?? .zero }
}

extension Provider {
    /// What jobs are measured against: the bond that no job holds and, of a newcomer, what is left of its fee.
    var cover: Amount { (try? free.adding(newcomer?.standing ?? .zero)) ?? free }
}

/// A standing offer with what the chain adds to its terms.
public struct Offer: Hashable, Sendable, CanonicalCodable {
    public let provider: Address
    public var terms: OfferTerms
    public var activeFrom: Height
    public var isPaused = false
    /// Jobs assigned to it now.
    public var running: UInt16 = 0
    /// What is known of the device itself.
    public internal(set) var device = DeviceRecord()

    public init(provider: Address, terms: OfferTerms, activeFrom: Height) {
        self.provider = provider
        self.terms = terms
        self.activeFrom = activeFrom
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        provider = try reader.read(Address.self)
        terms = try reader.read(OfferTerms.self)
        activeFrom = try reader.read(Height.self)
        isPaused = try reader.readBool()
        running = try reader.readUInt16()
        device = try reader.read(DeviceRecord.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(provider)
        writer.write(terms)
        writer.write(activeFrom)
        writer.write(bool: isPaused)
        writer.write(running)
        writer.write(device)
    }
}

/// A published model: a name for a manifest and a program.
public struct Model: Hashable, Sendable, CanonicalCodable {
    public let name: String
    public let publisher: Address
    public let manifest: Digest
    public let program: Digest
    public let royaltyBasisPoints: UInt16
    public let height: Height

    public init(
        name: String, publisher: Address, manifest: Digest, program: Digest, royaltyBasisPoints: UInt16, height: Height
    ) {
        self.name = name
        self.publisher = publisher
        self.manifest = manifest
        self.program = program
        self.royaltyBasisPoints = royaltyBasisPoints
        self.height = height
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        name = try reader.readString(max: Payload.maximumNameBytes)
        publisher = try reader.read(Address.self)
        manifest = try reader.read(Digest.self)
        program = try reader.read(Digest.self)
        royaltyBasisPoints = try reader.readUInt16()
        height = try reader.read(Height.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(string: name)
        writer.write(publisher)
        writer.write(manifest)
        writer.write(program)
        writer.write(royaltyBasisPoints)
        writer.write(height)
    }
}
