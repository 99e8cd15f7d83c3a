/// Checks that a value is in the chain's state, knowing nothing but the genesis file: a finality certificate over a header, and a Merkle path from
/// the header's state root to the value.
public import Consensus
public import Ledger
public import Primitives

public enum ReceiptCheck {
    /// What was wrong with a proof.
    public enum Fault: Error, Equatable, Sendable, CustomStringConvertible {
        case malformed(part: String, DecodingFault)
        case notAFinalization
        case anotherHeader
        case anotherNetwork
        case badCertificate
        case badPath
        case wrongJob

        public var description: String {
            switch self {
            case .malformed(let part, let fault): "the \(part) cannot be read: \(fault)"
            case .notAFinalization: "the certificate is not a finalization: ask another node"
            case .anotherHeader: "the certificate is for another header than the one given: ask another node"
            case .anotherNetwork: "the header belongs to another network: check the genesis file"
            case .badCertificate: "the certificate's signatures are not those of a quorum of the genesis validators"
            case .badPath: "the path does not lead from the value to the state root: the node sent a false proof"
            case .wrongJob: "the receipt is for another job"
            }
        }
    }

    /// The canonical bytes of all that a check needs.
    public struct Evidence: Sendable, CanonicalCodable {
        public let key: [UInt8]
        public let value: [UInt8]
        public let proof: StateProof
        public let header: Header
        public let certificate: Certificate

        public init(key: [UInt8], value: [UInt8], proof: StateProof, header: Header, certificate: Certificate) {
            self.key = key
            self.value = value
            self.proof = proof
            self.header = header
            self.certificate = certificate
        }

        public init(from reader: inout ByteReader) throws(DecodingFault) {
            key = try reader.readBytes(max: 256)
            value = try reader.readBytes(max: 1 << 20)
            proof = try reader.read(StateProof.self)
            header = try reader.read(Header.self)
            certificate = try reader.read(Certificate.self)
        }

        public func encode(into writer: inout ByteWriter) {
            writer.write(bytes: key)
            writer.write(bytes: value)
            writer.write(proof)
            writer.write(header)
            writer.write(certificate)
        }
    }

    /// Checks certificate, header and path. Costs one signature check a signer and some tens of digests.
    public static func verify(_ evidence: Evidence, genesis: Genesis) throws(Fault) {
        guard case .finalize(let proposal) = evidence.certificate.subject else { throw .notAFinalization }
        if proposal.payloadDigest != evidence.header.digest { throw .anotherHeader }
        let network = genesis.digest
        if evidence.header.network != network { throw .anotherNetwork }
        guard let validators = try? genesis.validatorSet() else { throw .badCertificate }
        if !evidence.certificate.verify(validators, network: network, scheme: Ed25519Scheme.verifier) {
            throw .badCertificate
        }
        if !evidence.proof.verify(root: evidence.header.stateRoot, key: evidence.key, value: evidence.value) {
            throw .badPath
        }
    }

    /// The same, from what a node's `job.receipt` answers, and the receipt read.
    public static func verify(
        genesis: Genesis, job: Digest, receipt: [UInt8], key: [UInt8], proof: [UInt8], header: [UInt8],
        certificate: [UInt8]
    ) throws(Fault) -> JobReceipt {
        let evidence = Evidence(
            key: key, value: receipt, proof: try read(StateProof.self, proof, "proof"),
            header: try read(Header.self, header, "header"),
            certificate: try read(Certificate.self, certificate, "certificate"))
        try verify(evidence, genesis: genesis)
        let decoded = try read(JobReceipt.self, receipt, "receipt")
        if decoded.job != job || key != StateKey.receipt(job) { throw .wrongJob }
        return decoded
    }

    private static func read<T: CanonicalCodable>(_: T.Type, _ bytes: [UInt8], _ part: String) throws(Fault) -> T {
        do throws(DecodingFault) { return try T(canonicalBytes: bytes) } catch {
            throw .malformed(part: part, error)
        }
    }
}
