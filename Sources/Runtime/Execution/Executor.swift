internal import CKernels
internal import Dispatch
public import Programs
internal import Synchronization

/// Runs a specialised program fused: sentences in groups that stay in the cache, groups spread over threads, or one group's rows where there is only one.
///
/// Programs that are no composition that it knows, and batches that are not packed as `EncoderInputs` packs them, run by the general executor: the same bits.
public final class Executor: Sendable {
    private let program: SpecialisedProgram
    private let model: PreparedModel
    private let threads: Int
    private let plan: FusedPlan?
    /// Of the scan that runs fused.
    private let types: [TensorType]
    private let sentenceMade: Set<UInt32>

    /// Tokens that a group has at least, where there are so many, and at most aims at: activations stay in the cache, and weights are read once for all.
    static let groupTokens = 128...256

    public init(program: SpecialisedProgram, model: PreparedModel, threads: Int) {
        self.program = program
        self.model = model
        self.threads = max(1, threads)
        plan =
            program.scans.count == 1 && program.carried.isEmpty && program.scans[0].steps.factor == 1
            ? FusedPlan(program, program.scans[0]) : nil
        types = plan == nil ? [] : program.types(of: program.scans[0])
        sentenceMade = plan?.sentenceMade ?? []
    }

    /// Whether the program runs fused.
    public var isFused: Bool { plan?.layout?.places != nil }

    /// Bytes that a run takes at most, weights and outputs counted.
    public var peakMemory: UInt64 {
        let fixed = (program.parameters + program.inputs).reduce(UInt64(0)) { $0 + $1.type.byteCount }
        let outputs = program.scans.flatMap { scan in
            scan.outputs.map { program.types(of: scan)[Int($0.index)].byteCount }
        }
        .reduce(0, +)
        guard isFused, let plan else {
            // One that cannot be planned is refused when it is run, with the reason.
            return (try? general())?.peakMemory ?? fixed + outputs
        }
        // The widest group is the group's aim and one whole sentence more, and never more than the batch.
        let length = plan.layout.map { types[Int($0.slots.index)].dimensions[1] } ?? 0
        let tokens = min(
            Executor.groupTokens.upperBound + length, types[Int(plan.layout?.places?.index ?? 0)].dimensions[0])
        let arena = arena(plan, tokens: tokens, sentences: tokens)
        return fixed + outputs + model.packedBytes + UInt64(threads * (arena.size + scratchSize(plan, length)) * 4)
    }

    /// Runs on named inputs and returns the outputs. `progress` is told fractions from 0 to 1, from any thread; `isCancelled` is asked between groups.
    public func run(
        inputs: [(name: String, bytes: UnsafeRawBufferPointer)],
        progress: @escaping @Sendable (Double) -> Void = { _ in },
        isCancelled: @escaping @Sendable () -> Bool = { false }
    ) throws(ExecutionFault) -> [Tensor] {
        if pk_check_float_environment() == 0 { throw .floatEnvironment }
        var ordered: [UnsafeRawBufferPointer] = []
        for declaration in program.inputs {
            guard let input = inputs.first(where: { $0.name == declaration.name }) else {
                throw .missingInput(declaration.name)
            }
            if input.bytes.count != Int(clamping: declaration.type.byteCount) {
                throw .inputSize(name: input.name, expected: declaration.type.byteCount, found: input.bytes.count)
            }
            ordered.append(input.bytes)
        }
        if let plan, isFused, let batch = PackedBatch(program, plan, ordered) {
            return try run(plan, batch, ordered, progress, isCancelled)
        }
        let steps = program.scans.reduce(0.0) { $0 + Double($1.steps.factor) }
        var done = 0.0
        let result = try general().run(
            inputs: ordered,
            onStep: { _, _, _ in
                done += 1
                progress(done / max(1, steps))
            }, isCancelled: isCancelled)
        return result.outputs.flatMap { $0 }
    }

    /// Runs all scans from a given state, inputs in the program's order, carried tensors by their place: fused where the program is, else in general.
    public func runAll(
        inputs: [UnsafeRawBufferPointer], carried: [Int: UnsafeRawBufferPointer] = [:], seed: UInt64 = 0,
        progress: @escaping @Sendable (Double) -> Void = { _ in }
    ) throws(ExecutionFault) -> ProgramResult {
        if inputs.count != program.inputs.count {
            throw .inputCount(expected: program.inputs.count, found: inputs.count)
        }
        if isFused {
            let named = zip(program.inputs, inputs).map { (name: $0.name, bytes: $1) }
            return ProgramResult(steps: [1], outputs: [try run(inputs: named, progress: progress)], carried: [])
        }
        let steps = program.scans.reduce(0.0) { $0 + Double($1.steps.factor) }
        var done = 0.0
        return try general().run(
            inputs: inputs, carried: carried, seed: seed,
            onStep: { _, _, _ in
                done += 1
                progress(done / max(1, steps))
            })
    }

    private func general() throws(ExecutionFault) -> GraphExecutor {
        try GraphExecutor(
            program: program, parameters: model.parameters, owners: [model], threads: threads, variant: model.variant,
            weights: model.general)
    }

    private func arena(_ plan: FusedPlan, tokens: Int, sentences: Int) -> ArenaPlan {
        let total = types[Int(plan.layout?.places?.index ?? 0)].dimensions[0]
        let halved = Set(
            plan.steps.compactMap { step -> UInt32? in if case .halved(_, let high) = step { high.index } else { nil } }
        )
        return ArenaPlan(plan, outputs: Set(program.scans[0].outputs)) { id in
            let shape = types[Int(id.index)].dimensions
            if shape.count == 1 { return (1, shape[0]) }
            if sentenceMade.contains(id.index) { return (sentences, shape[1]) }
            if halved.contains(id.index) { return (tokens, HalvedMemory.floats(width: shape[1])) }
            if types[Int(id.index)].element == .i8 { return (tokens, RoundedMemory.floats(width: shape[1])) }
            return (shape[0] == total ? tokens : shape[0], shape[1])
        }
    }

    private func scratchSize(_ plan: FusedPlan, _ length: Int) -> Int {
        return plan.steps.reduce(64) { size, step in
            switch step {
            case .attention(_, _, _, _, let width, _, _):
                return max(size, Int(pk_attention_scratch(Int32(length), Int32(length), Int32(width))) + 64)
            case .wholeLinear(_, let words, _, _, _, _, _):
                let bytes = pk_linear_i8_scratch(model.variant.code, Int32(types[Int(words.index)].dimensions[1]))
                return max(size, (bytes / 4 + 79) / 16 * 16)
            case .halvedLinear(_, let weight, _, _, _, _):
                let bytes = pk_linear_halves_scratch(
                    model.variant.code, Int32(types[Int(weight.high.index)].dimensions[1]))
                return max(size, (bytes / 4 + 79) / 16 * 16)
            default: return size
            }
        }
    }

    private func run(
        _ plan: FusedPlan, _ batch: PackedBatch, _ inputs: [UnsafeRawBufferPointer],
        _ progress: @escaping @Sendable (Double) -> Void, _ isCancelled: @escaping @Sendable () -> Bool
    ) throws(ExecutionFault) -> [Tensor] {
        let scan = program.scans[0]
        let groups = batch.groups(
            least: Executor.groupTokens.lowerBound, most: Executor.groupTokens.upperBound, threads: threads)
        let arena = arena(
            plan, tokens: groups.map(\.tokens.count).max() ?? 0, sentences: groups.map(\.sentences.count).max() ?? 0)
        let outputs = scan.outputs.map { OutputBuffer(count: Int(types[Int($0.index)].count)) }
        let scratch = scratchSize(plan, batch.length)
        let workers = min(threads, groups.count)
        // One group cannot be shared out; its rows can.
        let inner = workers == 1 ? threads : 1
        let job = GroupJob(
            program: program, plan: plan, model: model, batch: batch, inputs: inputs, arena: arena, outputs: outputs,
            outputIDs: scan.outputs, scratch: scratch, team: ThreadTeam(threads: inner), types: types,
            sentenceMade: sentenceMade)
        let next = Counter()
        let done = Counter()
        let stopped = Counter()
        DispatchQueue.concurrentPerform(iterations: workers) { _ in
            pk_set_float_environment()
            let memory = GroupMemory(floats: arena.size, scratch: scratch * inner)
            while stopped.value == 0 {
                let index = next.increment()
                if index >= groups.count { break }
                if isCancelled() {
                    _ = stopped.increment()
                    break
                }
                job.run(groups[index], memory)
                progress(Double(done.increment() + 1) / Double(groups.count))
            }
        }
        if stopped.value != 0 { throw .cancelled }
        return zip(scan.outputs, outputs).map { id, buffer in
            Tensor(element: .f32, shape: types[Int(id.index)].dimensions, bytes: buffer.bytes)
        }
    }
}

/// A number that threads count up.
final class Counter: Sendable {
    private let number = Atomic<Int>(0)

    /// The value before.
    func increment() -> Int { number.wrappingAdd(1, ordering: .relaxed).oldValue }

    var value: Int { number.load(ordering: .relaxed) }
}

/// Output memory that groups fill, each its own rows.
final class OutputBuffer: @unchecked Sendable {
    // Groups write disjoint rows; nobody reads before all are done.
    let floats: UnsafeMutableBufferPointer<Float>

    init(count: Int) {
        floats = .allocate(capacity: count)
        floats.initialize(repeating: 0)
    }

    deinit { floats.deallocate() }

    var bytes: [UInt8] { Array(UnsafeRawBufferPointer(floats)) }
}

/// One worker's arena and scratch.
final class GroupMemory {
    let floats: UnsafeMutablePointer<Float>
    let scratch: UnsafeMutablePointer<Float>

    init(floats count: Int, scratch scratchCount: Int) {
        floats = UnsafeMutableRawPointer.allocate(byteCount: max(64, count * 4), alignment: 64)
            .bindMemory(to: Float.self, capacity: max(16, count))
        scratch = UnsafeMutableRawPointer.allocate(byteCount: max(64, scratchCount * 4), alignment: 64)
            .bindMemory(to: Float.self, capacity: max(16, scratchCount))
    }

    deinit {
        floats.deallocate()
        scratch.deallocate()
    }
}
