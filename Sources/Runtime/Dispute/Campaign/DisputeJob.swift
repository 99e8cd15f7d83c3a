internal import Primitives
internal import Programs

/// A job of a campaign: a program with all that it reads.
struct DisputeJob: Sendable {
    let name: String
    let program: Program
    let axes: [UInt64]
    let fixed: SpecialisedProgram
    /// The steps of each scan, where it is a part of a run; else empty.
    let segment: [StepRange]
    let parameters: [Tensor]
    let inputs: [Tensor]
    /// The start of the carried tensors, all of them.
    let carried: [Tensor]
    let seed: UInt64

    init(
        _ name: String, _ program: Program, axes: [(name: String, value: UInt64)] = [], parameters: [Tensor],
        inputs: [Tensor], carried: [Tensor]? = nil,
        segment: [StepRange] = [], seed: UInt64
    ) throws(ProgramFault) {
        self.name = name
        self.program = program
        self.axes = program.axes.compactMap { axis in axes.first { $0.name == axis }?.value }
        let whole = try program.specialise(axes)
        fixed = segment.isEmpty ? whole : try whole.segment(segment)
        self.segment = segment
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
            inputRoots: inputs.map(\.root), initialState: MerkleTree.root(carried.map(\.root)), segment: segment,
            seed: seed, memory: memory)
    }

    /// A stretch of its run, from a random step to another, as a job that goes on from what the steps before left.
    func part(_ random: inout SplitMix64) throws -> DisputeJob {
        let tracer = try tracer()
        var end = tracer.start
        while try tracer.advance(&end) != nil {}
        if end.stepCount == 0 { return self }
        var start = tracer.start
        _ = try tracer.advance(&start, steps: random.next() % max(1, end.stepCount))
        var left = random.next() % (end.stepCount - start.stepCount) + 1
        let ranges = fixed.scans.enumerated().map { place, scan in
            if place < start.scan || left == 0 { return StepRange(first: 0, count: 0) }
            let first = place == start.scan ? start.step : 0
            let taken = end.taken[place] - first
            // A scan that a flag ends in the whole run may go on for longer here too.
            let count = left >= taken ? scan.steps.factor - first : left
            left -= min(left, taken)
            return StepRange(first: first, count: count)
        }
        return try DisputeJob(
            name + "'s part", program, axes: zip(program.axes, axes).map { ($0, $1) }, parameters: parameters,
            inputs: inputs, carried: start.carried, segment: ranges, seed: seed)
    }
}
