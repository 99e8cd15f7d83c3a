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

        /// Elements that a row of it reads or writes.
        var work: Int {
            switch kind {
            case .map: width
            case .reduce(let kernel): max(width, kernel.length)
            }
        }

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
    /// Where each member's registers lie in it.
    private let registers: [Int]
    /// Whether each has registers of its own, in which constants stay.
    private let keepsConstants: Bool

    /// Bytes that a block of rows aims at: a part of a second-level cache. Smaller blocks cost more in calls than they save in waiting.
    private static let aim = 160 << 10
    /// Bytes of registers up to which every member has its own.
    private static let mostRegisters = 192 << 10
    /// Between blocks of values in the scratch, so that the same element of all is not in the same few lines of the cache.
    private static let gap = 320

    /// Members in order; `isInternal` says which need no memory.
    init(rows: Int, members: [Member], isInternal: (ValueID) -> Bool) {
        self.rows = rows
        let bytesPerRow = members.reduce(RowGroup.read(members)) { $0 + $1.width * $1.size }
        block = max(1, min(rows, RowGroup.aim / max(1, bytesPerRow)))
        var offset = 0
        var placed = members
        for index in placed.indices where isInternal(placed[index].value) {
            placed[index].scratch = offset
            offset += (block * placed[index].width * placed[index].size + 63) / 64 * 64 + RowGroup.gap
        }
        self.members = placed
        let sizes = members.map { member -> Int in
            if case .map(let kernel) = member.kind { return kernel.scratch }
            return 0
        }
        keepsConstants = sizes.reduce(0, +) <= RowGroup.mostRegisters
        var places: [Int] = []
        for size in sizes {
            places.append(offset)
            if keepsConstants { offset += size }
        }
        registers = places
        scratch = offset + (keepsConstants ? 0 : sizes.max() ?? 0) + 64
    }

    /// Bytes a row that come from outside, without those that are the same along a row.
    private static func read(_ members: [Member]) -> Int {
        var widths: [ValueID: Int] = [:]
        func count(_ root: ValueID, _ bytes: Int) { widths[root] = max(widths[root] ?? 0, bytes) }
        for member in members {
            switch member.kind {
            case .map(let kernel):
                for (number, access) in kernel.inputs.enumerated() where kernel.readsInPlace(number) {
                    count(access.root, member.width * 4)
                }
            case .reduce(let reduction): count(reduction.input.root, reduction.length * reduction.element.size)
            }
        }
        for member in members { widths[member.value] = nil }
        return widths.values.reduce(0, +)
    }

    func run(_ memory: StepMemory) {
        // Enough pieces that threads end together, none so small that handing it out and making its members ready costs more than doing it.
        let threads = memory.team.threads
        let perRow = members.reduce(0) { $0 + $1.work }
        let worthwhile = rows / max(1, 8192 * members.count / max(1, perRow)) / threads * threads
        let pieces = threads == 1 ? 1 : min(threads * 4, max(threads, worthwhile))
        let least = max(1, 16384 / max(1, perRow))
        memory.team.run(over: rows, grain: max((rows + pieces - 1) / pieces, least)) { range, thread in
            run(range, memory.scratch(thread), memory)
        }
    }

    private func run(_ range: Range<Int>, _ scratch: UnsafeMutableRawPointer, _ memory: StepMemory) {
        withUnsafeTemporaryAllocation(of: pk_row_member.self, capacity: members.count) { kernels in
            for index in members.indices {
                kernels.initializeElement(at: index, to: kernel(index, memory))
            }
            pk_rows_run(
                memory.variant.code, kernels.baseAddress, Int32(members.count), Int64(range.lowerBound),
                Int64(range.upperBound), Int64(block), scratch)
        }
    }

    /// A member as the kernels have it.
    private func kernel(_ index: Int, _ memory: StepMemory) -> pk_row_member {
        let member = members[index]
        var out = pk_row_member()
        out.width = Int64(member.width)
        out.size = Int64(member.size)
        if let offset = member.scratch { out.scratch = offset } else { out.out = memory.base(member.value) }
        out.registers = registers[index]
        out.keeps = keepsConstants ? 1 : 0
        let read: [Access]
        switch member.kind {
        case .map(let kernel):
            out.is_map = 1
            kernel.fill(&out.map, random: memory.random)
            read = kernel.inputs
        case .reduce(let reduction):
            reduction.fill(&out)
            read = [reduction.input] + (reduction.extents.map { [$0.access] } ?? [])
        }
        for (place, access) in read.enumerated() {
            let held = members.firstIndex { $0.value == access.root && $0.scratch != nil }
            withUnsafeMutableBytes(of: &out.member) {
                $0.storeBytes(of: Int32(held ?? -1), toByteOffset: place * 4, as: Int32.self)
            }
            if held == nil {
                withUnsafeMutableBytes(of: &out.base) {
                    $0.storeBytes(
                        of: UnsafeRawPointer(memory.pointer(access)), toByteOffset: place * 8,
                        as: UnsafeRawPointer.self)
                }
            } else {
                withUnsafeMutableBytes(of: &out.offset) {
                    $0.storeBytes(of: Int64(access.offset), toByteOffset: place * 8, as: Int64.self)
                }
            }
        }
        return out
    }
}

/// Extents of rows: an i32 tensor that broadcasts to them.
struct RowExtents: Sendable {
    let access: Access
    let axes: JoinedAxes
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

    /// Writes all but what is read.
    func fill(_ member: inout pk_row_member) {
        member.type = element.rawValue
        member.prefix = isPrefix ? 1 : 0
        member.reduction = pk_reduction(UInt32(reduction.rawValue))
        member.length = Int64(length)
        member.rows = rows.kernel
        if let extents {
            member.has_extents = 1
            member.extents = extents.axes.kernel
        }
    }
}

extension JoinedAxes {
    /// The axes with the strides of the first tensor, as the kernels have them.
    var kernel: pk_row_axes {
        var out = pk_row_axes()
        out.rank = Int32(shape.count)
        withUnsafeMutableBytes(of: &out.shape) { bytes in
            for (axis, size) in shape.enumerated() {
                bytes.storeBytes(of: Int64(size), toByteOffset: axis * 8, as: Int64.self)
            }
        }
        withUnsafeMutableBytes(of: &out.stride) { bytes in
            for (axis, stride) in strides[0].enumerated() {
                bytes.storeBytes(of: Int64(stride), toByteOffset: axis * 8, as: Int64.self)
            }
        }
        return out
    }
}
