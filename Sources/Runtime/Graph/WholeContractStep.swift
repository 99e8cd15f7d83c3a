internal import CKernels
internal import Programs

/// i8 × i8 → i32: exact in any order. Both sides lie row by row.
struct WholeContractStep: Sendable {
    let out: ValueID
    /// Right sides: one for all rows, or one for each batch item.
    let batch: Int
    /// Rows of a batch item.
    let m: Int
    let n: Int
    let k: Int
    let left: Access
    let right: Access
    /// Over all rows of all batch items.
    let extents: RowExtents?
    /// Whether the right side is a weight, which is packed once.
    let isWeight: Bool
    /// The packed weight; there before anything runs.
    var packed: PackedWeight?
    let variant: KernelVariant

    private var packedBytes: Int { pk_pack_size_i8(variant.code, Int32(n), Int32(k)) }

    /// Bytes of scratch: for each thread, and for all.
    var scratch: (thread: Int, shared: Int) {
        let rows = extents == nil ? 0 : m * 4 + 64
        if isWeight { return (rows, 0) }
        return batch > 1 ? (packedBytes + 64 + rows, 0) : (rows, packedBytes + 64)
    }

    func run(_ memory: StepMemory) {
        let out = SharedPointer(memory.base(self.out))
        let a = SharedPointer(memory.pointer(left))
        // A weight that was made only to be packed has no memory any more.
        let b = isWeight ? out : SharedPointer(memory.pointer(right))
        if packed == nil && batch > 1 {
            memory.team.run(batch) { item, thread in
                let scratch = memory.scratch(thread)
                let extents = scratch + (packedBytes + 63) / 64 * 64
                pk_pack_i8(
                    variant.code, Int32(n), Int32(k), b.bytes(item * n * k), k,
                    scratch.assumingMemoryBound(to: UInt8.self))
                multiply(
                    item, rows: 0..<m, columns: 0..<n, a, SharedPointer(scratch), out, memory, extents: extents)
            }
            return
        }
        let panel = Int(pk_panel_columns_i8(variant.code))
        let column = Int(pk_packed_column_i8(variant.code, Int32(k)))
        let weights: SharedPointer
        if let packed {
            weights = SharedPointer(packed.memory.base)
        } else {
            weights = SharedPointer(memory.shared.base)
            memory.team.run(over: n, grain: max(1, 16384 / max(1, k * panel)) * panel) { columns, _ in
                let first = columns.lowerBound
                pk_pack_i8(
                    variant.code, Int32(columns.count), Int32(k), b.bytes(first * k), k,
                    (weights.raw + first * column).assumingMemoryBound(to: UInt8.self))
            }
        }
        for item in 0..<batch {
            let (height, width) = WholeContractStep.tile(panel, memory.team.threads, m: m, n: n)
            let across = (n + width - 1) / width
            memory.team.run(((m + height - 1) / height) * across) { task, thread in
                let rows = task / across * height..<min(m, (task / across + 1) * height)
                let columns = task % across * width..<min(n, (task % across + 1) * width)
                multiply(item, rows: rows, columns: columns, a, weights, out, memory, extents: memory.scratch(thread))
            }
        }
    }

    /// Rows and columns of a task: about four tasks a thread, whole register tiles and panels.
    static func tile(_ panel: Int, _ threads: Int, m: Int, n: Int) -> (height: Int, width: Int) {
        if threads == 1 { return (max(1, m), max(1, n)) }
        let height = m <= 48 ? m : max(48, min(192, (m / (2 * threads) + 11) / 12 * 12))
        let down = (m + height - 1) / max(1, height)
        let across = max(1, (4 * threads + down - 1) / down)
        let panels = (n + panel - 1) / panel
        return (max(1, height), max(1, (panels + across - 1) / across) * panel)
    }

    private func multiply(
        _ item: Int, rows: Range<Int>, columns: Range<Int>, _ a: SharedPointer, _ packed: SharedPointer,
        _ out: SharedPointer, _ memory: StepMemory, extents scratch: UnsafeMutableRawPointer
    ) {
        let first = item * m + rows.lowerBound
        let column = pk_packed_column_i8(variant.code, Int32(k))
        let weights = (packed.raw + columns.lowerBound * column).assumingMemoryBound(to: UInt8.self)
        let target = out.raw.assumingMemoryBound(to: Int32.self) + first * n + columns.lowerBound
        var taken: UnsafeMutablePointer<Int32>?
        if let extents {
            let words = scratch.assumingMemoryBound(to: Int32.self)
            extents.fill(words, first..<first + rows.count, from: UnsafeRawPointer(memory.pointer(extents.access)))
            taken = words
        }
        pk_contract_i8(
            variant.code, Int32(rows.count), Int32(columns.count), Int32(k), taken, a.bytes(first * k), k, weights,
            target, n)
    }
}
