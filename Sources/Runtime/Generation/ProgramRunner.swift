internal import Programs

/// Runs any specialised program on this machine, step by step: the one place that chooses its executor.
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

    /// Gives the outputs of every step; `onStep` is told each as soon as it is there.
    func run(
        inputs: [HeldBytes], seed: UInt64 = 0, onStep: ([Tensor]) -> Void = { _ in }
    ) throws(ExecutionFault) -> [[Tensor]] {
        let reference = ReferenceExecutor(program)
        // The values are copies: parameters and inputs are read here and not later.
        let leading = try reference.load(parameters: parameters.map(\.bytes), inputs: inputs.map(\.bytes))
        withExtendedLifetime((parameters, inputs)) {}
        var state = try reference.loadCarried([:])
        var outputs: [[Tensor]] = []
        var firstOperation = 0
        for scan in program.scans {
            for step in 0..<scan.steps.factor {
                let values = try reference.evaluate(
                    scan, leading + state, step: step, firstOperation: firstOperation, seed: seed)
                outputs.append(scan.outputs.map { ReferenceExecutor.store(values[Int($0.index)]) })
                onStep(outputs[outputs.count - 1])
                state = scan.carried.map { values[Int($0.index)] }
                if let stop = scan.stop, state[Int(stop)].words.first.map({ $0 != 0 }) == true { break }
            }
            firstOperation += scan.operations.count
        }
        return outputs
    }
}
