internal import Programs

/// Ops that go through the cache row by row.
extension GraphPlanner {
    mutating func placeMap(_ expression: MapExpression, _ inputs: [ValueID], _ value: ValueID, _ number: Int) {
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
    func joins(_ own: [Int], _ inputs: [ValueID]) -> Bool {
        if open.isEmpty || own.isEmpty { return false }
        let rows = open.rowShape
        guard own == rows || Array(own.dropLast()) == rows else { return false }
        return inputs.allSatisfy { readsOwnRow($0, of: own) }
    }

    /// Whether a value of the open group is read by a result of shape `own` only in the row that is made.
    func readsOwnRow(_ input: ValueID, of own: [Int]) -> Bool {
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

    mutating func placeReduce(
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
}
