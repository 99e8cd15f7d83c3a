internal import Programs

/// Runs a training program from a state, some steps at a time.
public final class Trainer {
    public let program: TrainingProgram
    private let executor: GraphExecutor
    private let text: [UInt8]
    private let starts: [Int32]
    private let seed: UInt64
    /// The carried tensors, by the program's order.
    public private(set) var state: [Tensor]

    /// `starts` holds a row of offsets into the text, one for each of `settings.rows`, for every step of the whole training; `seed` is that of what is left
    /// out. What needs more than `memory` bytes is refused.
    public init(
        _ configuration: GPTConfiguration, _ settings: TrainingSettings, text: [UInt8], starts: [Int32],
        weights: [Tensor], threads: Int, memory: UInt64 = .max, seed: UInt64 = 0
    ) throws(TrainingFault) {
        let rows = starts.count / max(1, settings.rows)
        program = try TrainingProgram(configuration, settings, text: text.count, steps: rows)
        self.text = text
        self.starts = starts
        self.seed = seed
        let fixed: SpecialisedProgram
        do throws(ProgramFault) { fixed = try program.program.specialise([]) } catch { throw .program(error) }
        do throws(ExecutionFault) {
            executor = try GraphExecutor(program: fixed, parameters: [], threads: threads)
        } catch { throw .execution(error) }
        let moments = weights.map { weight in
            Tensor(element: .f32, shape: weight.shape, bytes: [UInt8](repeating: 0, count: weight.bytes.count))
        }
        state =
            weights + moments + moments
            + [Tensor([Float(1)], shape: []), Tensor([Float(1)], shape: []), Tensor([Int32(0)], shape: [])]
        if peakMemory > memory { throw .memory(needed: peakMemory, available: memory) }
    }

    /// Goes on from a checkpoint's state.
    public func restore(_ path: String) throws(TrainingFault) {
        let held = state
        state = try Checkpoint.read(path, for: program)
        let total = Int(clamping: program.program.scans[0].steps.factor)
        if !(0...total).contains(step) {
            let found = step
            state = held
            throw .checkpoint(path: path, "is at step \(found) of a training of \(total)")
        }
    }

    /// Bytes that a run takes at most.
    public var peakMemory: UInt64 { executor.peakMemory }

    /// Steps that were taken so far, those before a checkpoint included.
    public var step: Int {
        guard let last = state.last else { return 0 }
        return Int(last.bytes.withUnsafeBytes { $0.loadUnaligned(as: Int32.self) })
    }

    /// Takes so many more steps; `onStep` is told each one's loss.
    public func run(steps: Int, onStep: (Float) -> Void = { _ in }) throws(TrainingFault) {
        let total = Int(clamping: program.program.scans[0].steps.factor)
        if steps > total - step {
            throw .setting("the number of steps", "is \(step + steps) of a training of \(total)")
        }
        let outcome: Result<ProgramResult, ExecutionFault> = withPointers { text, starts, carried in
            do throws(ExecutionFault) {
                return .success(
                    try executor.run(
                        inputs: [text, starts], carried: carried, seed: seed,
                        onStep: { _, _, outputs in onStep(outputs[0].floats[0]) }, from: UInt64(step),
                        limit: UInt64(steps)))
            } catch { return .failure(error) }
        }
        do throws(ExecutionFault) { state = try outcome.get().carried } catch { throw .execution(error) }
    }

    private func withPointers<R>(
        _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer, [Int: UnsafeRawBufferPointer]) -> R
    ) -> R {
        // Each pointer is held by the closure around the next.
        func hold(_ index: Int, _ held: [Int: UnsafeRawBufferPointer], _ then: ([Int: UnsafeRawBufferPointer]) -> R)
            -> R
        {
            if index == state.count { return then(held) }
            return state[index].bytes.withUnsafeBytes { bytes in
                var more = held
                more[index] = bytes
                return hold(index + 1, more, then)
            }
        }
        return text.withUnsafeBytes { text in
            starts.withUnsafeBytes { starts in hold(0, [:]) { body(text, starts, $0) } }
        }
    }
}
