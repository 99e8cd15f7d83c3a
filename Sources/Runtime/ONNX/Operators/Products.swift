internal import Programs

extension ONNXOperators {
    /// Matrix products.
    static let products: Table = [
        "MatMul": { lowering, call in
            [try lowering.product(try lowering.float(call, 0), try lowering.float(call, 1), call)]
        },
        "Gemm": { try $0.generalProduct($1) }, "Einsum": { try $0.einsum($1) },
    ]
}

extension ONNXLowering {
    /// A·B as `MatMul` has it: vectors are rows on the left and columns on the right, batches broadcast.
    func product(_ a: Operand, _ b: Operand, _ call: ONNXCall) throws(ONNXFault) -> Operand {
        var (left, right) = (shape(a), shape(b))
        if left.isEmpty || right.isEmpty { throw call.fault("it multiplies a single number") }
        let (isRow, isColumn) = (left.count == 1, right.count == 1)
        if isRow { left.insert(1, at: 0) }
        if isColumn { right.append(1) }
        guard left[left.count - 1] == right[right.count - 2] else {
            throw call.fault("shapes \(shape(a)) and \(shape(b)) do not multiply")
        }
        let rows = try reshape(a, left, call)
        let columns = transposeLast(try reshape(b, right, call))
        var result = try contraction(rows, columns, call)
        var shape = shape(result)
        if isRow { shape.remove(at: shape.count - 2) }
        if isColumn { shape.removeLast() }
        result = try reshape(result, shape, call)
        return result
    }

    /// The last two axes changed over.
    func transposeLast(_ x: Operand) -> Operand {
        let rank = shape(x).count
        return transpose(x, Array(0..<rank - 2) + [rank - 1, rank - 2])
    }

    /// C[…,m,n] = Σₖ A[…,m,k]·B[…,n,k] with batches that broadcast. A matrix without batches is never repeated.
    func contraction(
        _ a: Operand, _ b: Operand, extent: ValueID? = nil, _ call: ONNXCall
    ) throws(ONNXFault) -> Operand {
        let (left, right) = (shape(a), shape(b))
        guard let batch = ONNXShape.broadcast(Array(left.dropLast(2)), Array(right.dropLast(2))) else {
            throw call.fault("batches of \(left) and \(right) do not broadcast")
        }
        let (m, n, k) = (left[left.count - 2], right[right.count - 2], right[right.count - 1])
        _ = try dimensions(batch + [m, n], call)
        _ = try dimensions(batch + [max(m, n), k], call)
        if right.dropLast(2).allSatisfy({ $0 == 1 }) {
            // Rows of all batches against one matrix.
            let rows = try reshape(a, batch + [m, k], call)
            return .value(graph.contract(value(rows), value(try reshape(b, [n, k], call)), extent: extent))
        }
        if left.dropLast(2).allSatisfy({ $0 == 1 }), extent == nil {
            let columns = try reshape(b, batch + [n, k], call)
            let turned = graph.contract(value(columns), value(try reshape(a, [m, k], call)))
            return transposeLast(.value(turned))
        }
        let rows = try broadcast(a, to: batch + [m, k], call)
        let columns = try broadcast(b, to: batch + [n, k], call)
        return .value(graph.contract(value(rows), value(columns), extent: extent))
    }

    func generalProduct(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let (a, b) = (try float(call, 0), try float(call, 1))
        let (alpha, beta) = (try call.float("alpha", 1), try call.float("beta", 1))
        guard shape(a).count == 2, shape(b).count == 2 else { throw call.fault("it takes two matrices") }
        let rows = try call.flag("transA") ? transposeLast(a) : a
        let columns = try call.flag("transB") ? b : transposeLast(b)
        guard shape(rows)[1] == shape(columns)[1] else {
            throw call.fault("shapes \(shape(a)) and \(shape(b)) do not multiply")
        }
        let product = try contraction(rows, columns, call)
        guard let bias = call.optional(2) else {
            if alpha == 1 { return [product] }
            return [try map(.f32, [product], call) { e, n in _ = e.apply(.multiply, n[0], e.float(alpha)) }]
        }
        if element(bias) != .f32 { throw call.fault("it does not take \(element(bias))") }
        let wide = try broadcast(bias, to: shape(bias).count > 1 ? shape(bias) : shape(bias), call)
        guard ONNXShape.broadcast(shape(product), shape(wide)) == shape(product) else {
            throw call.fault("a bias of \(shape(bias)) does not fit \(shape(product))")
        }
        return [
            try map(.f32, [product, wide], call) { e, n in
                let scaled = alpha == 1 ? n[0] : e.apply(.multiply, n[0], e.float(alpha))
                let added = beta == 1 ? n[1] : e.apply(.multiply, n[1], e.float(beta))
                _ = e.apply(.add, scaled, added)
            }
        ]
    }

    // MARK: Einsum

    /// Operands with a letter for each axis; dots stand for axes that broadcast and become letters of their own.
    func einsum(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let text = Array(try call.string("equation", "").utf8).filter { $0 != UInt8(ascii: " ") }
        let operands = try call.all()
        let sides = EinsumEquation.sides(text)
        let terms = sides.left.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false).map { Array($0) }
        guard terms.count == operands.count, operands.count <= 16 else {
            throw call.fault("its equation does not fit its inputs")
        }
        var parts: [(operand: Operand, labels: [Int])] = []
        for (place, operand) in operands.enumerated() {
            if element(operand) != .f32 { throw call.fault("it does not take \(element(operand))") }
            guard let labels = EinsumEquation.labels(terms[place], rank: shape(operand).count) else {
                throw call.fault("its equation does not fit its inputs")
            }
            parts.append(try diagonal(operand, labels, call))
        }
        // What follows the arrow; without one all letters that come once, in order, behind the dots.
        let dots = parts.flatMap(\.labels).filter { $0 < 0 }.min() ?? 0
        var output: [Int]
        if let right = sides.right {
            guard let labels = EinsumEquation.labels(right, rank: nil, dots: -dots) else {
                throw call.fault("its equation has no right side that can be read")
            }
            output = labels
        } else {
            let all = parts.flatMap(\.labels)
            output = Array(stride(from: dots, to: 0, by: 1))
            output += Set(all).filter { label in label > 0 && all.count { $0 == label } == 1 }.sorted()
        }
        guard Set(output).count == output.count, output.allSatisfy({ l in parts.contains { $0.labels.contains(l) } })
        else { throw call.fault("its right side names an axis twice, or one that is not there") }
        var result = parts[0]
        for place in parts.indices.dropFirst() {
            // A letter that nothing later needs is summed here.
            let later = Set(parts[(place + 1)...].flatMap(\.labels)).union(output)
            result = try joined(result, parts[place], later, call)
        }
        result = try summed(result, keeping: Set(output), call)
        let order = output.compactMap { result.labels.firstIndex(of: $0) }
        return [transpose(result.operand, order)]
    }

    typealias EinsumPart = (operand: Operand, labels: [Int])

    /// Axes of one letter taken along their diagonal.
    private func diagonal(_ x: Operand, _ labels: [Int], _ call: ONNXCall) throws(ONNXFault) -> EinsumPart {
        if Set(labels).count == labels.count { return (x, labels) }
        var kept: [Int] = []
        for label in labels where !kept.contains(label) { kept.append(label) }
        let from = shape(x)
        var target: [Int] = []
        for label in kept {
            let sizes = labels.indices.filter { labels[$0] == label }.map { from[$0] }
            guard Set(sizes).count == 1 else { throw call.fault("axes of one letter differ") }
            target.append(sizes[0])
        }
        let coordinates = labels.map { label in Coordinate.axis(UInt8(kept.firstIndex(of: label) ?? 0)) }
        return (try gather(x, target, coordinates, call), kept)
    }

    private func summed(_ part: EinsumPart, keeping: Set<Int>, _ call: ONNXCall) throws(ONNXFault) -> EinsumPart {
        let gone = part.labels.indices.filter { !keeping.contains(part.labels[$0]) }
        if gone.isEmpty { return part }
        let rows = try rows(part.operand, axes(gone, of: shape(part.operand)), call)
        return (reduce(.sum, rows), part.labels.filter { keeping.contains($0) })
    }

    /// Two operands as one contraction: [both and later, left, common] against [both and later, right, common].
    private func joined(
        _ first: EinsumPart, _ second: EinsumPart, _ later: Set<Int>, _ call: ONNXCall
    ) throws(ONNXFault) -> EinsumPart {
        let a = try summed(first, keeping: later.union(second.labels), call)
        let b = try summed(second, keeping: later.union(first.labels), call)
        func size(_ label: Int) -> Int {
            let left = a.labels.firstIndex(of: label).map { shape(a.operand)[$0] }
            let right = b.labels.firstIndex(of: label).map { shape(b.operand)[$0] }
            return left == 1 ? right ?? 1 : left ?? right ?? 1
        }
        let shared = a.labels.filter { b.labels.contains($0) }
        let batch = shared.filter { later.contains($0) }
        let common = shared.filter { !later.contains($0) }
        let (left, right) = (a.labels.filter { !shared.contains($0) }, b.labels.filter { !shared.contains($0) })
        func matrix(_ part: EinsumPart, _ own: [Int]) throws(ONNXFault) -> Operand {
            let labels = batch + own + common
            let moved = transpose(part.operand, labels.compactMap { part.labels.firstIndex(of: $0) })
            let wide = try broadcast(moved, to: labels.map(size), call)
            return try reshape(
                wide,
                batch.map(size) + [own.map(size).reduce(1, *), common.map(size).reduce(1, *)], call)
        }
        for label in shared {
            let sizes = [a, b].compactMap { part in
                part.labels.firstIndex(of: label).map { shape(part.operand)[$0] }
            }
            if Set(sizes.filter { $0 != 1 }).count > 1 { throw call.fault("axes of one letter differ") }
        }
        let product = try contraction(try matrix(a, left), try matrix(b, right), call)
        let labels = batch + left + right
        return (try reshape(product, labels.map(size), call), labels)
    }
}

/// The text of an einsum.
enum EinsumEquation {
    static func sides(_ text: [UInt8]) -> (left: [UInt8], right: [UInt8]?) {
        guard let arrow = text.indices.first(where: { text[$0...].starts(with: "->".utf8) }) else { return (text, nil) }
        return (Array(text[..<arrow]), Array(text[(arrow + 2)...]))
    }

    /// A number for each axis: that of its letter, or −1, −2 … from the right for the axes that dots stand for.
    static func labels(_ term: [UInt8], rank: Int?, dots given: Int = 0) -> [Int]? {
        var labels: [Int] = []
        let letters = term.count { $0 != UInt8(ascii: ".") }
        let dots = rank.map { $0 - letters } ?? given
        var place = 0
        var hasDots = false
        while place < term.count {
            if term[place...].starts(with: "...".utf8) {
                if hasDots || dots < 0 || dots > ONNXLimit.rank { return nil }
                hasDots = true
                labels += (0..<dots).map { $0 - dots }
                place += 3
                continue
            }
            let letter = term[place]
            guard (0x41...0x5A).contains(letter) || (0x61...0x7A).contains(letter) else { return nil }
            labels.append(Int(letter))
            place += 1
        }
        if let rank, labels.count != rank { return nil }
        return labels.count <= 2 * ONNXLimit.rank ? labels : nil
    }
}
