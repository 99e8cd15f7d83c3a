internal import CKernels
internal import Programs

/// Windows over the rows and columns of a batch of images that lie by strides; where there is one spatial axis it is the columns.
struct ImageWindows: Sendable {
    let input: Access
    let batch: Int
    /// Elements between successive images.
    let apart: Int
    /// Groups of channels, each with windows of its own, and a window of a group's.
    let groups: Int
    let kernel: pk_windows

    /// Of a group.
    var channels: Int { Int(kernel.channels) }
    /// Windows of an image.
    var places: Int { Int(kernel.size.0) * Int(kernel.size.1) }
    /// Elements between successive groups.
    var groupApart: Int { channels * Int(kernel.channel) }
    /// Elements of a window, over all channels of a group.
    var depth: Int { channels * Int(kernel.kernel.0) * Int(kernel.kernel.1) }

    /// Floats that a channel with its padding takes, but for some lines: what windows reach on each axis.
    var frame: Int {
        func reach(_ size: Int32, _ stride: Int32, _ kernel: Int32, _ dilation: Int32) -> Int {
            (Int(size) - 1) * Int(stride) + (Int(kernel) - 1) * Int(dilation) + 1
        }
        let rows = reach(kernel.size.0, kernel.stride.0, kernel.kernel.0, kernel.dilation.0)
        let columns = reach(kernel.size.1, kernel.stride.1, kernel.kernel.1, kernel.dilation.1)
        let (product, overflow) = rows.multipliedReportingOverflow(by: columns + 64)
        return overflow ? .max : product
    }

    /// Whether the images are all of a tensor of so many elements, one after another.
    func covers(_ count: Int) -> Bool {
        let (height, width) = (Int(kernel.height), Int(kernel.width))
        let image = groups * channels * height * width
        return input.offset == 0 && batch * image == count && apart == image && kernel.channel == height * width
            && (height == 1 || kernel.row == width)
    }

    /// Nil where the kernel does not take such windows.
    init?(_ window: SlidingWindow, input: Access, shape: [Int], groups: Int = 1) {
        let spatial = window.kernel.count
        // Beyond these, numbers are no image's; the kernel counts in 32 bits.
        let bound = 1 << 20
        let all =
            window.kernel.map { Int(clamping: $0) } + window.size.map { Int(clamping: $0) }
            + window.strides.map { Int($0) } + window.dilations.map { Int($0) } + shape.dropFirst()
        guard spatial == 1 || spatial == 2, shape.count == spatial + 2, !window.isTransposed,
            all.allSatisfy({ (1...bound).contains($0) }),
            window.before.allSatisfy({ (0...Int64(bound)).contains($0) }),
            input.strides.last == 1 || shape.last == 1, groups >= 1, shape[1] % groups == 0
        else { return nil }
        // Their products, too.
        let places = window.size.reduce(1) { $0 * Int(clamping: $1) }
        let depth = window.kernel.reduce(shape[1] / groups) { $0 * Int(clamping: $1) }
        guard places < 1 << 30, depth < 1 << 30 else { return nil }
        func pair(_ numbers: [Int], _ missing: Int) -> (Int32, Int32) {
            (Int32(spatial == 1 ? missing : numbers[0]), Int32(numbers[spatial - 1]))
        }
        let (rows, columns) = pair(Array(shape.suffix(spatial)), 1)
        self.input = input
        self.groups = groups
        batch = shape[0]
        apart = input.strides[0]
        kernel = pk_windows(
            channels: Int32(shape[1] / groups), height: rows, width: columns, channel: Int64(input.strides[1]),
            row: spatial == 1 ? 0 : Int64(input.strides[2]), kernel: pair(window.kernel.map { Int($0) }, 1),
            stride: pair(window.strides.map { Int($0) }, 1), dilation: pair(window.dilations.map { Int($0) }, 1),
            before: pair(window.before.map { Int($0) }, 0), size: pair(window.size.map { Int($0) }, 1))
    }
}
