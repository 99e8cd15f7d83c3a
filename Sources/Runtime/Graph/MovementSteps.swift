internal import CKernels
internal import Programs

/// A gather that moves memory: its pieces from the last to the first, so that the first that applies has the last word.
struct GatherStep: Sendable {
    struct Piece: Sendable {
        let form: GatherForm
        let source: Access
        let tables: [Access?]
        /// The box's axes from the outermost to the innermost of the loops.
        let order: [Int]

        init(form: GatherForm, source: Access, tables: [Access?]) {
            self.form = form
            self.source = source
            self.tables = tables
            order = Piece.order(form, source)
        }

        /// Rows that are copied whole pay from so many elements on; and beyond so many their places in the result push one another out of the cache.
        private static let run = 16...2048

        /// The axes as they stand, but where the last one is short and along another the source is read nearly one element after another: then that comes last.
        /// Such are the windows of a convolution, whose elements come three by three and whose places lie side by side.
        private static func order(_ form: GatherForm, _ source: Access) -> [Int] {
            let axes = Array(form.axes.indices)
            guard let last = axes.last, form.axes[last].count < run.lowerBound, form.pinned == nil else { return axes }
            func step(_ axis: Int) -> Int? {
                var step = 0
                for (place, stride) in zip(form.places, source.strides) {
                    if place.coefficients[axis] == 0 && place.tableStrides[axis] == 0 { continue }
                    guard place.isEven, place.tableStrides[axis] == 0, abs(place.coefficients[axis]) <= 4, stride <= 4
                    else { return nil }
                    step += place.coefficients[axis] * stride
                }
                return (1...4).contains(abs(step)) ? abs(step) : nil
            }
            let found = axes.dropLast().filter { run.contains(form.axes[$0].count) && step($0) != nil }
            guard
                let best = found.min(by: {
                    (step($0) ?? 9, -form.axes[$0].count) < (step($1) ?? 9, -form.axes[$1].count)
                })
            else { return axes }
            return axes.filter { $0 != best } + [best]
        }
    }

    let out: ValueID
    let element: ElementType
    let pieces: [Piece]
    let fill: UInt64
    /// Elements of the result.
    let count: Int
    /// Whether the pieces may leave something to the fill value.
    let fillsFirst: Bool
    /// Whether a source is as it came from outside.
    let isRaw: Bool

    init(
        out: ValueID, element: ElementType, pieces: [Piece], fill: UInt64, count: Int, keepsRest: Bool, isRaw: Bool
    ) {
        self.out = out
        self.element = element
        self.pieces = pieces
        self.fill = GatherStep.canonical(fill, element)
        self.count = count
        // The last piece covers all where it is the whole box and nothing forbids it.
        let covers = pieces.last.map { $0.form.count == count && !$0.form.places.contains(where: \.exact) } ?? false
        fillsFirst = !keepsRest && !covers
        self.isRaw = isRaw
    }

    /// A program may name any NaN as its fill; no run leaves another than the one.
    private static func canonical(_ fill: UInt64, _ element: ElementType) -> UInt64 {
        switch element {
        case .f32: fill & 0x7FFF_FFFF > 0x7F80_0000 ? 0x7FC0_0000 : fill
        case .bf16: fill & 0x7FFF > 0x7F80 ? 0x7FC0 : fill
        case .f16: fill & 0x7FFF > 0x7C00 ? 0x7E00 : fill
        case .bool, .i8, .u8, .i32, .i64: fill
        }
    }

    func run(_ memory: StepMemory) {
        let out = SharedPointer(memory.base(self.out))
        if fillsFirst { pk_fill(Int32(element.size), fill, Int64(count), out.raw) }
        for piece in pieces.reversed() {
            let gather = GatherStep.kernel(piece, element, fill, memory)
            let rows = Int(pk_gather_rows(gather.value))
            let perRow = piece.order.last.map { piece.form.axes[$0].count } ?? 1
            let target = SharedPointer(out.raw + piece.form.start * element.size)
            memory.team.run(over: rows, grain: max(1, 16384 / max(1, perRow))) { range, _ in
                pk_gather_run(gather.value, Int64(range.lowerBound), Int64(range.upperBound), target.raw)
            }
        }
        if isRaw { canonicalize(element, out.raw, count: count) }
    }

    /// The kernel's own form of a piece.
    private static func kernel(_ piece: Piece, _ element: ElementType, _ fill: UInt64, _ memory: StepMemory)
        -> HeldGather
    {
        let held = HeldGather()
        let form = piece.form
        let gather = held.pointer
        gather.pointee.rank = Int32(form.axes.count)
        gather.pointee.coordinates = Int32(form.places.count)
        gather.pointee.source = UnsafeRawPointer(memory.pointer(piece.source))
        gather.pointee.element = Int32(element.size)
        gather.pointee.fill = fill
        // Only a piece with nothing pinned has its axes in another order.
        func ordered(_ numbers: [Int]) -> [Int] { piece.order.map { numbers[$0] } }
        var counts = ordered(form.axes.map(\.count))
        gather.pointee.pinned = -1
        if let pinned = form.pinned {
            gather.pointee.pinned = Int32(pinned.axis)
            gather.pointee.pinned_coordinate = Int32(pinned.place)
            gather.pointee.pinned_count = Int64(counts[pinned.axis])
            counts[pinned.axis] = 1
        }
        withUnsafeMutableBytes(of: &gather.pointee.count) { HeldGather.write(counts, to: $0) }
        withUnsafeMutableBytes(of: &gather.pointee.stride) {
            HeldGather.write(ordered(form.axes.map(\.stride)), to: $0)
        }
        for (index, place) in form.places.enumerated() {
            var coordinate = pk_coordinate()
            coordinate.offset = Int64(place.offset)
            coordinate.quotient = Int64(place.quotient)
            coordinate.modulus = Int64(place.modulus)
            coordinate.exact = place.exact ? 1 : 0
            coordinate.size = Int64(place.size)
            coordinate.stride = Int64(piece.source.strides[index])
            withUnsafeMutableBytes(of: &coordinate.coefficient) {
                HeldGather.write(ordered(place.coefficients), to: $0)
            }
            if let table = piece.tables[index] {
                coordinate.table = UnsafePointer(
                    memory.pointer(table).assumingMemoryBound(to: Int32.self) + form.tableCorner[index])
                withUnsafeMutableBytes(of: &coordinate.table_stride) {
                    HeldGather.write(ordered(place.tableStrides), to: $0)
                }
            }
            withUnsafeMutableBytes(of: &gather.pointee.coordinate) {
                $0.storeBytes(
                    of: coordinate, toByteOffset: index * MemoryLayout<pk_coordinate>.stride, as: pk_coordinate.self)
            }
        }
        return held
    }
}

/// The kernel's form of one piece, in memory that threads may read.
private final class HeldGather: @unchecked Sendable {
    // Written before it is shared, read after.
    let pointer: UnsafeMutablePointer<pk_gather>

    var value: UnsafePointer<pk_gather> { UnsafePointer(pointer) }

    init() {
        pointer = .allocate(capacity: 1)
        pointer.initialize(to: pk_gather())
    }

    deinit { pointer.deallocate() }

    static func write(_ numbers: [Int], to bytes: UnsafeMutableRawBufferPointer) {
        for (index, number) in numbers.enumerated() {
            bytes.storeBytes(of: Int64(number), toByteOffset: index * 8, as: Int64.self)
        }
    }
}

/// A stable argsort of rows.
struct SortStep: Sendable {
    let out: ValueID
    let input: Access
    let element: ElementType
    let rows: Int
    let length: Int
    /// How many of a row's places anything reads, from the first on.
    let limit: Int
    let descending: Bool

    var scratch: Int { pk_sort_scratch(Int64(length)) }

    func run(_ memory: StepMemory) {
        let source = SharedPointer(memory.pointer(input))
        let target = SharedPointer(memory.base(out))
        memory.team.run(rows) { row, thread in
            pk_sort_row(
                Int32(element.rawValue), Int64(length), Int64(limit), source.raw + row * length * element.size,
                descending ? 1 : 0,
                (target.raw + row * length * 4).assumingMemoryBound(to: Int32.self), memory.scratch(thread))
        }
    }
}

/// Sums of columns: a sum over the last axis of a matrix that lies the other way round.
struct ColumnSumStep: Sendable {
    let out: ValueID
    let input: Access
    /// Starts of the matrices.
    let batch: JoinedAxes
    let items: Int
    /// Sums in each, and what each is of.
    let columns: Int
    let length: Int
    /// Between successive terms.
    let step: Int

    func run(_ memory: StepMemory) {
        let source = SharedPointer(memory.pointer(input))
        let target = SharedPointer(memory.base(out))
        let grain = 64
        let across = (columns + grain - 1) / grain
        memory.team.run(items * across) { task, _ in
            let first = task % across * grain
            pk_column_row_sum_f32(
                memory.variant.code, Int32(length), Int32(min(grain, columns - first)),
                source.floats(batch.offset(task / across) + first), step, target.floats(task / across * columns + first)
            )
        }
    }
}
