import API
import Foundation
import Ledger
import Node
import Primitives
import Programs
import Runtime

/// A training in rounds on others' machines: in each round a job for every worker, then one for the outer step, which reads what they left.
///
/// The network holds the state between rounds: jobs name weights by their roots, and what a job gives is believed only by its receipt, proven from the genesis. So a provider that dies is
/// replaced and one that lies is convicted by the rules of any job, and the bits are those of the same rounds anywhere.
struct ProviderRounds {
    let node: NodeClient
    let key: SecretKey
    let terms: JobTerms
    let genesis: Genesis
    let rounds: RoundSettings
    let text: [UInt8]
    /// The node that serves what is uploaded.
    let storageHint: PublicKey

    /// A job that is over, and what it left.
    private struct Part {
        let job: Digest
        let provider: String
        let attempts: UInt64
        /// Of every step, each output's root.
        let outputs: [[Digest]]
        /// The kept tensors' roots.
        let kept: [Digest]
    }

    /// What is told as it happens.
    enum Event {
        case submitted(worker: Int?, job: Digest)
        case settled(worker: Int?, job: Digest, provider: String, attempts: UInt64)
    }

    /// One round from the trainer's state: it is moved to where the network has come. Gives each step's mean loss.
    func run(_ trainer: RoundTrainer, tell: @escaping @Sendable (Event) -> Void) async throws -> [Float] {
        let round = trainer.round
        let weights = trainer.weights
        let momentum = trainer.momentum
        for tensor in weights + momentum { try await upload(tensor) }
        let textTensor = Tensor(element: .u8, shape: [text.count], bytes: text)
        try await upload(textTensor)
        let worker = try await manifest("worker of round \(round + 1)", trainer.worker, weights.map(\.root))
        var specs: [JobSpec] = []
        for number in 0..<rounds.workers {
            let rows = trainer.rows.rows(worker: number, round: round)
            try await upload(rows)
            specs.append(try spec(trainer.worker, worker, weights.map(\.root), [textTensor.root, rows.root]))
        }
        // One after the other: they take the account's numbers in turn.
        var jobs: [Digest] = []
        for (number, spec) in specs.enumerated() {
            jobs.append(try await node.submit(.submitJob(spec), as: key).id)
            tell(.submitted(worker: number, job: jobs[number]))
        }
        let parts = try await withThrowingTaskGroup(of: (Int, Part).self) { group in
            for (number, job) in jobs.enumerated() {
                group.addTask { (number, try await finished(job, worker: number, tell)) }
            }
            var parts: [Int: Part] = [:]
            for try await (number, part) in group { parts[number] = part }
            return jobs.indices.compactMap { parts[$0] }
        }
        var losses = [Float](repeating: 0, count: rounds.steps)
        for part in parts {
            // The first step loads the weights.
            for (step, outputs) in part.outputs.dropFirst().enumerated() where step < losses.count {
                guard let root = outputs.first else { throw Failure("a worker's step has no loss") }
                losses[step] += try await tensor(root, TensorType(.f32, [])).floats[0] / Float(rounds.workers)
            }
        }
        let joined = weights.map(\.root) + momentum.map(\.root) + parts.flatMap(\.kept)
        let outer = try await manifest("outer step of round \(round + 1)", trainer.aggregation, joined)
        let job = try await node.submit(.submitJob(try spec(trainer.aggregation, outer, joined, [])), as: key).id
        tell(.submitted(worker: nil, job: job))
        let part = try await finished(job, worker: nil, tell)
        guard let next = part.outputs.first, next.count == 2 * weights.count else {
            throw Failure("the outer step gave \(part.outputs.first?.count ?? 0) tensors of \(2 * weights.count)")
        }
        var moved: [Tensor] = []
        for (root, declaration) in zip(next, trainer.aggregation.parameters) {
            moved.append(try await tensor(root, declaration.type))
        }
        trainer.resume(
            round: round + 1, weights: Array(moved[..<weights.count]), momentum: Array(moved[weights.count...]))
        return losses
    }

    // MARK: Jobs

    private func spec(
        _ program: Program, _ manifest: Digest, _ parameters: [Digest], _ inputs: [Digest]
    ) throws -> JobSpec {
        let fixed = try program.specialise([])
        return JobSpec(
            program: program.root, manifest: manifest, axes: [], parameters: AgreedList(parameters),
            inputs: zip(program.inputs, inputs).map { JobInput(name: $0.name, root: $1) },
            initialState: fixed.initialState(), scans: try JobScan.all(of: fixed), computeUnits: try fixed.cost(),
            memory: fixed.memoryEstimate, maximumPricePer1000CU: terms.maximumPricePer1000CU, policy: terms.policy,
            queueMilliseconds: terms.queueMilliseconds, deadlineMilliseconds: terms.deadlineMilliseconds,
            storageHint: storageHint)
    }

    /// Waits for a job's end, and takes what it left by its receipt.
    private func finished(
        _ job: Digest, worker: Int?, _ tell: @Sendable (Event) -> Void
    ) async throws -> Part {
        let end = try await JobWatch(node: node, id: job).follow(timeout: 24 * 3600) { _ in }
        guard end["state"]?.string == "settled" else {
            throw Failure(
                "job \(job.hex) is \(end["state"]?.string ?? "unknown")\(end["reason"]?.string.map { ": " + $0 } ?? ""): "
                    + "go on later with --resume")
        }
        let (receipt, _) = try await JobResult.receipt(of: job, from: node, genesis: genesis)
        let part = Part(
            job: job, provider: receipt.provider.description, attempts: UInt64(receipt.attempt),
            outputs: try await lists(receipt.commitment.outputRoot),
            kept: try await lists(receipt.commitment.stateRoot, isState: true).first ?? [])
        tell(.settled(worker: worker, job: job, provider: part.provider, attempts: part.attempts))
        return part
    }

    /// The roots under an output or state root, checked against it.
    private func lists(_ root: Digest, isState: Bool = false) async throws -> [[Digest]] {
        if isState && root == ResultRoots.stateRoot([]) { return [] }
        let listing = try await node.call("blob.get", ["id": .string(root.hex)])
        let steps = (listing["steps"]?.array ?? []).map {
            ($0.array ?? []).compactMap { $0.string.flatMap(Digest.init(hex:)) }
        }
        if ResultRoots.outputRoot(steps) != root {
            throw Failure(
                "the node's list of \(root.hex) is not what the receipt commits to: ask another node with --rpc")
        }
        return steps
    }

    // MARK: Blobs

    private func manifest(_ name: String, _ program: Program, _ parameters: [Digest]) async throws -> Digest {
        let file = try await upload(file: program.canonicalBytes)
        return try await upload(
            file: ModelManifest(
                name: name, programRoot: program.root, programFile: file, parameterRoots: parameters, files: []
            ).canonicalBytes)
    }

    private func upload(file bytes: [UInt8]) async throws -> Digest {
        let answer = try await node.rpc.upload(bytes, as: .file)
        guard answer["id"]?.string == FileIdentity.of(bytes).hex else {
            throw Failure("the node computed another id for a file: do not trust it")
        }
        return FileIdentity.of(bytes)
    }

    private func upload(_ tensor: Tensor) async throws {
        let answer = try await node.rpc.upload(
            tensor.bytes, as: .tensor(type: "\(tensor.element)", shape: tensor.shape.map { UInt64($0) }))
        if answer["id"]?.string != tensor.root.hex {
            throw Failure("the node computed another root for a tensor: do not trust it")
        }
    }

    private func tensor(_ root: Digest, _ type: TensorType) async throws -> Tensor {
        let tensor = Tensor(element: type.element, shape: type.dimensions, bytes: try await node.download(root))
        if tensor.bytes.count != Int(type.byteCount) || tensor.root != root {
            throw Failure("the node sent another tensor than \(root.hex): ask another node with --rpc")
        }
        return tensor
    }
}
