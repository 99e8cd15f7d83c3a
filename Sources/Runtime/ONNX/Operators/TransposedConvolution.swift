internal import Programs

/// A transposed convolution as ordinary ones: result o takes elements i with filter places k where i·stride + k·dilation − before = o. Of each remainder of o + before by the
/// stride only every stride-th place of a filter counts, so results of one remainder are a convolution of stride 1 with these places in reverse, and the results of all remainders
/// stand beside one another. The plain way writes out all places of all windows, of which stride − 1 in each stride are nothing, for each axis.
extension ONNXLowering {
    /// The most remainders of all axes together.
    private static let mostPhases = 64

    /// Filters are [results, channels of a group, kernel…]; sizes are those of the result's spatial axes. Nil where some remainder has no place of the filter, or a dilation
    /// stands beside a stride.
    func transposedByPhases(
        _ x: Operand, filters: Operand, bias: Operand?, groups: Int, _ window: SlidingWindow, _ call: ONNXCall
    ) throws(ONNXFault) -> Operand? {
        let rank = window.kernel.count
        let kernel = window.kernel.map { Int(clamping: $0) }
        let strides = window.strides.map { Int($0) }
        let sizes = window.size.map { Int(clamping: $0) }
        let fits = (0..<rank).allSatisfy { axis in
            strides[axis] == 1 || window.dilations[axis] == 1 && kernel[axis] >= strides[axis]
        }
        // Checked one after another: the product of three strides may be longer than a number.
        let phases = strides.reduce(1) { $0 > ONNXLowering.mostPhases ? $0 : $0 * $1 }
        guard fits, phases <= ONNXLowering.mostPhases else { return nil }
        let places = (0..<rank).map { (sizes[$0] + strides[$0] - 1) / strides[$0] }
        let head = Array(shape(filters).prefix(2))
        let result = [shape(x)[0], head[0]]
        _ = try dimensions([phases * result[0], result[1]] + places, call)
        var parts: [Operand] = []
        for phase in 0..<phases {
            var rest = phase
            var remainders = [Int](repeating: 0, count: rank)
            for axis in (0..<rank).reversed() {
                remainders[axis] = rest % strides[axis]
                rest /= strides[axis]
            }
            parts.append(try self.phase(remainders, places, x, filters, bias, groups, window))
        }
        if phases == 1 { return parts[0] }
        // [remainders…, batch, results, places…] as [batch, results, place, remainder, …].
        let apart = try reshape(
            try concat(parts, axis: 0, call), strides + result + places, call)
        let order = [rank, rank + 1] + (0..<rank).flatMap { [rank + 2 + $0, $0] }
        let whole = try reshape(transpose(apart, order), result + (0..<rank).map { places[$0] * strides[$0] }, call)
        if shape(whole) == result + sizes { return whole }
        return .value(
            graph.slice(
                value(whole), starts: [Int64](repeating: 0, count: rank + 2),
                steps: [Int64](repeating: 1, count: rank + 2), sizes: try dimensions(result + sizes, call)))
    }

    /// The results whose places leave these remainders.
    private func phase(
        _ remainders: [Int], _ places: [Int], _ x: Operand, _ filters: Operand, _ bias: Operand?, _ groups: Int,
        _ window: SlidingWindow
    ) throws(ONNXFault) -> Operand {
        var (starts, steps): ([Int64], [Int64]) = ([0, 0], [1, 1])
        var (kernel, before): ([UInt64], [Int64]) = ([], [])
        for (axis, remainder) in remainders.enumerated() {
            let stride = window.strides[axis]
            let (whole, first) = (Int64(remainder) + window.before[axis]).quotientAndRemainder(dividingBy: stride)
            let length = (Int64(clamping: window.kernel[axis]) - first + stride - 1) / stride
            starts.append(first + stride * (length - 1))
            steps.append(-stride)
            kernel.append(UInt64(length))
            before.append((length - 1) * window.dilations[axis] - whole)
        }
        let size = graph.type(value(filters)).shape.prefix(2) + kernel.map { Dimension($0) }
        let turned = graph.slice(value(filters), starts: starts, steps: steps, sizes: Array(size))
        let own = SlidingWindow(
            kernel: kernel, strides: kernel.map { _ in 1 }, dilations: window.dilations, before: before,
            size: places.map { UInt64($0) })
        return .value(
            graph.convolution(
                value(x), weight: turned, bias: bias.map { value($0) }, groups: UInt64(groups), own))
    }
}
