internal import Programs

/// Runs any specialised program on this machine: the one place that chooses its executor.
struct ProgramRunner {
    private let program: SpecialisedProgram
    private let parameters: [StoredParameter]

    init(_ program: SpecialisedProgram, _ parameters: [StoredParameter], threads: Int) {
        self.program = program
        self.parameters = parameters
    }

    /// Bytes that a run takes at most: the reference holds everything as 64-bit words.
    var peakMemory: UInt64 {
        let leading = (program.parameters + program.inputs + program.carried).reduce(UInt64(0)) {
            $0 + $1.type.byteCount + 8 * $1.type.count
        }
        let widest = program.scans.map { scan in
            let outputs = scan.outputs.reduce(UInt64(0)) {
                $0 + program.types(of: scan)[Int($1.index)].byteCount * scan.steps.factor
            }
            return outputs + scan.operations.reduce(UInt64(0)) { $0 + 8 * $1.result.count }
        }
        return leading + (widest.max() ?? 0)
    }

    /// `onStep` is told the outputs of each step, in order.
    func run(
        inputs: [HeldBytes], seed: UInt64 = 0, onStep: ([Tensor]) -> Void = { _ in }
    ) throws(ExecutionFault) -> ProgramResult {
        let result: Result<ProgramResult, ExecutionFault> = withExtendedLifetime((parameters, inputs)) {
            do throws(ExecutionFault) {
                return .success(
                    try ReferenceExecutor(program).run(
                        parameters: parameters.map(\.bytes), inputs: inputs.map(\.bytes), seed: seed))
            } catch { return .failure(error) }
        }
        let outputs = try result.get()
        for step in outputs.outputs { onStep(step) }
        return outputs
    }
}
