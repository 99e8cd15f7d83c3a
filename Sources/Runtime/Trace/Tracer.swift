public import Primitives
public import Programs

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
    public fileprivate(set) var scan: Int
    /// The next step, counted from 0 in its scan.
    public fileprivate(set) var step: UInt64
    /// Steps that were taken, scan by scan.
    public fileprivate(set) var taken: [UInt64]
    fileprivate var state: [ReferenceExecutor.Value]

    /// The carried tensors.
    public var carried: [Tensor] { state.map(ReferenceExecutor.store) }
    /// Of the carried tensors.
    public var carriedRoots: [Digest] { carried.map(\.root) }
}

/// Runs a program again, step by step, and materialises every op of the steps that are asked for: what a dispute is served from.
///
/// Nothing is kept beside the parameters, the inputs and the positions that the caller holds. It computes as the reference executor does, so it is as slow; what it
/// gives has the executor's bits.
public struct Tracer {
    public let program: SpecialisedProgram
    private let executor: ReferenceExecutor
    private let leading: [ReferenceExecutor.Value]
    private let initial: [ReferenceExecutor.Value]
    private let seed: UInt64

    /// Parameters and inputs in the program's order; carried tensors that are not given start as zeros.
    public init(
        _ program: SpecialisedProgram, parameters: [UnsafeRawBufferPointer], inputs: [UnsafeRawBufferPointer],
        carried: [Int: UnsafeRawBufferPointer] = [:], seed: UInt64
    ) throws(ExecutionFault) {
        self.program = program
        self.seed = seed
        executor = ReferenceExecutor(program)
        leading = try executor.load(parameters: parameters, inputs: inputs)
        initial = try executor.loadCarried(carried)
    }

    /// Before the first step.
    public var start: RunPosition {
        var position = RunPosition(scan: 0, step: 0, taken: [], state: initial)
        settle(&position)
        return position
    }

    /// Takes one step and gives its outputs; nil at the end of the run.
    public func advance(_ position: inout RunPosition) throws(ExecutionFault) -> [Tensor]? {
        guard let values = try values(at: position) else { return nil }
        let scan = program.scans[position.scan]
        move(&position, values)
        return scan.outputs.map { ReferenceExecutor.store(values[Int($0.index)]) }
    }

    /// Takes one step with every op's tensor kept. Refused before anything runs where it needs more than `memoryLimit` bytes.
    public func trace(_ position: inout RunPosition, memoryLimit: UInt64 = .max) throws(TraceFault) -> StepTrace {
        if position.scan >= program.scans.count { throw .ended }
        let needed = memory(ofScan: position.scan)
        if needed > memoryLimit { throw .memory(needed: needed, limit: memoryLimit) }
        let values: [ReferenceExecutor.Value]?
        do throws(ExecutionFault) { values = try self.values(at: position) } catch { throw .execution(error) }
        guard let values else { throw .ended }
        let trace = StepTrace(
            program: program, scan: position.scan, step: position.step,
            firstOperation: firstOperation(ofScan: position.scan), seed: seed,
            tensors: values.map(ReferenceExecutor.store))
        move(&position, values)
        return trace
    }

    /// Bytes that tracing one step of a scan takes: every tensor as 64-bit words and as its own bytes.
    public func memory(ofScan scan: Int) -> UInt64 {
        program.types(of: program.scans[scan]).reduce(0) { total, type in
            let (sum, overflow) = total.addingReportingOverflow(8 * type.count + type.byteCount)
            return overflow ? .max : sum
        }
    }

    private func firstOperation(ofScan scan: Int) -> Int {
        program.scans[..<scan].reduce(0) { $0 + $1.operations.count }
    }

    private func values(at position: RunPosition) throws(ExecutionFault) -> [ReferenceExecutor.Value]? {
        guard position.scan < program.scans.count else { return nil }
        return try executor.evaluate(
            program.scans[position.scan], leading + position.state, step: position.step,
            firstOperation: firstOperation(ofScan: position.scan), seed: seed)
    }

    private func move(_ position: inout RunPosition, _ values: [ReferenceExecutor.Value]) {
        let scan = program.scans[position.scan]
        position.state = scan.carried.map { values[Int($0.index)] }
        position.step += 1
        let stopped = scan.stop.map { position.state[Int($0)].words.first.map { $0 != 0 } == true } ?? false
        if stopped || position.step >= scan.steps.factor { end(&position) }
        settle(&position)
    }

    private func end(_ position: inout RunPosition) {
        position.taken.append(position.step)
        position.scan += 1
        position.step = 0
    }

    /// Past scans of no steps.
    private func settle(_ position: inout RunPosition) {
        while position.scan < program.scans.count && program.scans[position.scan].steps.factor == 0 { end(&position) }
    }
}

extension Tensor {
    /// Its root.
    public var root: Digest { TensorRoot.of(element, shape.map { UInt64($0) }, bytes) }
}

/// One step with every tensor: leading ones, then each op's.
public struct StepTrace: Sendable {
    public let program: SpecialisedProgram
    public let scan: Int
    /// Counted from 0 in its scan.
    public let step: UInt64
    /// The place of the step's first op among all ops of the program.
    public let firstOperation: Int
    public let seed: UInt64
    /// By value number.
    public let tensors: [Tensor]

    public var roots: StepRoots {
        let scan = program.scans[scan]
        let operations = tensors.suffix(scan.operations.count).map(\.root)
        let leading = tensors.count - operations.count
        func root(_ id: ValueID) -> Digest {
            Int(id.index) < leading ? tensors[Int(id.index)].root : operations[Int(id.index) - leading]
        }
        return StepRoots(
            operations: operations, outputs: scan.outputs.map(root), carried: scan.carried.map(root))
    }

    /// The Merkle tree over an op's, or a leading tensor's, blocks.
    public func blocks(of value: ValueID) -> MerkleLevels {
        MerkleLevels(tensors[Int(value.index)].bytes.withUnsafeBytes { TensorRoot.leaves($0) })
    }

    /// One block of 1,024 bytes, the last filled up with zeros; nil past the end.
    public func block(_ index: Int, of value: ValueID) -> [UInt8]? {
        let bytes = tensors[Int(value.index)].bytes
        let start = index * TensorRoot.blockLength
        guard index >= 0, start < bytes.count else { return nil }
        let block = bytes[start..<min(start + TensorRoot.blockLength, bytes.count)]
        return Array(block) + [UInt8](repeating: 0, count: TensorRoot.blockLength - block.count)
    }

    /// The leaf of an op of this step, counted from 0 in the step.
    public func leaf(_ operation: Int) throws(ProgramFault) -> Leaf {
        let record = program.scans[scan].operations[operation]
        let types = program.types(of: program.scans[scan])
        return try Leaf(
            record, operands: record.operation.operands.map { types[Int($0.index)] },
            context: .init(seed: seed, operation: UInt32(clamping: firstOperation + operation), step: step))
    }

    /// What an op reads.
    public func operands(_ operation: Int) -> TensorOperands {
        TensorOperands(program.scans[scan].operations[operation].operation.operands.map { tensors[Int($0.index)] })
    }
}
