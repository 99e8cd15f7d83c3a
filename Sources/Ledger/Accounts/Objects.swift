public import Primitives

/// A liquid balance and the number of its next transaction.
public struct Account: Hashable, Sendable, CanonicalCodable {
    public var nonce: Nonce
    public var balance: Amount

    public init(nonce: Nonce = 0, balance: Amount = .zero) {
        self.nonce = nonce
        self.balance = balance
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        nonce = try reader.read(Nonce.self)
        balance = try reader.read(Amount.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(nonce)
        writer.write(balance)
    }
}

/// Where all XPL is. Everything but `supply` adds up to `supply`, after every block.
public struct Totals: Hashable, Sendable, CanonicalCodable {
    public var supply: Amount = .zero
    public var liquid: Amount = .zero
    public var burned: Amount = .zero
    public var escrowed: Amount = .zero
    public var bonded: Amount = .zero
    public var staked: Amount = .zero
    public var stakersPool: Amount = .zero
    public var treasury: Amount = .zero
    public var auditPool: Amount = .zero

    public init() {}

    static let order: [any WritableKeyPath<Totals, Amount> & Sendable] = [
        \.supply, \.liquid, \.burned, \.escrowed, \.bonded, \.staked, \.stakersPool, \.treasury, \.auditPool,
    ]

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        for path in Totals.order { self[keyPath: path] = try reader.read(Amount.self) }
    }

    public func encode(into writer: inout ByteWriter) {
        for path in Totals.order { writer.write(self[keyPath: path]) }
    }

    /// Whether the parts add up to the supply.
    public var isConserved: Bool {
        var sum = Amount.zero
        for path in Totals.order.dropFirst() {
            guard let next = try? sum.adding(self[keyPath: path]) else { return false }
            sum = next
        }
        return sum == supply
    }
}

/// What the state says of the chain itself.
public struct ChainState: Hashable, Sendable, CanonicalCodable {
    public var height: Height = 0
    public var time: Timestamp
    /// Milliseconds since genesis that stand still in a halt.
    public var clock: UInt64 = 0
    /// The same without the time of blocks whose dispute lane was full.
    public var disputeClock: UInt64 = 0
    public var network: Digest
    /// Jobs ever posted.
    public var jobs: UInt64 = 0
    /// The height from which the market's offers are as they are now; it may lie ahead, when an offer becomes active.
    public var marketChange: Height = 0
    /// The last queue entry that matching looked at in the block before.
    public var matchCursor: UInt64 = 0
    /// The epoch of the next block.
    public var epoch: Epoch = 0
    /// Validators with a stake.
    public var candidates: UInt64 = 0
    /// The clock up to which rewards were given.
    public var rewardedThrough: UInt64 = 0

    public init(time: Timestamp, network: Digest) {
        self.time = time
        self.network = network
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        height = try reader.read(Height.self)
        time = try reader.read(Timestamp.self)
        clock = try reader.readUInt64()
        disputeClock = try reader.readUInt64()
        network = try reader.read(Digest.self)
        jobs = try reader.readUInt64()
        marketChange = try reader.read(Height.self)
        matchCursor = try reader.readUInt64()
        epoch = try reader.read(Epoch.self)
        candidates = try reader.readUInt64()
        rewardedThrough = try reader.readUInt64()
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(height)
        writer.write(time)
        writer.write(clock)
        writer.write(disputeClock)
        writer.write(network)
        writer.write(jobs)
        writer.write(marketChange)
        writer.write(matchCursor)
        writer.write(epoch)
        writer.write(candidates)
        writer.write(rewardedThrough)
    }
}

/// What the state remembers of a block: a state root therefore proves every receipt.
public struct BlockRecord: Hashable, Sendable, CanonicalCodable {
    public let payloadDigest: Digest
    public let receiptsRoot: Digest

    public init(payloadDigest: Digest, receiptsRoot: Digest) {
        self.payloadDigest = payloadDigest
        self.receiptsRoot = receiptsRoot
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        payloadDigest = try reader.read(Digest.self)
        receiptsRoot = try reader.read(Digest.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(payloadDigest)
        writer.write(receiptsRoot)
    }
}

/// What became of one transaction.
public struct TransactionReceipt: Hashable, Sendable, CanonicalCodable {
    static let maximumReasonBytes = 512

    public let id: Digest
    /// Whether all of it had its effect.
    public let succeeded: Bool
    /// Why it failed; empty where it did not.
    public let reason: String
    /// Those moves of a bundle that had no effect, in its order; the others had theirs.
    public let failures: [MoveFailure]
    public let weight: UInt64
    /// Base fee and tip, as taken.
    public let fee: Amount

    public init(
        id: Digest, succeeded: Bool, reason: String, failures: [MoveFailure] = [], weight: UInt64, fee: Amount
    ) {
        self.id = id
        self.succeeded = succeeded
        self.reason = reason
        self.failures = failures
        self.weight = weight
        self.fee = fee
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        id = try reader.read(Digest.self)
        succeeded = try reader.readBool()
        reason = try reader.readString(max: TransactionReceipt.maximumReasonBytes)
        failures = try reader.readList(MoveFailure.self, max: MoveBundle.maximumMoves)
        weight = try reader.readUInt64()
        fee = try reader.read(Amount.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(id)
        writer.write(bool: succeeded)
        writer.write(string: reason)
        writer.write(list: failures)
        writer.write(weight)
        writer.write(fee)
    }
}
