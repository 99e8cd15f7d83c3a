internal import Programs

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

    private struct Match {
        let step: FusedStep
        let length: Int
        var layout: PackedLayout?
        var rounded: RoundedRows?
        var halved: HalvedRows?
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
        var halved: [ValueID: HalvedRows] = [:]
        while at < scan.operations.count {
            let matcher = Matcher(
                records: scan.operations, types: types, leading: leading, at: at, rounded: rounded, halved: halved)
            guard let match = matcher.match() else { return nil }
            if let rows = match.rounded { rounded[rows.words] = rows }
            if let rows = match.halved { halved[rows.high] = rows }
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
        if let layout, let places = layout.places {
            var soundness = FusedSoundness(
                types, parameters: program.parameters.count, leading: leading, layout, places: places)
            if !soundness.holds(steps, outputs: scan.outputs) { return nil }
        }
        self.steps = steps
        self.layout = layout
    }

    private struct Matcher {
        let records: [OperationRecord]
        let types: [TensorType]
        let leading: Int
        let at: Int
        let rounded: [ValueID: RoundedRows]
        let halved: [ValueID: HalvedRows]

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
            attention() ?? layerNorm() ?? pool() ?? normalize() ?? linear() ?? quantized() ?? rows() ?? row() ?? add()
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
            guard let found = activated(plain, sum) else { return nil }
            return Match(
                step: .linear(
                    x, weight: weight, bias: bias, gelu: found.gelu, residual: found.residual, out: found.out),
                length: found.length)
        }

        /// What follows a linear layer: a GELU, or a tensor of its shape that is added, or neither. Nil where the ops are not the layer's.
        private func activated(
            _ plain: GraphBuilder, _ sum: ValueID
        ) -> (gelu: Bool, residual: ValueID?, out: ValueID, length: Int)? {
            guard agrees(plain) else { return nil }
            let length = plain.operations.count
            var activated = plain
            let activation = activated.gelu(sum)
            if agrees(activated) { return (true, nil, activation, activated.operations.count) }
            let next = inputs(length)
            if next.count == 2, next[0] == sum, next[1] != sum, types[Int(next[1].index)] == types[Int(sum.index)] {
                var added = plain
                let out = added.sum(sum, next[1])
                if agrees(added) { return (false, next[1], out, added.operations.count) }
            }
            return (false, nil, sum, length)
        }

        private func quantized() -> Match? { rounding() ?? wholeLinear() ?? halving() ?? halvedLinear() }

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
            guard let found = activated(plain, sum) else { return nil }
            return Match(
                step: .wholeLinear(
                    left, words: words, scales: scales, bias: bias, gelu: found.gelu, residual: found.residual,
                    out: found.out),
                length: found.length)
        }

        private func halving() -> Match? {
            guard inputs(0).count == 1, types[Int(inputs(0)[0].index)].shape.count == 2 else { return nil }
            var graph = builder()
            let rows = graph.halved(inputs(0)[0])
            guard agrees(graph) else { return nil }
            return Match(step: .halved(inputs(0)[0], high: rows.high), length: graph.operations.count, halved: rows)
        }

        private func halvedLinear() -> Match? {
            guard case .contract(let left, let high, nil, false) = records[at].operation, let row = halved[left],
                at + 1 < records.count, case .contract(_, let low, nil, false) = records[at + 1].operation,
                inputs(5).count == 3, inputs(6).count == 2, types[Int(high.index)].shape.count == 2
            else { return nil }
            let (powers, bias) = (inputs(5)[2], inputs(6)[1])
            let columns = [types[Int(high.index)].shape[0]]
            guard types[Int(bias.index)].shape == columns, types[Int(powers.index)].shape == columns else { return nil }
            let weight = HalvedWeight(high: high, low: low, powers: powers)
            var plain = builder()
            let result = TensorType(.f32, [types[Int(left.index)].shape[0]] + columns)
            let sum = plain.sum(plain.product(row, weight, result), bias)
            guard let found = activated(plain, sum) else { return nil }
            return Match(
                step: .halvedLinear(
                    left, weight, bias: bias, gelu: found.gelu, residual: found.residual, out: found.out),
                length: found.length)
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
