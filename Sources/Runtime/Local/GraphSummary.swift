public import Primitives
internal import Programs

/// What an ONNX model is once its axes have sizes: its program, and what a run of it takes.
public struct GraphSummary: Sendable {
    public let program: Digest
    /// Primitives by name with how often each occurs, `map` first.
    public let operations: [(kind: String, count: Int)]
    public let parameterCount: UInt64
    public let parameterBytes: UInt64
    public let tensorCount: Int
    public let inputs: [ModelSummary.Shape]
    public let outputs: [ModelSummary.Shape]
    public let computeUnits: ComputeUnits
    /// Bytes that a run takes at most, weights included.
    public let peakMemory: UInt64

    /// Looks at a model; what could not run in `memory` bytes is refused.
    public init(_ graph: LocalGraph, axes: [String: Int], threads: Int, memory: UInt64 = .max) throws(RunFault) {
        let made = try graph.imported(axes: axes)
        let fixed = made.specialised
        do throws(ProgramFault) { computeUnits = try fixed.cost() } catch { throw .program(error) }
        program = made.program.root
        operations = ModelSummary.counted(made.program)
        parameterCount = fixed.parameterCount
        parameterBytes = fixed.parameters.reduce(0) { $0 + $1.type.byteCount }
        tensorCount = fixed.parameters.count
        inputs = fixed.inputs.map {
            ModelSummary.Shape(name: $0.name, type: $0.type.element.name, shape: $0.type.dimensions)
        }
        let types = fixed.types(of: fixed.scans[0])
        outputs = zip(made.outputs, fixed.scans[0].outputs).map { name, id in
            let type = types[Int(id.index)]
            return ModelSummary.Shape(name: name, type: type.element.name, shape: type.dimensions)
        }
        peakMemory = try made.executor(threads: threads, memory: memory).peakMemory
    }
}

extension ONNXProgram {
    /// What runs the program, its weights packed and what depends on them alone made. What needs more than `memory` bytes is refused, before packing where
    /// that is plain already.
    public func executor(threads: Int, memory: UInt64 = .max) throws(RunFault) -> GraphExecutor {
        let least = leastMemory
        if least > memory { throw .memory(needed: least, available: memory) }
        // Each pointer leaves its call: the parameters, kept as owners, hold the memory.
        let weights = parameters.map { parameter in parameter.withBytes { $0 } }
        let executor: GraphExecutor
        do throws(ExecutionFault) {
            executor = try GraphExecutor(
                program: specialised, parameters: weights, owners: parameters, threads: threads)
        } catch { throw .execution(error) }
        if executor.peakMemory > memory { throw .memory(needed: executor.peakMemory, available: memory) }
        return executor
    }

    /// Bytes without which no run is: weights, inputs, outputs, and the largest tensor that is computed of weights alone.
    private var leastMemory: UInt64 {
        let scan = specialised.scans[0]
        let types = specialised.types(of: scan)
        var bytes = (specialised.parameters + specialised.inputs).reduce(UInt64(0)) { $0 &+ $1.type.byteCount }
        for output in scan.outputs { bytes &+= types[Int(output.index)].byteCount }
        var isKnown = [Bool](repeating: true, count: types.count)
        var largest: UInt64 = 0
        let leading = specialised.parameters.count + specialised.inputs.count
        for place in specialised.parameters.count..<leading { isKnown[place] = false }
        for (number, record) in scan.operations.enumerated() {
            isKnown[leading + number] = record.operation.operands.allSatisfy { isKnown[Int($0.index)] }
            if case .gather = record.operation { continue }
            if isKnown[leading + number] { largest = max(largest, record.result.byteCount) }
        }
        return bytes &+ largest
    }
}
