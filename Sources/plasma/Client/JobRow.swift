import API
import Foundation
import Ledger
import Primitives
import Programs

/// A run on the network: one job, or a row of segments, each of which goes on from what the one before has kept. If an executor dies, its segment alone is
/// lost: the next provider begins at the last checkpoint, and each step is paid once.
struct JobRow: Sendable {
    /// A job that ended without a result.
    struct Lost: Error { let reason: String }

    /// What a row came to.
    struct Result: Sendable {
        let receipts: [JobReceipt]
        /// Of every step, each output's root.
        let outputs: [[Digest]]
        /// The roots of the tensors that the program keeps.
        let kept: [Digest]

        /// Steps of each scan.
        var steps: [UInt64] {
            receipts.dropFirst().reduce(receipts.first?.commitment.steps ?? []) { sums, receipt in
                zip(sums, receipt.commitment.steps).map { $0 + $1 }
            }
        }

        /// What the runs and the audits cost together.
        func paid() throws -> (runs: Amount, audits: Amount, computeUnits: ComputeUnits) {
            (
                try receipts.reduce(.zero) { try $0.adding($1.amount) },
                try receipts.reduce(.zero) { try $0.adding($1.auditFees) },
                ComputeUnits(weightedOperations: receipts.reduce(0) { $0 &+ $1.computeUnits.weightedOperations })
            )
        }
    }

    /// Those that are posted, in their order.
    private(set) var jobs: [Digest]
    private let whole: JobSpec
    private let program: SpecialisedProgram
    /// The steps of each segment; nil for a whole run.
    private let segments: [[StepRange]]?

    /// The most segments of a row: each locks its price until it has ended.
    static let maximumSegments = 1_000

    /// A run of which `jobs` are posted already: with `every`, in segments of at most so many steps.
    init(_ whole: JobSpec, of program: SpecialisedProgram, every steps: Int?, jobs: [Digest] = []) throws {
        if let steps, steps < 1 {
            throw Failure("a checkpoint is made every step at the soonest: give --checkpoint-every 1 or more")
        }
        let segments = steps.map { program.segments(ofSteps: UInt64($0)) }
        if let segments, segments.count > JobRow.maximumSegments {
            throw Failure(
                "that makes \(segments.count) jobs, at most \(JobRow.maximumSegments) are posted at once: "
                    + "raise --checkpoint-every")
        }
        self.jobs = jobs
        self.whole = whole
        self.program = program
        self.segments = segments
    }

    /// The jobs that it will be.
    var count: Int { segments?.count ?? 1 }

    /// The job that is to be posted next, after the one before; nil where all are.
    func next() throws -> JobSpec? {
        if jobs.count >= count { return nil }
        guard let ranges = segments?[jobs.count] else { return whole }
        let part = try program.segment(ranges)
        var spec = whole
        spec.isSegment = true
        spec.scans = try JobScan.all(of: part)
        spec.computeUnits = try part.cost()
        // All that is carried is kept, and handed out.
        spec.memory = max(spec.memory, part.memoryEstimate)
        if let previous = jobs.last {
            spec.carried = []
            spec.initialState = .zero
            spec.stateOf = previous
            if let scan = ranges.firstIndex(where: { $0.count > 0 }), ranges[scan].first > 0 {
                spec.flag = program.scans[scan].stop
            }
        }
        return spec
    }

    mutating func append(_ job: Digest) { jobs.append(job) }

    /// The first tensor of those `count` that the run's last step gives out, once all jobs are posted; the program's last scan must not end early.
    func lastOutput(of count: Int) -> ResultTensor? {
        guard let last = jobs.last, jobs.count == self.count else { return nil }
        let steps = (segments?.last?.map(\.count) ?? program.scans.map(\.steps.factor)).reduce(0, +)
        return ResultTensor(job: last, step: steps - 1, index: 0, count: UInt32(count))
    }

    /// Posts a run.
    static func post(
        _ whole: JobSpec, of program: SpecialisedProgram, every steps: Int?, to node: NodeClient, as key: SecretKey
    ) async throws -> JobRow {
        var row = try JobRow(whole, of: program, every: steps)
        // One after the other: each names the one before by its id.
        while let spec = try row.next() { row.append(try await node.submit(.submitJob(spec), as: key).id) }
        return row
    }

    /// Follows the jobs to the end of the run, each with `follow`, which gives the job as it ended. The node holds each checkpoint as soon as it stands, so
    /// that it is there for the next provider whatever becomes of the last.
    func finish(
        on node: NodeClient, as key: SecretKey, genesis: Genesis,
        settled: (JobReceipt) -> Void = { _ in }, follow: (_ number: Int, _ job: Digest) async throws -> JSONValue
    ) async throws -> Result {
        var receipts: [JobReceipt] = []
        var outputs: [[Digest]] = []
        var kept: [Digest] = []
        for (number, job) in jobs.enumerated() {
            async let held: Void = hold(job, on: node)
            let end = try await follow(number, job)
            await held
            guard end["state"]?.string == "settled" else {
                let reason = end["reason"]?.string ?? ""
                throw Lost(reason: "\(end["state"]?.string ?? "unknown")\(reason.isEmpty ? "" : ": \(reason)")")
            }
            let (receipt, _) = try await JobResult.receipt(of: job, from: node, genesis: genesis)
            receipts.append(receipt)
            settled(receipt)
            let commitment = receipt.commitment
            if commitment.steps.contains(where: { $0 > 0 }) {
                outputs += try await JobResult.tensors(
                    under: commitment.outputRoot, steps: commitment.steps.reduce(0, &+), from: node)
                kept =
                    commitment.stateRoot == ResultRoots.stateRoot([])
                    ? [] : try await JobResult.tensors(under: commitment.stateRoot, steps: 1, from: node).first ?? []
            }
            if number + 1 == jobs.count { break }
            if hasEnded(number, commitment) {
                for rest in jobs[(number + 1)...].reversed() {
                    // One that somebody has begun ends by itself, unpaid.
                    _ = try? await node.submit(.cancelJob(job: rest), as: key)
                }
                break
            }
            for root in kept { _ = try await node.call("blob.get", ["id": .string(root.hex)]) }
        }
        if segments != nil { kept = program.kept.compactMap { Int($0) < kept.count ? kept[Int($0)] : nil } }
        return Result(receipts: receipts, outputs: outputs, kept: kept)
    }

    /// Has the node fetch what a segment leaves and gives out as soon as its result is open: when it is settled, and somebody goes on from there, its executor
    /// may be gone, and nobody else need have it. A result that does not stand costs this fetch.
    private func hold(_ job: Digest, on node: NodeClient) async {
        if segments == nil { return }
        var held: Set<Digest> = []
        while !Task.isCancelled {
            if let found = try? await node.call("job.get", ["job": .string(job.hex)]) {
                for name in ["stateRoot", "outputRoot"] {
                    guard let root = found[name]?.string.flatMap(Digest.init(hex:)), !held.contains(root),
                        (try? await fetch(under: root, from: node)) != nil
                    else { continue }
                    held.insert(root)
                }
                if JobWatch.ends.contains(found["state"]?.string ?? "") { return }
            }
            try? await Task.sleep(nanoseconds: 200_000_000)
        }
    }

    /// Has the node fetch all tensors of a state, or of what the steps give out.
    private func fetch(under root: Digest, from node: NodeClient) async throws {
        if root == ResultRoots.stateRoot([]) { return }
        for tensor in try await JobResult.tensors(under: root, steps: nil, from: node).joined() {
            _ = try await node.call("blob.get", ["id": .string(tensor.hex)])
        }
    }

    /// Whether a flag has ended the run's last scan: what is left of the row has nothing to run.
    private func hasEnded(_ number: Int, _ commitment: ResultCommitment) -> Bool {
        guard let ranges = segments?[number], let last = ranges.indices.last, ranges[last].count > 0 else {
            return false
        }
        return commitment.steps[last] < ranges[last].count
    }

    /// Takes back what nobody has begun.
    func cancel(on node: NodeClient, as key: SecretKey) async {
        for job in jobs.reversed() { _ = try? await node.submit(.cancelJob(job: job), as: key) }
    }
}
