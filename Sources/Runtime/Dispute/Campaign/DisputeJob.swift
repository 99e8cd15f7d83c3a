internal import Primitives
internal import Programs

/// A job of a campaign: a program with all that it reads.
struct DisputeJob: Sendable {
    let name: String
    let program: Program
    let axes: [UInt64]
    let fixed: SpecialisedProgram
    let parameters: [Tensor]
    let inputs: [Tensor]
    /// The start of the carried tensors, all of them.
    let carried: [Tensor]
    let seed: UInt64

    init(
        _ name: String, _ program: Program, axes: [(name: String, value: UInt64)] = [], parameters: [Tensor],
        inputs: [Tensor], carried: [Tensor]? = nil, seed: UInt64
    ) throws(ProgramFault) {
        self.name = name
        self.program = program
        self.axes = program.axes.compactMap { axis in axes.first { $0.name == axis }?.value }
        fixed = try program.specialise(axes)
        self.parameters = parameters
        self.inputs = inputs
        self.carried =
            carried
            ?? fixed.carried.map {
                Tensor(
                    element: $0.type.element, shape: $0.type.dimensions,
                    bytes: [UInt8](repeating: 0, count: Int($0.type.byteCount)))
            }
        self.seed = seed
    }

    /// A tracer of the job, or of one that reads other tensors.
    func tracer(
        parameters: [Tensor]? = nil, inputs: [Tensor]? = nil, carried: [Tensor]? = nil
    ) throws(ExecutionFault) -> Tracer {
        func held(_ tensors: [Tensor]) -> [Block] {
            tensors.map { tensor in
                let block = Block(tensor.bytes.count)
                tensor.bytes.withUnsafeBytes { bytes in
                    if let base = bytes.baseAddress { block.base.copyMemory(from: base, byteCount: bytes.count) }
                }
                return block
            }
        }
        func pointers(_ blocks: [Block]) -> [UnsafeRawBufferPointer] {
            blocks.map { UnsafeRawBufferPointer(start: $0.base, count: $0.count) }
        }
        let weights = held(parameters ?? self.parameters)
        let (batch, state) = (held(inputs ?? self.inputs), held(carried ?? self.carried))
        defer { withExtendedLifetime((batch, state)) {} }
        return try Tracer(
            fixed, parameters: pointers(weights), inputs: pointers(batch),
            carried: Dictionary(uniqueKeysWithValues: pointers(state).enumerated().map { ($0, $1) }), seed: seed,
            owners: weights)
    }

    /// A party's run by steps from anywhere; both sides agree on what the job reads.
    func run(_ source: any StepSource, traces: Int = 2) throws(DisputeRunFault) -> DisputeRun {
        var memory = DisputeMemory()
        memory.traces = traces
        return try DisputeRun(
            program, axes: axes, source: source, parameterRoots: parameters.map(\.root),
            inputRoots: inputs.map(\.root), initialState: MerkleTree.root(carried.map(\.root)), seed: seed,
            memory: memory)
    }
}
