internal import CKernels
internal import Programs

/// A convolution whose windows are read where the images lie, with what is added to it: result = max(sum + bias + residual, 0), of which parts may be missing.
struct ConvolutionStep: Sendable {
    /// [batch, results, rows, columns], row-major.
    var out: ValueID
    let windows: ImageWindows
    let results: Int
    /// There before anything runs.
    var packed: PackedWeight?
    let bias: Access?
    /// Lies as the result does.
    var residual: Access?
    var isRectified = false
    let variant: KernelVariant

    private var k: Int { windows.depth }

    /// Whether the filters are read as the right side of a product, each but once, beside windows that were brought together: where these are few, so that filters
    /// are what takes the time.
    static func holdsWindows(_ windows: ImageWindows, results: Int, _ variant: KernelVariant) -> Bool {
        let panel = Int(pk_panel_columns(variant.code))
        return windows.places <= 2 * panel && results >= panel
    }

    private var holdsWindows: Bool { ConvolutionStep.holdsWindows(windows, results: results, variant) }

    /// Images whose windows are held together.
    private var group: Int { max(1, min(8, windows.batch)) }
    private var heldFloats: Int { pk_held_size(variant.code, Int32(k), Int32(windows.places)) }

    /// Bytes for each thread, and for all.
    var scratch: (thread: Int, shared: Int) {
        if holdsWindows {
            let sums = pk_held_scratch(variant.code, Int32(windows.places)) * group
            return (sums * 4 + 64, heldFloats * group * 4 + 64)
        }
        return (pk_convolution_scratch(variant.code, Int32(k)) * 4 + 64, 0)
    }

    func run(_ memory: StepMemory) {
        guard let packed else { preconditionFailure("filters are packed before a convolution runs") }
        let filters = SharedPointer(packed.memory.base)
        let images = SharedPointer(memory.pointer(windows.input))
        let out = SharedPointer(memory.base(self.out))
        if holdsWindows {
            for first in stride(from: 0, to: windows.batch, by: group) {
                runHeld(first..<min(windows.batch, first + group), filters, images, out, memory)
            }
            return
        }
        let places = windows.places
        let panel = Int(pk_panel_columns(variant.code))
        let panels = (places + panel - 1) / panel
        let (part, parts) = split(panels * windows.batch, memory.team.threads)
        memory.team.run(windows.batch * parts * panels) { task, thread in
            let (item, top) = (task / panels / parts, task / panels % parts * part)
            let first = task % panels * panel
            var windows = self.windows.kernel
            var epilogue = epilogue(item, memory)
            pk_convolution_f32(
                variant.code, &windows, images.floats(item * self.windows.apart), Int32(top),
                Int32(min(results, top + part)), Int32(first), Int32(min(places, first + panel)), filters.floats(0),
                &epilogue, out.floats(item * results * places), places,
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
            var epilogue = epilogue(items.lowerBound, memory)
            pk_held_convolution_f32(
                variant.code, Int32(k), Int32(columns.lowerBound), Int32(columns.upperBound), Int32(items.count),
                Int32(places), held.floats(0), filters.floats(0), &epilogue,
                out.floats(items.lowerBound * results * places), places, results * places,
                memory.scratch(thread).assumingMemoryBound(to: Float.self))
        }
    }

    private func epilogue(_ item: Int, _ memory: StepMemory) -> pk_convolution_epilogue {
        var epilogue = pk_convolution_epilogue()
        if let bias { epilogue.bias = UnsafePointer(memory.floats(bias)) }
        if let residual {
            epilogue.residual = UnsafePointer(memory.floats(residual) + item * results * windows.places)
        }
        epilogue.relu = isRectified ? 1 : 0
        return epilogue
    }

    /// How many filters a task takes, and how many such parts there are: all of them where there are panels enough for the threads.
    private func split(_ panels: Int, _ threads: Int) -> (part: Int, parts: Int) {
        let wanted = threads == 1 ? 1 : max(1, (4 * threads + panels - 1) / panels)
        let rows = Int(pk_filter_rows(variant.code))
        let tiles = (results + rows - 1) / rows
        let part = max(1, (tiles + wanted - 1) / wanted) * rows
        return (part, (results + part - 1) / part)
    }
}

/// The greatest element of each window of each channel.
struct MaximumPoolStep: Sendable {
    /// [batch, channels, rows, columns], row-major.
    let out: ValueID
    let windows: ImageWindows
    let variant: KernelVariant

    func run(_ memory: StepMemory) {
        let images = SharedPointer(memory.pointer(windows.input))
        let out = SharedPointer(memory.base(self.out))
        let (channels, places) = (windows.channels, windows.places)
        let grain = max(1, 16384 / max(1, places))
        let parts = (channels + grain - 1) / grain
        memory.team.run(windows.batch * parts) { task, _ in
            let (item, top) = (task / parts, task % parts * grain)
            var windows = self.windows.kernel
            pk_maximum_pool_f32(
                variant.code, &windows, images.floats(item * self.windows.apart), Int32(top),
                Int32(min(channels, top + grain)), out.floats(item * channels * places), places)
        }
    }
}

/// Windows over the rows and columns of a batch of images that lie by strides; where there is one spatial axis it is the columns.
struct ImageWindows: Sendable {
    let input: Access
    let batch: Int
    /// Elements between successive images.
    let apart: Int
    let kernel: pk_windows

    var channels: Int { Int(kernel.channels) }
    /// Windows of an image.
    var places: Int { Int(kernel.size.0) * Int(kernel.size.1) }
    /// Elements of a window, over all channels.
    var depth: Int { channels * Int(kernel.kernel.0) * Int(kernel.kernel.1) }

    /// Nil where the kernel does not take such windows.
    init?(_ window: SlidingWindow, input: Access, shape: [Int]) {
        let spatial = window.kernel.count
        // Beyond these, numbers are no image's; the kernel counts in 32 bits.
        let bound = 1 << 20
        let all =
            window.kernel.map { Int(clamping: $0) } + window.size.map { Int(clamping: $0) }
            + window.strides.map { Int($0) } + window.dilations.map { Int($0) } + shape.dropFirst()
        guard spatial == 1 || spatial == 2, shape.count == spatial + 2, !window.isTransposed,
            all.allSatisfy({ (1...bound).contains($0) }),
            window.before.allSatisfy({ (0...Int64(bound)).contains($0) }),
            input.strides.last == 1 || shape.last == 1
        else { return nil }
        // Their products, too.
        let places = window.size.reduce(1) { $0 * Int(clamping: $1) }
        let depth = window.kernel.reduce(shape[1]) { $0 * Int(clamping: $1) }
        guard places < 1 << 30, depth < 1 << 30 else { return nil }
        func pair(_ numbers: [Int], _ missing: Int) -> (Int32, Int32) {
            (Int32(spatial == 1 ? missing : numbers[0]), Int32(numbers[spatial - 1]))
        }
        let (rows, columns) = pair(Array(shape.suffix(spatial)), 1)
        self.input = input
        batch = shape[0]
        apart = input.strides[0]
        kernel = pk_windows(
            channels: Int32(shape[1]), height: rows, width: columns, channel: Int64(input.strides[1]),
            row: spatial == 1 ? 0 : Int64(input.strides[2]), kernel: pair(window.kernel.map { Int($0) }, 1),
            stride: pair(window.strides.map { Int($0) }, 1), dilation: pair(window.dilations.map { Int($0) }, 1),
            before: pair(window.before.map { Int($0) }, 0), size: pair(window.size.map { Int($0) }, 1))
    }
}
