internal import Programs

/// Runs a training program from a state, some steps at a time. The state lies where the steps change it; it is copied only where it is asked for.
public final class Trainer {
    public let program: TrainingProgram
    private let executor: GraphExecutor
    private let inputs: [Block]
    private let seed: UInt64
    private var held: GraphExecutor.RunState

    /// `starts` holds the numbers of the rows in `data`, one for each of `settings.rows`, for every step of the whole training; `weights` and `frozen` are as
    /// the objective declares them; `seed` is that of what is left out. What needs more than `memory` bytes is refused.
    public init(
        _ objective: any TrainingObjective, _ settings: TrainingSettings, data: [Tensor], starts: [Int32],
        weights: [Tensor], frozen: [StoredParameter] = [], threads: Int, memory: UInt64 = .max, seed: UInt64 = 0
    ) throws(TrainingFault) {
        let steps = starts.count / max(1, settings.rows)
        try objective.check(settings, steps: steps, memory: memory)
        program = try TrainingProgram(objective, settings, steps: steps)
        self.seed = seed
        let fixed: SpecialisedProgram
        do throws(ProgramFault) { fixed = try program.program.specialise([]) } catch { throw .program(error) }
        let executor: GraphExecutor
        do throws(ExecutionFault) {
            executor = try GraphExecutor(
                program: fixed, parameters: frozen.map(\.bytes), owners: frozen, threads: threads)
        } catch { throw .execution(error) }
        self.executor = executor
        if executor.peakMemory > memory { throw .memory(needed: executor.peakMemory, available: memory) }
        // Moments begin as zeros, which is what is held where nothing is given.
        let last = 3 * weights.count
        let one = Tensor([Float(1)], shape: [])
        var start = Dictionary(uniqueKeysWithValues: weights.enumerated().map { ($0.offset, $0.element) })
        (start[last], start[last + 1]) = (one, one)
        let rows = Tensor(starts, shape: [steps, settings.rows])
        do throws(ExecutionFault) {
            inputs = try Trainer.withPointers(data + [rows]) { (given) throws(ExecutionFault) in
                try executor.hold(given)
            }
            held = try Trainer.hold(executor, start)
        } catch { throw .execution(error) }
    }

    /// The small decoder on the bytes of a text.
    public convenience init(
        _ configuration: GPTConfiguration, _ settings: TrainingSettings, text: [UInt8], starts: [Int32],
        weights: [Tensor], threads: Int, memory: UInt64 = .max, seed: UInt64 = 0
    ) throws(TrainingFault) {
        try self.init(
            ByteObjective(configuration, text: text.count), settings,
            data: [Tensor(element: .u8, shape: [text.count], bytes: text)], starts: starts, weights: weights,
            threads: threads, memory: memory, seed: seed)
    }

    /// The carried tensors, by the program's order: copies.
    public var state: [Tensor] { executor.carried(held) }

    /// Goes on from a checkpoint's state.
    public func restore(_ path: String) throws(TrainingFault) {
        let found = try Checkpoint.read(path, for: program)
        let total = Int(clamping: program.program.scans[0].steps.factor)
        let step = found.last.map(Trainer.step) ?? 0
        if !(0...total).contains(step) {
            throw .checkpoint(path: path, "is at step \(step) of a training of \(total)")
        }
        do throws(ExecutionFault) {
            held = try Trainer.hold(
                executor, Dictionary(uniqueKeysWithValues: found.enumerated().map { ($0.offset, $0.element) }))
        } catch { throw .execution(error) }
    }

    /// Bytes that a run takes at most.
    public var peakMemory: UInt64 { executor.peakMemory }

    /// Steps that were taken so far, those before a checkpoint included.
    public var step: Int {
        withState(program.program.carried.count - 1) { Int($0.loadUnaligned(as: Int32.self)) }
    }

    private static func step(_ tensor: Tensor) -> Int {
        Int(tensor.bytes.withUnsafeBytes { $0.loadUnaligned(as: Int32.self) })
    }

    /// Reads a carried tensor where it lies.
    func withState<R>(_ place: Int, _ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        let block = held.blocks[place]
        return try withExtendedLifetime(block) {
            try body(UnsafeRawBufferPointer(start: block.base, count: block.count))
        }
    }

    /// Takes so many more steps; `onStep` is told each one's loss.
    public func run(steps: Int, onStep: (Float) -> Void = { _ in }) throws(TrainingFault) {
        let scan = executor.program.scans[0]
        let total = Int(clamping: scan.steps.factor)
        let first = step
        if steps > total - first {
            throw .setting("the number of steps", "is \(first + steps) of a training of \(total)")
        }
        do throws(ExecutionFault) {
            let work = try executor.enter(executor.prepared(0), inputs: inputs, &held, seed: seed)
            for step in first..<max(first, first + steps) {
                executor.take(work, &held, step: UInt64(step))
                let loss = executor.tensor(scan.outputs[0], work).floats[0]
                executor.carry(work, &held)
                onStep(loss)
            }
        } catch { throw .execution(error) }
    }

    private static func hold(
        _ executor: GraphExecutor, _ start: [Int: Tensor]
    ) throws(ExecutionFault) -> GraphExecutor.RunState {
        let places = start.keys.sorted()
        return try withPointers(places.compactMap { start[$0] }) { (given) throws(ExecutionFault) in
            GraphExecutor.RunState(
                blocks: try executor.hold(carried: Dictionary(uniqueKeysWithValues: zip(places, given))))
        }
    }

    /// The bytes of all, each pointer held by the call around the next.
    private static func withPointers<R>(
        _ tensors: [Tensor], _ body: ([UnsafeRawBufferPointer]) throws(ExecutionFault) -> R
    ) throws(ExecutionFault) -> R {
        var result: Result<R, ExecutionFault> = .failure(.cancelled)
        func hold(_ pointers: [UnsafeRawBufferPointer]) {
            if pointers.count == tensors.count {
                do throws(ExecutionFault) { result = .success(try body(pointers)) } catch { result = .failure(error) }
                return
            }
            tensors[pointers.count].bytes.withUnsafeBytes { hold(pointers + [$0]) }
        }
        hold([])
        return try result.get()
    }
}
