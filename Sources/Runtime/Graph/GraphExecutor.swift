internal import CKernels
public import Programs

/// Runs any specialised program at speed, with the bits of `ReferenceExecutor`: ops that belong together row by row go through the cache together, movement
/// that a kernel can read past is not done, weights are packed once, memory is planned before anything runs, and state is changed where it lies.
///
/// The bits depend neither on the number of threads nor on which thread ends first.
public final class GraphExecutor: Sendable {
    public let program: SpecialisedProgram
    let parameters: [ParameterMemory]
    private let owners: [any Sendable]
    private let variant: KernelVariant
    private let team: ThreadTeam
    private let weights: PackedWeights
    private let scans: [PreparedScan]
    private let spare = SpareBlock()
    private let scratch: SpareScratch

    /// A scan's plan with its weights packed and its constants made.
    struct PreparedScan: Sendable {
        let plan: GraphPlan
        /// Keeps the constants' memory.
        let constants: ConstantMemory?
    }

    /// Plans and packs. `owners` keep the memory of `parameters` alive; `weights` holds what other executors of the same model packed already.
    public init(
        program: SpecialisedProgram, parameters: [UnsafeRawBufferPointer], owners: [any Sendable] = [],
        threads: Int, variant: KernelVariant = .best, weights: PackedWeights = PackedWeights()
    ) throws(ExecutionFault) {
        if pk_check_float_environment() == 0 { throw .floatEnvironment }
        if parameters.count != program.parameters.count {
            throw .inputCount(expected: program.parameters.count, found: parameters.count)
        }
        try GraphExecutor.check(program)
        for (declaration, bytes) in zip(program.parameters, parameters)
        where bytes.count != Int(clamping: declaration.type.byteCount) {
            throw .parameterSize(name: declaration.name, expected: declaration.type.byteCount, found: bytes.count)
        }
        self.program = program
        self.owners = owners
        self.variant = variant
        team = ThreadTeam(threads: threads)
        scratch = SpareScratch(threads: team.threads)
        self.parameters = zip(program.parameters, parameters).map { ParameterMemory($0.type.element, $1) }
        self.weights = weights
        let maker = GraphExecutor.Maker(
            program: program, parameters: self.parameters, team: team, variant: variant, weights: weights)
        scans = program.scans.indices.map { maker.prepare($0, outputs: program.scans[$0].outputs) }
        packedBytes = weights.bytes
    }

    /// Plans scans.
    private struct Maker {
        let program: SpecialisedProgram
        let parameters: [ParameterMemory]
        let team: ThreadTeam
        let variant: KernelVariant
        let weights: PackedWeights

        /// A scan that leaves these values in memory.
        func prepare(_ index: Int, outputs: [ValueID]) -> PreparedScan {
            let scan = program.scans[index]
            let constants = ConstantMaker(
                program: program, parameters: parameters, team: team, variant: variant, weights: weights)
            var planner = GraphPlanner(
                types: program.types(of: scan), operations: scan.operations, parameters: parameters.count,
                firstCarried: parameters.count + program.inputs.count, outputs: outputs, nextCarried: scan.carried,
                firstOperation: program.scans[..<index].reduce(0) { $0 + $1.operations.count },
                threads: team.threads, variant: variant)
            var plan = planner.plan()
            constants.pack(&plan, scan)
            return PreparedScan(plan: plan, constants: constants.make(plan.constants, scan))
        }
    }

    /// A scan's plan as a run has it.
    func prepared(_ scan: Int) -> PreparedScan { scans[scan] }

    /// A plan of a scan after whose step every op's tensor is in memory. Nothing is fused away, so it takes the memory of all of them.
    func preparedTrace(_ index: Int) -> PreparedScan {
        let leading = program.parameters.count + program.inputs.count + program.carried.count
        let all = program.scans[index].operations.indices.map { ValueID(leading + $0) }
        return Maker(program: program, parameters: parameters, team: team, variant: variant, weights: weights)
            .prepare(index, outputs: all)
    }

    /// The kernels count rows and columns in 32 bits.
    private static func check(_ program: SpecialisedProgram) throws(ExecutionFault) {
        for scan in program.scans {
            for type in program.types(of: scan) {
                let (rows, length) = (
                    type.shape.dropLast().reduce(UInt64(1)) { $0 &* $1.factor }, type.shape.last?.factor ?? 1
                )
                if rows > GraphExecutor.longestAxis || length > GraphExecutor.longestAxis {
                    throw .unsupported("a tensor of \(rows) rows of \(length)")
                }
            }
        }
    }

    /// Rows of a tensor, and elements of a row.
    private static let longestAxis: UInt64 = 1 << 30

    /// What the steps of all scans are done by, in order: a convolution or a pool that stands here reads its windows in place.
    package var kernels: [String] { scans.flatMap { $0.plan.steps.map(\.kernel) } }

    /// Bytes of weights in the kernels' own form.
    public let packedBytes: UInt64

    /// Bytes that a run takes at most: weights and their packed form, inputs, state, intermediates, scratch, and the outputs of all steps.
    public var peakMemory: UInt64 {
        var bytes = (program.parameters + program.inputs).reduce(packedBytes) { $0 + $1.type.byteCount }
        bytes += program.carried.reduce(0) { $0 + 2 * $1.type.byteCount }
        var widest: UInt64 = 0
        for (scan, prepared) in zip(program.scans, scans) {
            let plan = prepared.plan
            widest = max(widest, UInt64(plan.arenaBytes + plan.sharedScratch + plan.threadScratch * team.threads))
            bytes += UInt64(prepared.constants?.bytes ?? 0)
            let types = program.types(of: scan)
            let outputs = scan.outputs.reduce(UInt64(0)) { $0 + types[Int($1.index)].byteCount }
            // A stranger may write any number of steps: what does not fit a number fits no memory.
            let (all, isLong) = outputs.multipliedReportingOverflow(by: scan.steps.factor)
            let (sum, isLarge) = bytes.addingReportingOverflow(all)
            bytes = isLong || isLarge ? .max / 2 : min(sum, .max / 2)
        }
        return bytes + widest
    }

    /// Runs all scans.
    ///
    /// - Parameters:
    ///   - inputs: In the program's order.
    ///   - carried: The start of carried tensors by their place; the others start as zeros.
    ///   - onStep: Told each step's outputs as they come.
    ///   - isCancelled: Asked before each step.
    ///   - first: The first scan's step with which it begins, where `carried` is what the steps before left.
    ///   - limit: The most steps of each scan that are taken.
    public func run(
        inputs: [UnsafeRawBufferPointer], carried: [Int: UnsafeRawBufferPointer] = [:], seed: UInt64 = 0,
        onStep: (_ scan: Int, _ step: UInt64, _ outputs: [Tensor]) -> Void = { _, _, _ in },
        isCancelled: () -> Bool = { false }, from first: UInt64 = 0, limit: UInt64 = .max
    ) throws(ExecutionFault) -> ProgramResult {
        let (steps, outputs, state) = try end(
            inputs: inputs, carried: carried, seed: seed, onStep: onStep, isCancelled: isCancelled, from: first,
            limit: limit)
        return ProgramResult(steps: steps, outputs: outputs, carried: self.carried(state))
    }

    /// Runs all scans and gives each step's outputs alone: what they leave behind, a decoder's whole cache for one, is not copied.
    func outputs(
        inputs: [UnsafeRawBufferPointer], seed: UInt64, onStep: (_ outputs: [Tensor]) -> Void
    ) throws(ExecutionFault) -> [[Tensor]] {
        try end(
            inputs: inputs, carried: [:], seed: seed, onStep: { _, _, outputs in onStep(outputs) },
            isCancelled: { false }, from: 0, limit: .max
        ).outputs
    }

    /// Runs all scans as `run` says, to the state that they leave.
    private func end(
        inputs: [UnsafeRawBufferPointer], carried: [Int: UnsafeRawBufferPointer], seed: UInt64,
        onStep: (_ scan: Int, _ step: UInt64, _ outputs: [Tensor]) -> Void, isCancelled: () -> Bool, from first: UInt64,
        limit: UInt64
    ) throws(ExecutionFault) -> (steps: [UInt64], outputs: [[Tensor]], state: RunState) {
        let held = try hold(inputs)
        var state = RunState(blocks: try hold(carried: carried))
        var steps: [UInt64] = []
        var outputs: [[Tensor]] = []
        for (index, scan) in program.scans.enumerated() {
            let work = try enter(scans[index], inputs: held, &state, seed: seed)
            let begin = index == 0 ? min(first, scan.steps.factor) : 0
            var taken: UInt64 = 0
            while taken < min(limit, scan.steps.factor - begin) {
                if isCancelled() { throw .cancelled }
                take(work, &state, step: program.firstSteps[index] + begin + taken)
                let tensors = scan.outputs.map { tensor($0, work) }
                onStep(index, begin + taken, tensors)
                outputs.append(tensors)
                carry(work, &state)
                taken += 1
                if state.isStopped(scan) { break }
            }
            steps.append(taken)
        }
        return (steps, outputs, state)
    }

    // MARK: Steps

    /// The carried tensors of a run, changed where they lie.
    struct RunState {
        fileprivate(set) var blocks: [Block]
        /// Other memory for those whose next value is made beside them.
        fileprivate(set) var next: [Block?]

        init(blocks: [Block]) {
            self.blocks = blocks
            next = blocks.map { _ in nil }
        }

        /// Whether the step just taken ended its scan.
        func isStopped(_ scan: Scan) -> Bool {
            guard let stop = scan.stop else { return false }
            return blocks[Int(stop)].base.load(as: UInt8.self) != 0
        }
    }

    /// A scan's plan and the memory that its steps run in, one after the other.
    struct ScanWork {
        let prepared: PreparedScan
        let memory: StepMemory
        let arena: LentBlock
        let inputs: [Block]
    }

    /// Memory for the steps of a scan.
    func enter(
        _ prepared: PreparedScan, inputs: [Block], _ state: inout RunState, seed: UInt64
    ) throws(ExecutionFault) -> ScanWork {
        if pk_check_float_environment() == 0 { throw .floatEnvironment }
        let plan = prepared.plan
        for changed in plan.swapped + plan.copied.map(\.carried) where state.next[changed] == nil {
            state.next[changed] = Block(state.blocks[changed].count)
        }
        let memory = StepMemory(
            types: plan.types, team: team, variant: variant, threadScratch: plan.threadScratch,
            sharedScratch: plan.sharedScratch, spare: scratch, seed: seed)
        return ScanWork(prepared: prepared, memory: memory, arena: spare.lend(plan.arenaBytes), inputs: inputs)
    }

    /// Computes one step; its results are in memory until `carry`.
    func take(_ work: ScanWork, _ state: inout RunState, step: UInt64) {
        place(work, state)
        work.memory.random = RandomSource(seed: work.memory.random.seed, operation: 0, step: step)
        work.prepared.plan.run(work.memory)
    }

    /// Makes what the step left the state of the next.
    func carry(_ work: ScanWork, _ state: inout RunState) {
        let plan = work.prepared.plan
        for (changed, from) in plan.copied {
            guard let target = state.next[changed] else { continue }
            target.base.copyMemory(from: work.memory.pointer(from), byteCount: target.count)
            let type = program.carried[changed].type
            // A weight that becomes state as it is has not been computed by anything.
            canonicalize(type.element, target.base, count: Int(type.count))
        }
        for changed in plan.swapped + plan.copied.map(\.carried) {
            if let other = state.next[changed] {
                (state.blocks[changed], state.next[changed]) = (other, state.blocks[changed])
            }
        }
    }

    /// The carried tensors as values.
    func carried(_ state: RunState) -> [Tensor] {
        zip(program.carried, state.blocks).map { declaration, block in
            Tensor(
                element: declaration.type.element, shape: declaration.type.dimensions,
                bytes: Array(UnsafeRawBufferPointer(start: block.base, count: block.count)))
        }
    }

    // MARK: Memory

    /// Copies of the inputs, with one form of NaN.
    func hold(_ inputs: [UnsafeRawBufferPointer]) throws(ExecutionFault) -> [Block] {
        if inputs.count != program.inputs.count {
            throw .inputCount(expected: program.inputs.count, found: inputs.count)
        }
        var held: [Block] = []
        for (declaration, bytes) in zip(program.inputs, inputs) { held.append(try copy(declaration, bytes)) }
        return held
    }

    func hold(carried: [Int: UnsafeRawBufferPointer]) throws(ExecutionFault) -> [Block] {
        var held: [Block] = []
        for (place, declaration) in program.carried.enumerated() {
            if let bytes = carried[place] {
                held.append(try copy(declaration, bytes))
            } else {
                held.append(Block(Int(declaration.type.byteCount)))
            }
        }
        return held
    }

    private func copy(_ declaration: TensorDeclaration, _ bytes: UnsafeRawBufferPointer) throws(ExecutionFault) -> Block
    {
        if bytes.count != Int(clamping: declaration.type.byteCount) {
            throw .inputSize(name: declaration.name, expected: declaration.type.byteCount, found: bytes.count)
        }
        let block = Block(bytes.count, zeroed: false)
        if let base = bytes.baseAddress { block.base.copyMemory(from: base, byteCount: bytes.count) }
        canonicalize(declaration.type.element, block.base, count: Int(declaration.type.count))
        return block
    }

    /// Tells the kernels where everything lies in this step.
    private func place(_ work: ScanWork, _ state: RunState) {
        let leading = parameters.map(\.base) + work.inputs.map(\.base) + state.blocks.map(\.base)
        let memory = work.memory
        for (value, storage) in work.prepared.plan.storage {
            switch storage {
            case .leading(let number): memory.bases[Int(value)] = leading[number]
            case .constant: memory.bases[Int(value)] = work.prepared.constants?.base(ValueID(Int(value)))
            case .arena(let offset): memory.bases[Int(value)] = work.arena.base + offset
            case .next(let index): memory.bases[Int(value)] = state.next[index]?.base
            }
        }
    }

    /// A result of the step just taken, as a value.
    func tensor(_ value: ValueID, _ work: ScanWork) -> Tensor {
        let (plan, memory) = (work.prepared.plan, work.memory)
        let type = plan.types[Int(value.index)]
        guard let access = plan.accesses[Int(value.index)] else { preconditionFailure("an output has no memory") }
        let count = Int(type.byteCount)
        var tensor = Tensor(element: type.element, shape: type.dimensions, bytes: [])
        tensor.bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, written in
            if let base = buffer.baseAddress, count > 0 {
                UnsafeMutableRawPointer(base).copyMemory(from: memory.pointer(access), byteCount: count)
                // A weight that is given out as it is has not been computed by anything.
                canonicalize(type.element, base, count: Int(type.count))
            }
            written = count
        }
        return tensor
    }
}

/// A parameter's memory: read only, though kernels take one kind of pointer for all.
struct ParameterMemory: @unchecked Sendable {
    // What it points to is kept by the executor's owners, or by `copy`.
    let base: UnsafeMutableRawPointer
    private let copy: Block?

    /// The bytes as they lie; a copy where they are not aligned for their type.
    init(_ element: ElementType, _ bytes: UnsafeRawBufferPointer) {
        if let address = bytes.baseAddress, Int(bitPattern: address) % element.size == 0, element != .bool {
            base = UnsafeMutableRawPointer(mutating: address)
            copy = nil
        } else {
            let block = Block(bytes.count)
            if let address = bytes.baseAddress { block.base.copyMemory(from: address, byteCount: bytes.count) }
            canonicalize(element, block.base, count: bytes.count / element.size)
            base = block.base
            copy = block
        }
    }
}
