internal import CKernels
internal import Programs

/// Plans one scan: what is moved and what is only read otherwise, which ops go through the cache together, and where everything lies.
struct GraphPlanner {
    let types: [TensorType]
    let operations: [OperationRecord]
    let leading: Int
    let parameters: Int
    let firstCarried: Int
    let outputs: [ValueID]
    let nextCarried: [ValueID]
    let firstOperation: Int
    let threads: Int
    let variant: KernelVariant
    let hoists: Bool

    var shapes: [[Int]]
    var needed: [Bool]
    /// Ops that read a value, and which of their operands it is.
    var consumers: [[(operation: Int, operand: Int)]]
    var isResult: [Bool]
    var isConstant: [Bool]
    var accesses: [Access?]
    var storage: [UInt32: Storage] = [:]
    var weights: [(step: Int, weight: WeightAccess)] = []
    var steps: [PlanStep] = []
    /// The step that makes a value, and the last that reads it.
    var made: [UInt32: Int] = [:]
    var lastRead: [UInt32: Int] = [:]
    var updated: [Int: ValueID] = [:]
    var open = OpenGroup()
    /// Rows that a step rounds, by their words.
    var rounded: [ValueID: RoundedRows] = [:]
    /// Rows that a step brings into two halves, by the high ones.
    var halved: [ValueID: HalvedRows] = [:]
    /// Weights that are packed once, and the bytes that more of them may take.
    var packed: Set<WeightAccess> = []
    var packingBudget: UInt64

    /// A group of rows that more ops may still join.
    struct OpenGroup {
        var rowShape: [Int] = []
        var members: [RowGroup.Member] = []
        var reads: Set<ValueID> = []

        var isEmpty: Bool { members.isEmpty }
        func makes(_ root: ValueID) -> Bool { members.contains { $0.value == root } }
    }

    /// `outputs` and `nextCarried` are what the step must leave in memory; `hoists` says whether values of parameters alone are left to be made once.
    init(
        types: [TensorType], operations: [OperationRecord], parameters: Int, firstCarried: Int, outputs: [ValueID],
        nextCarried: [ValueID], firstOperation: Int, threads: Int, variant: KernelVariant, hoists: Bool = true
    ) {
        self.types = types
        self.operations = operations
        leading = types.count - operations.count
        self.parameters = parameters
        self.firstCarried = firstCarried
        self.outputs = outputs
        self.nextCarried = nextCarried
        self.firstOperation = firstOperation
        self.threads = threads
        self.variant = variant
        self.hoists = hoists
        packingBudget = types[..<parameters].reduce(UInt64(1 << 20)) { $0 &+ 4 &* $1.byteCount }
        shapes = types.map(\.dimensions)
        needed = [Bool](repeating: false, count: types.count)
        consumers = [[(operation: Int, operand: Int)]](repeating: [], count: types.count)
        isResult = [Bool](repeating: false, count: types.count)
        isConstant = [Bool](repeating: false, count: types.count)
        accesses = [Access?](repeating: nil, count: types.count)
    }

    /// Plans all.
    mutating func plan() -> GraphPlan {
        findNeeded()
        findConstants()
        for value in 0..<leading {
            accesses[value] = Access(whole: ValueID(value), shape: shapes[value])
            storage[UInt32(value)] = .leading(value)
        }
        // Ops below this belong to a composition that is placed.
        var next = 0
        for (number, record) in operations.enumerated() where number >= next && needed[leading + number] {
            if let length = placeRounded(number) ?? placeWholeLinear(number) ?? placeHalved(number)
                ?? placeHalvedLinear(number) ?? placeConvolution(number) ?? placePool(number)
            {
                next = number + length
            } else {
                place(record, number)
            }
        }
        closeGroup()
        let (copied, swapped) = placeCarried()
        let (arena, chains) = placeArena()
        var (thread, shared) = (64, 64)
        for step in steps {
            let scratch = step.scratch(threads: threads)
            thread = max(thread, scratch.thread)
            shared = max(shared, scratch.shared)
        }
        return GraphPlan(
            types: types, accesses: accesses, storage: storage, steps: steps, chains: chains, arenaBytes: arena,
            threadScratch: thread,
            sharedScratch: shared, constants: readConstants(), weights: weights, copied: copied, swapped: swapped,
            updated: updated.keys.sorted())
    }

    // MARK: What is needed

    mutating func findNeeded() {
        for value in outputs + nextCarried {
            needed[Int(value.index)] = true
            isResult[Int(value.index)] = true
        }
        for (number, record) in operations.enumerated().reversed() where needed[leading + number] {
            for operand in record.operation.operands { needed[Int(operand.index)] = true }
        }
        for (number, record) in operations.enumerated() where needed[leading + number] {
            for (place, operand) in record.operation.operands.enumerated() {
                consumers[Int(operand.index)].append((number, place))
            }
        }
    }

    /// Values of parameters alone that are made once: as long as all of them together take no more than eight times what the parameters do, since they are
    /// made before anyone has asked how much memory a run takes, and a program may be a stranger's.
    mutating func findConstants() {
        if !hoists { return }
        var budget = types[..<parameters].reduce(UInt64(1 << 20)) { $0 &+ 8 &* $1.byteCount }
        for value in 0..<parameters { isConstant[value] = true }
        for (number, record) in operations.enumerated() {
            let operands = record.operation.operands
            guard operands.allSatisfy({ isConstant[Int($0.index)] }) else { continue }
            if case .map(let expression, _) = record.operation {
                let changes = expression.nodes.contains {
                    switch $0 {
                    case .step, .random: true
                    default: false
                    }
                }
                if changes { continue }
            }
            if record.result.byteCount > budget { continue }
            budget -= record.result.byteCount
            isConstant[leading + number] = true
        }
    }

    /// Those that are read in a step, and not only packed for one.
    func readConstants() -> [ValueID] {
        lastRead.keys.sorted().map { ValueID(Int($0)) }.filter { storage[$0.index] == .constant }
    }

    // MARK: Ops

    func type(_ id: ValueID) -> TensorType { types[Int(id.index)] }
    func shape(_ id: ValueID) -> [Int] { shapes[Int(id.index)] }

    func access(_ id: ValueID) -> Access {
        guard let access = accesses[Int(id.index)] else {
            preconditionFailure("value \(id.index) is read before it is placed")
        }
        return access
    }

    mutating func place(_ record: OperationRecord, _ number: Int) {
        let value = ValueID(leading + number)
        if let view = view(record.operation, value) {
            accesses[Int(value.index)] = view
            return
        }
        accesses[Int(value.index)] = Access(whole: value, shape: shape(value))
        if isConstant[Int(value.index)] {
            storage[value.index] = .constant
            return
        }
        switch record.operation {
        case .map(let expression, let inputs):
            if addsBias(expression, inputs, value) || joinsConvolution(expression, inputs, value) { return }
            placeMap(expression, inputs, value, number)
        case .reduce(let reduction, let input, let extent, let prefix):
            placeReduce(reduction, input, extent, prefix, value)
        case .contract(let left, let right, let extent, let selected):
            if selected { placeSelected(left, right, value) } else { placeContract(left, right, extent, value) }
        case .gather(let pieces, let fill): placeGather(pieces, fill, value, number)
        case .sort(let input, let descending):
            let length = shape(input).last ?? 1
            append(
                .sort(
                    SortStep(
                        out: value, input: access(input), element: type(input).element,
                        rows: shape(input).dropLast().reduce(1, *), length: length,
                        limit: readPlaces(value, length), descending: descending)),
                makes: value, reads: [access(input).root])
        }
    }

    /// Adds a step before the open group, or after it where it needs something of it.
    mutating func append(_ step: PlanStep, makes value: ValueID, reads: [ValueID], changes: ValueID? = nil) {
        if changes.map({ open.reads.contains($0) }) == true {
            closeGroup()
        } else if reads.contains(where: open.makes) {
            let held = keptOpen(Set(reads))
            closeGroup()
            open = held
        }
        made[value.index] = steps.count
        for root in reads { lastRead[root.index] = steps.count }
        if let changes { lastRead[changes.index] = steps.count }
        steps.append(step)
    }

    /// Takes from the open group what a step that reads `wanted` does not need, where that goes through the cache as well by itself: ops that follow may then
    /// join it, and its values are not written only to be read again.
    private mutating func keptOpen(_ wanted: Set<ValueID>) -> OpenGroup {
        var needed = wanted
        for member in open.members.reversed() where needed.contains(member.value) { needed.formUnion(member.roots) }
        let kept = open.members.filter { !needed.contains($0.value) }
        let closed = open.members.filter { needed.contains($0.value) }
        let keptReads = kept.reduce(into: Set<ValueID>()) { $0.formUnion($1.roots) }
        let closedReads = closed.reduce(into: Set<ValueID>()) { $0.formUnion($1.roots) }
        let rows = open.rowShape.reduce(1, *)
        let sharesRows = keptReads.intersection(closedReads).contains {
            Int(clamping: types[Int($0.index)].count) > rows
        }
        if kept.isEmpty || sharesRows || closed.contains(where: { keptReads.contains($0.value) }) { return OpenGroup() }
        var held = OpenGroup()
        held.rowShape = open.rowShape
        held.members = kept
        held.reads = keptReads
        open.members = closed
        open.reads = closedReads
        return held
    }

    mutating func closeGroup() {
        guard !open.isEmpty else { return }
        let index = steps.count
        let members = open.members
        let own = Set(members.map(\.value))
        // A value is internal where nothing outside the group reads it, through whatever access.
        let internals = own.filter { root in !isReadOutside(root, own) }
        for member in members where !internals.contains(member.value) { made[member.value.index] = index }
        for root in open.reads where !own.contains(root) { lastRead[root.index] = index }
        let onlyMaps = members.allSatisfy { if case .map = $0.kind { true } else { false } }
        let full = open.rowShape.reduce(1, *)
        let width = members[0].width
        if onlyMaps, members.allSatisfy({ $0.width == width }), members.allSatisfy({ readsInPlace($0, own) }) {
            let flat = members.map { member in
                RowGroup.Member(kind: member.kind, value: member.value, width: 1, size: member.size, scratch: nil)
            }
            steps.append(.rows(RowGroup(rows: full * width, members: flat) { internals.contains($0) }))
        } else {
            steps.append(.rows(RowGroup(rows: full, members: members) { internals.contains($0) }))
        }
        open = OpenGroup()
    }

    /// Whether all that a map reads of its own group is read at the element that it writes.
    func readsInPlace(_ member: RowGroup.Member, _ own: Set<ValueID>) -> Bool {
        guard case .map(let kernel) = member.kind else { return false }
        return kernel.inputs.indices.allSatisfy { !own.contains(kernel.inputs[$0].root) || kernel.readsInPlace($0) }
    }

    /// Whether an op outside a group, or what the step leaves, reads memory of this root.
    func isReadOutside(_ root: ValueID, _ own: Set<ValueID>) -> Bool {
        var held = [Int(root.index)]
        while let value = held.popLast() {
            if isResult[value] { return true }
            for (operation, _) in consumers[value] {
                let reader = leading + operation
                if own.contains(ValueID(reader)) { continue }
                // Another way to read the same memory, whose readers then count.
                if let access = accesses[reader], access.root == root {
                    held.append(reader)
                } else {
                    return true
                }
            }
        }
        return false
    }
}
