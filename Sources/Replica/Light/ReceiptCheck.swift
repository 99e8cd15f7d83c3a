/// Checks that a value is in the chain's state, knowing nothing but the genesis file: a finality certificate over a header, and a Merkle path from
/// the header's state root to the value.
public import Consensus
public import Ledger
public import Primitives

public enum ReceiptCheck {
    /// What was wrong with a proof.
    public enum Fault: Error, Equatable, Sendable, CustomStringConvertible {
        case light(LightClient.Fault)
        case badPath

        public var description: String {
            switch self {
            case .light(let fault): fault.description
            case .badPath: "the path does not lead from the value to the state root: the node sent a false proof"
            }
        }
    }

    /// The canonical bytes of all that a check needs.
    public struct Evidence: Hashable, Sendable, CanonicalCodable {
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
    public static func verify(_ evidence: Evidence, by client: LightClient) throws(Fault) {
        do throws(LightClient.Fault) { try client.check(evidence.header, evidence.certificate) } catch {
            throw .light(error)
        }
        if !evidence.proof.verify(root: evidence.header.stateRoot, key: evidence.key, value: evidence.value) {
            throw .badPath
        }
    }

    /// The same by the validators of the genesis, for a header of the first epoch.
    public static func verify(_ evidence: Evidence, genesis: Genesis) throws(Fault) {
        let client: LightClient
        do throws(LightClient.Fault) { client = try LightClient(genesis: genesis) } catch { throw .light(error) }
        try verify(evidence, by: client)
    }
}
