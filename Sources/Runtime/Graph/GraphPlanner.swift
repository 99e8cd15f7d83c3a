internal import CKernels
internal import Programs

/// Plans one scan: what is moved and what is only read otherwise, which ops go through the cache together, and where everything lies.
struct GraphPlanner {
    private let types: [TensorType]
    private let operations: [OperationRecord]
    private let leading: Int
    private let parameters: Int
    private let firstCarried: Int
    private let outputs: [ValueID]
    private let nextCarried: [ValueID]
    private let firstOperation: Int
    private let threads: Int
    private let variant: KernelVariant
    private let hoists: Bool

    private var shapes: [[Int]]
    private var needed: [Bool]
    /// Ops that read a value, and which of their operands it is.
    private var consumers: [[(operation: Int, operand: Int)]]
    private var isResult: [Bool]
    private var isConstant: [Bool]
    private var accesses: [Access?]
    private var storage: [UInt32: Storage] = [:]
    private var weights: [(step: Int, weight: WeightAccess)] = []
    private var steps: [PlanStep] = []
    /// The step that makes a value, and the last that reads it.
    private var made: [UInt32: Int] = [:]
    private var lastRead: [UInt32: Int] = [:]
    private var updated: [Int: ValueID] = [:]
    private var open = OpenGroup()

    /// A group of rows that more ops may still join.
    private struct OpenGroup {
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
        for (number, record) in operations.enumerated() where needed[leading + number] {
            place(record, number)
        }
        closeGroup()
        let (copied, swapped) = placeCarried()
        let arena = placeArena()
        var (thread, shared) = (64, 64)
        for step in steps {
            let scratch = step.scratch(threads: threads)
            thread = max(thread, scratch.thread)
            shared = max(shared, scratch.shared)
        }
        return GraphPlan(
            types: types, accesses: accesses, storage: storage, steps: steps, arenaBytes: arena, threadScratch: thread,
            sharedScratch: shared, constants: readConstants(), weights: weights, copied: copied, swapped: swapped,
            updated: updated.keys.sorted())
    }

    // MARK: What is needed

    private mutating func findNeeded() {
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
    private mutating func findConstants() {
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
    private func readConstants() -> [ValueID] {
        lastRead.keys.sorted().map { ValueID(Int($0)) }.filter { storage[$0.index] == .constant }
    }

    // MARK: Ops

    private func type(_ id: ValueID) -> TensorType { types[Int(id.index)] }
    private func shape(_ id: ValueID) -> [Int] { shapes[Int(id.index)] }

    private func access(_ id: ValueID) -> Access {
        guard let access = accesses[Int(id.index)] else {
            preconditionFailure("value \(id.index) is read before it is placed")
        }
        return access
    }

    private mutating func place(_ record: OperationRecord, _ number: Int) {
        let value = ValueID(leading + number)
        if case .gather(let pieces, _) = record.operation, let view = view(pieces, value) {
            accesses[Int(value.index)] = view
            return
        }
        accesses[Int(value.index)] = Access(whole: value, shape: shape(value))
        if isConstant[Int(value.index)] {
            storage[value.index] = .constant
            return
        }
        switch record.operation {
        case .map(let expression, let inputs): placeMap(expression, inputs, value, number)
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
                        rows: shape(input).dropLast().reduce(1, *), length: length, descending: descending)),
                makes: value, reads: [access(input).root])
        }
    }

    /// Adds a step before the open group, or after it where it needs something of it.
    private mutating func append(_ step: PlanStep, makes value: ValueID, reads: [ValueID], changes: ValueID? = nil) {
        if reads.contains(where: open.makes) || changes.map({ open.reads.contains($0) }) == true { closeGroup() }
        made[value.index] = steps.count
        for root in reads { lastRead[root.index] = steps.count }
        if let changes { lastRead[changes.index] = steps.count }
        steps.append(step)
    }

    private mutating func closeGroup() {
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
    private func readsInPlace(_ member: RowGroup.Member, _ own: Set<ValueID>) -> Bool {
        guard case .map(let kernel) = member.kind else { return false }
        return kernel.inputs.indices.allSatisfy { !own.contains(kernel.inputs[$0].root) || kernel.readsInPlace($0) }
    }

    /// Whether an op outside a group, or what the step leaves, reads memory of this root.
    private func isReadOutside(_ root: ValueID, _ own: Set<ValueID>) -> Bool {
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

    // MARK: Rows

    private mutating func placeMap(_ expression: MapExpression, _ inputs: [ValueID], _ value: ValueID, _ number: Int) {
        let kernel = MapKernel(
            expression, inputs: inputs.map { (access($0), shape($0), type($0).element) }, result: type(value),
            operation: firstOperation + number)
        let own = shape(value)
        if !joins(own, inputs) {
            closeGroup()
            open.rowShape = Array(own.dropLast())
        }
        let width = own == open.rowShape ? 1 : own.last ?? 1
        open.members.append(
            RowGroup.Member(
                kind: .map(kernel), value: value, width: width, size: type(value).element.size, scratch: nil))
        open.reads.formUnion(inputs.map { access($0).root })
    }

    /// Whether a map of this shape fits the open group: the same rows, and of the group's own values only the row at hand.
    private func joins(_ own: [Int], _ inputs: [ValueID]) -> Bool {
        if open.isEmpty || own.isEmpty { return false }
        let rows = open.rowShape
        guard own == rows || Array(own.dropLast()) == rows else { return false }
        return inputs.allSatisfy { readsOwnRow($0, of: own) }
    }

    /// Whether a value of the open group is read by a result of shape `own` only in the row that is made.
    private func readsOwnRow(_ input: ValueID, of own: [Int]) -> Bool {
        let access = access(input)
        guard open.makes(access.root) else { return true }
        guard access.offset == 0 else { return false }
        let rows = open.rowShape
        let rootShape = shape(access.root)
        let inputShape = shape(input)
        let rootIsWide = rootShape != rows && rootShape != rows + [1]
        // The strides with which the result reads the root must be those of its own rows.
        let strides = access.broadcast(from: inputShape, to: own)
        let width = rootIsWide ? rootShape.last ?? 1 : 1
        let perRow = Access.rowMajor(rows).map { $0 * width }
        let lead = own == rows ? strides : Array(strides.dropLast())
        let leadMatches = zip(rows.indices, lead).allSatisfy { rows[$0] == 1 || perRow[$0] == $1 }
        guard leadMatches else { return false }
        if own == rows { return true }
        // Along the row: every element, or one for all.
        guard let last = strides.last else { return false }
        return last == 0 || (last == 1 && rootIsWide && own.last == width) || own.last == 1
    }

    private mutating func placeReduce(
        _ reduction: Reduction, _ input: ValueID, _ extent: ValueID?, _ prefix: Bool, _ value: ValueID
    ) {
        let source = shape(input)
        let rows = Array(source.dropLast())
        let length = source.last ?? 1
        let access = access(input)
        if reduction == .sum, !prefix, extent == nil, type(input).element == .f32, let step = access.strides.last,
            step != 1, length > 1, let columns = rows.last, access.strides[rows.count - 1] == 1 || columns == 1
        {
            let batch = JoinedAxes(Array(rows.dropLast()), [Array(access.strides.dropLast(2))])
            append(
                .columnSum(
                    ColumnSumStep(
                        out: value, input: access, batch: batch, items: rows.dropLast().reduce(1, *), columns: columns,
                        length: length, step: step)), makes: value, reads: [access.root])
            return
        }
        let extents = extent.map { RowExtents(self.access($0), own: shape($0), rows: rows, length: length) }
        let kernel = RowReduction(
            reduction: reduction, isPrefix: prefix, element: type(input).element, length: length, input: access,
            rows: JoinedAxes(rows, [Array(access.strides.dropLast())]), extents: extents)
        let reads = [input] + (extent.map { [$0] } ?? [])
        let fits =
            !open.isEmpty && rows == open.rowShape && readsOwnRow(input, of: source)
            && extent.map { readsOwnRow($0, of: rows) } != false
        if !fits {
            closeGroup()
            open.rowShape = rows
        }
        open.members.append(
            RowGroup.Member(
                kind: .reduce(kernel), value: value, width: prefix ? length : 1, size: type(value).element.size,
                scratch: nil))
        open.reads.formUnion(reads.map { self.access($0).root })
    }

    // MARK: Contractions

    private mutating func placeContract(
        _ left: ValueID, _ right: ValueID, _ extent: ValueID?, _ value: ValueID
    ) {
        let (a, b) = (shape(left), shape(right))
        let k = a[a.count - 1]
        let n = b[b.count - 2]
        let batchShape = Array(a.dropLast(2))
        var m = a[a.count - 2]
        var batch = batchShape.reduce(1, *)
        let (x, y) = (access(left), access(right))
        let rightHasBatch = b.count > 2
        let extents = extent.map { RowExtents(access($0), own: shape($0), rows: Array(a.dropLast()), length: k) }
        let reads = [x.root, y.root] + (extent.map { [access($0).root] } ?? [])
        if type(left).element == .i8 {
            let step = WholeContractStep(
                out: value, batch: batch, m: m, n: n, k: k, left: x, right: y, rightHasBatch: rightHasBatch,
                extents: extents)
            append(.wholeContract(step), makes: value, reads: reads)
            return
        }
        var row = x.strides[a.count - 2]
        var leftBatch = JoinedAxes(batchShape, [Array(x.strides.dropLast(2))])
        var rightBatch = JoinedAxes(
            batchShape, [rightHasBatch ? Array(y.strides.dropLast(2)) : batchShape.map { _ in 0 }])
        if !rightHasBatch {
            // One matrix for all: the batch is more rows, where rows go on evenly.
            let joined = JoinedAxes(Array(a.dropLast()), [Array(x.strides.dropLast())])
            if joined.shape.count <= 1 {
                m = batch * m
                batch = 1
                row = joined.strides[0].first ?? k
                leftBatch = JoinedAxes([], [[]])
                rightBatch = JoinedAxes([], [[]])
            }
        }
        if m == 1 { row = k }
        let rightRow = n == 1 ? k : y.strides[b.count - 2]
        let rightStep = k == 1 ? 1 : y.strides[b.count - 1]
        let isWeight =
            hoists && !rightHasBatch && k > 0 && n > 0
            && (Int(y.root.index) < parameters || storage[y.root.index] == .constant)
        let step = ContractStep(
            out: value, batch: batch, m: m, n: n, k: k,
            left: .init(access: x, batch: leftBatch, row: row, step: x.strides[a.count - 1]),
            right: .init(access: y, batch: rightBatch, row: rightRow, step: rightStep), extents: extents,
            isWeight: isWeight, packed: nil, variant: variant)
        append(.contract(step), makes: value, reads: isWeight ? [x.root] + reads.dropFirst(2) : reads)
        if isWeight {
            let weight = WeightAccess(access: y, n: n, k: k, row: rightRow, step: rightStep)
            weights.append((steps.count - 1, weight))
        }
    }

    private mutating func placeSelected(_ left: ValueID, _ right: ValueID, _ value: ValueID) {
        let step = SelectedContractStep(
            out: value, m: shape(value)[0], n: shape(right)[0], k: shape(right)[1], indices: access(left),
            right: access(right))
        append(.selected(step), makes: value, reads: [access(left).root, access(right).root])
    }

    // MARK: Movement

    /// The gather as another way to read what is there, where every reader can take it so.
    private func view(_ pieces: [GatherPiece], _ value: ValueID) -> Access? {
        guard pieces.count == 1 else { return nil }
        let form = GatherForm(pieces[0], result: shape(value), types: types)
        guard let view = form.view(result: shape(value), source: access(form.source)) else { return nil }
        if view.isRowMajor(shape(value)) { return view }
        if isResult[Int(value.index)] { return nil }
        let accepted = consumers[Int(value.index)].allSatisfy { accepts($0.operation, $0.operand, view, value) }
        return accepted ? view : nil
    }

    /// Whether an op can read its operand by these strides.
    private func accepts(_ number: Int, _ operand: Int, _ view: Access, _ value: ValueID) -> Bool {
        let own = shape(value)
        let last = view.strides.last ?? 1
        let count = own.reduce(1, *)
        switch operations[number].operation {
        case .map: return last <= 1 || own.last == 1 || count <= 1024
        case .reduce(let reduction, _, let extent, let prefix):
            if operand > 0 { return true }
            if last == 1 { return true }
            return reduction == .sum && !prefix && extent == nil && type(value).element == .f32 && own.count >= 2
                && last > 1 && (view.strides[own.count - 2] == 1 || own[own.count - 2] == 1)
        case .contract(let left, _, _, let selected):
            if selected { return operand == 1 }
            if operand == 2 { return true }
            if type(left).element == .i8 { return false }
            if operand == 0 { return true }
            let (row, step) = (view.strides[own.count - 2], last)
            return row == 1 || step == 1 || own[own.count - 2] == 1 && step == 1 || own[own.count - 1] == 1
        case .gather(let pieces, _):
            return !pieces.contains { $0.coordinates.contains { $0.table == value } }
        case .sort: return false
        }
    }

    private mutating func placeGather(_ pieces: [GatherPiece], _ fill: UInt64, _ value: ValueID, _ number: Int) {
        let own = shape(value)
        let moved = pieces.map { piece in
            GatherStep.Piece(
                form: GatherForm(piece, result: own, types: types), source: access(piece.source),
                tables: piece.coordinates.map { $0.table.map(access) })
        }
        var kept = moved
        var changes: ValueID?
        if let carried = updatedInPlace(moved, value, number) {
            kept.removeLast()
            changes = ValueID(firstCarried + carried)
            updated[carried] = value
            storage[value.index] = .leading(firstCarried + carried)
        }
        let step = GatherStep(
            out: value, element: type(value).element, pieces: kept, fill: fill, count: own.reduce(1, *),
            keepsRest: changes != nil,
            isRaw: changes == nil && moved.contains { Int($0.source.root.index) < parameters })
        let reads = kept.flatMap { [$0.source.root] + $0.tables.compactMap { $0?.root } }
        append(.gather(step), makes: value, reads: reads, changes: changes)
    }

    /// The carried tensor that a gather only changes here and there: its last piece is the tensor as it was, it is the tensor's next value, and nothing reads the
    /// tensor as it was afterwards.
    private func updatedInPlace(_ pieces: [GatherStep.Piece], _ value: ValueID, _ number: Int) -> Int? {
        guard let last = pieces.last, pieces.count > 1 else { return nil }
        let index = Int(last.source.root.index) - firstCarried
        guard index >= 0, index < nextCarried.count, nextCarried[index] == value, updated[index] == nil,
            nextCarried.filter({ $0 == value }).count == 1,
            last.form.view(result: shape(value), source: last.source)?.isWhole(shape(value)) == true
        else { return nil }
        let root = ValueID(firstCarried + index)
        let others = pieces.dropLast().flatMap { [$0.source.root] + $0.tables.compactMap { $0?.root } }
        if others.contains(root) { return nil }
        // Every reader of the tensor, however it reads it, comes before.
        var held = [Int(root.index)]
        while let next = held.popLast() {
            if isResult[next] { return nil }
            for (operation, _) in consumers[next] where operation != number {
                let reader = leading + operation
                if let access = accesses[reader], access.root == root, reader < Int(value.index) {
                    held.append(reader)
                } else if operation > number {
                    return nil
                }
            }
        }
        return index
    }

    // MARK: Memory

    /// Where each carried tensor's next value comes from at the end of the step.
    private mutating func placeCarried() -> (copied: [(carried: Int, from: Access)], swapped: [Int]) {
        var copied: [(carried: Int, from: Access)] = []
        var swapped: [Int] = []
        for (index, value) in nextCarried.enumerated() where updated[index] == nil {
            let own = ValueID(firstCarried + index)
            let access = access(value)
            if access.root == own && access.isWhole(shape(value)) { continue }
            if access.root == value, storage[value.index] == nil {
                storage[value.index] = .next(index)
                swapped.append(index)
            } else {
                copied.append((index, access))
            }
        }
        return (copied, swapped)
    }

    /// Gives the values that steps make a place, reusing what is no longer read.
    private mutating func placeArena() -> Int {
        for (number, value) in (outputs + nextCarried).enumerated() {
            // An output is read after the last step.
            _ = number
            lastRead[access(value).root.index] = steps.count
        }
        var free: [(offset: Int, size: Int)] = []
        var end = 0
        var ending: [Int: [(offset: Int, size: Int)]] = [:]
        let order = made.filter { storage[$0.key] == nil }.sorted { ($0.value, $0.key) < ($1.value, $1.key) }
        var next = order.startIndex
        for step in steps.indices {
            while next < order.endIndex, order[next].value == step {
                let value = order[next].key
                next += 1
                let size = (Int(types[Int(value)].byteCount) + 63) / 64 * 64
                let offset: Int
                if let slot = free.firstIndex(where: { $0.size >= size }) {
                    offset = free[slot].offset
                    if free[slot].size == size {
                        free.remove(at: slot)
                    } else {
                        free[slot] = (free[slot].offset + size, free[slot].size - size)
                    }
                } else {
                    offset = end
                    end += size
                }
                storage[value] = .arena(offset)
                ending[max(step, lastRead[value] ?? step), default: []].append((offset, size))
            }
            // Freed only after the step: a kernel may not write over what it reads.
            free += ending.removeValue(forKey: step) ?? []
            free = GraphPlanner.joined(free)
        }
        return end
    }

    private static func joined(_ pieces: [(offset: Int, size: Int)]) -> [(offset: Int, size: Int)] {
        var out: [(offset: Int, size: Int)] = []
        for piece in pieces.sorted(by: { $0.offset < $1.offset }) {
            if let last = out.last, last.offset + last.size == piece.offset {
                out[out.count - 1].size += piece.size
            } else {
                out.append(piece)
            }
        }
        return out
    }
}
