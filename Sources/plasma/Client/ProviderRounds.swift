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
    /// Workers that a round needs, and the seconds that it waits for the others once it has them.
    let quorum: Int
    let patience: Int
    /// The node that serves what is uploaded.
    let storageHint: PublicKey
    /// Steps of a worker's run between checkpoints; nil to run it as one job.
    let checkpointEvery: Int?

    /// What is told as it happens.
    enum Event {
        case submitted(worker: Int?, job: Digest)
        case settled(worker: Int?, job: Digest, provider: String, attempts: UInt64)
        /// The worker does not count in this round.
        case leftOut(worker: Int, job: Digest, reason: String)
    }

    /// One round from the trainer's state: it is moved to where the network has come. Gives the numbers of the workers that counted, and each step's loss, the mean of theirs.
    func run(
        _ trainer: RoundTrainer, tell: @escaping @Sendable (Event) -> Void
    ) async throws -> (workers: [Int], losses: [Float]) {
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
        let program = try trainer.worker.specialise([])
        var rows: [JobRow] = []
        for (number, spec) in specs.enumerated() {
            rows.append(try await JobRow.post(spec, of: program, every: checkpointEvery, to: node, as: key))
            for job in rows[number].jobs { tell(.submitted(worker: number, job: job)) }
        }
        let counted = try await enough(of: rows, tell)
        let workers = counted.map(\.worker)
        let parts = counted.map(\.part)
        var losses = [Float](repeating: 0, count: rounds.steps)
        for part in parts {
            // The first step loads the weights.
            for (step, outputs) in part.outputs.dropFirst().enumerated() where step < losses.count {
                guard let root = outputs.first else { throw Failure("a worker's step has no loss") }
                losses[step] += try await tensor(root, TensorType(.f32, [])).floats[0] / Float(parts.count)
            }
        }
        let joined = weights.map(\.root) + momentum.map(\.root) + parts.flatMap(\.kept)
        let aggregation = try trainer.aggregation(of: parts.count)
        let outer = try await manifest("outer step of round \(round + 1)", aggregation, joined)
        let row = try await JobRow.post(
            try spec(aggregation, outer, joined, []), of: try aggregation.specialise([]), every: nil, to: node, as: key)
        tell(.submitted(worker: nil, job: row.jobs[0]))
        let part: JobRow.Result
        do { part = try await finished(row, worker: nil, tell) } catch let error as JobRow.Lost {
            throw Failure("job \(row.jobs[0].hex), the outer step, is \(error.reason): go on later with --resume")
        }
        guard let next = part.outputs.first, next.count == 2 * weights.count else {
            throw Failure("the outer step gave \(part.outputs.first?.count ?? 0) tensors of \(2 * weights.count)")
        }
        var moved: [Tensor] = []
        for (root, declaration) in zip(next, aggregation.parameters) {
            moved.append(try await tensor(root, declaration.type))
        }
        trainer.resume(
            round: round + 1, weights: Array(moved[..<weights.count]), momentum: Array(moved[weights.count...]))
        return (workers, losses)
    }

    // MARK: The quorum

    /// What one of the tasks that a round waits for came to.
    private enum Arrival {
        case part(worker: Int, JobRow.Result)
        case lost(worker: Int, reason: String)
        case patienceIsOver
    }

    /// The workers' parts in their order: all that come, or, once there is a quorum, those that come in time.
    private func enough(
        of rows: [JobRow], _ tell: @escaping @Sendable (Event) -> Void
    ) async throws -> [(worker: Int, part: JobRow.Result)] {
        try await withThrowingTaskGroup(of: Arrival.self) { group in
            for (number, row) in rows.enumerated() {
                group.addTask {
                    do { return .part(worker: number, try await finished(row, worker: number, tell)) } catch let error
                        as JobRow.Lost
                    { return .lost(worker: number, reason: error.reason) }
                }
            }
            var parts: [Int: JobRow.Result] = [:]
            var lost: [Int: String] = [:]
            while parts.count + lost.count < rows.count, let arrival = try await group.next() {
                switch arrival {
                case .part(let worker, let part):
                    parts[worker] = part
                    if parts.count == quorum && parts.count + lost.count < rows.count {
                        group.addTask { [patience] in
                            try await Task.sleep(for: .seconds(patience))
                            return .patienceIsOver
                        }
                    }
                case .lost(let worker, let reason):
                    lost[worker] = reason
                    if rows.count - lost.count < quorum {
                        throw Failure(
                            "job \(rows[worker].jobs[0].hex) is \(reason), and the round needs \(quorum) workers of \(rows.count): "
                                + "go on later with --resume")
                    }
                    tell(.leftOut(worker: worker, job: rows[worker].jobs[0], reason: reason))
                case .patienceIsOver:
                    group.cancelAll()
                    for worker in rows.indices where parts[worker] == nil && lost[worker] == nil {
                        lost[worker] = "late"
                        tell(
                            .leftOut(worker: worker, job: rows[worker].jobs[0], reason: try await release(rows[worker]))
                        )
                    }
                }
            }
            group.cancelAll()
            return rows.indices.compactMap { worker in parts[worker].map { (worker, $0) } }
        }
    }

    /// Takes a late worker's jobs back where nobody has begun them; says what becomes of it.
    private func release(_ row: JobRow) async throws -> String {
        let last = row.jobs[row.jobs.count - 1]
        let state = try await node.call("job.get", ["job": .string(last.hex)])["state"]?.string ?? "unknown"
        guard ["waiting", "open", "assigned"].contains(state) else {
            return "late: it is \(state), goes on and is paid"
        }
        await row.cancel(on: node, as: key)
        let now = try await node.call("job.get", ["job": .string(last.hex)])["state"]?.string ?? "unknown"
        // Begun in the meantime.
        return now == "cancelled" ? "late: it was \(state), and is cancelled" : "late: it goes on and is paid"
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

    /// Waits for a row's end, and takes what it left by its receipts.
    private func finished(
        _ row: JobRow, worker: Int?, _ tell: @Sendable (Event) -> Void
    ) async throws -> JobRow.Result {
        try await row.finish(on: node, as: key, genesis: genesis) { receipt in
            tell(
                .settled(
                    worker: worker, job: receipt.job, provider: receipt.provider.description,
                    attempts: UInt64(receipt.attempt)))
        } follow: { _, job in
            try await JobWatch(node: node, id: job).follow(timeout: 24 * 3600) { _ in }
        }
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
