internal import CKernels
internal import Programs

/// Convolutions and pooling, recognised by writing their compositions again: a step stands for nothing but its expansion.
extension GraphPlanner {
    /// The most terms of a window: a panel of windows is each thread's scratch.
    private static let longestWindow = 1 << 16

    /// The most floats of a channel with its padding: each thread's scratch.
    private static let largestFrame = 1 << 22

    /// Places the ops from this one on as one convolution, and says how many they are.
    mutating func placeConvolution(_ number: Int) -> Int? {
        guard hoists, number + 3 < operations.count,
            case .gather(let pieces, 0) = operations[number].operation, pieces.count == 1,
            case .gather(let filters, _) = operations[number + 2].operation, filters.count == 1
        else { return nil }
        let (input, weight) = (pieces[0].source, filters[0].source)
        let spatial = shape(input).count - 2
        guard spatial == 1 || spatial == 2, type(input).element == .f32, type(weight).element == .f32,
            shape(weight).count == spatial + 2, !isConstant[leading + number]
        else { return nil }
        // Groups come first where there are any.
        let isSplit = pieces[0].size.count == 3 + 2 * spatial
        let groups = isSplit ? Int(clamping: pieces[0].size[0].factor) : 1
        let lead = isSplit ? 2 : 1
        guard groups > 0, shape(input)[1] % groups == 0,
            let window = SlidingWindow(
                pieces[0], places: lead..<lead + spatial, elements: lead + 1 + spatial..<lead + 1 + 2 * spatial),
            let images = ImageWindows(window, input: access(input), shape: shape(input), groups: groups),
            images.depth <= GraphPlanner.longestWindow
        else { return nil }
        let results = shape(weight)[0]
        guard results % groups == 0, access(weight).isRowMajor(shape(weight)), !open.makes(access(weight).root),
            let found = convolution(number, input, weight, window, results: results, groups: groups)
        else { return nil }
        let (graph, out, bias) = found
        var step = ConvolutionStep(
            out: out, windows: images, results: results, packed: nil, bias: bias, residual: nil, variant: variant)
        var reads = [images.input.root] + (bias.map { [$0.root] } ?? [])
        var wanted: WeightAccess?
        if groups > 1, images.channels == 1 {
            guard images.frame <= GraphPlanner.largestFrame else { return nil }
            step.filters = access(weight)
            reads.append(access(weight).root)
        } else {
            let filters = WeightAccess(
                access: access(weight), element: .f32, n: results, k: images.depth, row: images.depth, step: 1,
                isFilters: !step.holdsWindows, groups: groups)
            guard isPackedOnce(filters) else { return nil }
            wanted = filters
        }
        accesses[Int(out.index)] = Access(whole: out, shape: shape(out))
        append(.convolution(step), makes: out, reads: reads)
        if let wanted { weights.append((steps.count - 1, wanted)) }
        return graph.operations.count
    }

    /// The ops from this one on as a convolution, with its bias or without.
    private func convolution(
        _ number: Int, _ input: ValueID, _ weight: ValueID, _ window: SlidingWindow, results: Int, groups: Int
    ) -> (graph: GraphBuilder, out: ValueID, bias: Access?)? {
        let start = GraphBuilder(leading: Array(types[..<(leading + number)]))
        if let added = addedBias(number + 4), Int(added.index) < leading + number, shape(added) == [results],
            type(added).element == .f32, let bias = accesses[Int(added.index)], bias.isRowMajor([results]),
            !open.makes(bias.root)
        {
            var graph = start
            let out = graph.convolution(input, weight: weight, bias: added, groups: UInt64(groups), window)
            if stands(graph, number, leaving: [out]) { return (graph, out, bias) }
        }
        var graph = start
        let out = graph.convolution(input, weight: weight, bias: nil, groups: UInt64(groups), window)
        return stands(graph, number, leaving: [out]) ? (graph, out, nil) : nil
    }

    /// What a map adds, as it is or, where channels fall into groups, taken apart by the op before.
    private func addedBias(_ number: Int) -> ValueID? {
        guard number < operations.count else { return nil }
        if case .map(_, let added) = operations[number].operation, added.count == 2 { return added[1] }
        if case .gather(let pieces, _) = operations[number].operation, pieces.count == 1 { return pieces[0].source }
        return nil
    }

    /// The same for the greatest element of windows, or the sum of all.
    mutating func placePool(_ number: Int) -> Int? {
        guard case .gather(let pieces, let fill) = operations[number].operation, pieces.count == 1,
            fill == 0xFF80_0000 || fill == 0
        else { return nil }
        let input = pieces[0].source
        let spatial = shape(input).count - 2
        guard spatial == 1 || spatial == 2, type(input).element == .f32, !isConstant[leading + number],
            let window = SlidingWindow(pieces[0], places: 2..<2 + spatial, elements: 2 + spatial..<2 + 2 * spatial),
            let images = ImageWindows(window, input: access(input), shape: shape(input)),
            fill != 0 || images.frame <= GraphPlanner.largestFrame
        else { return nil }
        var graph = GraphBuilder(leading: Array(types[..<(leading + number)]))
        let out = graph.reduce(fill == 0 ? .sum : .maximum, graph.windows(input, window, fill: fill))
        guard stands(graph, number, leaving: [out]) else { return nil }
        accesses[Int(out.index)] = Access(whole: out, shape: shape(out))
        append(
            .pool(PoolStep(out: out, windows: images, isSum: fill == 0, variant: variant)), makes: out,
            reads: [images.input.root])
        return graph.operations.count
    }

    /// Lets a convolution do what this map does to its result, where nothing else reads that: add a tensor of the same shape that is there before it, or take
    /// what is below zero as zero, and then what is above a number as that.
    mutating func joinsConvolution(_ expression: MapExpression, _ inputs: [ValueID], _ value: ValueID) -> Bool {
        let nodes = expression.nodes
        guard nodes.count == 3, type(value).element == .f32, case .operation(let operation, let arguments) = nodes[2],
            arguments.count == 2, case .input(let first) = nodes[Int(arguments[0])]
        else { return false }
        switch (operation, nodes[Int(arguments[1])]) {
        case (.maximum, .constant(.f32, bits: 0)):
            guard let (index, found) = convolution(inputs[Int(first)], readBy: value), !found.isRectified else {
                return false
            }
            var step = found
            step.isRectified = true
            replace(index, step, by: value)
            return true
        case (.minimum, .constant(.f32, let bits)):
            let most = Float(bitPattern: UInt32(truncatingIfNeeded: bits))
            guard most > 0, let (index, found) = convolution(inputs[Int(first)], readBy: value), found.isRectified,
                found.most == nil
            else { return false }
            var step = found
            step.most = most
            replace(index, step, by: value)
            return true
        case (.add, .input(let second)):
            let (x, y) = (inputs[Int(first)], inputs[Int(second)])
            for (sum, residual) in [(x, y), (y, x)] {
                guard let (index, found) = convolution(sum, readBy: value), found.residual == nil,
                    !found.isRectified,
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

    /// The convolution that makes a value of which this op alone is the reader.
    private func convolution(_ input: ValueID, readBy value: ValueID) -> (index: Int, step: ConvolutionStep)? {
        let access = access(input)
        guard shape(input) == shape(value), access.isWhole(shape(value)), let index = made[access.root.index],
            case .convolution(let step) = steps[index], step.out == access.root,
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
    /// The windows that a piece brings together: which axes of its box are the windows' places, and which the elements within one. Other axes are not looked
    /// at.
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
