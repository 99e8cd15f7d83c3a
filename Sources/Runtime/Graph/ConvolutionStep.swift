internal import CKernels
internal import Programs

/// A convolution whose windows are read where the images lie, with what is added to it: result = max(sum + bias + residual, 0), of which parts may be missing.
/// Where channels fall into groups, so do the filters.
struct ConvolutionStep: Sendable {
    /// [batch, results, rows, columns], row-major.
    var out: ValueID
    let windows: ImageWindows
    let results: Int
    /// There before anything runs, but for filters of one channel each, which are read as they lie.
    var packed: PackedWeight?
    var filters: Access?
    let bias: Access?
    /// Lies as the result does.
    var residual: Access?
    var isRectified = false
    /// What is taken for a greater result: above zero.
    var most: Float?
    /// Which tensors are those of the images alone that a chain takes together.
    var together = TogetherPlaces()
    let variant: KernelVariant

    private var k: Int { windows.depth }

    /// Whether the filters are read as the right side of a product, each but once, beside windows that were brought together: where these are few, so that
    /// filters are what takes the time.
    static func holdsWindows(_ windows: ImageWindows, results: Int, _ variant: KernelVariant) -> Bool {
        let panel = Int(pk_panel_columns(variant.code))
        return windows.groups == 1 && windows.places <= 2 * panel && results >= panel
    }

    var holdsWindows: Bool { ConvolutionStep.holdsWindows(windows, results: results, variant) }

    /// Images whose windows are held together.
    private var group: Int { max(1, min(8, windows.batch)) }
    private var heldFloats: Int { pk_held_size(variant.code, Int32(k), Int32(windows.places)) }

    /// Bytes for each thread, and for all.
    var scratch: (thread: Int, shared: Int) {
        if filters != nil {
            var windows = windows.kernel
            return (pk_channel_scratch(variant.code, &windows) * 4 + 64, 0)
        }
        if holdsWindows {
            let sums = pk_held_scratch(variant.code, Int32(windows.places)) * group
            return (sums * 4 + 64, heldFloats * group * 4 + 64)
        }
        return (pk_convolution_scratch(variant.code, Int32(k)) * 4 + 64, 0)
    }

    func run(_ memory: StepMemory) { run(memory, ImagesAtOnce(items: 0..<windows.batch)) }

    /// For some images of the batch.
    func run(_ memory: StepMemory, _ some: ImagesAtOnce) {
        let items = some.items
        let images = SharedPointer(memory.pointer(windows.input))
        let out = SharedPointer(memory.base(self.out))
        if let filters {
            runChannels(some, SharedPointer(memory.pointer(filters)), images, out, memory)
            return
        }
        guard let packed else { preconditionFailure("filters are packed before a convolution runs") }
        let filters = SharedPointer(packed.memory.base)
        if holdsWindows {
            for first in stride(from: items.lowerBound, to: items.upperBound, by: group) {
                runHeld(first..<min(items.upperBound, first + group), filters, images, out, memory)
            }
            return
        }
        let places = windows.places
        let panel = Int(pk_panel_columns(variant.code))
        let panels = (places + panel - 1) / panel
        let (groups, filtered) = (windows.groups, results / windows.groups)
        let each = pk_pack_filters_size(variant.code, Int32(filtered), Int32(k))
        let (part, parts) = split(filtered, panels * items.count * groups, memory.team.threads)
        memory.team.run(items.count * groups * parts * panels) { task, thread in
            let (item, group) = (task / panels / parts / groups, task / panels / parts % groups)
            let (top, first) = (task / panels % parts * part, task % panels * panel)
            var windows = self.windows.kernel
            let written = some.floats(before: item, together.out, apart: results * places)
            let added = some.floats(before: item, together.residual, apart: results * places)
            var epilogue = epilogue(added + group * filtered * places, group * filtered, memory)
            pk_convolution_f32(
                variant.code, &windows,
                images.floats(
                    some.floats(before: item, together.input, apart: self.windows.apart)
                        + group * self.windows.groupApart), Int32(top), Int32(min(filtered, top + part)), Int32(first),
                Int32(min(places, first + panel)), filters.floats(group * each), &epilogue,
                out.floats(written + group * filtered * places), places,
                memory.scratch(thread).assumingMemoryBound(to: Float.self))
        }
    }

    /// Filters of one channel each.
    private func runChannels(
        _ some: ImagesAtOnce, _ filters: SharedPointer, _ images: SharedPointer, _ out: SharedPointer,
        _ memory: StepMemory
    ) {
        let places = windows.places
        let each = results / windows.groups
        let grain = max(1, 8192 / max(1, places * k) / each) * each
        let parts = (results + grain - 1) / grain
        memory.team.run(some.items.count * parts) { task, thread in
            let (item, top) = (task / parts, task % parts * grain)
            var windows = self.windows.kernel
            let written = some.floats(before: item, together.out, apart: results * places)
            let added = some.floats(before: item, together.residual, apart: results * places)
            var epilogue = epilogue(added, 0, memory)
            pk_channel_convolution_f32(
                variant.code, &windows,
                images.floats(some.floats(before: item, together.input, apart: self.windows.apart)), Int32(each),
                Int32(top), Int32(min(results, top + grain)), filters.floats(0), &epilogue, out.floats(written), places,
                memory.scratch(thread).assumingMemoryBound(to: Float.self))
        }
    }

    private func runHeld(
        _ items: Range<Int>, _ filters: SharedPointer, _ images: SharedPointer, _ out: SharedPointer,
        _ memory: StepMemory
    ) {
        let (places, rows) = (windows.places, Int(pk_held_rows(variant.code)))
        let held = SharedPointer(memory.shared.base)
        let grain = max(rows, 65536 / max(1, k) / rows * rows)
        let parts = (places + grain - 1) / grain
        memory.team.run(items.count * parts) { task, _ in
            let (item, first) = (task / parts, task % parts * grain)
            var windows = self.windows.kernel
            pk_hold_windows(
                variant.code, &windows, images.floats((items.lowerBound + item) * self.windows.apart), Int32(first),
                Int32(min(places, first + grain)), held.floats(item * heldFloats + first * k))
        }
        let panel = Int(pk_panel_columns(variant.code))
        memory.team.run(over: results, grain: panel) { columns, thread in
            var epilogue = epilogue(items.lowerBound * results * places, 0, memory)
            pk_held_convolution_f32(
                variant.code, Int32(k), Int32(columns.lowerBound), Int32(columns.upperBound), Int32(items.count),
                Int32(places), held.floats(0), filters.floats(0), &epilogue,
                out.floats(items.lowerBound * results * places), places, results * places,
                memory.scratch(thread).assumingMemoryBound(to: Float.self))
        }
    }

    /// For results from filter `first` on; those that are added begin after so many floats.
    private func epilogue(_ added: Int, _ first: Int, _ memory: StepMemory) -> pk_convolution_epilogue {
        var epilogue = pk_convolution_epilogue()
        if let bias { epilogue.bias = UnsafePointer(memory.floats(bias) + first) }
        if let residual { epilogue.residual = UnsafePointer(memory.floats(residual) + added) }
        if isRectified { epilogue.relu = Int32(PK_RECTIFIED) }
        if let most { (epilogue.relu, epilogue.most) = (Int32(PK_CLIPPED), most) }
        return epilogue
    }

    /// How many filters a task takes, and how many such parts there are: all of them where there are panels enough for the threads.
    private func split(_ results: Int, _ panels: Int, _ threads: Int) -> (part: Int, parts: Int) {
        let wanted = threads == 1 ? 1 : max(1, (4 * threads + panels - 1) / panels)
        let rows = Int(pk_filter_rows(variant.code))
        let tiles = (results + rows - 1) / rows
        let part = max(1, (tiles + wanted - 1) / wanted) * rows
        return (part, (results + part - 1) / part)
    }
}
