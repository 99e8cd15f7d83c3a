internal import Programs

extension ONNXOperators {
    /// Attention and the rotary embedding of positions.
    static let attention: Table = [
        "Attention": { try $0.attention($1) },
        "RotaryEmbedding": { lowering, call in
            [
                try lowering.rotated(
                    try lowering.float(call, 0), cosine: try lowering.float(call, 1), sine: try lowering.float(call, 2),
                    positions: call.optional(3), call)
            ]
        },
    ]
}

extension ONNXLowering {
    /// How attention treats its scores.
    struct AttentionForm {
        var scale: Float
        var softcap: Float = 0
        /// Added to the scores, or bool: where it is false nothing is seen. Broadcasts to [batch, heads, rows, reach].
        var mask: Operand?
        /// How far each row sees: i32, broadcasts to [batch, heads, rows].
        var extent: Operand?
    }

    /// Two-pass attention: query [batch, heads, rows, width], key and value [batch, key heads, reach, width]. Gives the result, [batch, heads, rows, width of
    /// value], and the scores before the mask, after it, and as weights.
    func attention(
        query: Operand, key: Operand, value: Operand, _ form: AttentionForm, _ call: ONNXCall
    ) throws(ONNXFault) -> (result: Operand, capped: Operand, masked: Operand, weights: Operand, products: Operand) {
        let (q, k, v) = (shape(query), shape(key), shape(value))
        guard q.count == 4, k.count == 4, v.count == 4, k[0] == q[0], v[0] == q[0], k[1] == v[1], k[2] == v[2],
            k[3] == q[3], k[1] > 0, q[1] % k[1] == 0
        else { throw call.fault("query \(q), key \(k) and value \(v) do not fit") }
        let (batch, heads, rows, reach) = (q[0], q[1], q[2], k[2])
        let group = heads / k[1]
        // Heads that share a key stand together as rows of it, so that no key is repeated.
        let joined = [batch, k[1], group * rows]
        let scores = try contraction(try reshape(query, joined + [q[3]], call), key, call)
        let all = [batch, heads, rows, reach]
        let products = try reshape(
            try map(.f32, [scores], call) { e, n in _ = e.apply(.multiply, n[0], e.float(form.scale)) }, all, call)
        var capped = products
        if form.softcap > 0 {
            capped = try map(.f32, [products], call) { e, n in
                let part = e.apply(.divide, n[0], e.float(form.softcap))
                let tanh = e.apply(.tanh, part)
                _ = e.apply(.multiply, tanh, e.float(form.softcap))
            }
        }
        var masked = capped
        if let mask = form.mask {
            guard ONNXShape.broadcast(shape(mask), all) == all else {
                throw call.fault("a mask of \(shape(mask)) does not fit \(all)")
            }
            let isBool = element(mask) == .bool
            masked = try map(.f32, [capped, mask], call) { e, n in
                _ = isBool ? e.apply(.select, n[1], n[0], e.float(-.infinity)) : e.apply(.add, n[0], n[1])
            }
        }
        var extent: ValueID?
        if let reachOf = form.extent {
            extent = self.value(try broadcast(reachOf, to: [batch, heads, rows], call))
        }
        let greatest = graph.column(graph.reduce(.maximum, self.value(masked), extent: extent))
        let hasMask = form.mask != nil
        let exponentials = try map(.f32, [masked, .value(greatest)], call) { e, n in
            var greatest = n[1]
            if hasMask {
                // A row that sees nothing keeps weights of zero.
                let isNothing = e.apply(.equal, greatest, e.float(-.infinity))
                greatest = e.apply(.select, isNothing, e.float(0), greatest)
            }
            let difference = e.apply(.subtract, n[0], greatest)
            _ = e.apply(.exp, difference)
        }
        let total = graph.column(graph.reduce(.sum, self.value(exponentials), extent: extent))
        let weights = try map(.f32, [exponentials, .value(total)], call) { e, n in
            var total = n[1]
            if hasMask {
                let isNothing = e.apply(.equal, total, e.float(0))
                total = e.apply(.select, isNothing, e.float(1), total)
            }
            let inverse = e.apply(.divide, e.float(1), total)
            _ = e.apply(.multiply, n[0], inverse)
        }
        let columns = transposeLast(value)
        let rowsOfWeights = try reshape(weights, joined + [reach], call)
        let bound = try extent.map { id throws(ONNXFault) in self.value(try reshape(.value(id), joined, call)) }
        let context = try contraction(rowsOfWeights, columns, extent: bound, call)
        return (try reshape(context, [batch, heads, rows, v[3]], call), capped, masked, weights, products)
    }

    /// [batch, length, heads × width] as [batch, heads, length, width].
    func heads(_ x: Operand, _ count: Int, _ call: ONNXCall) throws(ONNXFault) -> Operand {
        let from = shape(x)
        guard from.count == 3, count > 0, from[2] % count == 0 else {
            throw call.fault("\(from) does not split into \(count) heads")
        }
        return transpose(try reshape(x, [from[0], from[1], count, from[2] / count], call), [0, 2, 1, 3])
    }

    /// The other way.
    func merged(_ x: Operand, _ call: ONNXCall) throws(ONNXFault) -> Operand {
        let from = shape(x)
        return try reshape(transpose(x, [0, 2, 1, 3]), [from[0], from[2], from[1] * from[3]], call)
    }

    func attention(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        var (query, key, value) = (try float(call, 0), try float(call, 1), try float(call, 2))
        let isFlat = shape(query).count == 3
        let (left, right) = (try call.integer("left_window_size", -1), try call.integer("right_window_size", -1))
        if left >= 0 || right >= 0 {
            throw call.fault("it sees a window of its keys only")
        }
        if isFlat {
            let (own, shared) = (try call.required("q_num_heads"), try call.required("kv_num_heads"))
            (query, key, value) = (
                try heads(query, own, call), try heads(key, shared, call), try heads(value, shared, call)
            )
        }
        guard shape(query).count == 4, shape(key).count == 4, shape(value).count == 4 else {
            throw call.fault("its inputs have \(shape(query).count) axes")
        }
        var past = 0
        if let held = call.optional(4) {
            past = shape(held).count == 4 ? shape(held)[2] : 0
            key = try concat([held, key], axis: 2, call)
            value = try concat([try call.input(5), value], axis: 2, call)
        }
        let (rows, reach) = (shape(query)[2], shape(key)[2])
        var form = AttentionForm(
            scale: try call.float("scale", 1 / Float(shape(query)[3]).squareRoot()),
            softcap: try call.float("softcap", 0))
        if let mask = call.optional(3) {
            guard element(mask) == .f32 || element(mask) == .bool, let width = shape(mask).last else {
                throw call.fault("its mask is \(element(mask))")
            }
            form.mask = mask
            if width < reach && width > 1 {
                var (before, after) = (shape(mask).map { _ in Int64(0) }, shape(mask).map { _ in Int64(0) })
                (before[before.count - 1], after[after.count - 1]) = (0, Int64(reach - width))
                let fill: UInt64 = element(mask) == .bool ? 0 : 0xFF80_0000
                form.mask = .value(graph.pad(self.value(mask), before: before, after: after, fill: fill))
            }
        }
        let isCausal = try call.flag("is_causal")
        if let lengths = call.optional(6) {
            // Each row of the batch has so many keys; a causal row ends with the last of them.
            let column = try reshape(try cast(lengths, to: .i64, call), [shape(query)[0], 1, 1], call)
            form.extent = try map(.i32, [column], call, shape: [shape(query)[0], 1, rows]) { e, n in
                var extent = n[0]
                if isCausal {
                    let place = e.apply(.add, extent, e.node(.index(2)))
                    let last = e.apply(.subtract, place, e.integer(rows - 1, .i64))
                    extent = e.apply(.minimum, last, extent)
                }
                _ = e.apply(.toI32, extent)
            }
        } else if isCausal {
            form.extent = .constant(
                ConstantTensor((0..<rows).map { Int32(clamping: min(reach, $0 + 1 + past)) }, shape: [1, 1, rows]))
        }
        let (result, capped, masked, weights, products) = try attention(
            query: query, key: key, value: value, form, call)
        var results = [isFlat ? try merged(result, call) : result]
        if call.outputCount > 1 { results += [key, value] }
        if call.outputCount > 3 {
            if form.extent != nil && call.wants(3) { throw call.fault("it gives out scores of what is not seen") }
            let mode = try call.integer("qk_matmul_output_mode", 0)
            // Versions differ in what the modes between are called; these two never did.
            switch mode {
            case 0: results.append(products)
            case 3: results.append(weights)
            case 1: results.append(call.version >= 24 || form.softcap > 0 ? capped : masked)
            case 2: results.append(masked)
            default: throw call.fault("its mode of scores is \(mode)")
            }
        }
        return results
    }

    /// Pairs of coordinates turned by an angle each: (c·x − s·y, s·x + c·y), the halves of a head or neighbours.
    func rotated(
        _ x: Operand, cosine: Operand, sine: Operand, positions: Operand?, _ call: ONNXCall
    ) throws(ONNXFault) -> Operand {
        let from = shape(x)
        var heads = x
        if from.count == 3 {
            let width = shape(cosine).last.map { $0 * 2 } ?? 0
            let named = try call.integer("num_heads", 0)
            let count = named > 0 ? named : width > 0 ? from[2] / width : 0
            heads = try self.heads(x, count, call)
        }
        let shape = shape(heads)
        guard shape.count == 4 else { throw call.fault("it takes [batch, heads, length, width]") }
        var width = try call.integer("rotary_embedding_dim", 0)
        if width == 0 { width = shape[3] }
        let isInterleaved = try call.flag("interleaved")
        guard width > 0, width <= shape[3], width % 2 == 0 else { throw call.fault("it turns \(width) coordinates") }
        let half = width / 2
        func table(_ table: Operand) throws(ONNXFault) -> Operand {
            var placed = table
            if let positions {
                guard self.shape(table).count == 2 else { throw call.fault("its tables are \(self.shape(table))") }
                placed = try take(
                    table, axis: 0, try index(positions, size: self.shape(table)[0], call), call)
            }
            // PyTorch's exporter writes one table for the whole batch.
            let rows = self.shape(placed)
            guard rows == [shape[0], shape[2], half] || rows == [1, shape[2], half] else {
                throw call.fault("a table of \(rows) does not fit \(shape)")
            }
            return try reshape(placed, [rows[0], 1, shape[2], half], call)
        }
        let (c, s) = (try table(cosine), try table(sine))
        func part(_ start: Int, _ step: Int) -> Operand {
            let sizes = [shape[0], shape[1], shape[2], half].map { Dimension(UInt64($0)) }
            return .value(
                graph.slice(
                    value(heads), starts: [0, 0, 0, Int64(start)], steps: [1, 1, 1, Int64(step)], sizes: sizes))
        }
        let (first, second) = isInterleaved ? (part(0, 2), part(1, 2)) : (part(0, 1), part(half, 1))
        let real = try map(.f32, [first, second, c, s], call) { e, n in
            let left = e.apply(.multiply, n[2], n[0])
            let right = e.apply(.multiply, n[3], n[1])
            _ = e.apply(.subtract, left, right)
        }
        let imaginary = try map(.f32, [first, second, c, s], call) { e, n in
            let left = e.apply(.multiply, n[3], n[0])
            let right = e.apply(.multiply, n[2], n[1])
            _ = e.apply(.add, left, right)
        }
        var turned: Operand
        if isInterleaved {
            let pairs = [shape[0], shape[1], shape[2], half, 1]
            let joined = try concat(
                [try reshape(real, pairs, call), try reshape(imaginary, pairs, call)], axis: 4, call)
            turned = try reshape(joined, Array(shape.dropLast()) + [width], call)
        } else {
            turned = try concat([real, imaginary], axis: 3, call)
        }
        if width < shape[3] {
            let rest = graph.slice(
                value(heads), axis: 3, start: Int64(width), size: Dimension(UInt64(shape[3] - width)))
            turned = try concat([turned, .value(rest)], axis: 3, call)
        }
        return from.count == 3 ? try merged(turned, call) : turned
    }
}
