public import Programs

/// The rows of a training in rounds: every worker has a stretch of the text for itself.
public struct RoundRows: Sendable {
    private let starts: [Int32]
    private let settings: RoundSettings
    private let batch: Int

    /// Draws the rows of all rounds. The text is cut into as many stretches as there are workers; a row begins in its worker's.
    public init(
        _ settings: RoundSettings, rounds: Int, batch: Int, text: Int, context: Int, seed: UInt64
    ) throws(TrainingFault) {
        let stretch = text / max(1, settings.workers)
        self.settings = settings
        self.batch = batch
        var starts: [Int32] = []
        for worker in 0..<settings.workers {
            // A worker's draws are its own, and its offsets count from its stretch's beginning.
            let own = try TrainingDraws.starts(
                steps: rounds * settings.steps, batch: batch, text: stretch, context: context,
                seed: seed &+ UInt64(worker) &* 0x9E37_79B9)
            starts += own.map { $0 + Int32(worker * stretch) }
        }
        self.starts = starts
    }

    /// What a worker is given in a round: i32 [steps, batch].
    public func rows(worker: Int, round: Int) -> Tensor {
        let size = settings.steps * batch
        let rounds = starts.count / (settings.workers * size)
        let first = (worker * rounds + round) * size
        return Tensor(Array(starts[first..<first + size]), shape: [settings.steps, batch])
    }
}

/// Trains in rounds on one machine, worker by worker: the bits that the same rounds give on any machines.
public final class RoundTrainer {
    public let worker: Program
    /// The outer step where all workers count.
    public let aggregation: Program
    public let rows: RoundRows
    /// The data set that all workers read.
    public let data: [Tensor]
    /// What each worker reads beside the weights.
    public let frozen: [StoredParameter]
    private let settings: RoundSettings
    private let threads: Int
    private let memory: UInt64
    private let fixedWorker: SpecialisedProgram
    private let declared: [TensorDeclaration]
    /// The weights, in the objective's order.
    public private(set) var weights: [Tensor]
    public private(set) var momentum: [Tensor]
    /// Rounds that were taken.
    public private(set) var round = 0

    public init(
        _ objective: any TrainingObjective, _ training: TrainingSettings, _ settings: RoundSettings, data: [Tensor],
        rows: RoundRows, weights: [Tensor], frozen: [StoredParameter] = [], threads: Int, memory: UInt64 = .max
    ) throws(TrainingFault) {
        declared = objective.weights
        worker = try RoundProgram.worker(objective, training, steps: settings.steps)
        aggregation = try RoundProgram.aggregation(declared, settings, workers: settings.workers)
        do throws(ProgramFault) { fixedWorker = try worker.specialise([]) } catch { throw .program(error) }
        self.data = data
        self.frozen = frozen
        self.rows = rows
        self.settings = settings
        self.threads = threads
        self.memory = memory
        self.weights = weights
        momentum = weights.map { weight in
            Tensor(element: .f32, shape: weight.shape, bytes: [UInt8](repeating: 0, count: weight.bytes.count))
        }
    }

    /// The small decoder on the bytes of a text.
    public convenience init(
        _ configuration: GPTConfiguration, _ training: TrainingSettings, _ settings: RoundSettings, text: [UInt8],
        rows: RoundRows, weights: [Tensor], threads: Int, memory: UInt64 = .max
    ) throws(TrainingFault) {
        try self.init(
            ByteObjective(configuration, text: text.count), training, settings,
            data: [Tensor(element: .u8, shape: [text.count], bytes: text)], rows: rows, weights: weights,
            threads: threads, memory: memory)
    }

    /// Goes on after a round that was taken elsewhere.
    public func resume(round: Int, weights: [Tensor], momentum: [Tensor]) {
        self.round = round
        self.weights = weights
        self.momentum = momentum
    }

    /// The outer step where only so many workers count.
    public func aggregation(of workers: Int) throws(TrainingFault) -> Program {
        if workers == settings.workers { return aggregation }
        return try RoundProgram.aggregation(declared, settings, workers: workers)
    }

    /// Takes one round of all workers, or of those whose numbers are given in rising order; `onStep` is told each one's losses as they come.
    public func run(
        workers: [Int]? = nil, onStep: (_ worker: Int, _ loss: Float) -> Void = { _, _ in }
    ) throws(TrainingFault) {
        let counted = workers ?? Array(0..<settings.workers)
        if counted.contains(where: { !(0..<settings.workers).contains($0) }) || counted != Set(counted).sorted() {
            throw .setting("workers", "of a round must be some of 1 to \(settings.workers), each once, in their order")
        }
        let fixedAggregation: SpecialisedProgram
        let outer = try aggregation(of: counted.count)
        do throws(ProgramFault) { fixedAggregation = try outer.specialise([]) } catch { throw .program(error) }
        var parts: [Tensor] = []
        for number in counted {
            let result = try execute(
                fixedWorker, parameters: weights, inputs: data + [rows.rows(worker: number, round: round)],
                frozen: frozen
            ) { scan, outputs in if scan == 1 { onStep(number, outputs[0].floats[0]) } }
            // The last step's: all weights in one.
            parts += result.outputs.suffix(1).flatMap { $0 }
        }
        let isAwaited = !fixedAggregation.inputs.isEmpty
        let result = try execute(
            fixedAggregation, parameters: weights + momentum + (isAwaited ? [] : parts), inputs: isAwaited ? parts : []
        ) { _, _ in }
        weights = Array(result.outputs[0][..<weights.count])
        momentum = Array(result.outputs[0][weights.count...])
        round += 1
    }

    private func execute(
        _ program: SpecialisedProgram, parameters: [Tensor], inputs: [Tensor], frozen: [StoredParameter] = [],
        onStep: (_ scan: Int, _ outputs: [Tensor]) -> Void
    ) throws(TrainingFault) -> ProgramResult {
        let held = parameters.map { OwnedBytes($0.bytes) }
        let given = inputs.map { OwnedBytes($0.bytes) }
        defer { withExtendedLifetime((held, given)) {} }
        let executor: GraphExecutor
        do throws(ExecutionFault) {
            executor = try GraphExecutor(
                program: program, parameters: held.map(\.bytes) + frozen.map(\.bytes), owners: frozen,
                threads: threads)
        } catch { throw .execution(error) }
        if executor.peakMemory > memory { throw .memory(needed: executor.peakMemory, available: memory) }
        do throws(ExecutionFault) {
            return try executor.run(
                inputs: given.map(\.bytes), onStep: { scan, _, outputs in onStep(scan, outputs) })
        } catch { throw .execution(error) }
    }
}
