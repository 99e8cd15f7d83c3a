import API
import Consensus
import Foundation
import Ledger
import Node
import Primitives
import Programs
import Replica
import Runtime

/// A settled job's receipt and output, checked here: the receipt against a finality certificate, the output against the receipt.
struct JobResult {
    let receipt: JobReceipt
    let proof: PortableProof
    let shape: [UInt64]
    let bytes: [UInt8]

    /// Asks a node for the receipt's evidence and checks it with nothing but the genesis.
    static func receipt(
        of job: Digest, from node: NodeClient, genesis: Genesis, checkpoint: Digest? = nil
    ) async throws -> (JobReceipt, PortableProof) {
        let answer = try await node.call("job.receipt", ["job": .string(job.hex)])
        guard let bytes = answer["evidence"]?.string.flatMap(Hexadecimal.decode) else {
            throw Failure("the node's answer about the receipt cannot be read: is it of another version?")
        }
        let evidence = try ReceiptCheck.Evidence(canonicalBytes: bytes)
        var walk = try LightWalk(genesis: genesis)
        try await walk.advance(to: evidence.header.epoch, from: node, checkpoint: checkpoint)
        let proof = PortableProof(steps: walk.steps, evidence: evidence)
        return (try check(proof, of: job, genesis: genesis), proof)
    }

    /// Checks evidence of a job's receipt.
    static func check(_ proof: PortableProof, of job: Digest?, genesis: Genesis) throws -> JobReceipt {
        try proof.verify(by: LightClient(genesis: genesis))
        let evidence = proof.evidence
        let receipt = try JobReceipt(canonicalBytes: evidence.value)
        if evidence.key != StateKey.receipt(receipt.job) || job.map({ $0 != receipt.job }) ?? false {
            throw Failure("the evidence is of job \(receipt.job.hex), not of the one asked for")
        }
        return receipt
    }

    /// The roots of each step's outputs, as a receipt's output root commits to them; or those of the kept tensors, as its state root does: one step's.
    /// Where their number is not known, they are parted as the node says.
    static func tensors(under root: Digest, steps count: UInt64?, from node: NodeClient) async throws -> [[Digest]] {
        let listing = try await node.call("blob.get", ["id": .string(root.hex)])
        let steps = (listing["steps"]?.array ?? []).map {
            ($0.array ?? []).compactMap { $0.string.flatMap(Digest.init(hex:)) }
        }
        guard ResultRoots.outputRoot(steps) == root,
            let steps = ResultRoots.parted(steps, into: count ?? UInt64(steps.count))
        else {
            throw Failure(
                "the node's list of \(root.hex) is not what the receipt commits to: ask another node with --rpc")
        }
        return steps
    }

    /// The numbers that each step gave out first, by the roots that receipts commit to.
    static func numbers(_ outputs: [[Digest]], rows: Int, from node: NodeClient) async throws -> [[Int32]] {
        var steps: [[Int32]] = []
        for step in outputs {
            guard let tensor = step.first else { throw Failure("a step of the job has no output") }
            let bytes = try await node.download(tensor)
            if TensorRoot.of(.i32, [UInt64(rows)], bytes) != tensor {
                throw Failure("the node sent another output than the receipt commits to: ask another node with --rpc")
            }
            steps.append(
                bytes.withUnsafeBytes { raw in
                    (0..<rows).map { raw.loadUnaligned(fromByteOffset: 4 * $0, as: Int32.self) }
                })
        }
        return steps
    }

    /// Fetches the only output tensor of a one-step job and checks it against the receipt.
    static func fetch(_ job: Digest, from node: NodeClient, genesis: Genesis) async throws -> JobResult {
        let (receipt, proof) = try await receipt(of: job, from: node, genesis: genesis)
        guard
            let tensor = try await tensors(
                under: receipt.commitment.outputRoot, steps: receipt.commitment.steps.reduce(0, &+), from: node
            ).first?.first
        else {
            throw Failure("the job gave nothing out")
        }
        let description = try await node.call("blob.get", ["id": .string(tensor.hex)])
        guard let type = description["type"]?.string.flatMap(ElementType.init(name:)), type == .f32,
            let shape = description["shape"]?.array?.compactMap(\.uint64)
        else { throw Failure("the job's output is no f32 tensor: fetch it as bytes from /blobs/\(tensor.hex)") }
        let bytes = try await node.download(tensor)
        if TensorRoot.of(type, shape, bytes) != tensor {
            throw Failure("the node sent another output than the receipt commits to: ask another node with --rpc")
        }
        return JobResult(receipt: receipt, proof: proof, shape: shape, bytes: bytes)
    }

    func writeNumpy(to path: String) throws {
        let array = try NumpyArray(type: .f32, shape: shape.map { Int($0) }, bytes: bytes)
        do { try Data(NumpyFile.encode(array)).write(to: URL(fileURLWithPath: path), options: .atomic) } catch {
            throw Failure("\(path) cannot be written: \(error.localizedDescription)")
        }
    }

    var rows: [[Float]] {
        guard shape.count == 2 else { return [] }
        let width = Int(shape[1])
        return bytes.withUnsafeBytes { raw in
            (0..<Int(shape[0])).map { row in
                (0..<width).map { raw.loadUnaligned(fromByteOffset: (row * width + $0) * 4, as: Float.self) }
            }
        }
    }
}
