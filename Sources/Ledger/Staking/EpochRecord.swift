public import Consensus
public import Primitives

/// A validator as an epoch knows it. Its place in the record is its index in votes, certificates and headers.
public struct EpochMember: Hashable, Sendable, CanonicalCodable {
    public let consensusKey: PublicKey
    public let vrfKey: PublicKey
    /// Who gets its tips and rewards.
    public let operatorAddress: Address
    /// Stake in whole XPL.
    public let weight: UInt64

    public init(consensusKey: PublicKey, vrfKey: PublicKey, operatorAddress: Address, weight: UInt64) {
        self.consensusKey = consensusKey
        self.vrfKey = vrfKey
        self.operatorAddress = operatorAddress
        self.weight = weight
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        consensusKey = try reader.read(PublicKey.self)
        vrfKey = try reader.read(PublicKey.self)
        operatorAddress = try reader.read(Address.self)
        weight = try reader.readUInt64()
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(consensusKey)
        writer.write(vrfKey)
        writer.write(operatorAddress)
        writer.write(weight)
    }
}

/// Who votes in an epoch, and by which parameters. Headers of the epoch before commit to its digest, so that whoever knows one epoch's record
/// can learn the next from one certificate.
public struct EpochRecord: Hashable, Sendable, CanonicalCodable {
    public let network: Digest
    public let epoch: Epoch
    /// The digest of the parameters by which the epoch's blocks are judged.
    public let parameters: Digest
    public let members: [EpochMember]

    public init(network: Digest, epoch: Epoch, parameters: Digest, members: [EpochMember]) {
        self.network = network
        self.epoch = epoch
        self.parameters = parameters
        self.members = members
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        network = try reader.read(Digest.self)
        epoch = try reader.read(Epoch.self)
        parameters = try reader.read(Digest.self)
        members = try reader.readList(EpochMember.self, max: Genesis.maximumValidators)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(network)
        writer.write(epoch)
        writer.write(parameters)
        writer.write(list: members)
    }

    /// What headers commit to.
    public var digest: Digest { Digest.of(.epochRecord, encoding: self) }

    /// The voting set, in the record's order.
    public func validatorSet() throws(ValidatorSetFault) -> ValidatorSet {
        try ValidatorSet(members.map { Consensus.Validator(publicKey: $0.consensusKey, weight: $0.weight) })
    }
}

extension Genesis {
    /// The record of epoch 0, which nobody had to sign.
    public var epochRecord: EpochRecord {
        EpochRecord(
            network: digest, epoch: 0, parameters: Digest.of(.parameters, encoding: parameters),
            members: validators.map {
                EpochMember(
                    consensusKey: $0.consensusKey, vrfKey: $0.vrfKey, operatorAddress: $0.operatorAddress,
                    weight: StakedValidator.weight(of: $0.stake))
            })
    }
}
