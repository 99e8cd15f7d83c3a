public import Primitives
public import Programs
internal import Synchronization

/// Why a trace cannot be made.
public enum TraceFault: Error, Equatable, Sendable, CustomStringConvertible {
    case execution(ExecutionFault)
    case memory(needed: UInt64, limit: UInt64)
    case ended

    public var description: String {
        switch self {
        case .execution(let fault): fault.description
        case .memory(let needed, let limit):
            "tracing a step takes \(needed) bytes, \(limit) are allowed: give the tracer more memory"
        case .ended: "the run has no further step to trace"
        }
    }
}

/// Where a run stands between two steps: all that its rest depends on beside the parameters and inputs.
///
/// It is a value: whoever keeps one can go on from there again.
public struct RunPosition: Sendable {
    /// The scan of the next step; the number of scans at the end.
    public internal(set) var scan: Int
    /// The next step, counted from 0 in its scan.
    public internal(set) var step: UInt64
    /// Steps that were taken, scan by scan, those of the present one not counted.
    public internal(set) var taken: [UInt64]
    /// The carried tensors.
    public internal(set) var carried: [Tensor] { didSet { claimedRoots = nil } }
    /// Other roots that a liar names for the state as it stands here.
    var claimedRoots: [Digest]?

    /// Of the carried tensors; hashes them all.
    public var carriedRoots: [Digest] { claimedRoots ?? carried.map(\.root) }

    /// Steps taken in all scans.
    public var stepCount: UInt64 { taken.reduce(step, &+) }
}

/// Runs a program again, step by step, and materialises every op of the steps that are asked for: what a dispute is served from.
///
/// It computes with the general executor: weights are packed once for all steps, plain steps are fused, traced ones leave every op's tensor in memory. Nothing
/// is kept beside the parameters, the inputs, the plans and the positions that the caller holds. The bits are those of any executor.
public struct Tracer: Sendable {
    public let program: SpecialisedProgram
    /// Whether parameters, inputs and carried tensors came with one form of NaN and bools of 0 or 1. Where not, it computes from copies that have it, and the
    /// roots that it gives for them are of those copies.
    public let isCanonical: Bool
    /// Before the first step.
    public let start: RunPosition
    let executor: GraphExecutor
    let seed: UInt64
    private let inputs: [Block]
    private let shared: Shared

    /// What all traces of a run use: plans of traced scans, made when they are first wanted, and the trees over what stands before the carried tensors.
    private final class Shared: Sendable {
        let plans = Mutex<[Int: GraphExecutor.PreparedScan]>([:])
        let trees = BlockTrees()
        /// By scan.
        let constantTrees: [BlockTrees]

        init(scans: Int) { constantTrees = (0..<scans).map { _ in BlockTrees() } }
    }

    /// Parameters and inputs in the program's order; carried tensors that are not given start as zeros.
    ///
    /// Inputs and carried tensors are copied. `owners` keep the memory of `parameters` alive, which is read where it lies; `weights` holds what other executors
    /// of the same model packed already.
    public init(
        _ program: SpecialisedProgram, parameters: [UnsafeRawBufferPointer], inputs: [UnsafeRawBufferPointer],
        carried: [Int: UnsafeRawBufferPointer] = [:], seed: UInt64, owners: [any Sendable] = [], threads: Int = 1,
        variant: KernelVariant = .best, weights: PackedWeights = PackedWeights()
    ) throws(ExecutionFault) {
        self.program = program
        self.seed = seed
        var isCanonical = true
        var owners = owners
        var clean = parameters
        for (place, declaration) in program.parameters.enumerated() where place < parameters.count {
            if Runtime.isCanonical(declaration.type.element, parameters[place]) { continue }
            isCanonical = false
            let copy = Block(parameters[place].count)
            if let base = parameters[place].baseAddress {
                copy.base.copyMemory(from: base, byteCount: copy.count)
            }
            canonicalize(declaration.type.element, copy.base, count: copy.count / declaration.type.element.size)
            clean[place] = UnsafeRawBufferPointer(start: copy.base, count: copy.count)
            owners.append(copy)
        }
        executor = try GraphExecutor(
            program: program, parameters: clean, owners: owners, threads: threads, variant: variant,
            // What is packed of a copy is not what others pack of the weight.
            weights: isCanonical ? weights : PackedWeights())
        for (declaration, bytes) in zip(program.inputs, inputs) {
            isCanonical = isCanonical && Runtime.isCanonical(declaration.type.element, bytes)
        }
        for (place, bytes) in carried where program.carried.indices.contains(place) {
            isCanonical = isCanonical && Runtime.isCanonical(program.carried[place].type.element, bytes)
        }
        self.isCanonical = isCanonical
        self.inputs = try executor.hold(inputs)
        let state = GraphExecutor.RunState(blocks: try executor.hold(carried: carried))
        var position = RunPosition(scan: 0, step: 0, taken: [], carried: executor.carried(state))
        Tracer.settle(&position, program)
        start = position
        shared = Shared(scans: program.scans.count)
    }

    // MARK: Running

    /// Takes one step and gives its outputs; nil at the end of the run.
    public func advance(_ position: inout RunPosition) throws(ExecutionFault) -> [Tensor]? {
        var found: [Tensor]?
        _ = try advance(&position, steps: 1, onStep: { found = $0 })
        return found
    }

    /// Takes up to `steps` steps, fewer where the run ends or `isCancelled`, and gives how many. State is copied once at each end, not between.
    public func advance(
        _ position: inout RunPosition, steps: UInt64, isCancelled: () -> Bool = { false },
        onStep: (_ outputs: [Tensor]) -> Void = { _ in }
    ) throws(ExecutionFault) -> UInt64 {
        var left = steps
        while left > 0, position.scan < program.scans.count {
            let scan = program.scans[position.scan]
            var state = load(position)
            let work = try executor.enter(
                executor.prepared(position.scan), inputs: inputs, &state, seed: seed)
            var isOver = false
            while left > 0, !isOver {
                if isCancelled() { throw .cancelled }
                executor.take(work, &state, step: program.firstSteps[position.scan] + position.step)
                onStep(scan.outputs.map { executor.tensor($0, work) })
                executor.carry(work, &state)
                position.step += 1
                left -= 1
                isOver = state.isStopped(scan) || position.step >= scan.steps.factor
            }
            position.carried = executor.carried(state)
            if isOver { Tracer.end(&position, program) }
        }
        return steps - left
    }

    /// Takes one step with every op's tensor kept. Refused before anything runs where it needs more than `memoryLimit` bytes.
    public func trace(_ position: inout RunPosition, memoryLimit: UInt64 = .max) throws(TraceFault) -> StepTrace {
        if position.scan >= program.scans.count { throw .ended }
        let needed = memory(ofScan: position.scan)
        if needed > memoryLimit { throw .memory(needed: needed, limit: memoryLimit) }
        let prepared = shared.plans.withLock { plans in
            if let found = plans[position.scan] { return found }
            let made = executor.preparedTrace(position.scan)
            plans[position.scan] = made
            return made
        }
        let scan = program.scans[position.scan]
        var state = load(position)
        let work: GraphExecutor.ScanWork
        do throws(ExecutionFault) {
            work = try executor.enter(prepared, inputs: inputs, &state, seed: seed)
        } catch { throw .execution(error) }
        let step = program.firstSteps[position.scan] + position.step
        executor.take(work, &state, step: step)
        let trace = StepTrace(
            program: program, scan: position.scan, step: step,
            firstOperation: program.scans[..<position.scan].reduce(0) { $0 + $1.operations.count }, seed: seed,
            memory: TraceMemory(
                executor: executor, work: work, state: state, inputs: inputs, carried: position.carried),
            leadingTrees: shared.trees, constantTrees: shared.constantTrees[position.scan])
        // What is carried is read before the state's memory changes hands: a trace keeps all of it.
        position.carried = scan.carried.map { trace.tensor($0) }
        executor.carry(work, &state)
        position.step += 1
        if state.isStopped(scan) || position.step >= scan.steps.factor { Tracer.end(&position, program) }
        return trace
    }

    /// Bytes that tracing one step of a scan takes beside parameters and inputs: every op's tensor, and the carried ones before, while and after it runs.
    public func memory(ofScan scan: Int) -> UInt64 {
        func add(_ total: UInt64, _ bytes: UInt64) -> UInt64 {
            let (sum, overflow) = total.addingReportingOverflow(bytes)
            return overflow ? .max : sum
        }
        let state = program.carried.reduce(UInt64(0)) { add($0, 4 * $1.type.byteCount) }
        return program.scans[scan].operations.reduce(state) { add($0, $1.result.byteCount) }
    }

    // MARK: Positions

    /// Memory with a position's state.
    private func load(_ position: RunPosition) -> GraphExecutor.RunState {
        GraphExecutor.RunState(
            blocks: position.carried.map { tensor in
                let block = Block(tensor.bytes.count)
                tensor.bytes.withUnsafeBytes { bytes in
                    if let base = bytes.baseAddress { block.base.copyMemory(from: base, byteCount: bytes.count) }
                }
                return block
            })
    }

    static func end(_ position: inout RunPosition, _ program: SpecialisedProgram) {
        position.taken.append(position.step)
        position.scan += 1
        position.step = 0
        settle(&position, program)
    }

    /// Past scans of no steps.
    private static func settle(_ position: inout RunPosition, _ program: SpecialisedProgram) {
        while position.scan < program.scans.count && program.scans[position.scan].steps.factor == 0 {
            position.taken.append(0)
            position.scan += 1
        }
    }
}

extension Tensor {
    /// Its root.
    public var root: Digest { TensorRoot.of(element, shape.map { UInt64($0) }, bytes) }
}

/// Whether memory has rule 3's forms already: one NaN, bools of 0 or 1. What has others is read as if it had, but its root is that of the bytes as they lie, so
/// that nothing about it could be proven in a dispute.
package func isCanonical(_ element: ElementType, _ bytes: UnsafeRawBufferPointer) -> Bool {
    func all<Word: FixedWidthInteger>(_: Word.Type, _ isRight: (Word) -> Bool) -> Bool {
        let size = MemoryLayout<Word>.size
        return stride(from: 0, to: bytes.count / size * size, by: size).allSatisfy {
            isRight(bytes.loadUnaligned(fromByteOffset: $0, as: Word.self))
        }
    }
    switch element {
    case .f32: return all(UInt32.self) { $0 & 0x7FFF_FFFF <= 0x7F80_0000 || $0 == 0x7FC0_0000 }
    case .bf16: return all(UInt16.self) { $0 & 0x7FFF <= 0x7F80 || $0 == 0x7FC0 }
    case .f16: return all(UInt16.self) { $0 & 0x7FFF <= 0x7C00 || $0 == 0x7E00 }
    case .bool: return bytes.allSatisfy { $0 <= 1 }
    case .i8, .u8, .i32, .i64: return true
    }
}
