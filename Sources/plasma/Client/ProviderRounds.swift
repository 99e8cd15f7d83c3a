import API
import Foundation
import Ledger
import Node
import Primitives
import Programs
import Runtime

/// A training in rounds on others' machines: in each round a gang of a job for every worker, and a job after them for the outer step, which reads what they
/// leave.
///
/// The network holds the state between rounds: jobs name weights by their roots, and what a job gives is believed only by its receipt, proven from the genesis.
/// So a provider that dies is replaced and one that lies is convicted by the rules of any job, and the bits are those of the same rounds anywhere.
struct ProviderRounds {
    let node: NodeClient
    let key: SecretKey
    let terms: JobTerms
    let genesis: Genesis
    let rounds: RoundSettings
    /// Workers that a round needs, and the seconds that it waits for the others once it has them.
    let quorum: Int
    let patience: Int
    /// The node that serves what is uploaded.
    let storageHint: PublicKey
    /// Steps of a worker's run between checkpoints; nil to run it as one job.
    let checkpointEvery: Int?
    /// The file of the jobs that are under way.
    let record: String

    /// What is told as it happens.
    enum Event {
        /// There is no place for this worker now beside the others.
        case noPlace(worker: Int, reasons: [String])
        /// There were not places for all at once.
        case singly
        /// Jobs that were posted before the training was stopped.
        case pickedUp(jobs: Int)
        case submitted(worker: Int?, job: Digest)
        case settled(worker: Int?, job: Digest, provider: String, attempts: UInt64)
        /// The worker does not count in this round.
        case leftOut(worker: Int, job: Digest, reason: String)
    }

    /// One round from the trainer's state: it is moved to where the network has come. Gives the numbers of the workers that counted, and each step's loss, the
    /// mean of theirs.
    func run(
        _ trainer: RoundTrainer, tell: @escaping @Sendable (Event) -> Void
    ) async throws -> (workers: [Int], losses: [Float]) {
        let work = try await prepare(trainer)
        var posted: PostedRound
        if let found = try await pickUp(work, tell: tell) {
            posted = found
        } else {
            posted = try await post(work, tell: tell)
        }
        try await place(&posted, work, tell: tell)
        let parts = try await enough(of: posted, tell)
        let workers = parts.map(\.worker)
        var losses = [Float](repeating: 0, count: rounds.steps)
        var packed: [JobInput.Source] = []
        for (_, part) in parts {
            // The first step loads the weights, the last gives all of them out.
            guard part.outputs.count == rounds.steps + 2, let root = part.outputs.last?.first else {
                throw Failure("a worker took \(part.outputs.count) steps, \(rounds.steps + 2) were due")
            }
            packed.append(.root(root))
            for step in losses.indices {
                guard let root = part.outputs[step + 1].first else { throw Failure("a worker's step has no loss") }
                losses[step] += try await tensor(root, TensorType(.f32, [])).floats[0] / Float(parts.count)
            }
        }
        if posted.outer == nil || posted.counted != workers {
            try await postOuter(&posted, work, packed, counted: workers, tell)
        }
        guard let outer = posted.outer else { throw Failure("the outer step was not posted") }
        let part: JobRow.Result
        do { part = try await finished(outer, worker: nil, tell) } catch let error as JobRow.Lost {
            throw Failure("job \(outer.jobs[0].hex), the outer step, is \(error.reason): go on later with --resume")
        }
        let declarations = try trainer.aggregation(of: workers.count).parameters
        let count = trainer.weights.count
        guard let next = part.outputs.first, next.count == 2 * count else {
            throw Failure("the outer step gave \(part.outputs.first?.count ?? 0) tensors of \(2 * count)")
        }
        var moved: [Tensor] = []
        for (root, declaration) in zip(next, declarations) { moved.append(try await tensor(root, declaration.type)) }
        trainer.resume(
            round: work.round + 1, weights: Array(moved[..<count]), momentum: Array(moved[count...]))
        return (workers, losses)
    }

    // MARK: The quorum

    /// What one of the tasks that a round waits for came to.
    private enum Arrival {
        case part(worker: Int, JobRow.Result)
        case lost(worker: Int, reason: String)
        case patienceIsOver
    }

    /// The workers' parts in their order: all that come, or, once there is a quorum, those that come in time. Where the outer step reads some of them only, the
    /// round was closed with these.
    private func enough(
        of posted: PostedRound, _ tell: @escaping @Sendable (Event) -> Void
    ) async throws -> [(worker: Int, part: JobRow.Result)] {
        let rows = posted.workers
        let expected = posted.outer == nil ? Array(rows.indices) : posted.counted
        let quorum = min(quorum, expected.count)
        return try await withThrowingTaskGroup(of: Arrival.self) { group in
            for number in expected {
                group.addTask {
                    do {
                        return .part(worker: number, try await finished(rows[number], worker: number, tell))
                    } catch let error as JobRow.Lost { return .lost(worker: number, reason: error.reason) }
                }
            }
            var parts: [Int: JobRow.Result] = [:]
            var lost: [Int: String] = [:]
            while parts.count + lost.count < expected.count, let arrival = try await group.next() {
                switch arrival {
                case .part(let worker, let part):
                    parts[worker] = part
                    if parts.count == quorum && parts.count + lost.count < expected.count {
                        group.addTask { [patience] in
                            try await Task.sleep(for: .seconds(patience))
                            return .patienceIsOver
                        }
                    }
                case .lost(let worker, let reason):
                    lost[worker] = reason
                    if expected.count - lost.count < quorum {
                        throw Failure(
                            "job \(rows[worker].jobs[0].hex) is \(reason), and the round needs \(quorum) workers of \(expected.count): "
                                + "go on later with --resume")
                    }
                    tell(.leftOut(worker: worker, job: rows[worker].jobs[0], reason: reason))
                case .patienceIsOver:
                    // An outer step that waits no longer has all of them: they have settled, and are here in a moment.
                    if let outer = posted.outer, !(try await withdraw(outer)) { continue }
                    group.cancelAll()
                    for worker in expected where parts[worker] == nil && lost[worker] == nil {
                        lost[worker] = "late"
                        tell(
                            .leftOut(worker: worker, job: rows[worker].jobs[0], reason: try await release(rows[worker]))
                        )
                    }
                }
            }
            group.cancelAll()
            return expected.compactMap { worker in parts[worker].map { (worker, $0) } }
        }
    }

    /// Takes the outer step back while it waits for the workers; whether it is gone.
    private func withdraw(_ outer: JobRow) async throws -> Bool {
        if try await state(of: outer.jobs[0]) == "waiting" { await outer.cancel(on: node, as: key) }
        return ["cancelled", "failed", "expired"].contains(try await state(of: outer.jobs[0]))
    }

    private func state(of job: Digest) async throws -> String {
        try await node.call("job.get", ["job": .string(job.hex)])["state"]?.string ?? "unknown"
    }

    /// Takes a late worker's jobs back where nobody has begun them; says what becomes of it.
    private func release(_ row: JobRow) async throws -> String {
        let state = try await state(of: row.jobs[row.jobs.count - 1])
        guard ["waiting", "open", "assigned"].contains(state) else {
            return "late: it is \(state), goes on and is paid"
        }
        await row.cancel(on: node, as: key)
        // Begun in the meantime.
        return try await self.state(of: row.jobs[row.jobs.count - 1]) == "cancelled"
            ? "late: it was \(state), and is cancelled" : "late: it goes on and is paid"
    }

    // MARK: Jobs

    func spec(
        _ program: Program, _ manifest: Digest, _ parameters: [Digest], _ inputs: [JobInput]
    ) throws -> JobSpec {
        let fixed = try program.specialise([])
        return JobSpec(
            program: program.root, manifest: manifest, axes: [], parameters: AgreedList(parameters),
            inputs: inputs, initialState: fixed.initialState(), scans: try JobScan.all(of: fixed),
            computeUnits: try fixed.cost(),
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

    func manifest(_ name: String, _ program: Program, _ parameters: [Digest]) async throws -> Digest {
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

    func upload(_ tensor: Tensor) async throws {
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
