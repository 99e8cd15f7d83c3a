internal import Programs

/// Linear layers on whole numbers of eight bits, recognised by writing their compositions again: a step stands for nothing but its expansion.
extension GraphPlanner {
    /// Places the ops from this one on as one step that rounds rows, and says how many they are.
    mutating func placeRounded(_ number: Int) -> Int? {
        guard case .map(let expression, let inputs) = operations[number].operation, inputs.count == 1,
            expression.nodes.count == 4, hoists
        else { return nil }
        let own = shape(inputs[0])
        guard let width = own.last, width > 0, type(inputs[0]).element == .f32 else { return nil }
        var graph = GraphBuilder(leading: Array(types[..<(leading + number)]))
        let rows = graph.rounded(inputs[0])
        let kept: Set<ValueID> = [rows.words, rows.scale, rows.top, rows.place]
        guard stands(graph, number, leaving: kept) else { return nil }
        let access = access(inputs[0])
        let lines = JoinedAxes(Array(own.dropLast()), [Array(access.strides.dropLast())])
        guard lines.shape.count <= 1, access.strides.last == 1 || width == 1 else { return nil }
        for value in kept { accesses[Int(value.index)] = Access(whole: value, shape: shape(value)) }
        let step = RoundRowsStep(
            rows: rows, input: access, count: own.dropLast().reduce(1, *), width: width,
            apart: lines.strides[0].first ?? width, variant: variant)
        append(.roundRows(step), makes: rows.words, reads: [access.root])
        for value in kept { made[value.index] = steps.count - 1 }
        rounded[rows.words] = rows
        return graph.operations.count
    }

    /// The same for the product of such rows with a weight, and the bias that is added to it.
    mutating func placeWholeLinear(_ number: Int) -> Int? {
        guard case .contract(let left, let right, nil, false) = operations[number].operation,
            let rows = rounded[left], number + 3 < operations.count,
            case .map(_, let inputs) = operations[number + 3].operation, inputs.count == 4, shape(right).count == 2
        else { return nil }
        var graph = GraphBuilder(leading: Array(types[..<(leading + number)]))
        var out = graph.product(rows, words: right, scale: inputs[3], types[leading + number + 3])
        guard stands(graph, number, leaving: [out]) else { return nil }
        let (n, k) = (shape(right)[0], shape(right)[1])
        let (weight, columns) = (access(right), access(inputs[3]))
        let wanted = WeightAccess(access: weight, element: .i8, n: n, k: k, row: k, step: 1)
        guard weight.isWhole(shape(right)), shape(inputs[3]) == [n], columns.isRowMajor([n]), isPackedOnce(wanted)
        else { return nil }
        var bias: Access?
        if number + 4 < operations.count, case .map(_, let added) = operations[number + 4].operation, added.count == 2,
            shape(added[1]) == [n], type(added[1]).element == .f32, let given = accesses[Int(added[1].index)],
            given.isRowMajor([n]), !open.makes(given.root)
        {
            var withBias = graph
            let sum = withBias.sum(out, added[1])
            if stands(withBias, number, leaving: [sum]) { (graph, out, bias) = (withBias, sum, given) }
        }
        accesses[Int(out.index)] = Access(whole: out, shape: shape(out))
        let step = WholeLinearStep(
            out: out, rows: rows, m: shape(out).dropLast().reduce(1, *), n: n, k: k, columns: columns, bias: bias,
            packed: nil, variant: variant)
        append(
            .wholeLinear(step), makes: out,
            reads: [rows.words, rows.scale, rows.top, rows.place, columns.root] + (bias.map { [$0.root] } ?? []))
        weights.append((steps.count - 1, wanted))
        return graph.operations.count
    }

    /// Whether a graph's ops are the program's own from this one on, and nothing but them reads what they make, `left` aside.
    func stands(_ graph: GraphBuilder, _ number: Int, leaving left: Set<ValueID>) -> Bool {
        let end = number + graph.operations.count
        guard end <= operations.count, Array(operations[number..<end]) == graph.operations else { return false }
        return (number..<end).allSatisfy { own in
            let value = leading + own
            if left.contains(ValueID(value)) { return true }
            return !isResult[value] && consumers[value].allSatisfy { $0.operation < end }
        }
    }
}
