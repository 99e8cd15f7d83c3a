internal import Programs

extension ONNXOperators {
    /// Convolutions and pooling.
    static let convolutions: Table = [
        "Conv": { lowering, call in
            [try lowering.convolution(try lowering.float(call, 0), try lowering.float(call, 1), call.optional(2), call)]
        },
        "ConvTranspose": { try $0.transposedConvolution($1) },
        "MaxPool": { try $0.maximumPool($1) }, "AveragePool": { try $0.averagePool($1) },
        "LpPool": { try $0.normPool($1) },
        "GlobalAveragePool": { try $0.globalPool($1, .sum) }, "GlobalMaxPool": { try $0.globalPool($1, .maximum) },
        "LRN": { try $0.localNormalization($1) },
    ]
}

extension ONNXLowering {
    /// The windows of a convolution or pooling, and how far they reach behind the last element.
    func window(
        _ from: [Int], kernel: [Int], _ call: ONNXCall
    ) throws(ONNXFault) -> (window: SlidingWindow, before: [Int], after: [Int]) {
        let rank = kernel.count
        guard from.count == rank + 2, rank >= 1, rank <= 3 else {
            throw call.fault("a kernel of \(kernel) does not fit \(from); one to three spatial axes are taken")
        }
        let strides = try call.integers("strides") ?? kernel.map { _ in 1 }
        let dilations = try call.integers("dilations") ?? kernel.map { _ in 1 }
        var pads = try call.integers("pads") ?? [Int](repeating: 0, count: 2 * rank)
        let mode = try call.string("auto_pad", "NOTSET")
        guard strides.count == rank, dilations.count == rank, pads.count == 2 * rank,
            (strides + dilations).allSatisfy({ (1...1 << 20).contains($0) }),
            kernel.allSatisfy({ (1...1 << 20).contains($0) }), pads.allSatisfy({ (0...1 << 20).contains($0) })
        else { throw call.fault("its kernel, strides, dilations and pads do not fit") }
        let roundsUp = try call.flag("ceil_mode")
        var sizes: [UInt64] = []
        for axis in 0..<rank {
            let (length, reach) = (from[2 + axis], (kernel[axis] - 1) * dilations[axis] + 1)
            var count: Int
            switch mode {
            case "VALID":
                (pads[axis], pads[rank + axis]) = (0, 0)
                count = (length - reach) / strides[axis] + 1
                if length < reach { count = 0 }
            case "SAME_UPPER", "SAME_LOWER":
                count = (length + strides[axis] - 1) / strides[axis]
                let missing = max(0, (count - 1) * strides[axis] + reach - length)
                let (small, large) = (missing / 2, missing - missing / 2)
                (pads[axis], pads[rank + axis]) = mode == "SAME_UPPER" ? (small, large) : (large, small)
            case "NOTSET":
                let padded = length + pads[axis] + pads[rank + axis]
                let rest = padded - reach
                count = rest < 0 ? 0 : rest / strides[axis] + 1
                if roundsUp && rest >= 0 && rest % strides[axis] != 0 {
                    // A window that begins behind the last element and its padding in front is no window.
                    if count * strides[axis] < length + pads[axis] { count += 1 }
                }
            default: throw call.fault("its auto_pad is \(mode)")
            }
            if count < 1 { throw call.fault("a kernel of \(kernel) does not fit \(from)") }
            sizes.append(UInt64(count))
        }
        return (
            SlidingWindow(
                kernel: kernel.map { UInt64($0) }, strides: strides.map(Int64.init),
                dilations: dilations.map(Int64.init), before: pads.prefix(rank).map(Int64.init), size: sizes),
            Array(pads.prefix(rank)), Array(pads.suffix(rank))
        )
    }

    /// Groups, filters and the kernel of a convolution, checked against its input.
    func filters(
        _ x: Operand, _ weight: Operand, _ call: ONNXCall
    ) throws(ONNXFault) -> (groups: Int, kernel: [Int]) {
        let (from, filters) = (shape(x), shape(weight))
        let groups = try call.integer("group", 1)
        guard filters.count >= 3, from.count == filters.count, groups >= 1, filters[0] % groups == 0,
            filters[0] > 0, from[1] > 0, filters[1] * groups == from[1]
        else { throw call.fault("filters of \(filters) in \(groups) groups do not fit \(from)") }
        let kernel = Array(filters.dropFirst(2))
        if let named = try call.integers("kernel_shape"), named != kernel {
            throw call.fault("its kernel_shape is \(named) and its filters are \(filters)")
        }
        return (groups, kernel)
    }

    func convolution(
        _ x: Operand, _ weight: Operand, _ bias: Operand?, _ call: ONNXCall
    ) throws(ONNXFault) -> Operand {
        let (from, filters) = (shape(x), shape(weight))
        let (groups, kernel) = try self.filters(x, weight, call)
        let window = try window(from, kernel: kernel, call).window
        let places = window.size.map(Int.init)
        _ = try dimensions([from[0], filters[0]] + places, call)
        _ = try dimensions([from[0] * places.reduce(1, *), from[1] * kernel.reduce(1, *)], call)
        if let bias, shape(bias) != [filters[0]] || element(bias) != .f32 {
            throw call.fault("its bias is \(shape(bias))")
        }
        return .value(
            graph.convolution(
                value(x), weight: value(weight), bias: bias.map { value($0) }, groups: UInt64(groups), window))
    }

    func transposedConvolution(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let (x, weight) = (try float(call, 0), try float(call, 1))
        let (from, filters) = (shape(x), shape(weight))
        let groups = try call.integer("group", 1)
        let rank = from.count - 2
        guard rank >= 1, rank <= 3, filters.count == from.count, filters[0] == from[1], groups >= 1,
            from[1] > 0, from[1] % groups == 0, filters[1] > 0
        else { throw call.fault("filters of \(filters) in \(groups) groups do not fit \(from)") }
        let kernel = Array(filters.dropFirst(2))
        let strides = try call.integers("strides") ?? kernel.map { _ in 1 }
        let dilations = try call.integers("dilations") ?? kernel.map { _ in 1 }
        var pads = try call.integers("pads") ?? [Int](repeating: 0, count: 2 * rank)
        let extra = try call.integers("output_padding") ?? kernel.map { _ in 0 }
        let mode = try call.string("auto_pad", "NOTSET")
        guard strides.count == rank, dilations.count == rank, pads.count == 2 * rank, extra.count == rank,
            (strides + dilations + kernel).allSatisfy({ (1...1 << 20).contains($0) }),
            (pads + extra).allSatisfy({ (0...1 << 20).contains($0) }),
            ["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"].contains(mode)
        else { throw call.fault("its kernel, strides, dilations and pads do not fit") }
        let wanted = try call.integers("output_shape").map { Array($0.suffix(rank)) }
        var sizes: [UInt64] = []
        for axis in 0..<rank {
            let (length, reach) = (from[2 + axis], (kernel[axis] - 1) * dilations[axis] + 1)
            if length < 1 { throw call.fault("it has no elements") }
            let whole = (length - 1) * strides[axis] + extra[axis] + reach
            var size = whole - pads[axis] - pads[rank + axis]
            var isFixed = false
            if let wanted, wanted.count == rank {
                (size, isFixed) = (wanted[axis], true)
            } else if mode.hasPrefix("SAME") {
                (size, isFixed) = (length * strides[axis], true)
            } else if mode == "VALID" {
                (pads[axis], pads[rank + axis]) = (0, 0)
                size = whole
            }
            if isFixed {
                let total = max(0, whole - size)
                pads[axis] = mode == "SAME_UPPER" ? total / 2 : total - total / 2
                if mode == "NOTSET" { pads[axis] = total / 2 }
            }
            if size < 1 { throw call.fault("it makes an axis of \(size)") }
            sizes.append(UInt64(size))
        }
        let results = filters[1] * groups
        let places = sizes.map { Int(clamping: $0) }
        _ = try dimensions([from[0], results] + places, call)
        let width = from[1] / groups * kernel.reduce(1, *)
        _ = try dimensions([from[0]] + places, call)
        _ = try dimensions([from[0] * places.reduce(1, *), width * groups], call)
        let window = SlidingWindow(
            kernel: kernel.map { UInt64($0) }, strides: strides.map(Int64.init), dilations: dilations.map(Int64.init),
            before: pads.prefix(rank).map(Int64.init), size: sizes, isTransposed: true)
        // [channels, results of a group, kernel] as [results, channels of a group, kernel].
        let split = try reshape(weight, [groups, from[1] / groups, filters[1], kernel.reduce(1, *)], call)
        let turned = try reshape(transpose(split, [0, 2, 1, 3]), [results, from[1] / groups] + kernel, call)
        if let bias = call.optional(2), shape(bias) != [results] || element(bias) != .f32 {
            throw call.fault("its bias is \(shape(bias))")
        }
        if let phased = try transposedByPhases(
            x, filters: turned, bias: call.optional(2), groups: groups, window, call)
        {
            return [phased]
        }
        return [
            .value(
                graph.convolution(
                    value(x), weight: value(turned), bias: call.optional(2).map { value($0) },
                    groups: UInt64(groups), window))
        ]
    }

    // MARK: Pooling

    private func kernel(_ call: ONNXCall) throws(ONNXFault) -> [Int] {
        guard let kernel = try call.integers("kernel_shape") else { throw call.fault("its kernel_shape is missing") }
        return kernel
    }

    /// The elements of each window as a last axis, checked to be a tensor that can be.
    private func windows(
        _ x: Operand, _ window: SlidingWindow, fill: UInt64, _ call: ONNXCall
    ) throws(ONNXFault) -> Operand {
        let from = shape(x)
        let sizes = window.size.map { Int(clamping: $0) }
        _ = try dimensions([from[0], from[1]] + sizes + [window.kernel.reduce(1) { $0 * Int(clamping: $1) }], call)
        return .value(graph.windows(value(x), window, fill: fill))
    }

    func maximumPool(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let x = try call.input(0)
        let (from, element, kernel) = (shape(x), element(x), try kernel(call))
        guard [.f32, .i8, .u8].contains(element) else { throw call.fault("it does not take \(element)") }
        let window = try window(from, kernel: kernel, call).window
        let wide = element == .f32 ? x : try cast(x, to: .i32, call)
        let least = element == .f32 ? UInt64(0xFF80_0000) : 0x8000_0000
        let rows = try windows(wide, window, fill: least, call)
        let greatest = try cast(reduce(.maximum, rows), to: element, call)
        if !call.wants(1) { return [greatest] }
        // The element's number within the whole tensor, by rows or by columns.
        let isColumnMajor = try call.flag("storage_order")
        let place = reduce(.argumentOfMaximum, rows)
        let rank = kernel.count
        if rank > 2 { throw call.fault("its indices are of \(rank) spatial axes") }
        let number = try map(.i64, [place], call) { e, n in
            var rest = e.apply(.toI64, n[0])
            var coordinates: [UInt8] = []
            for axis in (0..<rank).reversed() {
                let width = e.integer(kernel[axis], .i64)
                let quotient = e.apply(.divide, rest, width)
                let whole = e.apply(.multiply, quotient, width)
                let inner = e.apply(.subtract, rest, whole)
                rest = quotient
                let start = e.apply(
                    .multiply, e.node(.index(UInt8(2 + axis))), e.integer(Int(window.strides[axis]), .i64))
                let step = e.apply(.multiply, inner, e.integer(Int(window.dilations[axis]), .i64))
                let sum = e.apply(.add, start, step)
                coordinates.insert(e.apply(.subtract, sum, e.integer(Int(window.before[axis]), .i64)), at: 0)
            }
            let batch = e.apply(.multiply, e.node(.index(0)), e.integer(from[1], .i64))
            var total = e.apply(.add, batch, e.node(.index(1)))
            let axes = isColumnMajor ? Array((0..<rank).reversed()) : Array(0..<rank)
            for axis in axes {
                let row = e.apply(.multiply, total, e.integer(from[2 + axis], .i64))
                total = e.apply(.add, row, coordinates[axis])
            }
        }
        return [greatest, number]
    }

    /// How many elements of each window lie inside the tensor (or inside it and its padding).
    private func counts(
        _ from: [Int], _ window: SlidingWindow, before: [Int], after: [Int], includesPadding: Bool
    ) -> Operand {
        let sizes = window.size.map { Int(clamping: $0) }
        let lists = sizes.indices.map { axis -> [Int] in
            let first = includesPadding ? -before[axis] : 0
            let end = from[2 + axis] + (includesPadding ? after[axis] : 0)
            return (0..<sizes[axis]).map { place in
                let start = place * Int(window.strides[axis]) - before[axis]
                let (step, count) = (Int(window.dilations[axis]), Int(clamping: window.kernel[axis]))
                // The k with first ≤ start + k·step < end.
                let low = start >= first ? 0 : (first - start + step - 1) / step
                let high = end <= start ? 0 : min(count, (end - start + step - 1) / step)
                return max(0, high - low)
            }
        }
        if lists.allSatisfy({ Set($0).count == 1 }) {
            let count = lists.reduce(1) { $0 * ($1.first ?? 0) }
            return .constant(ConstantTensor(.f32, [], .splat(UInt64(Float(count).bitPattern))))
        }
        var products = [1]
        for list in lists { products = products.flatMap { x in list.map { x * $0 } } }
        return .constant(ConstantTensor(products.map { Float($0) }, shape: sizes))
    }

    func averagePool(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let x = try float(call, 0)
        let (window, before, after) = try window(shape(x), kernel: try kernel(call), call)
        let places = window.size.map { Int(clamping: $0) }
        _ = try dimensions(Array(shape(x).prefix(2)) + places, call)
        try charge(places.reduce(1, *), call)
        let sum = reduce(.sum, try windows(x, window, fill: 0, call))
        let count = counts(
            shape(x), window, before: before, after: after, includesPadding: try call.flag("count_include_pad"))
        return [try map(.f32, [sum, count], call) { e, n in _ = e.apply(.divide, n[0], n[1]) }]
    }

    func normPool(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let x = try float(call, 0)
        let order = try call.integer("p", 2)
        guard order == 1 || order == 2 else { throw call.fault("it is of order \(order)") }
        let window = try window(shape(x), kernel: try kernel(call), call).window
        let powers = try map(.f32, [x], call) { e, n in
            _ = order == 1 ? e.magnitude(n[0]) : e.apply(.multiply, n[0], n[0])
        }
        let sum = reduce(.sum, try windows(powers, window, fill: 0, call))
        if order == 1 { return [sum] }
        return [try map(.f32, [sum], call) { e, n in _ = e.apply(.squareRoot, n[0]) }]
    }

    func globalPool(_ call: ONNXCall, _ reduction: Reduction) throws(ONNXFault) -> [Operand] {
        let x = try float(call, 0)
        let from = shape(x)
        guard from.count >= 3 else { throw call.fault("it takes [batch, channel, spatial…]") }
        let axes = axes(Array(2..<from.count), of: from)
        var result = reduce(reduction, try rows(x, axes, call))
        if reduction == .sum {
            result = try map(.f32, [result], call) { e, n in _ = e.apply(.divide, n[0], e.float(Float(axes.count))) }
        }
        return [try reshape(result, axes.keepsRank, call)]
    }

    /// x/(bias + α/size·Σ x²)^β over neighbouring channels, for the exponents that have an exact form.
    func localNormalization(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let x = try float(call, 0)
        let (from, size) = (shape(x), try call.required("size"))
        let (alpha, beta) = (try call.float("alpha", 0.0001), try call.float("beta", 0.75))
        let bias = try call.float("bias", 1)
        guard from.count >= 2, size >= 1, size <= 1 << 16, [0.5, 0.75, 1].contains(beta) else {
            throw call.fault("its exponent is \(beta), its size \(size)")
        }
        let square = try map(.f32, [x], call) { e, n in _ = e.apply(.multiply, n[0], n[0]) }
        let flat = try reshape(square, [from[0], from[1], from.dropFirst(2).reduce(1, *)], call)
        let shape = [from[0], from[1], shape(flat)[2], size]
        let coordinates: [Coordinate] = [
            .axis(0),
            Coordinate(
                offset: -Int64((size - 1) / 2), terms: [.init(axis: 1, coefficient: 1), .init(axis: 3, coefficient: 1)]
            ), .axis(2),
        ]
        let sum = try reshape(reduce(.sum, try gather(flat, shape, coordinates, call)), from, call)
        return [
            try map(.f32, [x, sum], call) { e, n in
                let scaled = e.apply(.multiply, n[1], e.float(alpha / Float(size)))
                let base = e.apply(.add, scaled, e.float(bias))
                var divisor = base
                if beta != 1 {
                    let root = e.apply(.squareRoot, base)
                    divisor = root
                    if beta == 0.75 {
                        let fourth = e.apply(.squareRoot, root)
                        divisor = e.apply(.multiply, root, fourth)
                    }
                }
                _ = e.apply(.divide, n[0], divisor)
            }
        ]
    }
}
