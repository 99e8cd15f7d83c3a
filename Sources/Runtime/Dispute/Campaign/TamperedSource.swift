internal import Primitives
internal import Programs

/// Steps of which one is not what the program says: how a liar computes.
struct TamperedSource: StepSource {
    let base: Tracer
    /// The step, counted over all scans.
    let step: UInt64
    let change: Change

    enum Change: Sendable {
        /// A bit of what an op made, with which the rest goes on.
        case bit(operation: Int, bit: UInt64)
        /// An op draws other random words, or words of another step.
        case otherWords(operation: Int, seed: UInt64, step: UInt64)
        /// An op is not done: zeros, or what it reads where that has its type.
        case skipped(operation: Int)
        /// A bit after the end of a tensor's last block, which no element holds.
        case padding(operation: Int, bit: UInt64)
        /// An op's tensor is named by something else, or as one of another shape.
        case root(operation: Int, Digest)
        case header(operation: Int)
        /// One block of an op's tensor is named by another digest.
        case block(operation: Int, block: UInt64, Digest)
        /// A bit of a carried tensor between this step and the next, which no op set.
        case state(place: Int, bit: UInt64)
        /// A root of the state after the step, with which nothing goes on.
        case stateRoot(place: Int, Digest)
        /// A root that is given out in the place of an op's.
        case output(place: Int, Digest)
        /// The steps of a scan are taken in another order: this one and the next change places.
        case swapped
        /// What the step gives out is what the next one does.
        case swappedOutputs
        /// The scan ends here, whatever its flag says.
        case ends
        /// The scan goes on, whatever its flag says.
        case goesOn
    }

    var program: SpecialisedProgram { base.program }
    var start: RunPosition { base.start }

    func take(
        _ position: inout RunPosition, steps: UInt64, onStep: (_ outputs: [Digest]) -> Void
    ) throws(ExecutionFault) -> UInt64 {
        var left = steps
        while left > 0, position.scan < program.scans.count {
            let index = position.stepCount
            if isTouched(index) {
                onStep(try tampered(&position).roots.outputs)
                left -= 1
                continue
            }
            let plain = index < step ? min(left, step - index) : left
            left -= try base.take(&position, steps: plain, onStep: onStep)
        }
        return steps - left
    }

    func skip(_ position: inout RunPosition, steps: UInt64) throws(ExecutionFault) -> UInt64 {
        try take(&position, steps: steps, onStep: { _ in })
    }

    func trace(_ position: inout RunPosition, memoryLimit: UInt64) throws(TraceFault) -> StepTrace {
        if position.scan < program.scans.count, isTouched(position.stepCount) {
            do throws(ExecutionFault) { return try tampered(&position) } catch { throw .execution(error) }
        }
        return try base.trace(&position, memoryLimit: memoryLimit)
    }

    private func isTouched(_ index: UInt64) -> Bool {
        if case .swapped = change { return index == step || index == step + 1 }
        return index == step
    }

    // MARK: The step

    private func traced(_ position: inout RunPosition) throws(ExecutionFault) -> StepTrace {
        do throws(TraceFault) { return try base.trace(&position) } catch {
            if case .execution(let fault) = error { throw fault }
            throw .unsupported("\(error)")
        }
    }

    private func tampered(_ position: inout RunPosition) throws(ExecutionFault) -> StepTrace {
        let before = position
        var trace: StepTrace
        if case .swapped = change, before.stepCount == step || before.step > 0 {
            // The number of the other one decides about random words and the like.
            var other = before
            other.step = before.stepCount == step ? before.step + 1 : before.step - 1
            trace = try traced(&other)
            position.carried = other.carried
        } else {
            trace = try traced(&position)
        }
        let scan = program.scans[before.scan]
        switch change {
        case .bit(let operation, let bit):
            trace = try recomputed(trace, operation) { TamperedSource.flip(&$0, bit) }
        case .skipped(let operation):
            let result = scan.operations[operation].result
            let like = scan.operations[operation].operation.operands.first { trace.type(of: $0) == result }
            let zeros = [UInt8](repeating: 0, count: Int(result.byteCount))
            let bytes = like.map { trace.tensor($0).bytes } ?? zeros
            trace = try recomputed(trace, operation) { $0 = bytes }
        case .otherWords(let operation, let seed, let step):
            let values = TamperedSource.values(trace, [operation])
            let random = RandomSource(seed: seed, operation: trace.firstOperation + operation, step: step)
            let made = ReferenceExecutor.store(
                try ReferenceExecutor.evaluate(scan.operations[operation], values, random))
            trace = try recomputed(trace, operation) { $0 = made.bytes }
        case .padding(let operation, let bit):
            let value = trace.value(ofOperation: operation)
            var tensor = trace.tensor(value)
            let rest = TensorRoot.blockLength - tensor.bytes.count % TensorRoot.blockLength
            if !tensor.bytes.isEmpty && rest < TensorRoot.blockLength {
                var padding = [UInt8](repeating: 0, count: rest)
                TamperedSource.flip(&padding, bit)
                tensor.bytes += padding
                trace = changed(trace, [value: tensor])
            }
        case .root(let operation, let root):
            trace.claims.tensors[trace.value(ofOperation: operation)] = root
        case .header(let operation):
            let value = trace.value(ofOperation: operation)
            let type = trace.type(of: value)
            trace.claims.tensors[value] = TensorRoot.of(
                type.element, type.shape.map(\.factor) + [1], blocks: trace.blocks(of: value).root)
        case .block(let operation, let block, let digest):
            let value = trace.value(ofOperation: operation)
            var leaves = trace.withBytes(of: value) { TensorRoot.leaves($0) }
            if !leaves.isEmpty {
                leaves[Int(block % UInt64(leaves.count))] = digest
                trace.claims.blocks[value] = MerkleLevels(leaves)
            }
        case .stateRoot(let place, let root):
            var roots = trace.roots.carried
            roots[place] = root
            trace.claims.carried = roots
        case .output(let place, let root):
            var roots = trace.roots.outputs
            roots[place] = root
            trace.claims.outputs = roots
        case .swappedOutputs:
            var after = position
            if position.scan == before.scan { trace.claims.outputs = try traced(&after).roots.outputs }
        case .state, .swapped, .ends, .goesOn: break
        }
        position.carried = scan.carried.map { trace.tensor($0) }
        if case .state(let place, let bit) = change {
            TamperedSource.flip(&position.carried[place].bytes, bit)
            var roots = trace.roots.carried
            roots[place] = position.carried[place].root
            trace.claims.carried = roots
        }
        switch change {
        case .root, .header, .block, .padding, .stateRoot: position.claimedRoots = trace.roots.carried
        default: break
        }
        move(&position, from: before)
        return trace
    }

    /// Past the step, by what the liar's state says.
    private func move(_ position: inout RunPosition, from before: RunPosition) {
        let scan = program.scans[before.scan]
        (position.scan, position.step, position.taken) = (before.scan, before.step + 1, before.taken)
        var isOver = scan.stop.map { position.carried[Int($0)].bytes.first != 0 } ?? false
        if case .ends = change { isOver = true }
        if case .goesOn = change { isOver = false }
        if isOver || position.step >= scan.steps.factor { Tracer.end(&position, program) }
    }

    // MARK: Ops

    /// Values of those leading tensors and ops that some ops read; empty ones in other places.
    private static func values(_ trace: StepTrace, _ operations: [Int]) -> [ReferenceExecutor.Value] {
        let records = trace.program.scans[trace.scan].operations
        let needed = Set(operations.flatMap { records[$0].operation.operands })
        return (0..<trace.count).map { index in
            let value = ValueID(index)
            let type = trace.type(of: value)
            if !needed.contains(value) {
                return ReferenceExecutor.Value(element: type.element, shape: type.dimensions, words: [])
            }
            return trace.withBytes(of: value) { ReferenceExecutor.load(type, $0) }
        }
    }

    private func changed(_ trace: StepTrace, _ tensors: [ValueID: Tensor]) -> StepTrace {
        StepTrace(
            program: trace.program, scan: trace.scan, step: trace.step, firstOperation: trace.firstOperation,
            seed: trace.seed, memory: TraceMemory(trace.memory, replacing: tensors), leadingTrees: trace.leadingTrees,
            constantTrees: trace.constantTrees)
    }

    /// The step with an op's bytes changed, and all that follows from them.
    private func recomputed(
        _ trace: StepTrace, _ operation: Int, _ edit: (inout [UInt8]) -> Void
    ) throws(ExecutionFault) -> StepTrace {
        let records = program.scans[trace.scan].operations
        let first = trace.value(ofOperation: operation)
        let original = trace.tensor(first)
        var tensor = original
        edit(&tensor.bytes)
        // What no op could hold is no number: another form of NaN is another lie, told by a root.
        tensor.bytes.withUnsafeMutableBytes { bytes in
            if let base = bytes.baseAddress {
                canonicalize(tensor.element, base, count: bytes.count / tensor.element.size)
            }
        }
        if tensor == original { return trace }
        var made: [ValueID: Tensor] = [first: tensor]
        var reached: Set<ValueID> = [first]
        var following: [Int] = []
        for number in records.indices where number > operation {
            if records[number].operation.operands.contains(where: reached.contains) {
                reached.insert(trace.value(ofOperation: number))
                following.append(number)
            }
        }
        var values = TamperedSource.values(trace, following)
        values[Int(first.index)] = ReferenceExecutor.load(trace.type(of: first), tensor)
        for number in following where records[number].operation.operands.contains(where: { made[$0] != nil }) {
            let random = RandomSource(seed: trace.seed, operation: trace.firstOperation + number, step: trace.step)
            let value = try ReferenceExecutor.evaluate(records[number], values, random)
            let id = trace.value(ofOperation: number)
            let result = ReferenceExecutor.store(value)
            // What rounds away here changes nothing further on.
            if result == trace.tensor(id) { continue }
            made[id] = result
            values[Int(id.index)] = value
        }
        return changed(trace, made)
    }

    static func flip(_ bytes: inout [UInt8], _ bit: UInt64) {
        if bytes.isEmpty { return }
        let place = bit % UInt64(8 * bytes.count)
        bytes[Int(place / 8)] ^= 1 << UInt8(place % 8)
    }
}

extension ReferenceExecutor {
    static func load(_ type: TensorType, _ tensor: Tensor) -> Value {
        tensor.bytes.withUnsafeBytes { load(type, $0) }
    }
}
