internal import CKernels
internal import Programs

/// Maps and reductions that belong together row by row: a block of rows goes through all of them while it is in the cache, and what only they read is never
/// written to memory. Softmax, the norms and chains of elementwise ops are such groups; nothing here knows them.
struct RowGroup: Sendable {
    struct Member: Sendable {
        enum Kind: Sendable {
            case map(MapKernel)
            case reduce(RowReduction)
        }

        let kind: Kind
        let value: ValueID
        /// Elements a row.
        let width: Int
        let size: Int
        /// Where in a thread's scratch its block lies; nil for a value with memory.
        var scratch: Int?

        /// The values whose memory it reads.
        var roots: [ValueID] {
            switch kind {
            case .map(let kernel): kernel.inputs.map(\.root)
            case .reduce(let kernel): [kernel.input.root] + (kernel.extents.map { [$0.access.root] } ?? [])
            }
        }
    }

    let rows: Int
    private(set) var members: [Member]
    /// Rows that go through together.
    let block: Int
    /// Bytes of a thread's scratch.
    let scratch: Int
    /// Where registers and extents lie in it.
    private let registers: Int
    private let extents: Int

    /// Bytes that a block of rows aims at: half of a second-level cache.
    private static let aim = 192 << 10

    /// Members in order; `isInternal` says which need no memory.
    init(rows: Int, members: [Member], isInternal: (ValueID) -> Bool) {
        self.rows = rows
        let bytesPerRow = members.reduce(4) { $0 + $1.width * $1.size }
        block = max(1, min(rows, RowGroup.aim / max(1, bytesPerRow)))
        var offset = 0
        var placed = members
        for index in placed.indices where isInternal(placed[index].value) {
            placed[index].scratch = offset
            offset += (block * placed[index].width * placed[index].size + 63) / 64 * 64
        }
        self.members = placed
        registers = offset
        let largest = members.map { member -> Int in
            if case .map(let kernel) = member.kind { return kernel.scratch }
            return 0
        }
        offset += largest.max() ?? 0
        extents = offset
        scratch = offset + block * 4 + 64
    }

    func run(_ memory: StepMemory) {
        // Enough pieces that threads end together, none so small that handing it out costs more than doing it.
        let grain = max(1, min(block, (rows + memory.team.threads * 4 - 1) / (memory.team.threads * 4)))
        let perRow = members.reduce(0) { $0 + $1.width }
        let least = max(1, min(block, 4096 / max(1, perRow)))
        memory.team.run(over: rows, grain: max(grain, least)) { range, thread in
            run(range, memory.scratch(thread), memory)
        }
    }

    private func run(_ range: Range<Int>, _ scratch: UnsafeMutableRawPointer, _ memory: StepMemory) {
        /// Where row 0 of a value would lie.
        func base(_ root: ValueID) -> UnsafeMutableRawPointer {
            for member in members where member.value == root {
                guard let offset = member.scratch else { break }
                // Only rows of the range are touched, and those lie in the scratch.
                let address = UInt(bitPattern: scratch + offset) &- UInt(range.lowerBound * member.width * member.size)
                guard let pointer = UnsafeMutableRawPointer(bitPattern: address) else {
                    preconditionFailure("scratch lies at the very start of memory")
                }
                return pointer
            }
            return memory.base(root)
        }
        for member in members {
            switch member.kind {
            case .map(let kernel):
                let bases = kernel.inputs.map { access in
                    UnsafeRawPointer(base(access.root) + access.offset * memory.sizes[Int(access.root.index)])
                }
                kernel.run(
                    memory.variant, first: range.lowerBound * member.width, count: range.count * member.width,
                    bases: bases, out: base(member.value), scratch: scratch + registers, random: memory.random)
            case .reduce(let reduction):
                let input =
                    base(reduction.input.root) + reduction.input.offset * memory.sizes[Int(reduction.input.root.index)]
                let extents = (scratch + self.extents).assumingMemoryBound(to: Int32.self)
                let hasExtents = reduction.fill(extents, range) { access in
                    UnsafeRawPointer(base(access.root) + access.offset * memory.sizes[Int(access.root.index)])
                }
                reduction.run(
                    memory.variant, range, input: input, extents: hasExtents ? extents : nil, out: base(member.value))
            }
        }
    }
}

/// Extents of rows: an i32 tensor that broadcasts to them.
struct RowExtents: Sendable {
    let access: Access
    private let axes: JoinedAxes
    private let length: Int

    /// `own` is the tensor's shape, `rows` that of the rows, `length` what an extent is clamped to.
    init(_ access: Access, own: [Int], rows: [Int], length: Int) {
        self.access = access
        axes = JoinedAxes(rows, [access.broadcast(from: own, to: rows)])
        self.length = length
    }

    /// Writes the extents of a range of rows.
    func fill(_ out: UnsafeMutablePointer<Int32>, _ range: Range<Int>, from base: UnsafeRawPointer) {
        let table = base.assumingMemoryBound(to: Int32.self)
        for (place, row) in range.enumerated() {
            out[place] = min(Int32(clamping: length), max(0, table[axes.offset(row)]))
        }
    }
}

/// A reduction of rows.
struct RowReduction: Sendable {
    let reduction: Reduction
    let isPrefix: Bool
    let element: ElementType
    let length: Int
    let input: Access
    /// The input's row starts.
    let rows: JoinedAxes
    let extents: RowExtents?

    /// Fills in the extents of a range, if there are any.
    func fill(_ out: UnsafeMutablePointer<Int32>, _ range: Range<Int>, _ base: (Access) -> UnsafeRawPointer) -> Bool {
        guard let extents else { return false }
        extents.fill(out, range, from: base(extents.access))
        return true
    }

    func run(
        _ variant: KernelVariant, _ range: Range<Int>, input: UnsafeRawPointer, extents: UnsafePointer<Int32>?,
        out: UnsafeMutableRawPointer
    ) {
        for (place, row) in range.enumerated() {
            let start = rows.offset(row)
            let take = extents.map { Int($0[place]) } ?? length
            if element == .f32 {
                run(variant, input.assumingMemoryBound(to: Float.self) + start, take, row, out)
            } else {
                var extent = Int32(clamping: take)
                let width = isPrefix ? length : 1
                let isArgument = reduction == .argumentOfMaximum || reduction == .argumentOfMinimum
                let size = isArgument ? 4 : element.size
                pk_reduce_whole(
                    Int32(element.rawValue), pk_reduction(UInt32(reduction.rawValue)), isPrefix ? 1 : 0, 1,
                    Int64(length),
                    Int64(length), input + start * element.size, &extent, out + row * width * size)
            }
        }
    }

    private func run(
        _ variant: KernelVariant, _ x: UnsafePointer<Float>, _ take: Int, _ row: Int, _ out: UnsafeMutableRawPointer
    ) {
        let floats = out.assumingMemoryBound(to: Float.self)
        let places = out.assumingMemoryBound(to: Int32.self)
        switch (reduction, isPrefix) {
        case (.sum, false): floats[row] = pk_row_sum_f32(variant.code, x, take)
        case (.maximum, false): floats[row] = pk_row_extreme_f32(variant.code, x, take, 1)
        case (.minimum, false): floats[row] = pk_row_extreme_f32(variant.code, x, take, 0)
        case (.argumentOfMaximum, false): places[row] = Int32(truncatingIfNeeded: pk_row_argmax_f32(x, take))
        case (.argumentOfMinimum, false): places[row] = Int32(truncatingIfNeeded: pk_row_argmin_f32(x, take))
        case (.sum, true): pk_row_prefix_sum_f32(x, length, take, floats + row * length)
        case (.maximum, true): pk_row_prefix_extreme_f32(x, length, take, 1, floats + row * length)
        case (.minimum, true): pk_row_prefix_extreme_f32(x, length, take, 0, floats + row * length)
        case (.argumentOfMaximum, true): pk_row_prefix_argument_f32(x, length, take, 1, places + row * length)
        case (.argumentOfMinimum, true): pk_row_prefix_argument_f32(x, length, take, 0, places + row * length)
        }
    }
}
