internal import Programs

extension ONNXOperators {
    /// Over axes: sums, extremes, softmax.
    static let reductions: Table = [
        "ReduceSum": { try $0.reduced(.sum, $1) },
        "ReduceMean": { try $0.reduced(.sum, $1, isMean: true) },
        "ReduceMax": { try $0.reduced(.maximum, $1) }, "ReduceMin": { try $0.reduced(.minimum, $1) },
        "ReduceL1": { try $0.reduced(.sum, $1, before: { e, x in _ = e.magnitude(x) }) },
        "ReduceL2": {
            try $0.reduced(
                .sum, $1, before: { e, x in _ = e.apply(.multiply, x, x) },
                after: { e, x in _ = e.apply(.squareRoot, x) })
        },
        "ReduceSumSquare": { try $0.reduced(.sum, $1, before: { e, x in _ = e.apply(.multiply, x, x) }) },
        "ReduceLogSum": { try $0.reduced(.sum, $1, after: { e, x in _ = e.apply(.log, x) }) },
        "ReduceLogSumExp": { try $0.reducedLogSumExp($1) }, "ReduceProd": { try $0.reducedProduct($1) },
        "ArgMax": { try $0.argument(.argumentOfMaximum, $1) }, "ArgMin": { try $0.argument(.argumentOfMinimum, $1) },
        "CumSum": { try $0.cumulativeSum($1) }, "Softmax": { try $0.softmax($1, isLog: false) },
        "LogSoftmax": { try $0.softmax($1, isLog: true) }, "Hardmax": { try $0.hardmax($1) },
        "LpNormalization": { try $0.normalizedByNorm($1) },
    ]
}

extension ONNXLowering {
    /// What a reduction goes over: the axes, and the shape that is left.
    struct Axes {
        let axes: [Int]
        let kept: [Int]
        let keepsRank: [Int]
        let count: Int
    }

    /// The axes of a reduction, from the input since opset 18 (13 for sums), the attribute before.
    func reductionAxes(_ x: Operand, _ call: ONNXCall) throws(ONNXFault) -> Axes? {
        let from = shape(x)
        var list = try axes(call, 1) ?? []
        if list.isEmpty {
            if try call.flag("noop_with_empty_axes") { return nil }
            list = Array(from.indices)
        }
        return axes(try call.axes(list, rank: from.count), of: from)
    }

    func axes(_ axes: [Int], of from: [Int]) -> Axes {
        Axes(
            axes: axes, kept: from.indices.filter { !axes.contains($0) }.map { from[$0] },
            keepsRank: from.indices.map { axes.contains($0) ? 1 : from[$0] },
            count: axes.reduce(1) { $0 * from[$1] })
    }

    /// The axes joined into a last one, row-major.
    func rows(_ x: Operand, _ axes: Axes, _ call: ONNXCall) throws(ONNXFault) -> Operand {
        let rest = shape(x).indices.filter { !axes.axes.contains($0) }
        return try reshape(transpose(x, rest + axes.axes), axes.kept + [axes.count], call)
    }

    func reduce(_ reduction: Reduction, _ rows: Operand) -> Operand { .value(graph.reduce(reduction, value(rows))) }

    /// A reduction; i8, u8 and bool are reduced as i32.
    func reduced(
        _ reduction: Reduction, _ call: ONNXCall, isMean: Bool = false,
        before: ((inout ExpressionBuilder, UInt8) -> Void)? = nil,
        after: ((inout ExpressionBuilder, UInt8) -> Void)? = nil
    ) throws(ONNXFault) -> [Operand] {
        var x = try call.input(0)
        let element = element(x)
        if (before != nil || after != nil) && element != .f32 { throw call.fault("it does not take \(element)") }
        let isSmall = [.i8, .u8, .bool].contains(element)
        if isSmall && reduction == .sum { throw call.fault("it does not take \(element)") }
        let axes = try reductionAxes(x, call)
        if let before { x = try map(.f32, [x], call) { e, n in before(&e, n[0]) } }
        var result = x
        if let axes {
            if isSmall { x = try cast(x, to: .i32, call) }
            result = reduce(reduction, try rows(x, axes, call))
            if isMean {
                result = try numeric([result], call) { e, n, element in
                    let count = element == .f32 ? e.float(Float(axes.count)) : e.integer(axes.count, element)
                    _ = e.apply(.divide, n[0], count)
                }
            }
            if isSmall {
                // Over no element the i32 extreme is outside the narrower type: its own is meant.
                let bounds: [ElementType: (Int, Int)] = [.i8: (-128, 127), .u8: (0, 255), .bool: (0, 1)]
                let (low, high) = bounds[element] ?? (0, 0)
                result = try map(.i32, [result], call) { e, n in
                    let raised = e.apply(.maximum, n[0], e.integer(low, .i32))
                    _ = e.apply(.minimum, raised, e.integer(high, .i32))
                }
                result = try cast(result, to: element, call)
            }
            if try call.flag("keepdims", true) { result = try reshape(result, axes.keepsRank, call) }
        }
        if let after { result = try map(.f32, [result], call) { e, n in after(&e, n[0]) } }
        return [result]
    }

    /// log(ROW(exp(x − m))) + m with m the greatest; 0 in its place where it is infinite.
    func reducedLogSumExp(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let x = try float(call, 0)
        guard let axes = try reductionAxes(x, call) else { return [x] }
        let rows = try rows(x, axes, call)
        let column = graph.column(graph.reduce(.maximum, value(rows)))
        let greatest = try map(.f32, [.value(column)], call) { e, n in
            let difference = e.apply(.subtract, n[0], n[0])
            let isFinite = e.apply(.equal, difference, e.float(0))
            _ = e.apply(.select, isFinite, n[0], e.float(0))
        }
        let exponentials = try map(.f32, [rows, greatest], call) { e, n in
            let difference = e.apply(.subtract, n[0], n[1])
            _ = e.apply(.exp, difference)
        }
        let sum = try reshape(reduce(.sum, exponentials), shape(greatest), call)
        let result = try map(.f32, [sum, greatest], call) { e, n in
            let logarithm = e.apply(.log, n[0])
            _ = e.apply(.add, logarithm, n[1])
        }
        return [try reshape(result, try call.flag("keepdims", true) ? axes.keepsRank : axes.kept, call)]
    }

    /// A product of few elements, left to right.
    func reducedProduct(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let x = try call.input(0)
        guard let axes = try reductionAxes(x, call) else { return [x] }
        let element = element(x)
        guard [.f32, .i32, .i64].contains(element) else { throw call.fault("it does not take \(element)") }
        if axes.count > 256 { throw call.fault("a product of \(axes.count) elements has no primitive") }
        let rows = try rows(x, axes, call)
        let one = ConstantTensor(element, axes.kept, .splat(element == .f32 ? 0x3F80_0000 : 1))
        var product = Operand.constant(one)
        for place in 0..<axes.count {
            let part = graph.slice(value(rows), axis: axes.kept.count, start: Int64(place), size: 1)
            let next = try reshape(.value(part), axes.kept, call)
            if place == 0 {
                product = next
            } else {
                product = try map(element, [product, next], call) { e, n in _ = e.apply(.multiply, n[0], n[1]) }
            }
        }
        return [try reshape(product, try call.flag("keepdims", true) ? axes.keepsRank : axes.kept, call)]
    }

    func argument(_ reduction: Reduction, _ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        var x = try call.input(0)
        let from = shape(x)
        let axis = try call.axis(try call.integer("axis", 0), rank: from.count)
        if [.i8, .u8].contains(element(x)) { x = try cast(x, to: .i32, call) }
        guard [.f32, .i32, .i64].contains(element(x)) else { throw call.fault("it does not take \(element(x))") }
        let axes = axes([axis], of: from)
        var rows = try rows(x, axes, call)
        let isLast = try call.flag("select_last_index")
        if isLast {
            var (starts, steps) = (shape(rows).map { _ in Int64(0) }, shape(rows).map { _ in Int64(1) })
            (starts[starts.count - 1], steps[steps.count - 1]) = (Int64(axes.count) - 1, -1)
            rows = .value(
                graph.slice(value(rows), starts: starts, steps: steps, sizes: try dimensions(shape(rows), call)))
        }
        let places = reduce(reduction, rows)
        var result = try map(.i64, [places], call) { e, n in
            let place = e.apply(.toI64, n[0])
            if isLast { _ = e.apply(.subtract, e.integer(axes.count - 1, .i64), place) }
        }
        if try call.flag("keepdims", true) { result = try reshape(result, axes.keepsRank, call) }
        return [result]
    }

    func cumulativeSum(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let x = try call.input(0)
        let from = shape(x)
        guard [.f32, .i32, .i64].contains(element(x)) else { throw call.fault("it does not take \(element(x))") }
        let numbers = try integers(try call.input(1), call)
        guard numbers.count == 1 else { throw call.fault("its axis is not one number") }
        let axis = try call.axis(numbers[0], rank: from.count)
        let (isExclusive, isReversed) = (try call.flag("exclusive"), try call.flag("reverse"))
        let (order, back) = last(axis, rank: from.count)
        var id = value(transpose(x, order))
        let type = graph.type(id)
        let rank = from.count
        func reversed(_ id: ValueID) -> ValueID {
            var (starts, steps) = ([Int64](repeating: 0, count: rank), [Int64](repeating: 1, count: rank))
            (starts[rank - 1], steps[rank - 1]) = (Int64(from[axis]) - 1, -1)
            return graph.slice(id, starts: starts, steps: steps, sizes: type.shape)
        }
        if isReversed { id = reversed(id) }
        id = graph.append(.reduce(.sum, input: id, extent: nil, prefix: true), type)
        if isExclusive {
            var (before, after) = ([Int64](repeating: 0, count: rank), [Int64](repeating: 0, count: rank))
            (before[rank - 1], after[rank - 1]) = (1, -1)
            if from[axis] > 0 { id = graph.pad(id, before: before, after: after) }
        }
        if isReversed { id = reversed(id) }
        return [transpose(.value(id), back)]
    }

    /// Runs a function of the last axis over the axis that a call names; before opset 13 over all axes from it on.
    func overAxis(
        _ call: ONNXCall, _ body: (ValueID) throws(ONNXFault) -> Operand
    ) throws(ONNXFault) -> [Operand] {
        let x = try float(call, 0)
        let from = shape(x)
        if from.isEmpty {
            return [try reshape(try body(value(try reshape(x, [1], call))), [], call)]
        }
        if call.version < 13 {
            let axis = try call.axis(try call.integer("axis", 1), rank: from.count)
            let flat = [from[..<axis].reduce(1, *), from[axis...].reduce(1, *)]
            return [try reshape(try body(value(try reshape(x, flat, call))), from, call)]
        }
        let (order, back) = last(
            try call.axis(try call.integer("axis", -1), rank: from.count), rank: from.count)
        return [transpose(try body(value(transpose(x, order))), back)]
    }

    func softmax(_ call: ONNXCall, isLog: Bool) throws(ONNXFault) -> [Operand] {
        try overAxis(call) { x in .value(isLog ? graph.logSoftmax(x) : graph.softmax(x)) }
    }

    /// 1 at the first greatest element of a row, 0 beside it.
    func hardmax(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        try overAxis(call) { x throws(ONNXFault) in
            let shape = graph.type(x).dimensions
            let place = graph.column(graph.reduce(.argumentOfMaximum, x))
            return try map(.f32, [.value(place)], call, shape: shape) { e, n in
                let number = e.apply(.toI64, n[0])
                let isHere = e.apply(.equal, number, e.node(.index(UInt8(shape.count - 1))))
                _ = e.apply(.select, isHere, e.float(1), e.float(0))
            }
        }
    }

    func normalizedByNorm(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let order = try call.integer("p", 2)
        guard order == 1 || order == 2 else { throw call.fault("it is of order \(order)") }
        let x = try float(call, 0)
        let from = shape(x)
        let axes = axes([try call.axis(try call.integer("axis", -1), rank: from.count)], of: from)
        let powers = try map(.f32, [x], call) { e, n in
            _ = order == 1 ? e.magnitude(n[0]) : e.apply(.multiply, n[0], n[0])
        }
        let sum = try reshape(reduce(.sum, try rows(powers, axes, call)), axes.keepsRank, call)
        return [
            try map(.f32, [x, sum], call) { e, n in
                let norm = order == 1 ? n[1] : e.apply(.squareRoot, n[1])
                // A row of zeros stays one.
                let isZero = e.apply(.equal, norm, e.float(0))
                let divisor = e.apply(.select, isZero, e.float(1), norm)
                _ = e.apply(.divide, n[0], divisor)
            }
        ]
    }
}
