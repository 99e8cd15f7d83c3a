internal import CKernels
internal import Programs

/// Rows rounded to whole numbers of eight bits, with their scales and what stands apart.
struct RoundRowsStep: Sendable {
    let rows: RoundedRows
    let input: Access
    let count: Int
    let width: Int
    /// Elements between successive rows of the input.
    let apart: Int
    let variant: KernelVariant

    func run(_ memory: StepMemory) {
        let x = SharedPointer(memory.pointer(input))
        let words = SharedPointer(memory.base(rows.words))
        let (scale, top, place) = (
            SharedPointer(memory.base(rows.scale)), SharedPointer(memory.base(rows.top)),
            SharedPointer(memory.base(rows.place))
        )
        memory.team.run(over: count, grain: max(1, 32768 / width)) { part, _ in
            let first = part.lowerBound
            pk_round_rows(
                variant.code, Int32(part.count), Int32(width), x.floats(first * apart), apart,
                words.bytes(first * width),
                width, scale.floats(first), top.floats(first), place.whole(first))
        }
    }
}

/// A linear layer of rounded rows with a weight that is packed once.
struct WholeLinearStep: Sendable {
    let out: ValueID
    let rows: RoundedRows
    let m: Int
    let n: Int
    let k: Int
    /// The weight's scales.
    let columns: Access
    let bias: Access?
    /// There before anything runs.
    var packed: PackedWeight?
    let variant: KernelVariant

    /// Bytes for each thread.
    var scratch: Int { pk_linear_i8_scratch(variant.code, Int32(k)) + 64 }

    func run(_ memory: StepMemory) {
        guard let packed else { preconditionFailure("a weight is packed before a product runs") }
        let out = SharedPointer(memory.base(self.out))
        let weights = SharedPointer(packed.memory.base)
        let words = SharedPointer(memory.base(rows.words))
        let (scale, top, place) = (
            SharedPointer(memory.base(rows.scale)), SharedPointer(memory.base(rows.top)),
            SharedPointer(memory.base(rows.place))
        )
        let columns = SharedPointer(memory.pointer(self.columns))
        let biases = bias.map { SharedPointer(memory.pointer($0)) }
        let panel = Int(pk_panel_columns_i8(variant.code))
        let column = Int(pk_packed_column_i8(variant.code, Int32(k)))
        let (height, width) = WholeContractStep.tile(panel, memory.team.threads, m: m, n: n)
        let across = (n + width - 1) / width
        memory.team.run(((m + height - 1) / height) * across) { task, thread in
            let (i, j) = (task / across * height, task % across * width)
            var epilogue = pk_epilogue()
            if let biases { epilogue.bias = UnsafePointer(biases.floats(j)) }
            pk_linear_i8(
                variant.code, Int32(min(m - i, height)), Int32(min(n - j, width)), Int32(k), words.bytes(i * k), k,
                scale.floats(i), top.floats(i), place.whole(i),
                (weights.raw + j * column).assumingMemoryBound(to: UInt8.self), columns.floats(j), &epilogue,
                out.floats(i * n + j), n, memory.scratch(thread))
        }
    }
}
