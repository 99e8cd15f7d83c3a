public import Primitives

/// One validator: the key it votes with, and its stake in whole XPL.
public struct Validator: Hashable, Sendable, CanonicalCodable {
    public let publicKey: PublicKey
    public let weight: UInt64

    public init(publicKey: PublicKey, weight: UInt64) {
        self.publicKey = publicKey
        self.weight = weight
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        publicKey = try reader.read(PublicKey.self)
        weight = try reader.readUInt64()
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(publicKey)
        writer.write(weight)
    }
}

/// Why a list of validators is no set.
public enum ValidatorSetFault: Error, Equatable, Sendable, CustomStringConvertible {
    case empty
    case tooMany(Int)
    case noWeight(Int)
    case repeated(PublicKey)
    case weightOverflow

    public var description: String {
        switch self {
        case .empty: "there are no validators"
        case .tooMany(let count): "\(count) validators are more than \(ValidatorSet.maximumCount)"
        case .noWeight(let index): "validator \(index) has no stake"
        case .repeated(let key): "the key \(key.hex.prefix(16))… appears twice"
        case .weightOverflow: "the stakes add up to more than 2^62"
        }
    }
}

/// The validators of an epoch in a fixed order; a validator is named by its place.
public struct ValidatorSet: Hashable, Sendable {
    public static let maximumCount = 128

    public let validators: [Validator]
    public let totalWeight: UInt64

    public init(_ validators: [Validator]) throws(ValidatorSetFault) {
        if validators.isEmpty { throw .empty }
        if validators.count > ValidatorSet.maximumCount { throw .tooMany(validators.count) }
        var total: UInt64 = 0
        var keys: Set<PublicKey> = []
        for (index, validator) in validators.enumerated() {
            if validator.weight == 0 { throw .noWeight(index) }
            if !keys.insert(validator.publicKey).inserted { throw .repeated(validator.publicKey) }
            let (sum, overflow) = total.addingReportingOverflow(validator.weight)
            // Below 2^62, 2·W fits a word, so the quorum is computed without care.
            if overflow || sum > 1 << 62 { throw .weightOverflow }
            total = sum
        }
        self.validators = validators
        totalWeight = total
    }

    public var count: Int { validators.count }

    /// ⌊2W/3⌋ + 1: two quorums share more than a third of the weight, hence an honest validator.
    public var quorumWeight: UInt64 { 2 * totalWeight / 3 + 1 }

    public subscript(index: Int) -> Validator { validators[index] }

    public func index(of key: PublicKey) -> Int? { validators.firstIndex { $0.publicKey == key } }

    /// The leader of a view: a draw by weight from the epoch's seed, the same for everyone whichever certificate proved the view before.
    public func leader(of view: View, seed: Digest) -> Int {
        var writer = ByteWriter(capacity: 40)
        writer.write(seed)
        writer.write(view)
        let word = Digest.of(.leader, writer.bytes).withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) }
        // Multiply-high maps the word onto [0, W) with a bias below 2^-2 of one unit of weight.
        var point = UInt64(littleEndian: word).multipliedFullWidth(by: totalWeight).high
        for (index, validator) in validators.enumerated() {
            if point < validator.weight { return index }
            point -= validator.weight
        }
        return validators.count - 1
    }
}

extension Domain {
    static let leader = Domain("plasma.leader")
}
