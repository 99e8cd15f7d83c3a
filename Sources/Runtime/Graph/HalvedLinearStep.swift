internal import CKernels
internal import Programs

/// Rows brought into two halves, with their powers.
struct HalveRowsStep: Sendable {
    let rows: HalvedRows
    let input: Access
    let count: Int
    let width: Int
    /// Elements between successive rows of the input.
    let apart: Int
    let variant: KernelVariant

    func run(_ memory: StepMemory) {
        let x = SharedPointer(memory.pointer(input))
        let (high, low) = (SharedPointer(memory.base(rows.high)), SharedPointer(memory.base(rows.low)))
        let power = SharedPointer(memory.base(rows.power))
        memory.team.run(over: count, grain: max(1, 32768 / width)) { part, _ in
            let first = part.lowerBound
            pk_halve_rows(
                variant.code, Int32(part.count), Int32(width), x.floats(first * apart), apart,
                high.bytes(first * width),
                low.bytes(first * width), width, power.floats(first))
        }
    }
}

/// A linear layer of rows in two halves with a weight whose halves are packed once.
struct HalvedLinearStep: Sendable {
    let out: ValueID
    let rows: HalvedRows
    let m: Int
    let n: Int
    let k: Int
    /// The weight's powers.
    let columns: Access
    let bias: Access?
    /// The high half, then the low one: there before anything runs.
    var packed: [PackedWeight] = []
    let variant: KernelVariant

    /// Bytes for each thread.
    var scratch: Int { pk_linear_halves_scratch(variant.code, Int32(k)) + 64 }

    func run(_ memory: StepMemory) {
        precondition(packed.count == 2, "a weight is packed before a product runs")
        let out = SharedPointer(memory.base(self.out))
        let weights = packed.map { SharedPointer($0.memory.base) }
        let (high, low) = (SharedPointer(memory.base(rows.high)), SharedPointer(memory.base(rows.low)))
        let power = SharedPointer(memory.base(rows.power))
        let columns = SharedPointer(memory.pointer(self.columns))
        let biases = bias.map { SharedPointer(memory.pointer($0)) }
        let panel = Int(pk_panel_columns_i8(variant.code))
        let column = Int(pk_packed_column_i8(variant.code, Int32(k)))
        let (height, width) = WholeContractStep.tile(panel, memory.team.threads, m: m, n: n)
        let across = (n + width - 1) / width
        memory.team.run(((m + height - 1) / height) * across) { task, thread in
            let (i, j) = (task / across * height, task % across * width)
            let part = weights.map { ($0.raw + j * column).assumingMemoryBound(to: UInt8.self) }
            var epilogue = pk_epilogue()
            if let biases { epilogue.bias = UnsafePointer(biases.floats(j)) }
            pk_linear_halves(
                variant.code, Int32(min(m - i, height)), Int32(min(n - j, width)), Int32(k), high.bytes(i * k),
                low.bytes(i * k), k,
                power.floats(i), part[0], part[1], columns.floats(j), &epilogue, out.floats(i * n + j), n,
                memory.scratch(thread))
        }
    }
}
