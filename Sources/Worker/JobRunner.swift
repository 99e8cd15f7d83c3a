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
    /// Keeps the list of each step's output tensors and gives the output root, under which a requester finds it.
    func storeOutputs(_ steps: [[Digest]]) throws -> Digest
}

/// Where blobs come from: the node's store, filled from peers.
public protocol BlobAccess: BlobKeeper {
    /// Makes sure that all of `ids` are here, whole and checked. `progress` is told bytes done and bytes in all.
    func fetch(_ ids: [Digest], progress: @escaping @Sendable (UInt64, UInt64) -> Void) async throws
}

/// Bytes that stay where they are for as long as this object lives.
public protocol BlobBytes: AnyObject, Sendable {
    var bytes: UnsafeRawBufferPointer { get }
}

/// Runs a job's program on its inputs, and knows nothing of chains.
package final class JobRunner: @unchecked Sendable {
    static let maximumManifestBytes = 1 << 20
    /// Models that stay packed between jobs; half of the memory that is offered, at most.
    package static let maximumModels = 4

    private let blobs: any BlobKeeper
    private let threads: Int
    private let memory: UInt64
    private let flipsBit: Bool
    private let lock = NSLock()
    /// Programs say nothing of weights: two models may share one.
    private struct ModelKey: Hashable {
        let manifest: Digest
        let shapes: [[Int]]
    }

    // Guarded by `lock`. Weights are packed once a model, then reused by the jobs of it that come soon.
    private var prepared: RecentlyUsed<ModelKey, PreparedModel>

    package init(blobs: any BlobKeeper, threads: Int, memory: UInt64, flipsBit: Bool) {
        self.blobs = blobs
        self.threads = threads
        self.memory = memory
        self.flipsBit = flipsBit
        prepared = RecentlyUsed(maximumCount: JobRunner.maximumModels, maximumBytes: memory / 2)
    }

    /// Models that are packed now.
    package var preparedModels: Int { lock.withLock { prepared.count } }

    /// The blobs that a job reads beside its manifest, which is here. Throws a refusal where that cannot be read.
    package func blobs(of spec: JobSpec) throws -> [Digest] {
        let manifest = try manifest(of: spec)
        return [manifest.programFile] + manifest.parameterRoots + spec.inputs.map(\.root)
    }

    /// Checks a job whose blobs are here. Throws a refusal that says what is wrong with it.
    package func check(_ spec: JobSpec) throws {
        let (program, _) = try specialised(spec, try manifest(of: spec))
        let cost = try cost(of: program)
        if cost != spec.computeUnits.weightedOperations {
            throw WorkRefusal.costMismatch(declared: spec.computeUnits.weightedOperations, actual: cost)
        }
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
        do { return (try program.specialise(spec.axes.map { ($0.name, $0.size) }), program) } catch {
            throw WorkRefusal.malformed("the program does not fit the job's sizes: \(error)")
        }
    }

    private func cost(of program: SpecialisedProgram) throws -> UInt64 {
        do { return try program.cost().weightedOperations } catch {
            throw WorkRefusal.malformed("the program's cost cannot be told: \(error)")
        }
    }

    /// Runs the job on this machine. Blocks its thread for as long as that takes.
    package func run(_ spec: JobSpec, progress: @escaping @Sendable (Double) -> Void) throws -> ResultCommitment {
        let manifest = try manifest(of: spec)
        let (program, _) = try specialised(spec, manifest)
        let weights = try manifest.parameterRoots.map { try blobs.mapped($0) }
        let inputs = try spec.inputs.map { (name: $0.name, blob: try blobs.mapped($0.root)) }
        let key = ModelKey(manifest: spec.manifest, shapes: program.parameters.map(\.type.dimensions))
        let model =
            try lock.withLock { prepared.value(for: key) }
            ?? PreparedModel(program: program, parameters: weights.map(\.bytes), owners: weights)
        let executor = Executor(program: program, model: model, threads: threads)
        if executor.peakMemory > memory {
            throw WorkRefusal.tooLarge(needed: executor.peakMemory, available: memory)
        }
        lock.withLock { prepared.keep(model, for: key, bytes: model.packedBytes) }
        var outputs = try executor.run(
            inputs: inputs.map { ($0.name, $0.blob.bytes) }, progress: progress)
        withExtendedLifetime((weights, inputs)) {}
        // Test only: a provider that lies in one bit of one number, so that its auditor has something to find.
        if flipsBit, var first = outputs.first, !first.bytes.isEmpty {
            first.bytes[first.bytes.count / 2] ^= 1
            outputs[0] = first
        }
        var roots: [Digest] = []
        for output in outputs {
            roots.append(
                try blobs.storeTensor(
                    type: output.element.rawValue, shape: output.shape.map(UInt64.init), bytes: output.bytes))
        }
        let outputRoot = try blobs.storeOutputs([roots])
        if outputRoot != ResultRoots.outputRoot([roots]) { throw WorkRefusal.failed("the outputs were kept wrongly") }
        return ResultCommitment(steps: [1], outputRoot: outputRoot, stateRoot: ResultRoots.stateRoot([]))
    }
}

extension WorkRefusal: Error {}
