public import Primitives
internal import Programs

/// What a model in a folder is: its program, and what an example batch of it takes.
public struct ModelSummary: Sendable {
    /// A tensor that the program takes or gives, for the example batch.
    public struct Shape: Sendable, Equatable {
        public let name: String
        public let type: String
        public let shape: [Int]
    }

    public let program: Digest
    /// Primitives by name with how often each occurs, `map` first.
    public let operations: [(kind: String, count: Int)]
    public let parameterCount: Int
    public let tensorCount: Int
    public let inputs: [Shape]
    public let output: Shape
    public let computeUnits: ComputeUnits
    /// Bytes that the example takes at most on so many threads, weights included.
    public let peakMemory: UInt64
    public let threads: Int

    /// Looks at a model, quantized where that is asked for, with an example batch of rows that are all full.
    public init(
        _ model: LocalModel, batch: Int, length: Int, threads: Int, quantization: Quantization? = nil
    ) throws(RunFault) {
        let limit = model.imported.configuration.positions
        if batch < 1 || length < 1 { throw .inputRank("input_ids", shape: [batch, length]) }
        if length > limit { throw .tooLong(length: length, limit: limit) }
        if batch > EncoderInputs.sentenceLimit { throw .tooManyRows(batch, limit: EncoderInputs.sentenceLimit) }
        let tokens = batch * length
        if tokens > EncoderInputs.tokenLimit { throw .batch(.tooManyTokens(limit: EncoderInputs.tokenLimit)) }
        let (fixed, made): (SpecialisedProgram, (program: Program, parameters: [StoredParameter]))
        do throws(ProgramFault) {
            made = try model.program.quantized(quantization, model.imported.parameters.map { StoredParameter($0) })
            fixed = try made.program.specialise([
                ("tokens", UInt64(tokens)), ("sentences", UInt64(batch)), ("length", UInt64(length)),
            ])
            computeUnits = try fixed.cost()
        } catch { throw .program(error) }
        program = made.program.root
        operations = ModelSummary.counted(made.program)
        parameterCount = model.parameterCount
        tensorCount = made.parameters.count
        inputs = fixed.inputs.map { Shape(name: $0.name, type: $0.type.element.name, shape: $0.type.dimensions) }
        output = Shape(
            name: LocalRun.outputNames[1], type: ElementType.f32.name,
            shape: [batch, model.imported.configuration.hiddenSize])
        let prepared = quantization == nil ? try model.prepare(fixed) : try model.prepare(fixed, made.parameters)
        peakMemory = Executor(program: fixed, model: prepared, threads: threads).peakMemory
        self.threads = threads
    }

    static func counted(_ program: Program) -> [(kind: String, count: Int)] {
        var counts = ["map": 0, "reduce": 0, "contract": 0, "gather": 0, "sort": 0]
        for record in program.scans.flatMap(\.operations) {
            switch record.operation {
            case .map: counts["map", default: 0] += 1
            case .reduce: counts["reduce", default: 0] += 1
            case .contract: counts["contract", default: 0] += 1
            case .gather: counts["gather", default: 0] += 1
            case .sort: counts["sort", default: 0] += 1
            }
        }
        return ["map", "reduce", "contract", "gather", "sort"].map { ($0, counts[$0] ?? 0) }
    }
}
