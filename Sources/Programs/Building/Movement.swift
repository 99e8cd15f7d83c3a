import Primitives

/// Moving elements without changing them, each one `gather`. What would move nothing gives its operand back.
extension GraphBuilder {
    /// The axes in another order: axis `i` of the result is axis `order[i]` of the source.
    public mutating func transpose(_ source: ValueID, _ order: [Int]) -> ValueID {
        let shape = type(source).shape
        precondition(order.sorted() == Array(shape.indices), "a transpose names each axis once")
        if order == Array(shape.indices) { return source }
        var coordinates = [Coordinate](repeating: .axis(0), count: order.count)
        for (place, axis) in order.enumerated() { coordinates[axis] = .axis(UInt8(place)) }
        return gather(source, order.map { shape[$0] }, coordinates)
    }

    /// The same elements in row-major order under another shape. A named axis may be split or joined only where it comes first
    /// of what is split or joined: the coefficients of a coordinate are plain numbers.
    public mutating func reshape(_ source: ValueID, _ shape: [Dimension]) -> ValueID {
        let from = type(source).shape
        if from == shape { return source }
        if from.contains(where: { $0.factor == 0 }) {
            precondition(shape.contains { $0.factor == 0 }, "a reshape keeps the number of elements")
            return gather(source, shape, from.map { _ in Coordinate() })
        }
        var coordinates = [Coordinate](repeating: Coordinate(), count: from.count)
        for block in ReshapeBlock.blocks(from, shape) {
            for axis in block.source {
                coordinates[axis] = block.coordinate(of: axis, from, shape)
            }
        }
        return gather(source, shape, coordinates)
    }

    /// Every `steps[i]`-th element of each axis from `starts[i]` on, `sizes[i]` of them; a step may be negative.
    public mutating func slice(_ source: ValueID, starts: [Int64], steps: [Int64], sizes: [Dimension]) -> ValueID {
        let shape = type(source).shape
        precondition(
            starts.count == shape.count && steps.count == shape.count && sizes.count == shape.count,
            "a slice has a start, a step and a size for each axis")
        if sizes == shape && starts.allSatisfy({ $0 == 0 }) && steps.allSatisfy({ $0 == 1 }) { return source }
        let coordinates = shape.indices.map { axis in
            Coordinate(offset: starts[axis], terms: [.init(axis: UInt8(axis), coefficient: steps[axis])])
        }
        return gather(source, sizes, coordinates)
    }

    /// `size` neighbours on one axis, from `start` on.
    public mutating func slice(_ source: ValueID, axis: Int, start: Int64, size: Dimension) -> ValueID {
        var starts = [Int64](repeating: 0, count: type(source).shape.count)
        var sizes = type(source).shape
        starts[axis] = start
        sizes[axis] = size
        return slice(source, starts: starts, steps: starts.map { _ in 1 }, sizes: sizes)
    }

    /// Tensors one after another on an axis whose extents are plain numbers.
    public mutating func concat(_ sources: [ValueID], axis: Int) -> ValueID {
        precondition(!sources.isEmpty, "a concat has an operand")
        var parts = sources
        // One gather takes so many pieces; more are joined in order, a gather of gathers.
        while parts.count > 1 {
            var joined: [ValueID] = []
            for start in stride(from: 0, to: parts.count, by: Operation.maximumPieces) {
                joined.append(join(Array(parts[start..<min(start + Operation.maximumPieces, parts.count)]), axis))
            }
            parts = joined
        }
        return parts[0]
    }

    private mutating func join(_ sources: [ValueID], _ axis: Int) -> ValueID {
        if sources.count == 1 { return sources[0] }
        var shape = type(sources[0]).shape
        var pieces: [GatherPiece] = []
        var start: UInt64 = 0
        for source in sources {
            let size = type(source).shape
            precondition(size[axis].axis == nil, "a concat is along an axis of plain extents")
            var corner = [Dimension](repeating: 0, count: shape.count)
            corner[axis] = Dimension(start)
            let coordinates = shape.indices.map { place -> Coordinate in
                place == axis
                    ? Coordinate(
                        offset: -Int64(clamping: start), terms: [.init(axis: UInt8(axis), coefficient: 1)])
                    : .axis(UInt8(place))
            }
            pieces.append(GatherPiece(start: corner, size: size, source: source, coordinates: coordinates))
            start += size[axis].factor
        }
        shape[axis] = Dimension(start)
        return append(.gather(pieces, fill: 0), TensorType(type(sources[0]).element, shape))
    }

    /// More elements before and after on each axis, all `fill` (the bits of one element); less where a number is negative.
    /// Only an axis with a plain extent may change.
    public mutating func pad(_ source: ValueID, before: [Int64], after: [Int64], fill: UInt64 = 0) -> ValueID {
        let (element, from) = (type(source).element, type(source).shape)
        precondition(before.count == from.count && after.count == from.count, "a pad has two numbers for each axis")
        if before.allSatisfy({ $0 == 0 }) && after.allSatisfy({ $0 == 0 }) { return source }
        let shape = from.indices.map { axis -> Dimension in
            if before[axis] == 0 && after[axis] == 0 { return from[axis] }
            precondition(from[axis].axis == nil, "a padded axis has a plain extent")
            return Dimension(UInt64(Int64(from[axis].factor) + before[axis] + after[axis]))
        }
        let coordinates = from.indices.map { axis in
            Coordinate(offset: -before[axis], terms: [.init(axis: UInt8(axis), coefficient: 1)])
        }
        let piece = GatherPiece(
            start: shape.map { _ in 0 }, size: shape, source: source, coordinates: coordinates)
        return append(.gather([piece], fill: fill), TensorType(element, shape))
    }

    /// The same numbers along new axes and along axes of extent 1, matched from the right.
    public mutating func broadcast(_ source: ValueID, to shape: [Dimension]) -> ValueID {
        let from = type(source).shape
        if from == shape { return source }
        precondition(from.count <= shape.count, "a broadcast takes no axis away")
        let skip = shape.count - from.count
        let coordinates = from.indices.map { axis -> Coordinate in
            if from[axis] == shape[axis + skip] { return .axis(UInt8(axis + skip)) }
            precondition(from[axis] == 1, "only an axis of extent 1 is repeated")
            return Coordinate()
        }
        return gather(source, shape, coordinates)
    }
}

/// Neighbouring axes of two shapes that hold the same elements in the same order.
private struct ReshapeBlock {
    var source: Range<Int>
    var result: Range<Int>

    /// The finest blocks of two shapes, none of whose extents is zero. Axes of extent 1 are in no block of the other side's.
    static func blocks(_ from: [Dimension], _ to: [Dimension]) -> [ReshapeBlock] {
        var blocks: [ReshapeBlock] = []
        var (i, j) = (from.count, to.count)
        while true {
            while i > 0 && from[i - 1] == 1 { i -= 1 }
            while j > 0 && to[j - 1] == 1 { j -= 1 }
            if i == 0 && j == 0 { return blocks.reversed() }
            precondition(i > 0 && j > 0, "a reshape keeps the number of elements")
            let (endOfSource, endOfResult) = (i, j)
            i -= 1
            j -= 1
            var (left, right) = (from[i], to[j])
            while left != right {
                // The side that lacks the other's axis, or else the smaller one, takes in one axis more.
                let takesSource = left.axis == right.axis ? left.factor < right.factor : left.axis == nil
                if takesSource {
                    precondition(i > 0, "a reshape keeps the number of elements")
                    i -= 1
                    left = product(left, from[i])
                } else {
                    precondition(j > 0, "a reshape keeps the number of elements")
                    j -= 1
                    right = product(right, to[j])
                }
            }
            blocks.append(ReshapeBlock(source: i..<endOfSource, result: j..<endOfResult))
        }
    }

    private static func product(_ x: Dimension, _ y: Dimension) -> Dimension {
        precondition(x.axis == nil || y.axis == nil, "a product of two named axes has no name")
        return Dimension(x.factor * y.factor, axis: x.axis ?? y.axis)
    }

    /// Elements that one step on the axis skips within the block.
    private func stride(_ axis: Int, _ range: Range<Int>, _ shape: [Dimension]) -> UInt64 {
        shape[(axis + 1)..<range.upperBound].reduce(1) { total, dimension in
            precondition(dimension.axis == nil, "a named axis comes first of what a reshape splits or joins")
            return total * dimension.factor
        }
    }

    /// Where an axis of the source is, from the result's coordinates, in the simplest form.
    func coordinate(of axis: Int, _ from: [Dimension], _ to: [Dimension]) -> Coordinate {
        if from[axis] == 1 { return Coordinate() }
        let width = stride(axis, source, from)
        let isFirst = axis == source.lowerBound
        var terms: [(axis: Int, coefficient: UInt64)] = []
        for place in result where to[place] != 1 {
            let coefficient = stride(place, result, to)
            // Whole turns of this axis.
            if !isFirst && coefficient % (width * from[axis].factor) == 0 { continue }
            terms.append((place, coefficient))
        }
        // What never reaches one step of this axis, where all else is whole steps of it.
        let low = terms.filter { $0.coefficient % width != 0 }
        let reach = low.reduce(UInt64(0)) { $0 + ($1.coefficient * (to[$1.axis].factor - 1)) }
        var quotient = width
        if reach < width && low.allSatisfy({ to[$0.axis].axis == nil }) {
            terms.removeAll { $0.coefficient % width != 0 }
            terms = terms.map { ($0.axis, $0.coefficient / width) }
            quotient = 1
        }
        // The first axis never turns over, nor does one whose terms stay below its extent.
        let isFixed = terms.allSatisfy { to[$0.axis].axis == nil }
        let greatest = terms.reduce(UInt64(0)) { $0 + $1.coefficient * (to[$1.axis].factor - 1) }
        let turns = !isFirst && !(isFixed && greatest / quotient < from[axis].factor)
        return Coordinate(
            terms: terms.map { .init(axis: UInt8($0.axis), coefficient: Int64(clamping: $0.coefficient)) },
            quotient: Dimension(quotient), modulus: turns ? from[axis] : 0)
    }
}
