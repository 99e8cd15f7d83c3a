internal import Foundation
package import Ledger
public import Primitives
internal import Programs
internal import Runtime

/// Blobs that are here.
public protocol BlobKeeper: AnyObject, Sendable {
    /// Lends a blob's bytes, mapped from disk; the owner keeps them alive.
    func mapped(_ id: Digest) throws -> any BlobBytes
    /// Keeps a tensor and gives its root.
    func storeTensor(type: UInt8, shape: [UInt64], bytes: [UInt8]) throws -> Digest
    /// The type and shape of a tensor that is here; nil for a blob of another kind.
    func tensorType(of id: Digest) throws -> (type: UInt8, shape: [UInt64])?
    /// Keeps the list of each step's output tensors, which are here, and gives the output root, under which a requester finds it.
    func storeOutputs(_ steps: [[Digest]]) throws -> Digest
    /// Such a list that is here; nil for a blob of another kind. Its tensors and their order are those of its root, how they are parted into steps is not
    /// (`ResultRoots.parted`).
    func outputs(of id: Digest) throws -> [[Digest]]?
}

/// Where blobs come from: the node's store, filled from peers.
public protocol BlobAccess: BlobKeeper {
    /// Makes sure that all of `ids` are here, whole and checked. `progress` is told bytes done and bytes in all.
    /// Throws where one cannot be had, and `BlobsTooLarge` where they are more than `limit` bytes together.
    func fetch(
        _ ids: [Digest], atMost limit: UInt64, progress: @escaping @Sendable (UInt64, UInt64) -> Void) async throws
}

extension BlobAccess {
    package func fetch(_ ids: [Digest], progress: @escaping @Sendable (UInt64, UInt64) -> Void) async throws {
        try await fetch(ids, atMost: .max, progress: progress)
    }
}

/// What was to be fetched is larger than it may be; nothing large of it was taken.
public struct BlobsTooLarge: Error, Equatable, CustomStringConvertible {
    public let count: Int
    /// As far as is known: there may be more.
    public let bytes: UInt64
    public let limit: UInt64

    public init(count: Int, bytes: UInt64, limit: UInt64) {
        self.count = count
        self.bytes = bytes
        self.limit = limit
    }

    public var description: String { "\(count) blobs have at least \(bytes) bytes together, \(limit) are allowed" }
}

/// Bytes that stay where they are for as long as this object lives.
public protocol BlobBytes: AnyObject, Sendable {
    var bytes: UnsafeRawBufferPointer { get }
}

/// Runs a job's program on its inputs, and knows nothing of chains.
package final class JobRunner: @unchecked Sendable {
    static let maximumManifestBytes = 1 << 20
    /// Tensors that a job gives out, of all steps together: a list of them is one blob.
    package static let maximumOutputs: UInt64 = 32_768
    /// Models that stay packed between jobs; half of the memory that is offered, at most.
    package static let maximumModels = 4
    /// Jobs whose run is kept for the next question about it, with their states and a traced step.
    package static let maximumDisputes = 2

    let blobs: any BlobKeeper
    private let threads: Int
    private let memory: UInt64
    private let flipsBit: Bool
    private let lock = NSLock()
    /// Programs say nothing of weights: two models may share one.
    private struct ModelKey: Hashable {
        let manifest: Digest
        let shapes: [[Int]]
    }

    /// Tensors that were looked through and are in the right form; a root names type and bytes. Guarded by `lock`.
    private var canonical: Set<Digest> = []
    private static let maximumKnownForms = 65_536

    // Guarded by `lock`. Weights are packed once a model, then reused by the jobs of it that come soon.
    private var prepared: RecentlyUsed<ModelKey, PreparedModel>
    /// Runs that disputes ask about again and again.
    private var disputed: RecentlyUsed<Digest, DisputeRun>

    package init(blobs: any BlobKeeper, threads: Int, memory: UInt64, flipsBit: Bool) {
        self.blobs = blobs
        self.threads = threads
        self.memory = memory
        self.flipsBit = flipsBit
        prepared = RecentlyUsed(maximumCount: JobRunner.maximumModels, maximumBytes: memory / 2)
        disputed = RecentlyUsed(maximumCount: JobRunner.maximumDisputes, maximumBytes: .max)
    }

    /// Models that are packed now.
    package var preparedModels: Int { lock.withLock { prepared.count } }

    /// The blobs that a job names beside its manifest, which is here. Throws a refusal where that cannot be read.
    package func blobs(of spec: JobSpec) throws -> [Digest] {
        let manifest = try manifest(of: spec)
        return [manifest.programFile] + manifest.parameterRoots + (spec.inputs + spec.carried).compactMap(\.root)
    }

    /// A job's program as its sizes fix it.
    func program(of spec: JobSpec) throws -> SpecialisedProgram { try specialised(spec, try manifest(of: spec)).0 }

    private func inputRoots(_ spec: JobSpec) throws -> [Digest] {
        guard let roots = spec.roots else { throw WorkRefusal.failed("what its parents left was not looked up") }
        return roots.inputs
    }

    /// Checks a job whose blobs are here: all that a dispute would take from the job's own words. Throws a refusal that says what is wrong with it.
    package func check(_ spec: JobSpec) throws {
        let manifest = try manifest(of: spec)
        let (fixed, program) = try specialised(spec, manifest)
        if AgreedList(manifest.parameterRoots) != spec.parameters {
            throw WorkRefusal.malformed("the manifest's weights are not those that the job names")
        }
        if manifest.parameterRoots.count != program.parameters.count
            || spec.inputs.map(\.name) != program.inputs.map(\.name)
        {
            throw WorkRefusal.malformed("the job does not give the program's weights and inputs in their order")
        }
        let roots = manifest.parameterRoots + (try inputRoots(spec))
        for (declaration, root) in zip(fixed.parameters + fixed.inputs, roots) {
            try checkType(of: root, declaration)
        }
        let given = try carried(spec, fixed)
        for (place, root) in given { try checkType(of: root, fixed.carried[place]) }
        for (declaration, root) in zip(fixed.parameters + fixed.inputs, roots) {
            try checkForm(of: root, declaration)
        }
        for (place, root) in given { try checkForm(of: root, fixed.carried[place]) }
        if fixed.initialState(given) != spec.initialState {
            throw WorkRefusal.malformed("the state that the job names is not the one that it begins with")
        }
        try checkFlag(spec, fixed, given)
        try checkCost(spec, fixed)
        // Of a larger one nobody could be convicted.
        if !program.disputeBound(fixed).isWithin {
            throw WorkRefusal.malformed("a dispute about the program would take too many rounds or bytes")
        }
        try checkSizes(spec, fixed, given)
    }

    /// A scan that is gone on with must not have ended: the chain is shown that where the state is another job's, and here it is seen where it is given.
    private func checkFlag(_ spec: JobSpec, _ fixed: SpecialisedProgram, _ given: [Int: Digest]) throws {
        guard let scan = spec.scans.firstIndex(where: { $0.steps > 0 }), spec.scans[scan].first > 0,
            let stop = fixed.scans[scan].stop
        else {
            if spec.flag != nil { throw WorkRefusal.malformed("the job names a flag where no scan has one") }
            return
        }
        if let flag = spec.flag, flag != stop {
            throw WorkRefusal.malformed("the job names carried tensor \(flag) as the flag, which is \(stop)")
        }
        if spec.flag == nil, given[Int(stop)] == ShownFlag.root(true) {
            throw WorkRefusal.malformed("the scan that the job goes on with has ended")
        }
    }

    private func checkCost(_ spec: JobSpec, _ fixed: SpecialisedProgram) throws {
        let scans: [JobScan]
        let cost: UInt64
        do {
            scans = try JobScan.all(of: fixed)
            cost = try fixed.cost().weightedOperations
        } catch { throw WorkRefusal.malformed("the program's cost cannot be told: \(error)") }
        if cost != spec.computeUnits.weightedOperations {
            throw WorkRefusal.costMismatch(declared: spec.computeUnits.weightedOperations, actual: cost)
        }
        for (declared, actual) in zip(spec.scans, scans) where declared != actual {
            throw WorkRefusal.costMismatch(declared: declared.weightedOperations, actual: actual.weightedOperations)
        }
        if spec.scans.count != scans.count { throw WorkRefusal.malformed("the job does not name the program's scans") }
    }

    /// Whether what comes out can be listed for whoever fetches it, and what goes in and comes out is as large as the job says.
    private func checkSizes(_ spec: JobSpec, _ fixed: SpecialisedProgram, _ given: [Int: Digest]) throws {
        // At most 2^20 steps of 2^12 outputs: the product fits.
        let outputs = fixed.scans.reduce(UInt64(0)) { $0 + $1.steps.factor * UInt64($1.outputs.count) }
        if fixed.scans.contains(where: \.outputs.isEmpty) || outputs > JobRunner.maximumOutputs
            || fixed.kept.count > Scan.maximumOutputs
        {
            throw WorkRefusal.malformed(
                "a job gives out at least a tensor a step and \(JobRunner.maximumOutputs) in all")
        }
        // By this everybody knows how much there is to fetch, and the chain how long that may take.
        let read = (fixed.parameters + fixed.inputs + given.keys.map { fixed.carried[$0] })
            .reduce(UInt128(0)) { $0 + UInt128($1.type.byteCount) }
        if read > UInt128(spec.memory) {
            throw WorkRefusal.malformed(
                "the job reads \(read) bytes, and says to need \(spec.memory) of memory in all")
        }
        if fixed.resultBytes > spec.memory {
            throw WorkRefusal.malformed(
                "the job leaves \(fixed.resultBytes) bytes, and says to need \(spec.memory) of memory in all")
        }
    }

    /// A root is over type and shape too: of another type than the program's, no witness could be made.
    private func checkType(of root: Digest, _ declaration: TensorDeclaration) throws {
        guard let found = try blobs.tensorType(of: root), found.type == declaration.type.element.rawValue,
            found.shape == declaration.type.shape.map(\.factor)
        else { throw WorkRefusal.malformed("\"\(declaration.name)\" is not of the type that the program says") }
    }

    /// What has another form of NaN or bool than a run leaves has no witness: whoever ran on it could be challenged and say nothing.
    private func checkForm(of root: Digest, _ declaration: TensorDeclaration) throws {
        if lock.withLock({ canonical.contains(root) }) { return }
        let blob = try blobs.mapped(root)
        let isRight = isCanonical(declaration.type.element, blob.bytes)
        withExtendedLifetime(blob) {}
        if !isRight {
            throw WorkRefusal.malformed("\"\(declaration.name)\" has a NaN or a bool in a form that no run leaves")
        }
        lock.withLock {
            if canonical.count >= JobRunner.maximumKnownForms { canonical = [] }
            canonical.insert(root)
        }
    }

    /// The roots of the carried tensors that the job gives, by their place in the program.
    private func carried(_ spec: JobSpec, _ fixed: SpecialisedProgram) throws -> [Int: Digest] {
        var given: [Int: Digest] = [:]
        var next = 0
        for tensor in spec.carried {
            guard let place = fixed.carried[next...].firstIndex(where: { $0.name == tensor.name }),
                let root = tensor.root
            else {
                throw WorkRefusal.malformed("the job's carried tensors are not the program's, in their order")
            }
            given[place] = root
            next = place + 1
        }
        return given
    }

    private func manifest(of spec: JobSpec) throws -> ModelManifest {
        let file = try blobs.mapped(spec.manifest)
        guard file.bytes.count <= JobRunner.maximumManifestBytes,
            let manifest = try? ModelManifest(canonicalBytes: Array(file.bytes))
        else {
            throw WorkRefusal.malformed("the model's manifest cannot be read")
        }
        return manifest
    }

    private func specialised(_ spec: JobSpec, _ manifest: ModelManifest) throws -> (SpecialisedProgram, Program) {
        let file = try blobs.mapped(manifest.programFile)
        guard let program = try? Program(canonicalBytes: Array(file.bytes)), program.root == spec.program else {
            throw WorkRefusal.malformed("the program file is not the program that the job names")
        }
        if spec.axes.map(\.name) != program.axes {
            throw WorkRefusal.malformed("the job does not give the program's axes in their order")
        }
        do {
            let whole = try program.specialise(spec.axes.map { ($0.name, $0.size) })
            return (spec.isSegment ? try whole.segment(spec.segment) : whole, program)
        } catch {
            throw WorkRefusal.malformed("the program does not fit the job's sizes: \(error)")
        }
    }

    /// Runs the job on this machine and keeps what comes out as blobs. Blocks its thread for as long as that takes.
    package func run(_ spec: JobSpec, progress: @escaping @Sendable (Double) -> Void) throws -> ResultCommitment {
        let manifest = try manifest(of: spec)
        let (program, _) = try specialised(spec, manifest)
        let weights = try manifest.parameterRoots.map { try blobs.mapped($0) }
        let inputs = try inputRoots(spec).map { try blobs.mapped($0) }
        let state = try carried(spec, program).mapValues { try blobs.mapped($0) }
        defer { withExtendedLifetime((weights, inputs, state)) {} }
        // What is plainly too large is not packed first.
        let least = (program.parameters + program.inputs + program.carried).reduce(UInt64(0)) {
            $0 &+ $1.type.byteCount
        }
        if least > memory { throw WorkRefusal.tooLarge(needed: least, available: memory) }
        let key = ModelKey(manifest: spec.manifest, shapes: program.parameters.map(\.type.dimensions))
        let model =
            try lock.withLock { prepared.value(for: key) }
            ?? PreparedModel(program: program, parameters: weights.map(\.bytes), owners: weights)
        let executor = Executor(program: program, model: model, threads: threads)
        let needed = executor.peakMemory
        if needed > memory { throw WorkRefusal.tooLarge(needed: needed, available: memory) }
        let result = try executor.runAll(
            inputs: inputs.map(\.bytes), carried: state.mapValues(\.bytes), seed: spec.seed, progress: progress)
        lock.withLock { prepared.keep(model, for: key, bytes: model.heldBytes) }
        return try keep(flipsBit ? JobRunner.lied(result) : result, program)
    }

    /// Test only: a provider that lies in one bit of one number, so that its auditor has something to find.
    private static func lied(_ result: ProgramResult) -> ProgramResult {
        var outputs = result.outputs
        guard let last = outputs.indices.last, let first = outputs[last].indices.first,
            !outputs[last][first].bytes.isEmpty
        else { return result }
        outputs[last][first].bytes[outputs[last][first].bytes.count / 2] ^= 1
        return ProgramResult(steps: result.steps, outputs: outputs, carried: result.carried)
    }

    /// What a run of the job comes to, of which nothing is kept but for the questions of a dispute. Blocks its thread for as long as that takes.
    package func commitment(_ job: Digest, _ spec: JobSpec) throws -> ResultCommitment {
        let (program, _) = try specialised(spec, try manifest(of: spec))
        let least = (program.parameters + program.inputs + program.carried).reduce(UInt64(0)) {
            $0 &+ $1.type.byteCount
        }
        if least > memory { throw WorkRefusal.tooLarge(needed: least, available: memory) }
        let run = try disputeRun(job, spec)
        do throws(DisputeRunFault) {
            let own = try run.commitment()
            return ResultCommitment(steps: own.steps, outputRoot: own.outputRoot, stateRoot: own.stateRoot)
        } catch { throw WorkRefusal.failed(error.description) }
    }

    /// What a run of the job says to a duty. Blocks its thread for as long as the steps take.
    package func play(_ item: DisputeItem, _ spec: JobSpec) throws -> DisputeAnswer {
        let run = try disputeRun(item.duty.job, spec)
        do throws(DisputeRunFault) {
            switch item.duty.move {
            case .challenge: return .opening(DisputeOpening(run.program))
            case .reveal(_, let point), .answer(let point): return .reveal(try run.reveal(at: point))
            case .pick, .name:
                guard let walk = item.walk else { throw .notYourTurn }
                return .pick(try run.pick(for: walk, item.subject))
            // What is known already is not asked of a run.
            case .settle, .contradict: throw .notYourTurn
            }
        } catch { throw WorkRefusal.failed(error.description) }
    }

    /// The run that a dispute is about: the one of the last question, or a new one, which is the same.
    private func disputeRun(_ job: Digest, _ spec: JobSpec) throws -> DisputeRun {
        if let known = lock.withLock({ disputed.value(for: job) }) { return known }
        let manifest = try manifest(of: spec)
        let (fixed, program) = try specialised(spec, manifest)
        let weights = try manifest.parameterRoots.map { try blobs.mapped($0) }
        let inputs = try inputRoots(spec).map { try blobs.mapped($0) }
        let state = try carried(spec, fixed).mapValues { try blobs.mapped($0) }
        var memory = DisputeMemory()
        // Half for what is kept between questions; a step that needs more than all is not traced.
        memory.positions = self.memory / 2
        memory.trace = self.memory
        let own = try DisputeRun(
            program, axes: spec.axes.map(\.size), parameters: weights.map(\.bytes),
            parameterRoots: manifest.parameterRoots, inputs: inputs.map(\.bytes),
            carried: state.mapValues(\.bytes), segment: spec.segment, seed: spec.seed, owners: weights,
            threads: threads, memory: memory)
        withExtendedLifetime((inputs, state)) {}
        let run = flipsBit ? try own.lying() : own
        lock.withLock { disputed.keep(run, for: job, bytes: 0) }
        return run
    }

    /// Keeps the outputs of every step and the state that stays, each under the root that the commitment names.
    private func keep(_ result: ProgramResult, _ program: SpecialisedProgram) throws -> ResultCommitment {
        func store(_ tensor: Tensor) throws -> Digest {
            try blobs.storeTensor(
                type: tensor.element.rawValue, shape: tensor.shape.map(UInt64.init), bytes: tensor.bytes)
        }
        let steps = try result.outputs.map { try $0.map(store) }
        let outputRoot = try blobs.storeOutputs(steps)
        if outputRoot != ResultRoots.outputRoot(steps) { throw WorkRefusal.failed("the outputs were kept wrongly") }
        let kept = try program.kept.map { try store(result.carried[Int($0)]) }
        let stateRoot = ResultRoots.stateRoot(kept)
        // One list is its own tree: under the state's root lies what a list of one step lies under.
        if !kept.isEmpty, try blobs.storeOutputs([kept]) != stateRoot {
            throw WorkRefusal.failed("the state was kept wrongly")
        }
        return ResultCommitment(steps: result.steps, outputRoot: outputRoot, stateRoot: stateRoot)
    }
}

extension WorkRefusal: Error {}
