internal import Programs

extension ONNXOperators {
    /// Eight-bit numbers: products are exact in i32.
    static let quantization: Table = [
        "QuantizeLinear": { try $0.quantized($1) }, "DequantizeLinear": { try $0.dequantized($1) },
        "DynamicQuantizeLinear": { try $0.dynamicallyQuantized($1) },
        "MatMulInteger": { lowering, call in
            [
                try lowering.integerProduct(
                    try call.input(0), call.optional(2), try call.input(1), call.optional(3), call)
            ]
        },
        "QLinearMatMul": { try $0.quantizedProduct($1) },
        "ConvInteger": { lowering, call in
            [
                try lowering.integerConvolution(
                    try call.input(0), call.optional(2), try call.input(1), call.optional(3), call
                ) { sums, _ in sums }
            ]
        },
        "QLinearConv": { try $0.quantizedConvolution($1) },
    ]
}

extension ONNXLowering {
    /// A scale or zero point beside its tensor: one number, one for each place of an axis, or one for each block of it.
    private func spread(
        _ setting: Operand, over from: [Int], _ call: ONNXCall
    ) throws(ONNXFault) -> Operand {
        let shape = shape(setting)
        if count(setting) == 1 { return try reshape(setting, [], call) }
        let axis = try call.axis(try call.integer("axis", 1), rank: from.count)
        let block = try call.integer("block_size", 0)
        if block > 0 {
            var expected = from
            expected[axis] = (from[axis] + block - 1) / block
            guard shape == expected else { throw call.fault("a scale of \(shape) does not fit \(from)") }
            let coordinates = from.indices.map { place in
                place == axis
                    ? Coordinate(
                        terms: [.init(axis: UInt8(axis), coefficient: 1)], quotient: Dimension(UInt64(block)))
                    : .axis(UInt8(place))
            }
            return try gather(setting, from, coordinates, call)
        }
        guard shape == [from[axis]] else { throw call.fault("a scale of \(shape) does not fit \(from)") }
        return try reshape(setting, [from[axis]] + from[(axis + 1)...].map { _ in 1 }, call)
    }

    private static let eightBit: [ElementType] = [.i8, .u8]

    func quantized(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let x = try call.input(0)
        guard [.f32, .i32].contains(element(x)) else { throw call.fault("it does not take \(element(x))") }
        var target = ElementType.u8
        if let zero = call.optional(2) {
            target = element(zero)
        } else if try call.integer("output_dtype", 0) != 0 {
            let number = try call.integer("output_dtype", 0)
            guard let element = ONNXStoredTensors.elements[number] else {
                throw call.fault("it makes \(ONNXStoredTensors.name(ofType: number))")
            }
            target = element
        }
        guard ONNXLowering.eightBit.contains(target) else { throw call.fault("it makes \(target)") }
        let scale = try spread(try float(call, 1), over: shape(x), call)
        var operands = [x, scale]
        if let zero = call.optional(2) { operands.append(try spread(zero, over: shape(x), call)) }
        let isFloat = element(x) == .f32
        return [
            try map(target, operands, call) { e, n in
                let value = isFloat ? n[0] : e.apply(.toF32, n[0])
                let quotient = e.apply(.divide, value, n[1])
                var rounded = e.apply(.roundToEven, quotient)
                if n.count == 3 {
                    let zero = e.apply(.toF32, n[2])
                    rounded = e.apply(.add, rounded, zero)
                }
                _ = e.apply(ONNXLowering.conversion(to: target), rounded)
            }
        ]
    }

    func dequantized(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let x = try call.input(0)
        guard [.i8, .u8, .i32].contains(element(x)) else { throw call.fault("it does not take \(element(x))") }
        var operands = [x, try spread(try float(call, 1), over: shape(x), call)]
        if let zero = call.optional(2) {
            if element(zero) != element(x) { throw call.fault("its zero point is \(element(zero))") }
            operands.append(try spread(zero, over: shape(x), call))
        }
        return [
            try map(.f32, operands, call) { e, n in
                var whole = e.apply(.toI32, n[0])
                if n.count == 3 {
                    let zero = e.apply(.toI32, n[2])
                    whole = e.apply(.subtract, whole, zero)
                }
                let number = e.apply(.toF32, whole)
                _ = e.apply(.multiply, number, n[1])
            }
        ]
    }

    func dynamicallyQuantized(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let (quantized, scale, zero) = try dynamically(try float(call, 0), call)
        return [quantized, scale, zero]
    }

    /// u8 with the scale (max − min)/255 over the whole tensor, zero taken in.
    func dynamically(
        _ x: Operand, _ call: ONNXCall
    ) throws(ONNXFault) -> (quantized: Operand, scale: Operand, zero: Operand) {
        let flat = try reshape(x, [count(x)], call)
        let (high, low) = (reduce(.maximum, flat), reduce(.minimum, flat))
        let scale = try map(.f32, [high, low], call) { e, n in
            let (top, bottom) = (e.apply(.maximum, n[0], e.float(0)), e.apply(.minimum, n[1], e.float(0)))
            let width = e.apply(.subtract, top, bottom)
            _ = e.apply(.divide, width, e.float(255))
        }
        let zero = try map(.u8, [low, scale], call) { e, n in
            let bottom = e.apply(.minimum, n[0], e.float(0))
            let negative = e.apply(.subtract, e.float(0), bottom)
            let quotient = e.apply(.divide, negative, n[1])
            _ = e.apply(.toU8, quotient)
        }
        let quantized = try map(.u8, [x, scale, zero], call) { e, n in
            let quotient = e.apply(.divide, n[0], n[1])
            let rounded = e.apply(.roundToEven, quotient)
            let offset = e.apply(.toF32, n[2])
            let sum = e.apply(.add, rounded, offset)
            _ = e.apply(.toU8, sum)
        }
        return (quantized, scale, zero)
    }

    // MARK: Products

    /// The operand as i8, 128 taken off where it is u8.
    private func signed(_ x: Operand, _ call: ONNXCall) throws(ONNXFault) -> Operand {
        switch element(x) {
        case .i8: return x
        case .u8:
            return try map(.i8, [x], call) { e, n in
                let wide = e.apply(.toI32, n[0])
                let shifted = e.apply(.subtract, wide, e.integer(128, .i32))
                _ = e.apply(.toI8, shifted)
            }
        default: throw call.fault("it does not take \(element(x))")
        }
    }

    /// The zero point of an operand as `signed` has it, i32 of a shape.
    private func zeroPoint(
        _ zero: Operand?, of x: Operand, _ shape: [Int], _ call: ONNXCall
    ) throws(ONNXFault) -> Operand {
        let offset = element(x) == .u8 ? 128 : 0
        guard let zero else {
            return .constant(ConstantTensor([Int32(-offset)], shape: []))
        }
        if element(zero) != element(x) { throw call.fault("its zero point is \(element(zero))") }
        let placed = try reshape(zero, count(zero) == 1 ? [] : shape, call)
        return try map(.i32, [placed], call) { e, n in
            let wide = e.apply(.toI32, n[0])
            _ = e.apply(.subtract, wide, e.integer(offset, .i32))
        }
    }

    /// Σ (a − zₐ)(b − z_b) = Σ ab − zₐ Σ b − z_b Σ a + k zₐ z_b, in i32: both operands with the common axis last.
    private func integerContraction(
        _ a: Operand, _ zeroA: Operand, _ b: Operand, _ zeroB: Operand, _ call: ONNXCall
    ) throws(ONNXFault) -> Operand {
        let common = shape(a).last ?? 0
        if common > 131_071 { throw call.fault("a product over \(common) could overflow") }
        var result = try contraction(a, b, call)
        func isZero(_ operand: Operand) -> Bool {
            if case .constant(let tensor) = operand, tensor.count > 0, tensor.scalar == 0 { return true }
            return false
        }
        func sums(_ x: Operand, isRow: Bool) throws(ONNXFault) -> Operand {
            let total = reduce(.sum, try cast(x, to: .i32, call))
            let shape = shape(total)
            return try reshape(total, isRow ? shape + [1] : shape.dropLast() + [1] + shape.suffix(1), call)
        }
        if !isZero(zeroA) {
            result = try map(.i32, [result, zeroA, try sums(b, isRow: false)], call) { e, n in
                let product = e.apply(.multiply, n[1], n[2])
                _ = e.apply(.subtract, n[0], product)
            }
        }
        if !isZero(zeroB) {
            // z_b (Σ a − k zₐ)
            result = try map(.i32, [result, zeroB, try sums(a, isRow: true), zeroA], call) { e, n in
                let whole = e.apply(.multiply, n[3], e.integer(common, .i32))
                let sum = e.apply(.subtract, n[2], whole)
                let product = e.apply(.multiply, n[1], sum)
                _ = e.apply(.subtract, n[0], product)
            }
        }
        return result
    }

    /// The exact product of eight-bit matrices less their zero points.
    func integerProduct(
        _ a: Operand, _ zeroA: Operand?, _ b: Operand, _ zeroB: Operand?, _ call: ONNXCall
    ) throws(ONNXFault) -> Operand {
        let (left, right) = (shape(a), shape(b))
        guard left.count >= 2, right.count >= 2, left[left.count - 1] == right[right.count - 2] else {
            throw call.fault("shapes \(left) and \(right) do not multiply")
        }
        let rows = try signed(a, call)
        let columns = transposeLast(try signed(b, call))
        // One zero point for each row of A, for each column of B.
        func placed(_ zero: Operand?, _ size: Int, isRow: Bool) -> [Int] {
            guard let zero else { return [] }
            if shape(zero).count <= 1 { return isRow ? [size, 1] : [size] }
            return shape(zero)
        }
        return try integerContraction(
            rows, try zeroPoint(zeroA, of: a, placed(zeroA, left[left.count - 2], isRow: true), call),
            columns, try zeroPoint(zeroB, of: b, placed(zeroB, right[right.count - 1], isRow: false), call), call)
    }

    /// rint(sum·(sₐ·s_b/s_y)) + z_y, cut to the type of the zero point.
    private func requantized(
        _ sums: Operand, scales: [Operand], zero: Operand, _ call: ONNXCall
    ) throws(ONNXFault) -> Operand {
        let target = element(zero)
        guard ONNXLowering.eightBit.contains(target) else { throw call.fault("it makes \(target)") }
        let factor = try map(.f32, scales, call) { e, n in
            let product = e.apply(.multiply, n[0], n[1])
            _ = e.apply(.divide, product, n[2])
        }
        return try map(target, [sums, factor, try reshape(zero, [], call)], call) { e, n in
            let number = e.apply(.toF32, n[0])
            let scaled = e.apply(.multiply, number, n[1])
            let rounded = e.apply(.roundToEven, scaled)
            let offset = e.apply(.toF32, n[2])
            let sum = e.apply(.add, rounded, offset)
            _ = e.apply(ONNXLowering.conversion(to: target), sum)
        }
    }

    func quantizedProduct(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let (a, b) = (try call.input(0), try call.input(3))
        let (scaleA, scaleB, scale) = (try float(call, 1), try float(call, 4), try float(call, 6))
        let sums = try integerProduct(a, try call.input(2), b, try call.input(5), call)
        let rowScale =
            count(scaleA) == 1
            ? try reshape(scaleA, [], call)
            : shape(scaleA).count == 1 ? try reshape(scaleA, [count(scaleA), 1], call) : scaleA
        let columnScale = count(scaleB) == 1 ? try reshape(scaleB, [], call) : scaleB
        return [
            try requantized(
                sums, scales: [rowScale, columnScale, try reshape(scale, [], call)], zero: try call.input(7), call)
        ]
    }

    /// A convolution of eight-bit numbers; `finish` is given the sums, [rows, results] or [groups, rows, results of a group], and the shape of a vector over
    /// the results beside them.
    func integerConvolution(
        _ x: Operand, _ zeroX: Operand?, _ weight: Operand, _ zeroW: Operand?, _ call: ONNXCall,
        finish: (Operand, [Int]) throws(ONNXFault) -> Operand
    ) throws(ONNXFault) -> Operand {
        let (from, filters) = (shape(x), shape(weight))
        let (groups, kernel) = try self.filters(x, weight, call)
        let window = try window(from, kernel: kernel, call).window
        let places = window.size.map { Int(clamping: $0) }
        _ = try dimensions([from[0], filters[0]] + places, call)
        let (results, width) = (filters[0], from[1] / groups * kernel.reduce(1, *))
        _ = try dimensions([from[0] * places.reduce(1, *), width * groups], call)
        // Padding holds the zero point, so that it adds nothing.
        let zero = try zeroPoint(zeroX, of: x, [], call)
        guard case .constant(let known) = zero, known.count == 1 else {
            if case .value(let id) = zero { _ = try self.known(.value(id), call) }
            throw call.fault("its zero point is not one number")
        }
        let fill = known.bits(0) & 0xFF
        let rows = graph.convolutionRows(value(try signed(x, call)), groups: UInt64(groups), window, fill: fill)
        let shape = groups == 1 ? [results, width] : [groups, results / groups, width]
        let vector = groups == 1 ? [results] : [groups, 1, results / groups]
        let sums = try integerContraction(
            .value(rows), zero, try reshape(try signed(weight, call), shape, call),
            try zeroPoint(zeroW, of: weight, vector, call), call)
        return .value(
            graph.convolutionResult(
                value(try finish(sums, vector)), batch: Dimension(UInt64(from[0])), results: UInt64(results),
                groups: UInt64(groups), window))
    }

    func quantizedConvolution(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let (x, weight) = (try call.input(0), try call.input(3))
        let (scaleX, scaleW, scale) = (try float(call, 1), try float(call, 4), try float(call, 6))
        let (zero, bias) = (try call.input(7), call.optional(8))
        return [
            try integerConvolution(x, try call.input(2), weight, try call.input(5), call) {
                (sums, vector) throws(ONNXFault) in
                var sums = sums
                if let bias {
                    if element(bias) != .i32 { throw call.fault("its bias is \(element(bias))") }
                    sums = try map(.i32, [sums, try reshape(bias, vector, call)], call) { e, n in
                        _ = e.apply(.add, n[0], n[1])
                    }
                }
                let channel = try reshape(scaleW, count(scaleW) == 1 ? [] : vector, call)
                return try requantized(
                    sums, scales: [try reshape(scaleX, [], call), channel, try reshape(scale, [], call)], zero: zero,
                    call)
            }
        ]
    }
}
