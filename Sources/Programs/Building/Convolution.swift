import Primitives

/// Windows that slide over the spatial axes of [batch, channel, spatial…]; one number for each spatial axis in every list.
public struct SlidingWindow: Sendable, Hashable {
    public let kernel: [UInt64]
    public let strides: [Int64]
    public let dilations: [Int64]
    /// Places before the first element that the first window covers.
    public let before: [Int64]
    /// Windows on each axis.
    public let size: [UInt64]
    /// Whether a window covers the elements that a convolution backward would send to its place: element i reaches place
    /// i × stride + k × dilation − before.
    public let isTransposed: Bool

    public init(
        kernel: [UInt64], strides: [Int64], dilations: [Int64], before: [Int64], size: [UInt64],
        isTransposed: Bool = false
    ) {
        self.kernel = kernel
        self.strides = strides
        self.dilations = dilations
        self.before = before
        self.size = size
        self.isTransposed = isTransposed
    }

    /// Which element of a spatial axis a window holds, from the window's place and the place within it.
    func coordinate(_ spatial: Int, window: Int, place: Int) -> Coordinate {
        if isTransposed {
            return Coordinate(
                offset: before[spatial],
                terms: [
                    .init(axis: UInt8(window), coefficient: 1),
                    .init(axis: UInt8(place), coefficient: -dilations[spatial]),
                ], quotient: Dimension(UInt64(strides[spatial])), exact: strides[spatial] != 1)
        }
        return Coordinate(
            offset: -before[spatial],
            terms: [
                .init(axis: UInt8(window), coefficient: strides[spatial]),
                .init(axis: UInt8(place), coefficient: dilations[spatial]),
            ])
    }
}

extension GraphBuilder {
    /// The elements of each window of each channel in row-major order: [batch, channel, windows…, kernel elements]. What is
    /// outside the tensor has the bits `fill`. At most three spatial axes.
    public mutating func windows(_ x: ValueID, _ window: SlidingWindow, fill: UInt64 = 0) -> ValueID {
        let from = type(x).shape
        let spatial = window.kernel.count
        let shape = [from[0], from[1]] + window.size.map { Dimension($0) } + window.kernel.map { Dimension($0) }
        let coordinates =
            [.axis(0), .axis(1)]
            + (0..<spatial).map { window.coordinate($0, window: 2 + $0, place: 2 + spatial + $0) }
        let piece = GatherPiece(start: shape.map { _ in 0 }, size: shape, source: x, coordinates: coordinates)
        let all = append(.gather([piece], fill: fill), TensorType(type(x).element, shape))
        return reshape(all, Array(shape.prefix(2 + spatial)) + [Dimension(window.kernel.reduce(1, *))])
    }

    /// Rows for a contraction with filters: [batch × windows, channels × kernel], or [groups, batch × windows, channels of a group × kernel], the last axis by
    /// channel, then row-major within the kernel. At most three spatial axes; what is outside the
    /// tensor has the bits `fill`.
    public mutating func convolutionRows(
        _ x: ValueID, groups: UInt64, _ window: SlidingWindow, fill: UInt64 = 0
    ) -> ValueID {
        let from = type(x).shape
        let spatial = window.kernel.count
        let (batch, channels) = (from[0], from[1].factor)
        let (sizes, kernel) = (window.size.map { Dimension($0) }, window.kernel.map { Dimension($0) })
        let places = window.size.reduce(1, *)
        let width = window.kernel.reduce(1, *)
        let rows = Dimension(batch.factor * places, axis: batch.axis)
        // Eight axes hold no group beside three spatial ones: then the groups are taken apart afterwards.
        let isSplit = groups > 1 && 3 + 2 * spatial <= TensorType.maximumRank
        let lead = isSplit ? 1 : 0
        let part = isSplit ? channels / groups : channels
        var shape: [Dimension] = isSplit ? [Dimension(groups)] : []
        shape += [batch] + sizes + [Dimension(part)] + kernel
        var channel = [Coordinate.Term(axis: UInt8(lead + 1 + spatial), coefficient: 1)]
        if isSplit { channel.insert(.init(axis: 0, coefficient: Int64(clamping: part)), at: 0) }
        let coordinates =
            [.axis(UInt8(lead)), Coordinate(terms: channel)]
            + (0..<spatial).map { axis in
                window.coordinate(axis, window: lead + 1 + axis, place: lead + 2 + spatial + axis)
            }
        let piece = GatherPiece(start: shape.map { _ in 0 }, size: shape, source: x, coordinates: coordinates)
        let all = append(.gather([piece], fill: fill), TensorType(type(x).element, shape))
        if groups == 1 { return reshape(all, [rows, Dimension(channels * width)]) }
        let grouped = Dimension(channels / groups * width)
        if isSplit { return reshape(all, [Dimension(groups), rows, grouped]) }
        return transpose(reshape(all, [rows, Dimension(groups), grouped]), [1, 0, 2])
    }

    /// A convolution of [batch, channels, spatial…] with filters of [results, channels of a group, kernel…] and a bias of [results]: one contraction over
    /// (channel, row, column) ascending. Gives [batch, results, windows…].
    public mutating func convolution(
        _ x: ValueID, weight: ValueID, bias: ValueID?, groups: UInt64 = 1, _ window: SlidingWindow
    ) -> ValueID {
        let results = type(weight).shape[0].factor
        let width = type(weight).shape.dropFirst().reduce(1) { $0 * $1.factor }
        let rows = convolutionRows(x, groups: groups, window)
        let filters = reshape(
            weight,
            groups == 1
                ? [Dimension(results), Dimension(width)]
                : [
                    Dimension(groups), Dimension(results / groups), Dimension(width),
                ])
        var sums = contract(rows, filters)
        if let bias {
            let column: [Dimension] =
                groups == 1 ? [Dimension(results)] : [Dimension(groups), 1, Dimension(results / groups)]
            sums = sum(sums, reshape(bias, column))
        }
        return convolutionResult(sums, batch: type(x).shape[0], results: results, groups: groups, window)
    }

    /// The contraction's results as [batch, results, windows…].
    public mutating func convolutionResult(
        _ sums: ValueID, batch: Dimension, results: UInt64, groups: UInt64, _ window: SlidingWindow
    ) -> ValueID {
        var terms: [Coordinate.Term] = []
        var stride: UInt64 = 1
        for axis in window.size.indices.reversed() {
            terms.insert(.init(axis: UInt8(2 + axis), coefficient: Int64(clamping: stride)), at: 0)
            stride *= window.size[axis]
        }
        terms.insert(.init(axis: 0, coefficient: Int64(clamping: stride)), at: 0)
        let row = Coordinate(terms: terms)
        let shape = [batch, Dimension(results)] + window.size.map { Dimension($0) }
        if groups == 1 { return gather(sums, shape, [row, .axis(1)]) }
        let part = Dimension(results / groups)
        let result = [Coordinate.Term(axis: 1, coefficient: 1)]
        return gather(
            sums, shape, [Coordinate(terms: result, quotient: part), row, Coordinate(terms: result, modulus: part)])
    }
}
