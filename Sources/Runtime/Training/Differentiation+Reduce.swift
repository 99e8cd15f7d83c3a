internal import Programs

/// The way back through reductions of rows and through the selected contraction.
extension Differentiation {
    /// Zero from each row's extent on. `extent` broadcasts to the rows.
    mutating func masked(_ x: ValueID, _ extent: ValueID, _ shape: [Dimension]) -> ValueID {
        let reach = graph.column(extent)
        return graph.map(.f32, shape, [x, reach]) { e in
            let value = e.input(0)
            let end = e.apply(.toI64, e.input(1))
            let inside = e.apply(.less, e.node(.index(UInt8(shape.count - 1))), end)
            _ = e.apply(.select, inside, value, e.constant(bits: 0))
        }
    }

    /// A row's gradient: to all its elements that took part, or to the extreme one. Nil for a place, which does not move.
    mutating func reduced(
        _ reduction: Reduction, _ input: ValueID, _ extent: ValueID?, _ gradient: ValueID
    ) -> ValueID? {
        let own = graph.type(input).shape
        guard let kind = reduction.place else {
            if reduction != .sum { return nil }
            let column = graph.column(gradient)
            return extent.map { masked(column, $0, own) } ?? column
        }
        let column = graph.column(gradient)
        let place = graph.column(
            graph.append(
                .reduce(kind, input: input, extent: extent, prefix: false), TensorType(.i32, Array(own.dropLast()))))
        let part = graph.map(.f32, own, [column, place]) { e in
            let g = e.input(0)
            let taken = e.apply(.equal, e.node(.index(UInt8(own.count - 1))), e.apply(.toI64, e.input(1)))
            _ = e.apply(.select, taken, g, e.constant(bits: 0))
        }
        // A row of which nothing took part names its first element.
        return extent.map { masked(part, $0, own) } ?? part
    }

    /// Every partial result of a row: an element took part in all from its own place on.
    mutating func prefixed(
        _ reduction: Reduction, _ input: ValueID, _ extent: ValueID?, _ gradient: ValueID, _ number: Int
    ) throws(DifferentiationFault) -> ValueID? {
        let type = graph.type(input)
        let own = type.shape
        let part: ValueID
        if reduction == .sum {
            let sums = graph.append(
                .reduce(.sum, input: reversed(gradient), extent: nil, prefix: true), TensorType(.f32, own))
            part = reversed(sums)
        } else {
            guard let kind = reduction.place else { return nil }
            if type.count >= 1 << 31 {
                throw .unsupported(
                    op: number, "partial extremes of \(type.count) elements, whose places are counted in 32 bits")
            }
            let place = graph.append(
                .reduce(kind, input: input, extent: extent, prefix: true), TensorType(.i32, own))
            // Each element's number in the whole tensor.
            let length = own[own.count - 1].factor
            let rows = [Dimension(type.count / max(1, length)), Dimension(length)]
            let numbers = graph.map(.i32, rows, [graph.reshape(place, rows)]) { e in
                let place = e.apply(.toI64, e.input(0))
                let row = e.apply(.multiply, e.node(.index(0)), e.node(.constant(.i64, bits: length)))
                _ = e.apply(.toI32, e.apply(.add, row, place))
            }
            let count = Dimension(type.count)
            let sums = graph.append(
                .contract(
                    left: graph.reshape(numbers, [count]), right: graph.reshape(gradient, [1, count]), extent: nil,
                    selected: true), TensorType(.f32, [count, 1]))
            part = graph.reshape(sums, own)
        }
        return extent.map { masked(part, $0, own) } ?? part
    }

    /// The last axis from its end.
    private mutating func reversed(_ x: ValueID) -> ValueID {
        let shape = graph.type(x).shape
        let last = shape.count - 1
        var starts = [Int64](repeating: 0, count: shape.count)
        var steps = [Int64](repeating: 1, count: shape.count)
        (starts[last], steps[last]) = (Int64(clamping: shape[last].factor) - 1, -1)
        return graph.slice(x, starts: starts, steps: steps, sizes: shape)
    }

    /// A term was added where its index said, so that is where its gradient is read; an index outside gave it to nobody.
    mutating func add(selected indices: ValueID, _ right: ValueID, _ gradient: ValueID, _ number: Int) {
        let part = graph.gather(
            gradient, graph.type(right).shape, [Coordinate(table: indices, tableAxes: [1]), .axis(0)])
        add(part, to: right, reader: number, operand: 1)
    }
}

extension Reduction {
    /// What gives the place of an extreme; nil for what is none.
    fileprivate var place: Reduction? {
        switch self {
        case .maximum: .argumentOfMaximum
        case .minimum: .argumentOfMinimum
        case .sum, .argumentOfMaximum, .argumentOfMinimum: nil
        }
    }
}
