public import Primitives
internal import Programs

/// One run of a transformer on this machine: its outputs, and what they took.
public struct TransformerRun: Sendable {
    /// By the model's output names; zeros where padding was.
    public let outputs: [LocalRun.Output]
    /// Writing the program, packing its weights and laying out its inputs.
    public let loadTime: Duration
    /// The run alone; of several the middle of those after the first.
    public let runTime: Duration
    public let computeUnits: ComputeUnits
    /// Bytes that the run takes at most, weights and outputs included, as planned before it started.
    public let peakMemory: UInt64
    public let threads: Int

    /// Runs a batch, quantized where that is asked for, so many times. What needs more than `memory` bytes is refused before it starts.
    public init(
        _ model: TransformerModel, _ arrays: TransformerArrays, threads: Int, memory: UInt64 = .max,
        quantization: Quantization? = nil, times: Int = 1
    ) throws(RunFault) {
        let start = ContinuousClock.now
        let fixed: SpecialisedProgram
        let parameters: [StoredParameter]
        do throws(ProgramFault) {
            let made = try model.program().quantized(quantization, model.parameters)
            parameters = made.parameters
            fixed = try made.program.specialise(arrays.axes)
            computeUnits = try fixed.cost()
        } catch { throw .program(error) }
        let runner: ProgramRunner
        do throws(RunnerFault) {
            runner = try ProgramRunner(fixed, parameters, threads: threads, memory: memory)
        } catch {
            switch error {
            case .memory(let needed): throw .memory(needed: needed, available: memory)
            case .execution(let fault): throw .execution(fault)
            }
        }
        peakMemory = runner.peakMemory
        let inputs = arrays.inputs(model.kind)
        let ready = ContinuousClock.now
        loadTime = ready - start
        let found: [[Tensor]]
        do throws(ExecutionFault) {
            (found, runTime) = try RepeatedRun.timed(times) { () throws(ExecutionFault) in
                try runner.run(inputs: inputs)
            }
        } catch { throw .execution(error) }
        self.threads = threads
        var outputs: [LocalRun.Output] = []
        for (name, tensor) in zip(model.outputNames, found[0]) {
            let rows = arrays.rows(of: tensor.shape)
            var bytes = tensor.bytes
            let width = bytes.count / rows.count
            for (row, counts) in rows.enumerated() where !counts {
                bytes.replaceSubrange(row * width..<(row + 1) * width, with: repeatElement(0, count: width))
            }
            do throws(NumpyFault) {
                outputs.append(
                    LocalRun.Output(
                        name: name, array: try NumpyArray(type: .f32, shape: tensor.shape, bytes: bytes), rows: rows))
            } catch { preconditionFailure("the executor gives what its program declares: \(error)") }
        }
        self.outputs = outputs
    }
}
