internal import CKernels
internal import Programs

/// C[…,m,n] = Σₖ A[…,m,k]·B[…,n,k] with both sides read where they lie: a transposed or a split side costs no copy.
struct ContractStep: Sendable {
    /// One side of a batch item as a matrix.
    struct Side: Sendable {
        let access: Access
        /// Starts of the batch items.
        let batch: JoinedAxes
        /// Between successive rows (m or n), and successive k.
        let row: Int
        let step: Int
    }

    var out: ValueID
    let batch: Int
    let m: Int
    let n: Int
    let k: Int
    let left: Side
    let right: Side
    /// Over all rows of all batch items.
    let extents: RowExtents?
    /// Whether the right side is a weight, which is packed once.
    let isWeight: Bool
    /// The packed weight; there before anything runs.
    var packed: PackedWeight?
    let variant: KernelVariant
    /// A number for each column that is added to the sums.
    var bias: Access?

    /// Whether the kernel that runs it can add a bias.
    var takesBias: Bool { extents == nil && (left.step == 1 || k <= 1 || isFew) && bias == nil }

    /// Whether each thread takes whole batch items, right side and all.
    private func sharesBatch(_ threads: Int) -> Bool { batch >= 2 * threads || (threads == 1 && batch > 1) }

    /// Whether the right side is packed by segments while the product is computed: the left one lies across, as those of weights' gradients do.
    /// Its scratch is a segment of all columns for each thread: where that is much, or more than all of the right side packed, it is not done.
    private var isOuter: Bool {
        batch == 1 && !isWeight && extents == nil && left.step != 1 && k >= 256 && n <= 1 << 14
    }

    /// Whether the rows are so few that packing the right side would take longer than the product: it is read once as it lies.
    private var isFew: Bool { !isWeight && k > 0 && m <= Int(pk_few_rows(variant.code)) }

    private var packedFloats: Int { pk_pack_size(variant.code, Int32(n), Int32(k)) }

    /// Bytes of scratch: for each thread, and for all.
    func scratch(threads: Int) -> (thread: Int, shared: Int) {
        let rows = extents == nil ? 0 : m * 4 + 64
        if isWeight || isFew { return (rows, 0) }
        if isOuter { return (pk_outer_scratch(variant.code, Int32(n)) * 4 + 64, 0) }
        return sharesBatch(threads) ? (packedFloats * 4 + 64 + rows, 0) : (rows, packedFloats * 4 + 64)
    }

    func run(_ memory: StepMemory) {
        let out = SharedPointer(memory.base(self.out))
        let a = SharedPointer(memory.pointer(left.access))
        // A weight that was made only to be packed has no memory any more.
        let b = isWeight ? out : SharedPointer(memory.pointer(right.access))
        if isFew { return runFew(a, b, out, memory) }
        if k == 0 || packed == nil && sharesBatch(memory.team.threads) {
            memory.team.run(batch) { item, thread in
                let scratch = memory.scratch(thread).assumingMemoryBound(to: Float.self)
                if k > 0 { pack(b.floats(right.batch.offset(item)), columns: 0..<n, into: scratch) }
                multiply(
                    item, rows: 0..<m, columns: 0..<n, a.floats(left.batch.offset(item)), scratch, out, memory,
                    extents: UnsafeMutableRawPointer(scratch + (k > 0 ? packedFloats : 0)))
            }
            return
        }
        let panel = Int(pk_panel_columns(variant.code))
        if isOuter { return runOuter(panel, a, b, out, memory) }
        for item in 0..<batch {
            let weights: SharedPointer
            if let packed {
                weights = SharedPointer(packed.memory.base)
            } else {
                weights = SharedPointer(memory.shared.base)
                let from = SharedPointer(b.floats(right.batch.offset(item)))
                // Panels of at least some thousand numbers.
                let grain = max(1, 16384 / max(1, k * panel)) * panel
                memory.team.run(over: n, grain: grain) { columns, _ in
                    pack(from.floats(0), columns: columns, into: weights.floats(0))
                }
            }
            let from = SharedPointer(a.floats(left.batch.offset(item)))
            let (height, width) = tile(panel, memory.team.threads)
            let across = (n + width - 1) / width
            memory.team.run(((m + height - 1) / height) * across) { task, thread in
                let rows = task / across * height..<min(m, (task / across + 1) * height)
                let columns = task % across * width..<min(n, (task % across + 1) * width)
                multiply(
                    item, rows: rows, columns: columns, from.floats(0), weights.floats(0), out, memory,
                    extents: memory.scratch(thread))
            }
        }
    }

    /// Batch items as tasks, or parts of their columns where that is more than a task's worth.
    private func runFew(_ a: SharedPointer, _ b: SharedPointer, _ out: SharedPointer, _ memory: StepMemory) {
        let columns = min(max(1, n), max(1, 32768 / k / 64) * 64)
        let across = (n + columns - 1) / columns
        memory.team.run(batch * across) { task, thread in
            let (item, first) = (task / across, task % across * columns)
            let width = min(columns, n - first)
            let taken = extents.map { extents in
                let taken = memory.scratch(thread).assumingMemoryBound(to: Int32.self)
                extents.fill(
                    taken, item * m..<(item + 1) * m, from: UnsafeRawPointer(memory.pointer(extents.access)))
                return taken
            }
            pk_contract_few_f32(
                variant.code, Int32(m), Int32(width), Int32(k), taken, a.floats(left.batch.offset(item)), left.row,
                left.step, b.floats(right.batch.offset(item) + first * right.row), right.row, right.step,
                bias.map { memory.floats($0) + first }, out.floats(item * m * n + first), n)
        }
    }

    /// Each thread takes its part of the longer side; the shorter one is read by all.
    private func runOuter(
        _ panel: Int, _ a: SharedPointer, _ b: SharedPointer, _ out: SharedPointer, _ memory: StepMemory
    ) {
        let threads = memory.team.threads
        let (unit, count) = n > m ? (panel, n) : (16, m)
        memory.team.run(over: count, grain: ((count + threads - 1) / threads + unit - 1) / unit * unit) {
            part, thread in
            let (rows, columns) = n > m ? (0..<m, part) : (part, 0..<n)
            pk_contract_outer_f32(
                variant.code, Int32(rows.count), Int32(columns.count), Int32(k),
                a.floats(rows.lowerBound * left.row), left.row, left.step,
                b.floats(columns.lowerBound * right.row), right.row, right.step,
                out.floats(rows.lowerBound * n + columns.lowerBound), n,
                memory.scratch(thread).assumingMemoryBound(to: Float.self))
        }
    }

    /// Rows and columns of a task: about four tasks a thread, whole register tiles and panels, and blocks of A that stay in a second-level cache.
    private func tile(_ panel: Int, _ threads: Int) -> (height: Int, width: Int) {
        if threads == 1 && m <= 96 { return (max(1, m), max(1, n)) }
        let height = m <= 48 ? m : max(48, min(96, (m / (2 * threads) + 23) / 24 * 24))
        let down = (m + height - 1) / max(1, height)
        let across = max(1, (4 * threads + down - 1) / down)
        let panels = (n + panel - 1) / panel
        return (max(1, height), max(1, (panels + across - 1) / across) * panel)
    }

    private func pack(
        _ b: UnsafeMutablePointer<Float>, columns: Range<Int>, into packed: UnsafeMutablePointer<Float>
    ) {
        ContractStep.pack(variant, b, row: right.row, step: right.step, k: k, columns: columns, into: packed)
    }

    /// Columns from a multiple of the panel on. One of the strides is 1.
    static func pack(
        _ variant: KernelVariant, _ b: UnsafePointer<Float>, row: Int, step: Int, k: Int, columns: Range<Int>,
        into packed: UnsafeMutablePointer<Float>
    ) {
        let first = columns.lowerBound
        if step == 1 || k == 1 {
            pk_pack(
                variant.code, Int32(columns.count), Int32(k), b + first * row, row, packed + first * k)
        } else {
            pk_pack_turned(
                variant.code, Int32(columns.count), Int32(k), b + first * row, step, packed + first * k)
        }
    }

    private func multiply(
        _ item: Int, rows: Range<Int>, columns: Range<Int>, _ a: UnsafeMutablePointer<Float>,
        _ packed: UnsafeMutablePointer<Float>, _ out: SharedPointer, _ memory: StepMemory,
        extents scratch: UnsafeMutableRawPointer
    ) {
        let target = out.floats((item * m + rows.lowerBound) * n + columns.lowerBound)
        let from = a + rows.lowerBound * left.row
        let weights = packed + columns.lowerBound * k
        let (height, width, depth) = (Int32(rows.count), Int32(columns.count), Int32(k))
        if let extents {
            let taken = scratch.assumingMemoryBound(to: Int32.self)
            let base = UnsafeRawPointer(memory.pointer(extents.access))
            extents.fill(taken, item * m + rows.lowerBound..<item * m + rows.upperBound, from: base)
            pk_contract_strided_f32(
                variant.code, height, width, depth, taken, from, left.row, left.step, weights, target, n)
        } else if left.step == 1 || k <= 1 {
            var epilogue = pk_epilogue()
            if let bias { epilogue.bias = UnsafePointer(memory.floats(bias) + columns.lowerBound) }
            pk_contract_f32(variant.code, height, width, depth, from, left.row, weights, target, n, &epilogue)
        } else {
            pk_contract_strided_f32(
                variant.code, height, width, depth, nil, from, left.row, left.step, weights, target, n)
        }
    }
}

/// A right side that is packed once for all runs.
final class PackedWeight: Sendable {
    let memory: Block

    /// Packs an i8 [n, k] whose rows lie one after another.
    init(_ variant: KernelVariant, _ b: UnsafePointer<Int8>, n: Int, k: Int) {
        memory = Block(pk_pack_size_i8(variant.code, Int32(n), Int32(k)))
        pk_pack_i8(variant.code, Int32(n), Int32(k), b, k, memory.base.assumingMemoryBound(to: UInt8.self))
    }

    /// Packs filters [n, k] whose rows lie one after another, each of the groups for itself.
    init(_ variant: KernelVariant, filters: UnsafePointer<Float>, n: Int, k: Int, groups: Int) {
        let (part, each) = (n / groups, pk_pack_filters_size(variant.code, Int32(n / groups), Int32(k)))
        memory = Block(groups * each * 4)
        let packed = memory.base.assumingMemoryBound(to: Float.self)
        for group in 0..<groups {
            pk_pack_filters(
                variant.code, Int32(part), Int32(k), filters + group * part * k, k, packed + group * each)
        }
    }

    /// Packs [n, k] at `b`, of which one stride is 1.
    init(_ variant: KernelVariant, _ b: UnsafePointer<Float>, row: Int, step: Int, n: Int, k: Int) {
        memory = Block(pk_pack_size(variant.code, Int32(n), Int32(k)) * 4)
        ContractStep.pack(
            variant, b, row: row, step: step, k: k, columns: 0..<n,
            into: memory.base.assumingMemoryBound(to: Float.self))
    }
}

/// The selected form: an embedding's gradient.
struct SelectedContractStep: Sendable {
    let out: ValueID
    let m: Int
    let n: Int
    let k: Int
    let indices: Access
    let right: Access

    var scratch: Int { pk_selected_scratch(Int32(n)) }

    func run(_ memory: StepMemory) {
        pk_selected_contract_f32(
            Int32(m), Int32(n), Int64(k), memory.pointer(indices).assumingMemoryBound(to: Int32.self),
            memory.floats(right), Int64(right.strides[0]), Int64(right.strides[1]),
            memory.base(out).assumingMemoryBound(to: Float.self), memory.scratch(0))
    }
}
