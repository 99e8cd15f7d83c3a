public import Ledger
public import Primitives
internal import Programs

/// A job as a provider works on it: what it says, and what the jobs that it reads have ended in.
public struct WorkOrder: Hashable, Sendable {
    public let spec: JobSpec
    /// By parent.
    public let results: [Digest: ResultCommitment]

    public init(spec: JobSpec, results: [Digest: ResultCommitment] = [:]) {
        self.spec = spec
        self.results = results
    }

    /// Of a job, from an executed state.
    init(of job: Job, in state: any StateStore) throws(LedgerFault) {
        var results: [Digest: ResultCommitment] = [:]
        for parent in job.spec.parents { results[parent] = try Query.receipt(job: parent, in: state)?.commitment }
        self.init(spec: job.spec, results: results)
    }

    /// The lists of what the parents left: blobs that are read before it is known which tensors the job reads.
    package var lists: [Digest] {
        var lists = spec.inputs.compactMap(\.result).compactMap { tensor in
            results[tensor.job].map { tensor.step == nil ? $0.stateRoot : $0.outputRoot }
        }
        if let parent = spec.stateOf, let result = results[parent] { lists.append(result.stateRoot) }
        return Array(Set(lists)).sorted()
    }
}

/// Jobs that read what others left.
extension JobRunner {
    /// The job with plain roots, and what shows them to the chain; nil where the job has had them from the start. The parents' lists, the manifest and the
    /// program are here. Throws a refusal where they do not say what the job says of them.
    package func resolved(_ order: WorkOrder) throws -> (spec: JobSpec, resolution: Resolution?) {
        if order.spec.roots != nil { return (order.spec, nil) }
        var spec = order.spec
        let shown = try shown(order)
        var next = shown.makeIterator()
        spec.inputs = spec.inputs.map { input in
            input.root == nil ? next.next().map { JobInput(name: input.name, root: $0.root) } ?? input : input
        }
        guard let kept = try state(order) else { return (spec, Resolution(inputs: shown, state: nil)) }
        let flag = try order.spec.flag.map { try self.flag(Int($0), of: kept) }
        let carried = try program(of: spec).carried
        if carried.count != kept.count {
            throw WorkRefusal.malformed(
                "the program carries \(carried.count) tensors, the job that it goes on from has kept \(kept.count)")
        }
        spec.carried = zip(carried, kept).map { JobInput(name: $0.name, root: $1) }
        spec.initialState = MerkleTree.root(kept)
        spec.stateOf = nil
        return (spec, Resolution(inputs: shown, state: spec.initialState, flag: flag))
    }

    /// Whether a flag of a state is set: its root says so.
    private func flag(_ place: Int, of kept: [Digest]) throws -> ShownFlag {
        guard kept.indices.contains(place), [false, true].contains(where: { ShownFlag.root($0) == kept[place] }) else {
            throw WorkRefusal.malformed("carried tensor \(place), which the job names as the flag, is none")
        }
        return ShownFlag(
            isSet: kept[place] == ShownFlag.root(true), siblings: MerkleLevels(kept).proof(place).siblings)
    }

    /// The blobs that a job reads beside its manifest and its parents' lists, which are here.
    package func blobs(of order: WorkOrder) throws -> [Digest] {
        try blobs(of: order.spec) + shown(order).map(\.root) + (state(order) ?? [])
    }

    /// Each input that another job left, with its path.
    private func shown(_ order: WorkOrder) throws -> [ShownTensor] {
        try order.spec.inputs.compactMap(\.result).map { tensor in
            guard let result = order.results[tensor.job] else {
                throw WorkRefusal.unavailable("the result of job \(tensor.job)")
            }
            let list: [Digest]
            var above: [Digest] = []
            if let step = tensor.step {
                let steps = try outputs(of: result)
                guard step < UInt64(steps.count) else {
                    throw WorkRefusal.malformed("job \(tensor.job) took \(steps.count) steps, not \(step + 1)")
                }
                list = steps[Int(step)]
                above = MerkleLevels(steps.map { MerkleTree.root($0) }).proof(Int(step)).siblings
            } else {
                list = try kept(result)
            }
            if list.count != Int(tensor.count) {
                throw WorkRefusal.malformed(
                    "the job names \(tensor.count) tensors of job \(tensor.job), it left \(list.count)")
            }
            let place = Int(tensor.index)
            return ShownTensor(root: list[place], siblings: MerkleLevels(list).proof(place).siblings + above)
        }
    }

    /// The roots of all carried tensors, where the job begins with another's state.
    private func state(_ order: WorkOrder) throws -> [Digest]? {
        guard let parent = order.spec.stateOf else { return nil }
        guard let result = order.results[parent] else { throw WorkRefusal.unavailable("the result of job \(parent)") }
        return try kept(result)
    }

    func outputs(of result: ResultCommitment) throws -> [[Digest]] {
        guard let list = try blobs.outputs(of: result.outputRoot),
            let steps = ResultRoots.parted(list, into: result.steps.reduce(0, { $0 &+ $1 }))
        else { throw WorkRefusal.unavailable("the list of what a job gave out") }
        return steps
    }

    func kept(_ result: ResultCommitment) throws -> [Digest] {
        if result.stateRoot == ResultRoots.stateRoot([]) { return [] }
        guard let list = try blobs.outputs(of: result.stateRoot), let kept = ResultRoots.parted(list, into: 1)?.first
        else { throw WorkRefusal.unavailable("the list of what a job has kept") }
        return kept
    }
}
