internal import CKernels
internal import Programs

/// Runs every step of a plan for one group of sentences.
///
/// Unchecked: all it points to outlives the run and is only read, but for the outputs, of which each group writes its own rows.
struct GroupJob: @unchecked Sendable {
    let program: SpecialisedProgram
    let plan: FusedPlan
    let model: PreparedModel
    let batch: PackedBatch
    let inputs: [UnsafeRawBufferPointer]
    let arena: ArenaPlan
    let outputs: [OutputBuffer]
    let outputIDs: [ValueID]
    let scratch: Int
    let team: ThreadTeam
    let types: [TensorType]

    /// Rows below which sharing out costs more than it brings.
    static let rowsPerThread = 8
    /// Rows for each thread from which a product's rows are shared out rather than its columns.
    static let manyRows = 48

    func run(_ group: PackedBatch.Group, _ memory: GroupMemory) {
        for step in plan.steps { perform(step, group, memory) }
        for (id, buffer) in zip(outputIDs, outputs) {
            let (source, rows, width) = tensor(id, group, memory)
            let first =
                rows == group.sentences.count && isSentenceMade(id)
                ? group.sentences.lowerBound : group.tokens.lowerBound
            if let target = buffer.floats.baseAddress {
                (target + first * width).update(from: source, count: rows * width)
            }
        }
    }

    private func isSentenceMade(_ id: ValueID) -> Bool {
        plan.steps.contains { step in
            switch step {
            case .pool(_, let out), .normalize(_, _, let out): out == id
            default: false
            }
        }
    }

    /// A value's memory for this group, its rows and its width.
    private func tensor(
        _ id: ValueID, _ group: PackedBatch.Group, _ memory: GroupMemory
    ) -> (UnsafeMutablePointer<Float>, rows: Int, width: Int) {
        let shape = types[Int(id.index)].dimensions
        let width = shape[shape.count - 1]
        if let place = arena.places[id.index] {
            let rows = shape.count == 1 ? 1 : isSentenceMade(id) ? group.sentences.count : group.tokens.count
            return (memory.floats + place.offset, rows, width)
        }
        // A weight: read only, whatever its type says.
        guard let weight = model.floats(id) else { preconditionFailure("a step reads what no step made") }
        return (UnsafeMutablePointer(mutating: weight), shape.count == 1 ? 1 : shape[0], width)
    }

    private func input(_ id: ValueID) -> UnsafeBufferPointer<Int32> {
        inputs[Int(id.index) - program.parameters.count].bindMemory(to: Int32.self)
    }

    /// Runs `body` over parts of `rows`, on all threads where there is enough for each.
    private func share(_ rows: Int, _ body: @Sendable (Range<Int>) -> Void) {
        let parts = max(1, min(team.threads, rows / GroupJob.rowsPerThread))
        // Multiples of a kernel's tile, so that no part has a ragged edge but the last.
        team.run(over: rows, grain: parts == 1 ? rows : ((rows + parts - 1) / parts + 7) / 8 * 8) { part, _ in
            body(part)
        }
    }

    /// The same for a product, whose columns are shared out where the rows are few: each thread then reads only its part of the weight. `body` gets the
    /// thread's number too.
    private func share(
        _ rows: Int, columns: Int, panel: Int, _ body: @Sendable (Range<Int>, Range<Int>, Int) -> Void
    ) {
        let threads = team.threads
        if threads == 1 { return body(0..<rows, 0..<columns, 0) }
        if rows >= GroupJob.manyRows * threads {
            let each = ((rows + threads - 1) / threads + 7) / 8 * 8
            return team.run(over: rows, grain: each) { body($0, 0..<columns, $1) }
        }
        let panels = (columns + panel - 1) / panel
        team.run(over: columns, grain: (panels + threads - 1) / threads * panel) { body(0..<rows, $0, $1) }
    }

    private func perform(_ step: FusedStep, _ group: PackedBatch.Group, _ memory: GroupMemory) {
        let variant = model.variant.code
        let (out, rows, width) = tensor(step.out, group, memory)
        nonisolated(unsafe) let target = out
        switch step {
        case .rows(let table, let indices, _):
            let (source, count, _) = tensor(table, group, memory)
            let index = input(indices)
            for row in 0..<rows {
                let wanted = Int(index[group.tokens.lowerBound + row])
                if wanted >= 0 && wanted < count {
                    (out + row * width).update(from: source + wanted * width, count: width)
                } else {
                    (out + row * width).update(repeating: 0, count: width)
                }
            }
            pk_canonicalize_f32(out, rows * width)
        case .row(let row, let table, _):
            let (source, count, _) = tensor(table, group, memory)
            if row < count {
                out.update(from: source + row * width, count: width)
            } else {
                out.update(repeating: 0, count: width)
            }
            pk_canonicalize_f32(out, width)
        case .add(let a, let b, _):
            let (x, _, _) = tensor(a, group, memory)
            let (y, yRows, _) = tensor(b, group, memory)
            let isVector = types[Int(b.index)].shape.count == 1
            precondition(isVector || yRows == rows, "the plan adds tensors of one shape")
            for row in 0..<rows {
                for column in 0..<width {
                    out[row * width + column] = x[row * width + column] + y[isVector ? column : row * width + column]
                }
            }
            pk_canonicalize_f32(out, rows * width)
        case .linear(let x, let weight, let bias, let gelu, let residual, _):
            nonisolated(unsafe) let source = tensor(x, group, memory).0
            let depth = types[Int(x.index)].dimensions[1]
            nonisolated(unsafe) let packed = model.packedWeight(weight)
            nonisolated(unsafe) let biases = tensor(bias, group, memory).0
            nonisolated(unsafe) let added = residual.map { tensor($0, group, memory).0 }
            share(rows, columns: width, panel: Int(pk_panel_columns(variant))) { part, columns, _ in
                let (first, column) = (part.lowerBound, columns.lowerBound)
                var epilogue = pk_epilogue(
                    bias: biases + column, activation: gelu ? PK_GELU : PK_NONE,
                    residual: added.map { UnsafePointer($0 + first * width + column) }, ldr: width)
                pk_contract_f32(
                    variant, Int32(part.count), Int32(columns.count), Int32(depth), source + first * depth, depth,
                    packed.map { $0 + column * depth }, target + first * width + column, width, &epilogue)
            }
        case .rounded(let x, _):
            nonisolated(unsafe) let source = tensor(x, group, memory).0
            nonisolated(unsafe) let words = RoundedMemory(target, rows: rows, width: width)
            share(rows) { part in
                let first = part.lowerBound
                pk_round_rows(
                    variant, Int32(part.count), Int32(width), source + first * width, width,
                    words.words + first * width,
                    width, words.scale + first, words.top + first, words.place + first)
            }
        case .wholeLinear(let x, let words, let scales, let bias, let gelu, let residual, _):
            let depth = types[Int(x.index)].dimensions[1]
            nonisolated(unsafe) let source = RoundedMemory(tensor(x, group, memory).0, rows: rows, width: depth)
            nonisolated(unsafe) let packed = model.packedWords(words)
            nonisolated(unsafe) let scales = tensor(scales, group, memory).0
            nonisolated(unsafe) let biases = tensor(bias, group, memory).0
            nonisolated(unsafe) let added = residual.map { tensor($0, group, memory).0 }
            nonisolated(unsafe) let scratch = memory.scratch
            let perThread = self.scratch
            let apart = pk_packed_column_i8(variant, Int32(depth))
            share(rows, columns: width, panel: Int(pk_panel_columns_i8(variant))) { part, columns, thread in
                let (first, column) = (part.lowerBound, columns.lowerBound)
                var epilogue = pk_epilogue(
                    bias: biases + column, activation: gelu ? PK_GELU : PK_NONE,
                    residual: added.map { UnsafePointer($0 + first * width + column) }, ldr: width)
                pk_linear_i8(
                    variant, Int32(part.count), Int32(columns.count), Int32(depth), source.words + first * depth, depth,
                    source.scale + first, source.top + first, source.place + first, packed.map { $0 + column * apart },
                    scales + column, &epilogue, target + first * width + column, width, scratch + thread * perThread)
            }
        case .halved(let x, _):
            nonisolated(unsafe) let source = tensor(x, group, memory).0
            nonisolated(unsafe) let halves = HalvedMemory(target, rows: rows, width: width)
            share(rows) { part in
                let first = part.lowerBound
                pk_halve_rows(
                    variant, Int32(part.count), Int32(width), source + first * width, width,
                    halves.high + first * width,
                    halves.low + first * width, width, halves.power + first)
            }
        case .halvedLinear(let x, let weight, let bias, let gelu, let residual, _):
            let depth = types[Int(x.index)].dimensions[1]
            nonisolated(unsafe) let source = HalvedMemory(tensor(x, group, memory).0, rows: rows, width: depth)
            nonisolated(unsafe) let high = model.packedWords(weight.high)
            nonisolated(unsafe) let low = model.packedWords(weight.low)
            nonisolated(unsafe) let powers = tensor(weight.powers, group, memory).0
            nonisolated(unsafe) let biases = tensor(bias, group, memory).0
            nonisolated(unsafe) let added = residual.map { tensor($0, group, memory).0 }
            nonisolated(unsafe) let scratch = memory.scratch
            let perThread = self.scratch
            let apart = pk_packed_column_i8(variant, Int32(depth))
            share(rows, columns: width, panel: Int(pk_panel_columns_i8(variant))) { part, columns, thread in
                let (first, column) = (part.lowerBound, columns.lowerBound)
                var epilogue = pk_epilogue(
                    bias: biases + column, activation: gelu ? PK_GELU : PK_NONE,
                    residual: added.map { UnsafePointer($0 + first * width + column) }, ldr: width)
                pk_linear_halves(
                    variant, Int32(part.count), Int32(columns.count), Int32(depth), source.high + first * depth,
                    source.low + first * depth, depth, source.power + first, high.map { $0 + column * apart },
                    low.map { $0 + column * apart }, powers + column, &epilogue, target + first * width + column, width,
                    scratch + thread * perThread)
            }
        case .layerNorm(let x, let gain, let bias, let epsilon, _):
            nonisolated(unsafe) let source = tensor(x, group, memory).0
            nonisolated(unsafe) let gains = tensor(gain, group, memory).0
            nonisolated(unsafe) let biases = tensor(bias, group, memory).0
            share(rows) { part in
                let start = part.lowerBound * width
                pk_layer_norm_f32(
                    variant, Int32(part.count), Int32(width), source + start, width, gains, biases, epsilon,
                    target + start, width)
            }
        case .attention(let query, let key, let value, let heads, let headWidth, let scale, _):
            attend(query, key, value, heads, headWidth, scale, out, width, group, memory)
        case .pool(let x, _):
            let (source, _, _) = tensor(x, group, memory)
            for (row, sentence) in group.sentences.enumerated() {
                let start = batch.starts[sentence] - group.tokens.lowerBound
                let count = batch.starts[sentence + 1] - batch.starts[sentence]
                let sums = out + row * width
                pk_column_row_sum_f32(variant, Int32(count), Int32(width), source + start * width, width, sums)
                for column in 0..<width { sums[column] /= Float(count) }
            }
            pk_canonicalize_f32(out, rows * width)
        case .normalize(let x, let floor, _):
            let (source, _, _) = tensor(x, group, memory)
            var squares = [Float](repeating: 0, count: width)
            for row in 0..<rows {
                for column in 0..<width {
                    let value = source[row * width + column]
                    squares[column] = value * value
                }
                let root = pk_row_sum_f32(variant, squares, width).squareRoot()
                // The map's maximum: NaN wins.
                let norm = root.isNaN ? root : root < floor ? floor : root
                for column in 0..<width { out[row * width + column] = source[row * width + column] / norm }
            }
            pk_canonicalize_f32(out, rows * width)
        }
    }

    private func attend(
        _ query: ValueID, _ key: ValueID, _ value: ValueID, _ heads: Int, _ headWidth: Int, _ scale: Float,
        _ out: UnsafeMutablePointer<Float>, _ width: Int, _ group: PackedBatch.Group, _ memory: GroupMemory
    ) {
        nonisolated(unsafe) let target = out
        nonisolated(unsafe) let q = tensor(query, group, memory).0
        nonisolated(unsafe) let k = tensor(key, group, memory).0
        nonisolated(unsafe) let v = tensor(value, group, memory).0
        nonisolated(unsafe) let scratch = memory.scratch
        let variant = model.variant.code
        let perThread = self.scratch
        let base = group.tokens.lowerBound
        let starts = batch.starts
        let work = group.sentences.count * heads
        // A few items at a time, so that a thread that comes late finds some.
        team.run(over: work, grain: max(1, work / (4 * team.threads))) { items, thread in
            for item in items {
                let sentence = group.sentences.lowerBound + item / heads
                let count = starts[sentence + 1] - starts[sentence]
                let offset = (starts[sentence] - base) * width + item % heads * headWidth
                pk_attention_f32(
                    variant, Int32(count), Int32(count), Int32(headWidth), q + offset, width, k + offset, width,
                    v + offset, width, scale, target + offset, width, scratch + thread * perThread)
            }
        }
    }
}
