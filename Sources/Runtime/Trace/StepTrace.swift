public import Primitives
public import Programs
internal import Synchronization

/// One step with every tensor: leading ones, then each op's. It holds the memory that the step ran in; tensors are read where they lie.
public struct StepTrace: Sendable {
    public let program: SpecialisedProgram
    public let scan: Int
    /// Counted from 0 in its scan of the whole run.
    public let step: UInt64
    /// The place of the step's first op among all ops of the program.
    public let firstOperation: Int
    public let seed: UInt64
    private let types: [TensorType]
    let memory: TraceMemory
    /// Over parameters and inputs, shared by all traces of a run; and over what its scan makes of parameters alone.
    let leadingTrees: BlockTrees
    let constantTrees: BlockTrees
    private let trees = BlockTrees()
    /// Roots that are not those of the tensors, for whoever plays a liar.
    var claims = TraceClaims()

    init(
        program: SpecialisedProgram, scan: Int, step: UInt64, firstOperation: Int, seed: UInt64, memory: TraceMemory,
        leadingTrees: BlockTrees, constantTrees: BlockTrees
    ) {
        self.program = program
        self.scan = scan
        self.step = step
        self.firstOperation = firstOperation
        self.seed = seed
        self.memory = memory
        self.leadingTrees = leadingTrees
        self.constantTrees = constantTrees
        types = program.types(of: program.scans[scan])
    }

    /// Tensors in all, leading ones first.
    public var count: Int { types.count }

    /// Tensors that stand before the ops' own.
    public var leadingCount: Int { types.count - program.scans[scan].operations.count }

    /// An op's result as a value of the step.
    public func value(ofOperation operation: Int) -> ValueID { ValueID(leadingCount + operation) }

    public func type(of value: ValueID) -> TensorType { types[Int(value.index)] }

    /// A tensor's bytes where they lie.
    public func withBytes<R>(of value: ValueID, _ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        let bytes = UnsafeRawBufferPointer(
            start: memory.bases[Int(value.index)], count: memory.counts[Int(value.index)])
        defer { withExtendedLifetime(memory) {} }
        return try body(bytes)
    }

    /// A copy of a tensor.
    public func tensor(_ value: ValueID) -> Tensor {
        let type = type(of: value)
        return Tensor(
            element: type.element, shape: type.dimensions,
            bytes: withBytes(of: value) { Array($0.prefix(Int(type.byteCount))) })
    }

    /// An element's stored bits, or nil where there is none.
    public func bits(_ element: UInt64, of value: ValueID) -> UInt64? {
        guard Int(value.index) < types.count, element < type(of: value).count else { return nil }
        let size = type(of: value).element.size
        return withBytes(of: value) { bytes in
            let start = Int(element) * size
            switch size {
            case 1: return UInt64(bytes[start])
            case 2: return UInt64(bytes.loadUnaligned(fromByteOffset: start, as: UInt16.self))
            case 4: return UInt64(bytes.loadUnaligned(fromByteOffset: start, as: UInt32.self))
            default: return bytes.loadUnaligned(fromByteOffset: start, as: UInt64.self)
            }
        }
    }

    /// The Merkle tree over an op's, or a leading tensor's, blocks. Hashed once.
    public func blocks(of value: ValueID) -> MerkleLevels {
        if let claimed = claims.blocks[value] { return claimed }
        let isShared = Int(value.index) < program.parameters.count + program.inputs.count
        let isConstant = memory.isConstant[Int(value.index)]
        return (isShared ? leadingTrees : isConstant ? constantTrees : trees).tree(value) {
            withBytes(of: value) { MerkleLevels(TensorRoot.leaves($0)) }
        }
    }

    /// A tensor's root. Hashed once.
    public func root(of value: ValueID) -> Digest {
        if let claimed = claims.tensors[value] { return claimed }
        let type = type(of: value)
        return TensorRoot.of(type.element, type.shape.map(\.factor), blocks: blocks(of: value).root)
    }

    /// The roots of all the step's tensors.
    public var roots: StepRoots {
        let scan = program.scans[scan]
        return StepRoots(
            operations: scan.operations.indices.map { root(of: value(ofOperation: $0)) },
            outputs: claims.outputs ?? scan.outputs.map(root), carried: claims.carried ?? scan.carried.map(root))
    }

    /// One block of 1,024 bytes, the last filled up with zeros; nil past the end.
    public func block(_ index: Int, of value: ValueID) -> [UInt8]? {
        withBytes(of: value) { bytes in
            guard index >= 0, index < (bytes.count + TensorRoot.blockLength - 1) / TensorRoot.blockLength else {
                return nil
            }
            let start = index * TensorRoot.blockLength
            let block = bytes[start..<min(start + TensorRoot.blockLength, bytes.count)]
            return Array(block) + [UInt8](repeating: 0, count: TensorRoot.blockLength - block.count)
        }
    }

    /// The leaf of an op of this step, counted from 0 in the step.
    public func leaf(_ operation: Int) throws(ProgramFault) -> Leaf {
        let record = program.scans[scan].operations[operation]
        return try Leaf(
            record, operands: record.operation.operands.map { types[Int($0.index)] },
            context: .init(seed: seed, operation: UInt32(clamping: firstOperation + operation), step: step))
    }

    /// What an op reads.
    public func operands(_ operation: Int) -> TensorOperands {
        TensorOperands(self, program.scans[scan].operations[operation].operation.operands)
    }
}

/// What a liar says of a step beside its tensors.
struct TraceClaims: Sendable {
    /// Of single tensors.
    var tensors: [ValueID: Digest] = [:]
    /// Over single tensors' blocks.
    var blocks: [ValueID: MerkleLevels] = [:]
    /// Of all that the step gives out, and of all that it carries.
    var outputs: [Digest]?
    var carried: [Digest]?
}

/// Where the tensors of a traced step lie, and what keeps them there.
///
/// Unchecked: nothing is written once the trace is made.
final class TraceMemory: @unchecked Sendable {
    /// By value.
    let bases: [UnsafeRawPointer]
    /// Bytes of each.
    let counts: [Int]
    /// Whether a value is the same in every step of its scan, being made of parameters alone.
    let isConstant: [Bool]
    private let owners: [any Sendable]

    /// After a step of a plan that leaves every op in memory, before its state is carried. `carried` is the state before it.
    init(
        executor: GraphExecutor, work: GraphExecutor.ScanWork, state: GraphExecutor.RunState, inputs: [Block],
        carried: [Tensor]
    ) {
        // An op may have changed a carried tensor where it lay, so what it was is held apart.
        let before = carried.map { tensor -> Block in
            let block = Block(tensor.bytes.count)
            tensor.bytes.withUnsafeBytes { bytes in
                if let base = bytes.baseAddress { block.base.copyMemory(from: base, byteCount: bytes.count) }
            }
            return block
        }
        var bases = executor.parameters.map { UnsafeRawPointer($0.base) }
        bases += (inputs + before).map { UnsafeRawPointer($0.base) }
        let plan = work.prepared.plan
        for value in bases.count..<plan.types.count {
            guard let access = plan.accesses[value] else {
                preconditionFailure("a traced op has no memory")
            }
            // Reading the state before the step through a view is reading what may have changed since.
            let root = Int(access.root.index)
            let base = root < bases.count ? bases[root] : UnsafeRawPointer(work.memory.base(access.root))
            bases.append(base + access.offset * plan.types[root].element.size)
        }
        self.bases = bases
        counts = plan.types.map { Int($0.byteCount) }
        isConstant = plan.types.indices.map { value in
            guard value >= executor.parameters.count + executor.program.inputs.count + executor.program.carried.count,
                let root = plan.accesses[value]?.root
            else { return false }
            return Int(root.index) < executor.parameters.count || plan.storage[root.index] == .constant
        }
        owners = [executor, work.arena, work.prepared] + before + inputs + state.blocks + state.next.compactMap { $0 }
    }

    /// The same with other tensors in places.
    init(_ other: TraceMemory, replacing tensors: [ValueID: Tensor]) {
        var (bases, counts, isConstant) = (other.bases, other.counts, other.isConstant)
        var owners: [any Sendable] = [other]
        for (value, tensor) in tensors {
            let block = Block(tensor.bytes.count)
            tensor.bytes.withUnsafeBytes { bytes in
                if let base = bytes.baseAddress { block.base.copyMemory(from: base, byteCount: bytes.count) }
            }
            bases[Int(value.index)] = UnsafeRawPointer(block.base)
            counts[Int(value.index)] = tensor.bytes.count
            isConstant[Int(value.index)] = false
            owners.append(block)
        }
        self.bases = bases
        self.counts = counts
        self.isConstant = isConstant
        self.owners = owners
    }
}

/// Trees over tensors' blocks, each made once.
final class BlockTrees: Sendable {
    private let held = Mutex<[ValueID: MerkleLevels]>([:])

    func tree(_ value: ValueID, make: () -> MerkleLevels) -> MerkleLevels {
        if let found = held.withLock({ $0[value] }) { return found }
        let made = make()
        held.withLock { $0[value] = made }
        return made
    }
}
