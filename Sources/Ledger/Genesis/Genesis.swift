public import Primitives

/// A validator as the state holds it. Its place in the list is its index.
public struct Validator: Hashable, Sendable, CanonicalCodable {
    public var consensusKey: PublicKey
    public var vrfKey: PublicKey
    public var stake: Amount
    /// Who gets the tips of the blocks it proposes.
    public var operatorAddress: Address

    public init(consensusKey: PublicKey, vrfKey: PublicKey, stake: Amount, operatorAddress: Address) {
        self.consensusKey = consensusKey
        self.vrfKey = vrfKey
        self.stake = stake
        self.operatorAddress = operatorAddress
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        consensusKey = try reader.read(PublicKey.self)
        vrfKey = try reader.read(PublicKey.self)
        stake = try reader.read(Amount.self)
        operatorAddress = try reader.read(Address.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(consensusKey)
        writer.write(vrfKey)
        writer.write(stake)
        writer.write(operatorAddress)
    }
}

/// An account that exists from the start.
public struct GenesisAccount: Hashable, Sendable, CanonicalCodable {
    public var address: Address
    public var balance: Amount

    public init(address: Address, balance: Amount) {
        self.address = address
        self.balance = balance
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        address = try reader.read(Address.self)
        balance = try reader.read(Amount.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(address)
        writer.write(balance)
    }
}

/// Why a genesis is none.
public enum GenesisFault: Error, Equatable, Sendable, CustomStringConvertible {
    case supply(found: Amount)
    case noValidators
    case repeated(String)
    case parameters(String)

    public var description: String {
        switch self {
        case .supply(let found):
            "accounts, stakes and treasury sum to \(found) XPL; they must sum to \(Genesis.totalSupply)"
        case .noValidators: "a network has 1 to 100 validators, each with a stake"
        case .repeated(let what): "\(what) stands twice in the genesis"
        case .parameters(let what): what
        }
    }
}

/// The definition of a network. Its digest is the network's name on every message and transaction.
public struct Genesis: Hashable, Sendable, CanonicalCodable {
    public static let totalSupply = Amount.xpl(10_000_000_000)
    public static let maximumValidators = 100
    public static let maximumAccounts = 65_536

    public var chainName: String
    public var timestamp: Timestamp
    public var parameters: ChainParameters
    public var validators: [Validator]
    public var accounts: [GenesisAccount]
    public var treasury: Amount

    public init(
        chainName: String, timestamp: Timestamp, parameters: ChainParameters, validators: [Validator],
        accounts: [GenesisAccount], treasury: Amount
    ) {
        self.chainName = chainName
        self.timestamp = timestamp
        self.parameters = parameters
        self.validators = validators
        self.accounts = accounts
        self.treasury = treasury
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        chainName = try reader.readString(max: 64)
        timestamp = try reader.read(Timestamp.self)
        parameters = try reader.read(ChainParameters.self)
        validators = try reader.readList(Validator.self, max: Genesis.maximumValidators)
        accounts = try reader.readList(GenesisAccount.self, max: Genesis.maximumAccounts)
        treasury = try reader.read(Amount.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(string: chainName)
        writer.write(timestamp)
        writer.write(parameters)
        writer.write(list: validators)
        writer.write(list: accounts)
        writer.write(treasury)
    }

    /// The network's id.
    public var digest: Digest { Digest.of(.genesis, encoding: self) }

    /// The block at height 0: empty, signed by nobody, known to everybody.
    public var block: Block { Block(header: header, transactions: []) }

    public var header: Header {
        Header(
            network: digest, epoch: 0, view: 0, height: 0, parent: .zero, time: timestamp, proposer: 0,
            txRoot: Block.txRoot([]), weight: 0, baseFee: parameters.minimumBaseFee, executedHeight: 0,
            stateRoot: .zero, vrfProof: Genesis.noProof, beacon: Digest.of(.beacon, digest, .zero))
    }

    /// 80 zero bytes: genesis has no proposer.
    private static let noProof: VRFProof = {
        var reader = ByteReader([UInt8](repeating: 0, count: 80))
        guard let proof = try? VRFProof(from: &reader) else { preconditionFailure("a VRF proof has 80 bytes") }
        return proof
    }()

    /// The sum of stakes: consensus's total weight.
    public var totalStake: Amount {
        Amount(baseUnits: validators.reduce(0) { $0 &+ $1.stake.baseUnits })
    }

    /// Checks what the decoder cannot: money, repetition, bounds.
    public func validate() throws(GenesisFault) {
        if let problem = parameters.problem { throw .parameters(problem) }
        if validators.isEmpty || validators.count > Genesis.maximumValidators
            || validators.contains(where: { $0.stake == .zero })
        {
            throw .noValidators
        }
        var keys: Set<PublicKey> = []
        for validator in validators where !keys.insert(validator.consensusKey).inserted {
            throw .repeated("validator \(validator.consensusKey)")
        }
        var addresses: Set<Address> = []
        for account in accounts where !addresses.insert(account.address).inserted {
            throw .repeated("account \(account.address)")
        }
        var sum = treasury
        for amount in validators.map(\.stake) + accounts.map(\.balance) {
            guard let next = try? sum.adding(amount) else {
                throw .supply(found: Amount(baseUnits: .max))
            }
            sum = next
        }
        if sum != Genesis.totalSupply { throw .supply(found: sum) }
    }
}
