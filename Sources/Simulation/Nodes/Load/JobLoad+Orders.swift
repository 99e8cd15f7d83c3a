import Gossip
import Ledger
import Primitives
import Programs

/// The jobs themselves: what they say, and what comes out of them.
extension JobLoad {
    /// A tensor of rows.
    private struct Rows {
        let values: [Int32]
        let count: UInt64

        var shape: [UInt64] { [count, JobLoad.width] }
        var kind: BlobManifest.Kind { .tensor(type: ElementType.i32.rawValue, shape: shape) }
        var bytes: [UInt8] { JobLoad.bytes(values) }
        /// Its blob's id and its root are one.
        var root: Digest { TensorRoot.of(.i32, shape, bytes) }
    }

    private func draw(_ random: inout SplitMix64) -> Rows {
        let count = 2 + random.next() % 3
        return Rows(
            values: (0..<count * JobLoad.width).map { _ in Int32(random.next() % 10_000) }, count: count)
    }

    private func policy(_ random: inout SplitMix64) -> AuditPolicy {
        switch random.next() % 6 {
        case 0: .sampled(perMille: 500)
        case 1: .sampled(perMille: 200)
        case 2: .replicated(count: 2)
        default: .audited
        }
    }

    /// A line over numbers that nobody has seen. `hint`: the node that has them.
    func line(hint: PublicKey, random: inout SplitMix64) throws -> JobOrder {
        let x = draw(&random)
        return try line(x, .root(x.root), serving: [x], hint: hint, random: &random)
    }

    /// A line over what another job leaves.
    func line(after parent: JobYield, hint: PublicKey, random: inout SplitMix64) throws -> JobOrder {
        try line(
            Rows(values: parent.values, count: parent.rows), JobLoad.source(parent), serving: [], hint: hint,
            random: &random)
    }

    private static func source(_ parent: JobYield) -> JobInput.Source {
        .result(ResultTensor(job: parent.job, step: parent.step, index: 0, count: 1))
    }

    private func line(
        _ x: Rows, _ source: JobInput.Source, serving: [Rows], hint: PublicKey, random: inout SplitMix64
    ) throws -> JobOrder {
        let model = lines[Int(random.next() % UInt64(lines.count))]
        let y = Rows(
            values: x.values.enumerated().map { place, value in
                value &* model.weights[place % Int(JobLoad.width)] &+ JobLoad.addend
            }, count: x.count)
        return try order(
            model, rows: x.count, inputs: [JobInput(name: "x", source: source)], serving: serving, steps: [y],
            policy: policy(&random), hint: hint)
    }

    /// The sum of what two jobs leave, which have as many rows.
    func sum(of first: JobYield, _ second: JobYield, hint: PublicKey, random: inout SplitMix64) throws -> JobOrder {
        let y = Rows(values: zip(first.values, second.values).map { $0 &+ $1 }, count: first.rows)
        return try order(
            sum, rows: first.rows,
            inputs: [
                JobInput(name: "a", source: JobLoad.source(first)),
                JobInput(name: "b", source: JobLoad.source(second)),
            ], serving: [], steps: [y], policy: policy(&random), hint: hint)
    }

    /// A walk in two parts. The second is told of the first by its job's id.
    func walk(hint: PublicKey, random: inout SplitMix64) throws -> (first: JobOrder, second: (Digest) -> JobOrder) {
        let x = draw(&random)
        var steps: [Rows] = []
        for _ in 0..<JobLoad.steps.all {
            let before = steps.last?.values ?? x.values.map { _ in 0 }
            steps.append(
                Rows(values: zip(before, x.values).map { $0 &* JobLoad.factor &+ $1 }, count: x.count))
        }
        let policy = policy(&random)
        let inputs = [JobInput(name: "x", root: x.root)]
        let cut = Int(JobLoad.steps.first)
        let ranges = [(0, JobLoad.steps.first), (JobLoad.steps.first, JobLoad.steps.all - JobLoad.steps.first)]
            .map { StepRange(first: $0.0, count: $0.1) }
        let first = try order(
            walk, rows: x.count, inputs: inputs, serving: [x], steps: Array(steps[..<cut]), segment: ranges[0],
            policy: policy, hint: hint)
        let second = try order(
            walk, rows: x.count, inputs: inputs, serving: [x], steps: Array(steps[cut...]), segment: ranges[1],
            policy: policy, hint: hint)
        return (
            first,
            { parent in
                var spec = second.spec
                spec.stateOf = parent
                spec.initialState = .zero
                return JobOrder(
                    spec: spec, model: second.model, inputs: second.inputs, truth: second.truth,
                    values: second.values, rows: second.rows)
            }
        )
    }

    private func order(
        _ model: Model, rows: UInt64, inputs: [JobInput], serving: [Rows], steps: [Rows], segment: StepRange? = nil,
        policy: AuditPolicy, hint: PublicKey
    ) throws -> JobOrder {
        var fixed = try model.program.specialise([("rows", rows)])
        if let segment { fixed = try fixed.segment([segment]) }
        let spec = JobSpec(
            program: model.program.root, manifest: model.manifest, axes: [JobAxis(name: "rows", size: rows)],
            parameters: AgreedList(model.root), inputs: inputs,
            initialState: segment == nil ? .zero : fixed.initialState(), scans: try JobScan.all(of: fixed),
            isSegment: segment != nil, computeUnits: try fixed.cost(), memory: 1 << 20,
            maximumPricePer1000CU: JobLoad.price, policy: policy, queueMilliseconds: 20_000,
            deadlineMilliseconds: 60_000, storageHint: hint)
        let kept = segment == nil ? [] : steps.suffix(1).map(\.root)
        return JobOrder(
            spec: spec, model: model.blobs, inputs: serving.map { ($0.kind, $0.bytes) },
            truth: ResultCommitment(
                steps: [UInt64(steps.count)], outputRoot: ResultRoots.outputRoot(steps.map { [$0.root] }),
                stateRoot: ResultRoots.stateRoot(kept)), values: steps.last?.values ?? [], rows: rows)
    }
}
