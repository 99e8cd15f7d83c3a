internal import Programs

extension ONNXOperators {
    /// The operators that ONNX Runtime's optimizer writes.
    static let microsoft: Table = [
        "FusedMatMul": { try $0.fusedProduct($1) },
        "FusedGemm": { lowering, call in
            [try lowering.activated(try lowering.generalProduct(call)[0], call)]
        },
        "FusedConv": { lowering, call in
            var result = try lowering.convolution(
                try lowering.float(call, 0), try lowering.float(call, 1), call.optional(2), call)
            if let other = call.optional(3) {
                result = try lowering.map(.f32, [result, other], call) { e, n in _ = e.apply(.add, n[0], n[1]) }
            }
            return [try lowering.activated(result, call)]
        },
        "Gelu": unary { e, x in _ = e.gelu(x) },
        "BiasGelu": { lowering, call in
            let (x, bias) = (try lowering.float(call, 0), try lowering.float(call, 1))
            return [
                try lowering.map(.f32, [x, bias], call) { e, n in
                    let sum = e.apply(.add, n[0], n[1])
                    _ = e.gelu(sum)
                }
            ]
        },
        "FastGelu": { lowering, call in
            var operands = [try lowering.float(call, 0)]
            if call.optional(1) != nil { operands.append(try lowering.float(call, 1)) }
            return [
                try lowering.map(.f32, operands, call) { e, n in
                    let sum = n.count == 2 ? e.apply(.add, n[0], n[1]) : n[0]
                    _ = e.geluByTanh(sum)
                }
            ]
        },
        "QuickGelu": { lowering, call in
            let alpha = try call.float("alpha", 1.702)
            return try swish(alpha)(lowering, call)
        },
        "SkipLayerNormalization": { try $0.skipNormalization($1, isSimple: false) },
        "SkipSimplifiedLayerNormalization": { try $0.skipNormalization($1, isSimple: true) },
        "SimplifiedLayerNormalization": { lowering, call in
            [
                try lowering.rootMeanSquare(
                    try lowering.float(call, 0), scale: try call.input(1), axis: try call.integer("axis", -1),
                    epsilon: try call.float("epsilon", 1e-5), call)
            ]
        },
        "EmbedLayerNormalization": { try $0.embedding($1) },
        "Attention": { try $0.packedAttention($1) }, "MultiHeadAttention": { try $0.headAttention($1) },
        "RotaryEmbedding": { try $0.rotaryByTable($1) },
        "MatMulIntegerToFloat": { try $0.scaledIntegerProduct($1) },
        "DynamicQuantizeMatMul": { try $0.dynamicProduct($1) },
        "QuantizeLinear": { try $0.quantized($1) }, "DequantizeLinear": { try $0.dequantized($1) },
    ]
}

extension ONNXLowering {
    func fusedProduct(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        var (a, b) = (try float(call, 0), try float(call, 1))
        let movesBatches = [try call.flag("transBatchA"), try call.flag("transBatchB")]
        if movesBatches.contains(true) { throw call.fault("it moves its batch axes") }
        guard shape(a).count >= 2, shape(b).count >= 2 else { throw call.fault("it takes matrices") }
        if try call.flag("transA") { a = transposeLast(a) }
        if try call.flag("transB") { b = transposeLast(b) }
        let alpha = try call.float("alpha", 1)
        let result = try product(a, b, call)
        if alpha == 1 { return [result] }
        return [try map(.f32, [result], call) { e, n in _ = e.apply(.multiply, n[0], e.float(alpha)) }]
    }

    /// The activation that a fused operator names.
    func activated(_ x: Operand, _ call: ONNXCall) throws(ONNXFault) -> Operand {
        let name = try call.string("activation", "")
        let settings = call.attributes["activation_params"]?.floats.map { Float(bitPattern: $0) } ?? []
        return try map(.f32, [x], call) { e, n in
            switch name {
            case "Relu": _ = e.apply(.maximum, n[0], e.float(0))
            case "Sigmoid": _ = e.sigmoid(n[0])
            case "Tanh": _ = e.apply(.tanh, n[0])
            case "LeakyRelu":
                let low = e.apply(.multiply, e.float(settings.first ?? 0.01), n[0])
                let isBelow = e.apply(.less, n[0], e.float(0))
                _ = e.apply(.select, isBelow, low, n[0])
            default: break
            }
        }.checked(["Relu", "Sigmoid", "Tanh", "LeakyRelu", ""].contains(name), call, "its activation is \(name)")
    }

    /// The sum of two tensors and a bias, normalised; the sum itself is the fourth output.
    func skipNormalization(_ call: ONNXCall, isSimple: Bool) throws(ONNXFault) -> [Operand] {
        let (x, skip) = (try float(call, 0), try float(call, 1))
        var sum = try map(.f32, [x, skip], call) { e, n in _ = e.apply(.add, n[0], n[1]) }
        if shape(sum) != shape(x) { throw call.fault("\(shape(skip)) does not fit \(shape(x))") }
        if let bias = call.optional(isSimple ? 3 : 4) {
            sum = try map(.f32, [sum, bias], call) { e, n in _ = e.apply(.add, n[0], n[1]) }
        }
        if call.wants(1) || call.wants(2) { throw call.fault("its mean and deviation are for training") }
        let epsilon = try call.float("epsilon", isSimple ? 1e-6 : 1e-12)
        let scale = try call.input(2)
        let normal: Operand
        if isSimple {
            normal = try rootMeanSquare(sum, scale: scale, axis: -1, epsilon: epsilon, call)
        } else {
            normal = try layerNormalization(
                sum, scale: scale, bias: call.optional(3), axis: -1, epsilon: epsilon, call)[0]
        }
        let nothing = Operand.constant(ConstantTensor(.f32, [0], .splat(0)))
        return [normal, nothing, nothing, sum]
    }

    /// BERT's embeddings: rows of words, positions and segments, normalised; and how many tokens each row's mask has.
    func embedding(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let ids = try call.input(0)
        let (words, places) = (try float(call, 2), try float(call, 3))
        guard shape(ids).count == 2, shape(words).count == 2, shape(places).count == 2 else {
            throw call.fault("its ids are \(shape(ids))")
        }
        let (batch, length) = (shape(ids)[0], shape(ids)[1])
        if length > shape(places)[0] { throw call.fault("it has \(shape(places)[0]) positions for \(length) tokens") }
        func rows(_ table: Operand, _ ids: Operand) throws(ONNXFault) -> Operand {
            try take(table, axis: 0, try index(ids, size: shape(table)[0], call), call)
        }
        var sum = try rows(words, ids)
        let position: Operand
        if let given = call.optional(8) {
            position = try rows(places, given)
        } else {
            position = .value(graph.slice(value(places), axis: 0, start: 0, size: Dimension(UInt64(length))))
        }
        sum = try map(.f32, [sum, position], call) { e, n in _ = e.apply(.add, n[0], n[1]) }
        if let segments = call.optional(1), let table = call.optional(4) {
            sum = try map(.f32, [sum, try rows(table, segments)], call) { e, n in _ = e.apply(.add, n[0], n[1]) }
        }
        let normal = try layerNormalization(
            sum, scale: try call.input(5), bias: try call.input(6), axis: -1,
            epsilon: try call.float("epsilon", 1e-12), single(call))[0]
        var counts = Operand.constant(ConstantTensor([Int32](repeating: 0, count: batch)))
        if let mask = call.optional(7) { counts = reduce(.sum, try cast(mask, to: .i32, call)) }
        return [normal, counts, sum]
    }

    /// The call as one with a single output, for the parts of which it is made.
    private func single(_ call: ONNXCall) -> ONNXCall {
        ONNXCall(
            operation: call.operation, domain: call.domain, title: call.title, version: call.version,
            inputs: call.inputs, outputCount: 1, attributes: call.attributes, wantsOutput: [true])
    }

    /// Query, key and value from one product; mask of lengths [batch] or of truth [batch, length].
    func packedAttention(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let (x, weight) = (try float(call, 0), try float(call, 1))
        let heads = try call.required("num_heads")
        for place in [4, 6] where call.optional(place) != nil { throw call.fault("it has a past of keys") }
        if call.wants(1) { throw call.fault("it gives out its keys") }
        guard shape(x).count == 3, shape(weight).count == 2 else { throw call.fault("its input is \(shape(x))") }
        var all = try product(x, weight, call)
        if let bias = call.optional(2) {
            all = try map(.f32, [all, bias], call) { e, n in _ = e.apply(.add, n[0], n[1]) }
        }
        let (batch, length, width) = (shape(all)[0], shape(all)[1], shape(all)[2])
        let sizes = try call.integers("qkv_hidden_sizes") ?? [width / 3, width / 3, width / 3]
        guard sizes.count == 3, sizes.allSatisfy({ $0 >= 1 }), sizes.reduce(0, +) == width else {
            throw call.fault("its widths are \(sizes)")
        }
        func part(_ start: Int, _ size: Int) throws(ONNXFault) -> Operand {
            try self.heads(
                .value(graph.slice(value(all), axis: 2, start: Int64(start), size: Dimension(UInt64(size)))), heads,
                call)
        }
        let query = try part(0, sizes[0])
        let (key, values) = (try part(sizes[0], sizes[1]), try part(sizes[0] + sizes[1], sizes[2]))
        var form = try form(call, width: sizes[0] / heads)
        form.mask = call.optional(5)
        if try call.flag("unidirectional") {
            form.extent = .constant(
                ConstantTensor((1...max(1, length)).prefix(length).map { Int32(clamping: $0) }, shape: [1, 1, length]))
        }
        if let mask = call.optional(3) {
            if shape(mask) == [batch] && form.extent == nil {
                form.extent = try broadcast(
                    try reshape(try cast(mask, to: .i32, call), [batch, 1, 1], call), to: [batch, 1, length], call)
            } else if shape(mask) == [batch, length] {
                try add(padding: mask, to: &form, call)
            } else {
                throw call.fault("a mask of \(shape(mask)) is of a form that is not taken")
            }
        }
        return [try merged(try attention(query: query, key: key, value: values, form, call).result, call)]
    }

    private func form(_ call: ONNXCall, width: Int) throws(ONNXFault) -> AttentionForm {
        let scale = try call.float("scale", 0)
        return AttentionForm(scale: scale == 0 ? 1 / Float(max(1, width)).squareRoot() : scale)
    }

    /// What a padding mask, 1 for a token, adds to the scores.
    private func add(padding mask: Operand, to form: inout AttentionForm, _ call: ONNXCall) throws(ONNXFault) {
        let filter = try call.float("mask_filter_value", -10_000)
        let (batch, length) = (shape(mask)[0], shape(mask)[1])
        let wide = try reshape(try cast(mask, to: .i32, call), [batch, 1, 1, length], call)
        let added = try map(.f32, [wide], call) { e, n in
            let isSeen = e.apply(.notEqual, n[0], e.integer(0, .i32))
            _ = e.apply(.select, isSeen, e.float(0), e.float(filter))
        }
        if let other = form.mask {
            form.mask = try map(.f32, [added, other], call) { e, n in _ = e.apply(.add, n[0], n[1]) }
        } else {
            form.mask = added
        }
    }

    /// Query, key and value apart, each [batch, length, width].
    func headAttention(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let heads = try call.required("num_heads")
        for place in 6..<max(6, call.inputs.count) where call.optional(place) != nil {
            throw call.fault("it has a past of keys")
        }
        if call.wants(1) || call.wants(2) { throw call.fault("it gives out its keys") }
        var parts = [try float(call, 0), try float(call, 1), try float(call, 2)]
        let widths = parts.map { shape($0).last ?? 0 }
        if let bias = call.optional(3) {
            guard shape(bias) == [widths.reduce(0, +)] else { throw call.fault("its bias is \(shape(bias))") }
            var start = 0
            for place in 0..<3 {
                let own = graph.slice(
                    value(bias), axis: 0, start: Int64(start), size: Dimension(UInt64(widths[place])))
                parts[place] = try map(.f32, [parts[place], .value(own)], call) { e, n in
                    _ = e.apply(.add, n[0], n[1])
                }
                start += widths[place]
            }
        }
        let query = try self.heads(parts[0], heads, call)
        let key = shape(parts[1]).count == 4 ? parts[1] : try self.heads(parts[1], heads, call)
        let values = shape(parts[2]).count == 4 ? parts[2] : try self.heads(parts[2], heads, call)
        var form = try form(call, width: shape(query)[3])
        form.mask = call.optional(5)
        let (rows, reach) = (shape(query)[2], shape(key)[2])
        if try call.flag("unidirectional") {
            form.extent = .constant(
                ConstantTensor((0..<rows).map { Int32(clamping: $0 + 1 + reach - rows) }, shape: [1, 1, rows]))
        }
        if let mask = call.optional(4) {
            if shape(mask) == [shape(query)[0]] && form.extent == nil {
                form.extent = try broadcast(
                    try reshape(try cast(mask, to: .i32, call), [shape(mask)[0], 1, 1], call),
                    to: [shape(mask)[0], 1, rows], call)
            } else if shape(mask) == [shape(query)[0], reach] {
                try add(padding: mask, to: &form, call)
            } else {
                throw call.fault("a mask of \(shape(mask)) is of a form that is not taken")
            }
        }
        return [try merged(try attention(query: query, key: key, value: values, form, call).result, call)]
    }

    /// Positions are [batch, length], or one number: the first of a row of them.
    func rotaryByTable(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let (x, positions) = (try float(call, 0), try call.input(1))
        let from = shape(x)
        guard from.count == 3 || from.count == 4 else { throw call.fault("its input is \(from)") }
        let (batch, length) = (from[0], from.count == 3 ? from[1] : from[2])
        var places = positions
        if count(positions) == 1 && batch * length != 1 {
            let first = try reshape(try cast(positions, to: .i64, call), [1, 1], call)
            places = try map(.i64, [first], call, shape: [batch, length]) { e, n in
                _ = e.apply(.add, n[0], e.node(.index(1)))
            }
        }
        places = try reshape(places, [batch, length], call)
        return [
            try rotated(x, cosine: try float(call, 2), sine: try float(call, 3), positions: places, call)
        ]
    }

    /// (a − zₐ)(b − z_b)·(sₐ·s_b) + bias.
    private func scaled(
        _ sums: Operand, _ scaleA: Operand, _ scaleB: Operand, bias: Operand?, _ call: ONNXCall
    ) throws(ONNXFault) -> Operand {
        let left = count(scaleA) == 1 ? try reshape(scaleA, [], call) : scaleA
        let right = count(scaleB) == 1 ? try reshape(scaleB, [], call) : scaleB
        let factor = try map(.f32, [left, right], call) { e, n in _ = e.apply(.multiply, n[0], n[1]) }
        var operands = [sums, factor]
        if let bias { operands.append(bias) }
        return try map(.f32, operands, call) { e, n in
            let number = e.apply(.toF32, n[0])
            let product = e.apply(.multiply, number, n[1])
            if n.count == 3 { _ = e.apply(.add, product, n[2]) }
        }
    }

    func scaledIntegerProduct(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let sums = try integerProduct(try call.input(0), call.optional(4), try call.input(1), call.optional(5), call)
        return [
            try scaled(sums, try float(call, 2), try float(call, 3), bias: call.optional(6), call)
        ]
    }

    func dynamicProduct(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let (quantized, scale, zero) = try dynamically(try float(call, 0), call)
        let sums = try integerProduct(quantized, zero, try call.input(1), call.optional(3), call)
        return [try scaled(sums, scale, try float(call, 2), bias: call.optional(4), call)]
    }
}

extension Operand {
    /// Itself, where a condition holds.
    fileprivate func checked(_ holds: Bool, _ call: ONNXCall, _ reason: String) throws(ONNXFault) -> Operand {
        if !holds { throw call.fault(reason) }
        return self
    }
}
