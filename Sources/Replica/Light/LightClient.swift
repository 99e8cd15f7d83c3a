public import Consensus
public import Ledger
public import Primitives

/// From one epoch to the next: a finalized header that commits to the next epoch's record, and that record.
public struct EpochStep: Hashable, Sendable, CanonicalCodable {
    public let header: Header
    public let certificate: Certificate
    /// Of the epoch after the header's.
    public let next: EpochRecord

    public init(header: Header, certificate: Certificate, next: EpochRecord) {
        self.header = header
        self.certificate = certificate
        self.next = next
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        header = try reader.read(Header.self)
        certificate = try reader.read(Certificate.self)
        next = try reader.read(EpochRecord.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(header)
        writer.write(certificate)
        writer.write(next)
    }
}

/// Knows the validators of one epoch, walks to the next by one certificate each, and checks what nodes say against them. It needs the
/// genesis, or the record of an epoch that its user trusts, and nothing else.
public struct LightClient: Sendable {
    public enum Fault: Error, Equatable, Sendable, CustomStringConvertible {
        case notAFinalization
        case anotherHeader
        case anotherNetwork
        case anotherEpoch(expected: Epoch, found: Epoch)
        case badCertificate
        case noCommitment
        case anotherRecord
        case badRecord(ValidatorSetFault)

        public var description: String {
            switch self {
            case .notAFinalization: "the certificate is not a finalization: ask another node"
            case .anotherHeader: "the certificate is for another header than the one given: ask another node"
            case .anotherNetwork: "the header belongs to another network: check the genesis file"
            case .anotherEpoch(let expected, let found):
                "the header is of epoch \(found), the known validators are of epoch \(expected): walk the epochs between first"
            case .badCertificate: "the certificate's signatures are not those of a quorum of the epoch's validators"
            case .noCommitment: "the header does not say who the next validators are: ask another node"
            case .anotherRecord: "the validators given are not those that the header commits to: ask another node"
            case .badRecord(let fault): "the epoch's validators are no set: \(fault)"
            }
        }
    }

    /// The epoch whose validators are known.
    public private(set) var record: EpochRecord
    public private(set) var validators: ValidatorSet
    private let network: Digest

    public var epoch: Epoch { record.epoch }

    public init(genesis: Genesis) throws(Fault) { try self.init(trusting: genesis.epochRecord) }

    /// Begins at a record whose digest the user has compared with others'.
    public init(trusting record: EpochRecord) throws(Fault) {
        self.record = record
        network = record.network
        do throws(ValidatorSetFault) { validators = try record.validatorSet() } catch { throw .badRecord(error) }
    }

    /// Whether a header is final by the validators of its epoch. One signature check a signer.
    public func check(_ header: Header, _ certificate: Certificate) throws(Fault) {
        guard case .finalize(let proposal) = certificate.subject else { throw .notAFinalization }
        if proposal.payloadDigest != header.digest { throw .anotherHeader }
        if header.network != network { throw .anotherNetwork }
        if header.epoch != epoch || proposal.epoch != epoch {
            throw .anotherEpoch(expected: epoch, found: header.epoch != epoch ? header.epoch : proposal.epoch)
        }
        if !certificate.verify(validators, network: network, scheme: Ed25519Scheme.verifier) { throw .badCertificate }
    }

    /// Goes to the next epoch.
    public mutating func advance(_ step: EpochStep) throws(Fault) {
        try check(step.header, step.certificate)
        guard let commitment = step.header.nextEpochRecord else { throw .noCommitment }
        if step.next.digest != commitment || step.next.epoch != epoch.next() || step.next.network != network {
            throw .anotherRecord
        }
        self = try LightClient(trusting: step.next)
    }
}

/// A proof with the way to its epoch, for whoever has nothing but the genesis.
public struct PortableProof: Hashable, Sendable, CanonicalCodable {
    public static let maximumSteps = 65_536

    /// From the genesis, or the record that the checker trusts, to the header's epoch; those before are passed over.
    public let steps: [EpochStep]
    public let evidence: ReceiptCheck.Evidence

    public init(steps: [EpochStep], evidence: ReceiptCheck.Evidence) {
        self.steps = steps
        self.evidence = evidence
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        steps = try reader.readList(EpochStep.self, max: PortableProof.maximumSteps)
        evidence = try reader.read(ReceiptCheck.Evidence.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(list: steps)
        writer.write(evidence)
    }

    /// Walks as far as needed and checks.
    public func verify(by client: LightClient) throws(ReceiptCheck.Fault) {
        var client = client
        for step in steps where step.header.epoch == client.epoch && client.epoch < evidence.header.epoch {
            do throws(LightClient.Fault) { try client.advance(step) } catch { throw .light(error) }
        }
        try ReceiptCheck.verify(evidence, by: client)
    }
}
