internal import Primitives
internal import Programs

/// Test only: steps of which one gives out a tensor with one false bit, in the middle, that nothing goes on with.
struct FlippedBit: StepSource {
    let base: Tracer
    /// Counted over all scans.
    let step: UInt64

    var program: SpecialisedProgram { base.program }
    var start: RunPosition { base.start }

    func take(
        _ position: inout RunPosition, steps: UInt64, onStep: (_ outputs: [Digest]) -> Void
    ) throws(ExecutionFault) -> UInt64 {
        var left = steps
        while left > 0, position.scan < program.scans.count {
            if position.stepCount == step {
                do throws(TraceFault) { onStep(try trace(&position, memoryLimit: .max).roots.outputs) } catch {
                    if case .execution(let fault) = error { throw fault }
                    throw .unsupported("\(error)")
                }
                left -= 1
                continue
            }
            let plain = position.stepCount < step ? min(left, step - position.stepCount) : left
            left -= try base.take(&position, steps: plain, onStep: onStep)
        }
        return steps - left
    }

    func skip(_ position: inout RunPosition, steps: UInt64) throws(ExecutionFault) -> UInt64 {
        try take(&position, steps: steps, onStep: { _ in })
    }

    func trace(_ position: inout RunPosition, memoryLimit: UInt64) throws(TraceFault) -> StepTrace {
        let index = position.stepCount
        let trace = try base.trace(&position, memoryLimit: memoryLimit)
        guard index == step, let output = program.scans[trace.scan].outputs.first,
            Int(output.index) >= trace.leadingCount
        else { return trace }
        var tensor = trace.tensor(output)
        if tensor.bytes.isEmpty { return trace }
        tensor.bytes[tensor.bytes.count / 2] ^= 1
        return StepTrace(
            program: trace.program, scan: trace.scan, step: trace.step, firstOperation: trace.firstOperation,
            seed: trace.seed, memory: TraceMemory(trace.memory, replacing: [output: tensor]),
            leadingTrees: trace.leadingTrees,
            // The false tensor may be one that is made of parameters alone.
            constantTrees: BlockTrees())
    }
}

extension DisputeRun {
    /// Test only: the run of one that lies in one bit of the first tensor that its last step gives out, and stands by it in a dispute.
    public func lying() throws(DisputeRunFault) -> DisputeRun {
        guard let tracer = source as? Tracer else { return self }
        let steps = try commitment().steps.reduce(0, +)
        return try DisputeRun(
            program, axes: axes, source: FlippedBit(base: tracer, step: max(1, steps) - 1),
            parameterRoots: parameterRoots, inputRoots: inputRoots, initialState: initialState, segment: segment,
            seed: seed, memory: memory)
    }
}
