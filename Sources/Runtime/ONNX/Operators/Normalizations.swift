internal import Programs

extension ONNXOperators {
    /// Normalisations.
    static let normalizations: Table = [
        "BatchNormalization": { try $0.batchNormalization($1) },
        "LayerNormalization": { lowering, call in
            try lowering.layerNormalization(
                try lowering.float(call, 0), scale: try call.input(1), bias: call.optional(2),
                axis: try call.integer("axis", -1), epsilon: try call.float("epsilon", 1e-5), call)
        },
        "InstanceNormalization": { try $0.instanceNormalization($1) },
        "GroupNormalization": { try $0.groupNormalization($1) },
        "RMSNormalization": { lowering, call in
            [
                try lowering.rootMeanSquare(
                    try lowering.float(call, 0), scale: try call.input(1), axis: try call.integer("axis", -1),
                    epsilon: try call.float("epsilon", 1e-5), call)
            ]
        },
        // What ONNX Runtime's optimizer writes, in this domain too.
        "SimplifiedLayerNormalization": { lowering, call in
            if call.wants(1) { throw call.fault("its second output is for training") }
            return [
                try lowering.rootMeanSquare(
                    try lowering.float(call, 0), scale: try call.input(1), axis: try call.integer("axis", -1),
                    epsilon: try call.float("epsilon", 1e-5), call)
            ]
        },
        "MeanVarianceNormalization": { try $0.meanVarianceNormalization($1) },
    ]
}

extension ONNXLowering {
    /// x·r + s with r = g/√(v + ε) and s = fma(−μ, r, b), per channel.
    func batchNormalization(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let x = try float(call, 0)
        if try call.flag("training_mode") { throw call.fault("it is in training mode") }
        if call.wants(1) { throw call.fault("its further outputs are for training") }
        let from = shape(x)
        let epsilon = try call.float("epsilon", 1e-5)
        guard from.count >= 2 else { throw call.fault("it takes [batch, channel, …]") }
        var vectors: [Operand] = []
        for place in 1...4 {
            let vector = try float(call, place)
            if shape(vector) != [from[1]] { throw call.fault("a setting of \(shape(vector)) does not fit \(from)") }
            vectors.append(vector)
        }
        let scale = try map(.f32, [vectors[0], vectors[3]], call, shape: [from[1]]) { e, n in
            let shifted = e.apply(.add, n[1], e.float(epsilon))
            let root = e.apply(.squareRoot, shifted)
            _ = e.apply(.divide, n[0], root)
        }
        let shift = try map(.f32, [vectors[2], scale, vectors[1]], call, shape: [from[1]]) { e, n in
            let negative = e.negated(n[0])
            _ = e.apply(.fma, negative, n[1], n[2])
        }
        let column = [from[1]] + from.dropFirst(2).map { _ in 1 }
        return [
            try map(
                .f32, [x, try reshape(scale, column, call), try reshape(shift, column, call)], call
            ) { e, n in _ = e.apply(.fma, n[0], n[1], n[2]) }
        ]
    }

    /// Over all axes from one on; also the mean and 1/√(v + ε) where somebody reads them.
    func layerNormalization(
        _ x: Operand, scale: Operand, bias: Operand?, axis number: Int, epsilon: Float, _ call: ONNXCall
    ) throws(ONNXFault) -> [Operand] {
        let from = shape(x)
        let axis = try call.axis(number, rank: from.count)
        let normal = Array(from[axis...])
        let width = normal.reduce(1, *)
        func vector(_ operand: Operand) throws(ONNXFault) -> ValueID {
            if element(operand) != .f32 { throw call.fault("a setting of it is \(element(operand))") }
            return value(try reshape(try broadcast(operand, to: normal, call), [width], call))
        }
        let gain = try vector(scale)
        let shift = try vector(
            bias ?? .constant(ConstantTensor(.f32, normal, .splat(0))))
        let rows = value(try reshape(x, [from[..<axis].reduce(1, *), width], call))
        let result = graph.layerNorm(
            rows, gain: gain, bias: shift, width: Float(width).bitPattern, epsilon: epsilon.bitPattern)
        var results = [try reshape(.value(result), from, call)]
        if call.outputCount > 1 {
            let statistics = from[..<axis] + normal.map { _ in 1 }
            let mean = try quotient(reduce(.sum, .value(rows)), width, call)
            let column = Operand.value(graph.column(value(mean)))
            let square = try map(.f32, [.value(rows), column], call) { e, n in
                let difference = e.apply(.subtract, n[0], n[1])
                _ = e.apply(.multiply, difference, difference)
            }
            let variance = try quotient(reduce(.sum, square), width, call)
            let inverse = try map(.f32, [variance], call) { e, n in
                let shifted = e.apply(.add, n[0], e.float(epsilon))
                let root = e.apply(.squareRoot, shifted)
                _ = e.apply(.divide, e.float(1), root)
            }
            results.append(try reshape(mean, Array(statistics), call))
            results.append(try reshape(inverse, Array(statistics), call))
        }
        return results
    }

    func quotient(_ sum: Operand, _ count: Int, _ call: ONNXCall) throws(ONNXFault) -> Operand {
        try map(.f32, [sum], call) { e, n in _ = e.apply(.divide, n[0], e.float(Float(count))) }
    }

    func instanceNormalization(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let (x, scale, bias) = (try float(call, 0), try float(call, 1), try float(call, 2))
        let from = shape(x)
        guard from.count >= 3, shape(scale) == [from[1]], shape(bias) == [from[1]] else {
            throw call.fault("a scale of \(shape(scale)) does not fit \(from)")
        }
        let width = from.dropFirst(2).reduce(1, *)
        let rows = try reshape(x, [from[0], from[1], width], call)
        let result = graph.layerNorm(
            value(rows), gain: value(try reshape(scale, [from[1], 1], call)),
            bias: value(try reshape(bias, [from[1], 1], call)), width: Float(width).bitPattern,
            epsilon: try call.float("epsilon", 1e-5).bitPattern)
        return [try reshape(.value(result), from, call)]
    }

    /// (x − μ)·(1/√(v + ε)) over the last axis.
    func standardized(_ rows: Operand, epsilon: Float, _ call: ONNXCall) throws(ONNXFault) -> Operand {
        let width = shape(rows).last ?? 1
        let mean = graph.column(value(try quotient(reduce(.sum, rows), width, call)))
        let difference = try map(.f32, [rows, .value(mean)], call) { e, n in _ = e.apply(.subtract, n[0], n[1]) }
        let square = try map(.f32, [difference], call) { e, n in _ = e.apply(.multiply, n[0], n[0]) }
        let variance = graph.column(value(try quotient(reduce(.sum, square), width, call)))
        return try map(.f32, [difference, .value(variance)], call) { e, n in
            let shifted = e.apply(.add, n[1], e.float(epsilon))
            let root = e.apply(.squareRoot, shifted)
            let inverse = e.apply(.divide, e.float(1), root)
            _ = e.apply(.multiply, n[0], inverse)
        }
    }

    func groupNormalization(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let (x, scale, bias) = (try float(call, 0), try float(call, 1), try float(call, 2))
        let from = shape(x)
        let groups = try call.required("num_groups")
        guard from.count >= 2, groups >= 1, from[1] % groups == 0, shape(scale) == shape(bias),
            shape(scale) == [from[1]] || shape(scale) == [groups]
        else { throw call.fault("a scale of \(shape(scale)) does not fit \(from)") }
        let width = from.dropFirst(2).reduce(1, *)
        let rows = try reshape(x, [from[0], groups, from[1] / groups * width], call)
        var normal = try standardized(rows, epsilon: try call.float("epsilon", 1e-5), call)
        var column = [groups, 1]
        // The scale is of the channels since opset 21, of the groups before.
        if shape(scale) == [from[1]] && from[1] != groups {
            normal = try reshape(normal, [from[0], from[1], width], call)
            column = [from[1], 1]
        }
        let result = try map(
            .f32, [normal, try reshape(scale, column, call), try reshape(bias, column, call)], call
        ) { e, n in _ = e.apply(.fma, n[0], n[1], n[2]) }
        return [try reshape(result, from, call)]
    }

    /// (x·(1/√(ROW(x²)/n + ε)))·g over all axes from one on.
    func rootMeanSquare(
        _ x: Operand, scale: Operand, axis number: Int, epsilon: Float, _ call: ONNXCall
    ) throws(ONNXFault) -> Operand {
        let from = shape(x)
        let axis = try call.axis(number, rank: from.count)
        let normal = Array(from[axis...])
        let width = normal.reduce(1, *)
        if element(scale) != .f32 { throw call.fault("its scale is \(element(scale))") }
        let gain = try reshape(try broadcast(scale, to: normal, call), [width], call)
        let rows = try reshape(x, Array(from[..<axis]) + [width], call)
        let square = try map(.f32, [rows], call) { e, n in _ = e.apply(.multiply, n[0], n[0]) }
        let squares = graph.column(value(reduce(.sum, square)))
        let factor = try map(.f32, [.value(squares)], call) { e, n in
            let mean = e.apply(.divide, n[0], e.float(Float(width)))
            let shifted = e.apply(.add, mean, e.float(epsilon))
            let root = e.apply(.squareRoot, shifted)
            _ = e.apply(.divide, e.float(1), root)
        }
        let result = try map(.f32, [rows, factor, gain], call) { e, n in
            let product = e.apply(.multiply, n[0], n[1])
            _ = e.apply(.multiply, product, n[2])
        }
        return try reshape(result, from, call)
    }

    /// (x − μ)/(√v + 10⁻⁹).
    func meanVarianceNormalization(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let x = try float(call, 0)
        let from = shape(x)
        let axes = axes(try call.axes(try call.integers("axes") ?? [0, 2, 3], rank: from.count), of: from)
        func mean(_ x: Operand) throws(ONNXFault) -> Operand {
            try reshape(
                try quotient(reduce(.sum, try rows(x, axes, call)), axes.count, call), axes.keepsRank, call)
        }
        let difference = try map(.f32, [x, try mean(x)], call) { e, n in _ = e.apply(.subtract, n[0], n[1]) }
        let square = try map(.f32, [difference], call) { e, n in _ = e.apply(.multiply, n[0], n[0]) }
        return [
            try map(.f32, [difference, try mean(square)], call) { e, n in
                let root = e.apply(.squareRoot, n[1])
                let divisor = e.apply(.add, root, e.float(1e-9))
                _ = e.apply(.divide, n[0], divisor)
            }
        ]
    }
}
