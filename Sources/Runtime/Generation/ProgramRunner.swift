internal import Programs

/// Runs any specialised program on this machine, step by step: the one place that chooses its executor, and refuses what does not fit.
struct ProgramRunner {
    private let executor: GraphExecutor

    /// Plans and packs; what needs more than `memory` bytes is refused, before packing where that is plain already.
    init(
        _ program: SpecialisedProgram, _ parameters: [StoredParameter], threads: Int,
        weights: PackedWeights = PackedWeights(), memory: UInt64 = .max
    ) throws(RunnerFault) {
        let least = (program.parameters + program.inputs + program.carried).reduce(UInt64(0)) {
            $0 &+ $1.type.byteCount
        }
        if least > memory { throw .memory(needed: least) }
        do throws(ExecutionFault) {
            // The parameters, kept as owners, hold the memory.
            executor = try GraphExecutor(
                program: program, parameters: parameters.map(\.bytes), owners: parameters, threads: threads,
                weights: weights)
        } catch { throw .execution(error) }
        if executor.peakMemory > memory { throw .memory(needed: executor.peakMemory) }
    }

    /// Bytes that a run takes at most.
    var peakMemory: UInt64 { executor.peakMemory }

    /// Gives the outputs of every step; `onStep` is told each as soon as it is there.
    func run(
        inputs: [HeldBytes], seed: UInt64 = 0, onStep: ([Tensor]) -> Void = { _ in }
    ) throws(ExecutionFault) -> [[Tensor]] {
        defer { withExtendedLifetime(inputs) {} }
        return try executor.outputs(inputs: inputs.map(\.bytes), seed: seed, onStep: onStep)
    }
}

/// Why a program is not run.
enum RunnerFault: Error {
    case memory(needed: UInt64)
    case execution(ExecutionFault)
}
