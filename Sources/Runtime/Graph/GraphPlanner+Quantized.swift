internal import Programs

/// Linear layers on whole numbers, recognised by writing their compositions again: a step stands for nothing but its expansion.
extension GraphPlanner {
    /// Places the ops from this one on as one step that rounds rows to eight bits, and says how many they are.
    mutating func placeRounded(_ number: Int) -> Int? {
        guard let input = quantizedInput(number) else { return nil }
        var graph = GraphBuilder(leading: Array(types[..<(leading + number)]))
        let rows = graph.rounded(input)
        let kept: Set<ValueID> = [rows.words, rows.scale, rows.top, rows.place]
        guard stands(graph, number, leaving: kept), let lines = quantizedLines(input) else { return nil }
        let step = RoundRowsStep(
            rows: rows, input: lines.access, count: lines.count, width: lines.width, apart: lines.apart,
            variant: variant)
        place(.roundRows(step), reads: lines.access, makes: rows.words, all: kept)
        rounded[rows.words] = rows
        return graph.operations.count
    }

    /// The same for one that brings rows into two halves.
    mutating func placeHalved(_ number: Int) -> Int? {
        guard let input = quantizedInput(number) else { return nil }
        var graph = GraphBuilder(leading: Array(types[..<(leading + number)]))
        let rows = graph.halved(input)
        let kept: Set<ValueID> = [rows.high, rows.low, rows.power]
        guard stands(graph, number, leaving: kept), let lines = quantizedLines(input) else { return nil }
        let step = HalveRowsStep(
            rows: rows, input: lines.access, count: lines.count, width: lines.width, apart: lines.apart,
            variant: variant)
        place(.halveRows(step), reads: lines.access, makes: rows.high, all: kept)
        halved[rows.high] = rows
        return graph.operations.count
    }

    /// What an op takes the magnitude of, where rows of it could be whole numbers.
    private func quantizedInput(_ number: Int) -> ValueID? {
        guard case .map(let expression, let inputs) = operations[number].operation, inputs.count == 1,
            expression.nodes.count == 4, hoists, let width = shape(inputs[0]).last, width > 0,
            type(inputs[0]).element == .f32
        else { return nil }
        return inputs[0]
    }

    /// Rows that lie evenly apart, each in one piece.
    private func quantizedLines(_ input: ValueID) -> (access: Access, count: Int, width: Int, apart: Int)? {
        let own = shape(input)
        let access = access(input)
        let lines = JoinedAxes(Array(own.dropLast()), [Array(access.strides.dropLast())])
        guard let width = own.last, lines.shape.count <= 1, access.strides.last == 1 || width == 1 else { return nil }
        return (access, own.dropLast().reduce(1, *), width, lines.strides[0].first ?? width)
    }

    private mutating func place(_ step: PlanStep, reads: Access, makes main: ValueID, all: Set<ValueID>) {
        for value in all { accesses[Int(value.index)] = Access(whole: value, shape: shape(value)) }
        append(step, makes: main, reads: [reads.root])
        for value in all { made[value.index] = steps.count - 1 }
    }

    /// Places the product of such rows with a weight, and the bias that is added to it.
    mutating func placeWholeLinear(_ number: Int) -> Int? {
        guard case .contract(let left, let right, nil, false) = operations[number].operation,
            let rows = rounded[left], number + 3 < operations.count,
            case .map(_, let inputs) = operations[number + 3].operation, inputs.count == 4
        else { return nil }
        var graph = GraphBuilder(leading: Array(types[..<(leading + number)]))
        let product = graph.product(rows, words: right, scale: inputs[3], types[leading + number + 3])
        guard stands(graph, number, leaving: [product]),
            let weight = quantizedWeight([right], inputs[3], before: number)
        else { return nil }
        let (out, bias) = withBias(&graph, product, n: weight.n, number)
        let step = WholeLinearStep(
            out: out, rows: rows, m: shape(out).dropLast().reduce(1, *), n: weight.n, k: weight.k,
            columns: weight.columns,
            bias: bias, packed: nil, variant: variant)
        place(
            .wholeLinear(step), makes: out, weight.halves,
            reads: [rows.words, rows.scale, rows.top, rows.place, weight.columns.root] + (bias.map { [$0.root] } ?? []))
        return graph.operations.count
    }

    /// The same for rows in two halves.
    mutating func placeHalvedLinear(_ number: Int) -> Int? {
        guard case .contract(let left, let high, nil, false) = operations[number].operation,
            let rows = halved[left], number + 5 < operations.count,
            case .contract(_, let low, nil, false) = operations[number + 1].operation,
            case .map(_, let inputs) = operations[number + 5].operation, inputs.count == 3
        else { return nil }
        var graph = GraphBuilder(leading: Array(types[..<(leading + number)]))
        let own = HalvedWeight(high: high, low: low, powers: inputs[2])
        let product = graph.product(rows, own, types[leading + number + 5])
        guard stands(graph, number, leaving: [product]),
            let weight = quantizedWeight([high, low], inputs[2], before: number)
        else { return nil }
        let (out, bias) = withBias(&graph, product, n: weight.n, number)
        let step = HalvedLinearStep(
            out: out, rows: rows, m: shape(out).dropLast().reduce(1, *), n: weight.n, k: weight.k,
            columns: weight.columns,
            bias: bias, variant: variant)
        place(
            .halvedLinear(step), makes: out, weight.halves,
            reads: [rows.high, rows.low, rows.power, weight.columns.root] + (bias.map { [$0.root] } ?? []))
        return graph.operations.count
    }

    /// A weight whose halves, or its only part, are packed once, with a number for each column; all of it there before the op `number`.
    private mutating func quantizedWeight(
        _ values: [ValueID], _ numbers: ValueID, before number: Int
    ) -> (n: Int, k: Int, halves: [WeightAccess], columns: Access)? {
        guard shape(values[0]).count == 2, (values + [numbers]).allSatisfy({ Int($0.index) < leading + number }) else {
            return nil
        }
        let (n, k) = (shape(values[0])[0], shape(values[0])[1])
        let columns = access(numbers)
        guard shape(numbers) == [n], columns.isRowMajor([n]) else { return nil }
        var halves: [WeightAccess] = []
        for value in values {
            let weight = access(value)
            let wanted = WeightAccess(access: weight, element: .i8, n: n, k: k, row: k, step: 1)
            guard weight.isWhole([n, k]), isPackedOnce(wanted) else { return nil }
            halves.append(wanted)
        }
        return (n, k, halves, columns)
    }

    /// Adds the bias that the next op adds, where there is one; what is then made, and the bias.
    private func withBias(_ graph: inout GraphBuilder, _ product: ValueID, n: Int, _ number: Int) -> (ValueID, Access?)
    {
        let next = number + graph.operations.count
        guard next < operations.count, case .map(_, let added) = operations[next].operation, added.count == 2,
            shape(added[1]) == [n], type(added[1]).element == .f32, let given = accesses[Int(added[1].index)],
            given.isRowMajor([n]), !open.makes(given.root)
        else { return (product, nil) }
        var withBias = graph
        let sum = withBias.sum(product, added[1])
        guard stands(withBias, number, leaving: [sum]) else { return (product, nil) }
        graph = withBias
        return (sum, given)
    }

    private mutating func place(_ step: PlanStep, makes out: ValueID, _ halves: [WeightAccess], reads: [ValueID]) {
        accesses[Int(out.index)] = Access(whole: out, shape: shape(out))
        append(step, makes: out, reads: reads)
        for half in halves { weights.append((steps.count - 1, half)) }
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
