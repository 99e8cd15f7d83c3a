internal import Programs

/// One fused step: a run of the program's ops that one kernel computes with the same bits.
enum FusedStep: Equatable, Sendable {
    /// Rows of a table by an i32 vector over tokens.
    case rows(table: ValueID, indices: ValueID, out: ValueID)
    case row(Int, table: ValueID, out: ValueID)
    /// Elementwise; the second operand may be a vector over the last axis.
    case add(ValueID, ValueID, out: ValueID)
    case linear(ValueID, weight: ValueID, bias: ValueID, gelu: Bool, residual: ValueID?, out: ValueID)
    /// Rows as whole numbers of eight bits; what belongs to them lies behind the words.
    case rounded(ValueID, words: ValueID)
    /// A linear layer of such rows: i8 weights, [n, k], and their scales.
    case wholeLinear(
        ValueID, words: ValueID, scales: ValueID, bias: ValueID, gelu: Bool, residual: ValueID?, out: ValueID)
    case layerNorm(ValueID, gain: ValueID, bias: ValueID, epsilon: Float, out: ValueID)
    case attention(query: ValueID, key: ValueID, value: ValueID, heads: Int, width: Int, scale: Float, out: ValueID)
    case pool(ValueID, out: ValueID)
    case normalize(ValueID, floor: Float, out: ValueID)

    var out: ValueID {
        switch self {
        case .rows(_, _, let out), .row(_, _, let out), .add(_, _, let out), .linear(_, _, _, _, _, let out),
            .wholeLinear(_, _, _, _, _, _, let out), .layerNorm(_, _, _, _, let out),
            .attention(_, _, _, _, _, _, let out), .pool(_, let out), .rounded(_, let out),
            .normalize(_, _, let out):
            out
        }
    }

    /// The tensors that it reads, but for the batch's layout.
    var operands: [ValueID] {
        switch self {
        case .rows(let table, _, _), .row(_, let table, _): [table]
        case .add(let a, let b, _): [a, b]
        case .linear(let x, let weight, let bias, _, let residual, _):
            [x, weight, bias] + (residual.map { [$0] } ?? [])
        case .wholeLinear(let x, let words, let scales, let bias, _, let residual, _):
            [x, words, scales, bias] + (residual.map { [$0] } ?? [])
        case .layerNorm(let x, let gain, let bias, _, _): [x, gain, bias]
        case .attention(let query, let key, let value, _, _, _, _): [query, key, value]
        case .pool(let x, _), .normalize(let x, _, _), .rounded(let x, _): [x]
        }
    }
}

/// The batch's layout tensors, the same for every attention and pooling of a program.
struct PackedLayout: Equatable, Sendable {
    var slots: ValueID
    var lengths: ValueID
    var places: ValueID?
}

/// Recognises compositions in a scan. A run of ops is taken for a composition only if writing that composition again from its operands gives the very same
/// records; so a fused step can stand for nothing but its expansion.
struct FusedPlan: Sendable {
    let steps: [FusedStep]
    let layout: PackedLayout?

    /// Values that have a row a sentence, not a token.
    var sentenceMade: Set<UInt32> {
        Set(
            steps.compactMap { step in
                switch step {
                case .pool(_, let out), .normalize(_, _, let out): out.index
                default: nil
                }
            })
    }

    private struct Match {
        let step: FusedStep
        let length: Int
        var layout: PackedLayout?
        var rounded: RoundedRows?
    }

    /// The plan of a scan, or nil where some op belongs to no known composition.
    init?(_ program: SpecialisedProgram, _ scan: Scan) {
        let types = program.types(of: scan)
        let leading = types.count - scan.operations.count
        var steps: [FusedStep] = []
        var layout: PackedLayout?
        var at = 0
        var inner: Set<ValueID> = []
        var rounded: [ValueID: RoundedRows] = [:]
        while at < scan.operations.count {
            let matcher = Matcher(records: scan.operations, types: types, leading: leading, at: at, rounded: rounded)
            guard let match = matcher.match() else { return nil }
            if let rows = match.rounded { rounded[rows.words] = rows }
            if let found = match.layout {
                if let held = layout {
                    if held.slots != found.slots || held.lengths != found.lengths { return nil }
                    if let a = held.places, let b = found.places, a != b { return nil }
                }
                layout = PackedLayout(
                    slots: found.slots, lengths: found.lengths, places: layout?.places ?? found.places)
            }
            for offset in 0..<match.length - 1 { inner.insert(ValueID(leading + at + offset)) }
            steps.append(match.step)
            at += match.length
        }
        // What a kernel swallows must not be wanted elsewhere.
        let wanted = Set(scan.outputs).union(steps.flatMap(\.operands))
        if !wanted.isDisjoint(with: inner) { return nil }
        self.steps = steps
        self.layout = layout
    }

    private struct Matcher {
        let records: [OperationRecord]
        let types: [TensorType]
        let leading: Int
        let at: Int
        let rounded: [ValueID: RoundedRows]

        private func builder() -> GraphBuilder { GraphBuilder(leading: Array(types[0..<leading + at])) }

        private func agrees(_ builder: GraphBuilder) -> Bool {
            let count = builder.operations.count
            return at + count <= records.count && Array(records[at..<at + count]) == builder.operations
        }

        private func source(_ offset: Int) -> GatherPiece? {
            guard at + offset < records.count, case .gather(let pieces, _) = records[at + offset].operation,
                pieces.count == 1
            else { return nil }
            return pieces[0]
        }

        private func constant(_ offset: Int, _ number: Int) -> UInt32? {
            guard at + offset < records.count, case .map(let expression, _) = records[at + offset].operation else {
                return nil
            }
            var seen = 0
            for node in expression.nodes {
                guard case .constant(.f32, let bits) = node else { continue }
                if seen == number { return UInt32(truncatingIfNeeded: bits) }
                seen += 1
            }
            return nil
        }

        private func inputs(_ offset: Int) -> [ValueID] {
            guard at + offset < records.count, case .map(_, let inputs) = records[at + offset].operation else {
                return []
            }
            return inputs
        }

        func match() -> Match? {
            attention() ?? layerNorm() ?? pool() ?? normalize() ?? linear() ?? rounding() ?? wholeLinear() ?? rows()
                ?? row()
                ?? add()
        }

        private func attention() -> Match? {
            guard let q = source(0), let k = source(1), let v = source(2), let lengths = source(3)?.source,
                let slots = q.coordinates.first?.table, types[Int(q.source.index)].shape.count == 2,
                records[at].result.shape.count == 4, let scale = constant(5, 0), at + 13 < records.count
            else { return nil }
            let heads = records[at].result.shape[1].factor
            let width = records[at].result.shape[3].factor
            // The last op of the composition names the places.
            for length in 14...16 {
                guard let places = source(length - 1)?.coordinates.first?.table else { continue }
                var graph = builder()
                guard types[Int(slots.index)].shape.count == 2 else { return nil }
                let out = graph.attention(
                    query: q.source, key: k.source, value: v.source, slots: slots, lengths: lengths, places: places,
                    heads: heads, width: width, scale: scale)
                guard graph.operations.count == length, agrees(graph) else { continue }
                return Match(
                    step: .attention(
                        query: q.source, key: k.source, value: v.source, heads: Int(heads), width: Int(width),
                        scale: Float(bitPattern: scale), out: out),
                    length: length, layout: PackedLayout(slots: slots, lengths: lengths, places: places))
            }
            return nil
        }

        private func layerNorm() -> Match? {
            guard case .reduce(.sum, let x, nil, false) = records[at].operation, types[Int(x.index)].shape.count == 2,
                let width = constant(2, 0), let epsilon = constant(7, 1), inputs(8).count == 4
            else { return nil }
            let last = inputs(8)
            var graph = builder()
            let out = graph.layerNorm(x, gain: last[2], bias: last[3], width: width, epsilon: epsilon)
            guard agrees(graph), Float(types[Int(x.index)].shape[1].factor).bitPattern == width else { return nil }
            return Match(
                step: .layerNorm(
                    x, gain: last[2], bias: last[3], epsilon: Float(bitPattern: epsilon), out: out),
                length: graph.operations.count)
        }

        private func pool() -> Match? {
            guard let piece = source(0), let slots = piece.coordinates.first?.table, let lengths = source(1)?.source,
                types[Int(piece.source.index)].shape.count == 2, types[Int(slots.index)].shape.count == 2
            else { return nil }
            var graph = builder()
            let out = graph.meanPooled(piece.source, slots: slots, lengths: lengths)
            guard agrees(graph) else { return nil }
            return Match(
                step: .pool(piece.source, out: out), length: graph.operations.count,
                layout: PackedLayout(slots: slots, lengths: lengths, places: nil))
        }

        private func normalize() -> Match? {
            guard inputs(0).count == 1, let floor = constant(3, 0) else { return nil }
            var graph = builder()
            let out = graph.normalized(inputs(0)[0], floor: floor)
            guard agrees(graph) else { return nil }
            return Match(
                step: .normalize(inputs(0)[0], floor: Float(bitPattern: floor), out: out),
                length: graph.operations.count)
        }

        private func linear() -> Match? {
            guard case .contract(let x, let weight, nil, false) = records[at].operation, inputs(1).count == 2,
                types[Int(x.index)].shape.count == 2, types[Int(weight.index)].shape.count == 2
            else { return nil }
            let bias = inputs(1)[1]
            guard types[Int(bias.index)].shape.count == 1,
                types[Int(bias.index)].shape == [types[Int(weight.index)].shape[0]]
            else { return nil }
            var plain = builder()
            let sum = plain.linear(x, weight: weight, bias: bias)
            guard agrees(plain) else { return nil }
            var activated = plain
            let activation = activated.gelu(sum)
            if agrees(activated) {
                return Match(
                    step: .linear(x, weight: weight, bias: bias, gelu: true, residual: nil, out: activation), length: 3)
            }
            if inputs(2).count == 2, inputs(2)[0] == sum, types[Int(inputs(2)[1].index)] == types[Int(sum.index)] {
                var added = plain
                let out = added.sum(sum, inputs(2)[1])
                if agrees(added), inputs(2)[1] != sum {
                    return Match(
                        step: .linear(x, weight: weight, bias: bias, gelu: false, residual: inputs(2)[1], out: out),
                        length: 3)
                }
            }
            return Match(step: .linear(x, weight: weight, bias: bias, gelu: false, residual: nil, out: sum), length: 2)
        }

        private func rounding() -> Match? {
            guard inputs(0).count == 1, types[Int(inputs(0)[0].index)].shape.count == 2 else { return nil }
            var graph = builder()
            let rows = graph.rounded(inputs(0)[0])
            guard agrees(graph) else { return nil }
            return Match(
                step: .rounded(inputs(0)[0], words: rows.words), length: graph.operations.count, rounded: rows)
        }

        private func wholeLinear() -> Match? {
            guard case .contract(let left, let words, nil, false) = records[at].operation, let row = rounded[left],
                inputs(3).count == 4, inputs(4).count == 2, types[Int(words.index)].shape.count == 2
            else { return nil }
            let (scales, bias) = (inputs(3)[3], inputs(4)[1])
            let columns = [types[Int(words.index)].shape[0]]
            guard types[Int(bias.index)].shape == columns, types[Int(scales.index)].shape == columns else { return nil }
            var plain = builder()
            let result = TensorType(.f32, [types[Int(left.index)].shape[0]] + columns)
            let sum = plain.sum(plain.product(row, words: words, scale: scales, result), bias)
            guard agrees(plain) else { return nil }
            func match(gelu: Bool, residual: ValueID?, _ graph: GraphBuilder, _ out: ValueID) -> Match {
                Match(
                    step: .wholeLinear(
                        left, words: words, scales: scales, bias: bias, gelu: gelu, residual: residual, out: out),
                    length: graph.operations.count)
            }
            var activated = plain
            let activation = activated.gelu(sum)
            if agrees(activated) { return match(gelu: true, residual: nil, activated, activation) }
            if inputs(5).count == 2, inputs(5)[0] == sum, types[Int(inputs(5)[1].index)] == types[Int(sum.index)] {
                var added = plain
                let out = added.sum(sum, inputs(5)[1])
                if agrees(added), inputs(5)[1] != sum {
                    return match(gelu: false, residual: inputs(5)[1], added, out)
                }
            }
            return match(gelu: false, residual: nil, plain, sum)
        }

        private func rows() -> Match? {
            guard let piece = source(0), let indices = piece.coordinates.first?.table,
                types[Int(piece.source.index)].shape.count == 2, types[Int(indices.index)].shape.count == 1
            else { return nil }
            var graph = builder()
            let out = graph.rows(of: piece.source, at: indices)
            return agrees(graph) ? Match(step: .rows(table: piece.source, indices: indices, out: out), length: 1) : nil
        }

        private func row() -> Match? {
            guard let piece = source(0), let offset = piece.coordinates.first?.offset,
                types[Int(piece.source.index)].shape.count == 2
            else { return nil }
            var graph = builder()
            let out = graph.row(Int(offset), of: piece.source)
            return agrees(graph) ? Match(step: .row(Int(offset), table: piece.source, out: out), length: 1) : nil
        }

        private func add() -> Match? {
            guard inputs(0).count == 2 else { return nil }
            let (a, b) = (inputs(0)[0], inputs(0)[1])
            guard types[Int(a.index)].shape.count == 2,
                types[Int(b.index)].shape == types[Int(a.index)].shape
                    || types[Int(b.index)].shape == [types[Int(a.index)].shape[1]]
            else { return nil }
            var graph = builder()
            let out = graph.sum(a, b)
            return agrees(graph) ? Match(step: .add(a, b, out: out), length: 1) : nil
        }
    }
}
