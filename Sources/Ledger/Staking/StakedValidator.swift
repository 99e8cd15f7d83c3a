public import Primitives

/// A validator's stake as the state holds it, under its consensus key.
public struct StakedValidator: Hashable, Sendable, CanonicalCodable {
    public var consensusKey: PublicKey
    public var vrfKey: PublicKey
    /// Who staked, moves the stake, and gets tips and rewards.
    public var operatorAddress: Address
    public var stake: Amount
    /// Out of the next sets until its operator ends it, which may not be before this chain clock.
    public var jailedUntil: UInt64?
    /// Convicted of signing two things: it never votes again.
    public var isTombstoned: Bool

    /// How many may have a stake at a time; a set has `Genesis.maximumValidators` of them.
    public static let maximumCandidates = 4_096

    public init(consensusKey: PublicKey, vrfKey: PublicKey, operatorAddress: Address, stake: Amount) {
        self.consensusKey = consensusKey
        self.vrfKey = vrfKey
        self.operatorAddress = operatorAddress
        self.stake = stake
        jailedUntil = nil
        isTombstoned = false
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        consensusKey = try reader.read(PublicKey.self)
        vrfKey = try reader.read(PublicKey.self)
        operatorAddress = try reader.read(Address.self)
        stake = try reader.read(Amount.self)
        jailedUntil = try reader.readBool() ? try reader.readUInt64() : nil
        isTombstoned = try reader.readBool()
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(consensusKey)
        writer.write(vrfKey)
        writer.write(operatorAddress)
        writer.write(stake)
        writer.write(bool: jailedUntil != nil)
        if let jailedUntil { writer.write(jailedUntil) }
        writer.write(bool: isTombstoned)
    }

    /// The weight of a stake in votes: whole XPL.
    public static func weight(of stake: Amount) -> UInt64 { UInt64(clamping: stake.baseUnits / Amount.unitsPerXPL) }

    /// Whether it may be in a set.
    public var isEligible: Bool {
        jailedUntil == nil && !isTombstoned && StakedValidator.weight(of: stake) > 0
    }

    /// What a new validator's consensus key signs, so that nobody registers another's.
    public static func possessionMessage(network: Digest, operatorAddress: Address, vrfKey: PublicKey) -> [UInt8] {
        var writer = ByteWriter(capacity: 96)
        writer.write(network)
        writer.write(operatorAddress)
        writer.write(vrfKey)
        return Digest.of(.possession, writer.bytes).bytes
    }
}

/// Stake on its way out: it can still be slashed until it is claimed.
public struct Unbonding: Hashable, Sendable, CanonicalCodable {
    public var consensusKey: PublicKey
    /// Claimable from this epoch on.
    public var unlocks: Epoch
    public var amount: Amount

    public init(consensusKey: PublicKey, unlocks: Epoch, amount: Amount) {
        self.consensusKey = consensusKey
        self.unlocks = unlocks
        self.amount = amount
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        consensusKey = try reader.read(PublicKey.self)
        unlocks = try reader.read(Epoch.self)
        amount = try reader.read(Amount.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(consensusKey)
        writer.write(unlocks)
        writer.write(amount)
    }
}
