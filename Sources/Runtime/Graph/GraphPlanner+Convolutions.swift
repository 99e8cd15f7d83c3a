internal import CKernels
internal import Programs

/// Convolutions and pooling, recognised by writing their compositions again: a step stands for nothing but its expansion.
extension GraphPlanner {
    /// The most terms of a window: a panel of windows is each thread's scratch.
    private static let longestWindow = 1 << 16

    /// Places the ops from this one on as one convolution, and says how many they are.
    mutating func placeConvolution(_ number: Int) -> Int? {
        guard hoists, number + 3 < operations.count,
            case .gather(let pieces, 0) = operations[number].operation, pieces.count == 1,
            case .gather(let filters, _) = operations[number + 2].operation, filters.count == 1
        else { return nil }
        let (input, weight) = (pieces[0].source, filters[0].source)
        let spatial = shape(input).count - 2
        guard spatial == 1 || spatial == 2, type(input).element == .f32, type(weight).element == .f32,
            shape(weight).count == spatial + 2, !isConstant[leading + number],
            let window = SlidingWindow(pieces[0], places: 1..<1 + spatial, elements: 2 + spatial..<2 + 2 * spatial),
            let images = ImageWindows(window, input: access(input), shape: shape(input)),
            images.depth <= GraphPlanner.longestWindow
        else { return nil }
        let results = shape(weight)[0]
        guard let found = convolution(number, input, weight, window, results: results) else { return nil }
        let (graph, out, bias) = found
        let wanted = WeightAccess(
            access: access(weight), element: .f32, n: results, k: images.depth, row: images.depth, step: 1,
            isFilters: !ConvolutionStep.holdsWindows(images, results: results, variant))
        guard access(weight).isRowMajor(shape(weight)), isPackedOnce(wanted) else { return nil }
        accesses[Int(out.index)] = Access(whole: out, shape: shape(out))
        let step = ConvolutionStep(
            out: out, windows: images, results: results, packed: nil, bias: bias, residual: nil, variant: variant)
        append(.convolution(step), makes: out, reads: [images.input.root] + (bias.map { [$0.root] } ?? []))
        weights.append((steps.count - 1, wanted))
        return graph.operations.count
    }

    /// The ops from this one on as a convolution, with its bias or without.
    private func convolution(
        _ number: Int, _ input: ValueID, _ weight: ValueID, _ window: SlidingWindow, results: Int
    ) -> (graph: GraphBuilder, out: ValueID, bias: Access?)? {
        let start = GraphBuilder(leading: Array(types[..<(leading + number)]))
        if number + 4 < operations.count, case .map(_, let added) = operations[number + 4].operation, added.count == 2,
            Int(added[1].index) < leading + number, shape(added[1]) == [results], type(added[1]).element == .f32,
            let bias = accesses[Int(added[1].index)], bias.isRowMajor([results]), !open.makes(bias.root)
        {
            var graph = start
            let out = graph.convolution(input, weight: weight, bias: added[1], window)
            if stands(graph, number, leaving: [out]) { return (graph, out, bias) }
        }
        var graph = start
        let out = graph.convolution(input, weight: weight, bias: nil, window)
        return stands(graph, number, leaving: [out]) ? (graph, out, nil) : nil
    }

    /// The same for the greatest element of windows.
    mutating func placeMaximumPool(_ number: Int) -> Int? {
        guard case .gather(let pieces, 0xFF80_0000) = operations[number].operation, pieces.count == 1 else {
            return nil
        }
        let input = pieces[0].source
        let spatial = shape(input).count - 2
        guard spatial == 1 || spatial == 2, type(input).element == .f32, !isConstant[leading + number],
            let window = SlidingWindow(pieces[0], places: 2..<2 + spatial, elements: 2 + spatial..<2 + 2 * spatial),
            let images = ImageWindows(window, input: access(input), shape: shape(input))
        else { return nil }
        var graph = GraphBuilder(leading: Array(types[..<(leading + number)]))
        let out = graph.reduce(.maximum, graph.windows(input, window, fill: 0xFF80_0000))
        guard stands(graph, number, leaving: [out]) else { return nil }
        accesses[Int(out.index)] = Access(whole: out, shape: shape(out))
        append(
            .maximumPool(MaximumPoolStep(out: out, windows: images, variant: variant)), makes: out,
            reads: [images.input.root])
        return graph.operations.count
    }

    /// Lets a convolution do what this map does to its result, where nothing else reads that: add a tensor of the same shape that is there before it, or take
    /// what is below zero as zero.
    mutating func joinsConvolution(_ expression: MapExpression, _ inputs: [ValueID], _ value: ValueID) -> Bool {
        let nodes = expression.nodes
        guard nodes.count == 3, type(value).element == .f32, case .operation(let operation, let arguments) = nodes[2],
            arguments.count == 2, case .input(let first) = nodes[Int(arguments[0])]
        else { return false }
        switch (operation, nodes[Int(arguments[1])]) {
        case (.maximum, .constant(.f32, bits: 0)):
            guard let (index, found) = convolution(inputs[Int(first)], readBy: value) else { return false }
            var step = found
            step.isRectified = true
            replace(index, step, by: value)
            return true
        case (.add, .input(let second)):
            let (x, y) = (inputs[Int(first)], inputs[Int(second)])
            for (sum, residual) in [(x, y), (y, x)] {
                guard let (index, found) = convolution(sum, readBy: value), found.residual == nil,
                    shape(residual) == shape(value), type(residual).element == .f32
                else { continue }
                let access = access(residual)
                guard access.isRowMajor(shape(residual)), access.root != found.out,
                    isThere(access.root, before: index)
                else { continue }
                var step = found
                step.residual = access
                replace(index, step, by: value)
                lastRead[access.root.index] = max(index, lastRead[access.root.index] ?? index)
                return true
            }
            return false
        default: return false
        }
    }

    /// The convolution that makes a value of which this op alone is the reader, where it does nothing yet to what is below zero.
    private func convolution(_ input: ValueID, readBy value: ValueID) -> (index: Int, step: ConvolutionStep)? {
        let access = access(input)
        guard shape(input) == shape(value), access.isWhole(shape(value)), let index = made[access.root.index],
            case .convolution(let step) = steps[index], step.out == access.root, !step.isRectified,
            types[Int(access.root.index)].count == type(value).count, !isReadOutside(access.root, [value])
        else { return nil }
        return (index, step)
    }

    private func isThere(_ root: ValueID, before index: Int) -> Bool {
        Int(root.index) < leading || storage[root.index] == .constant || made[root.index].map { $0 < index } == true
    }

    private mutating func replace(_ index: Int, _ step: ConvolutionStep, by value: ValueID) {
        made[step.out.index] = nil
        made[value.index] = index
        var step = step
        step.out = value
        steps[index] = .convolution(step)
    }
}

extension SlidingWindow {
    /// The windows that a piece brings together: which axes of its box are the windows' places, and which the elements within one. Other axes are not looked at.
    init?(_ piece: GatherPiece, places: Range<Int>, elements: Range<Int>) {
        guard piece.coordinates.count == places.count + 2, piece.size.count > elements.upperBound - 1 else {
            return nil
        }
        var (strides, dilations, before) = ([Int64](), [Int64](), [Int64]())
        for (axis, coordinate) in piece.coordinates.dropFirst(2).enumerated() {
            let terms = coordinate.terms
            guard terms.count == 2, Int(terms[0].axis) == places.lowerBound + axis,
                Int(terms[1].axis) == elements.lowerBound + axis, coordinate.offset > -(1 << 32),
                coordinate.offset <= 0
            else { return nil }
            strides.append(terms[0].coefficient)
            dilations.append(terms[1].coefficient)
            before.append(-coordinate.offset)
        }
        self.init(
            kernel: elements.map { piece.size[$0].factor }, strides: strides, dilations: dilations, before: before,
            size: places.map { piece.size[$0].factor })
    }
}
