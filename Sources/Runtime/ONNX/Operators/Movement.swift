internal import Programs

extension ONNXOperators {
    /// Shapes, and elements that move without changing.
    static let movement: Table = [
        "Identity": { _, call in [try call.input(0)] },
        "Constant": { try $0.constant($1) }, "ConstantOfShape": { try $0.constantOfShape($1) },
        "Shape": { try $0.shapeOf($1) },
        "Size": { lowering, call in
            [.constant(ConstantTensor(integers: [lowering.count(try call.input(0))], shape: []))]
        },
        "Reshape": { try $0.reshaped($1) }, "Flatten": { try $0.flattened($1) },
        "Squeeze": { try $0.squeezed($1) }, "Unsqueeze": { try $0.unsqueezed($1) },
        "Transpose": { try $0.transposed($1) }, "Concat": { try $0.concatenated($1) },
        "Split": { try $0.split($1) }, "Slice": { try $0.sliced($1) }, "Expand": { try $0.expanded($1) },
        "Tile": { try $0.tiled($1) }, "Pad": { try $0.padded($1) }, "Dropout": { try $0.dropout($1) },
        "DepthToSpace": { try $0.depthToSpace($1) }, "SpaceToDepth": { try $0.spaceToDepth($1) },
        "Trilu": { try $0.triangle($1) }, "EyeLike": { try $0.identityMatrix($1) }, "Range": { try $0.range($1) },
        "ReverseSequence": { try $0.reverseSequence($1) }, "CenterCropPad": { try $0.centred($1) },
    ]
}

extension ONNXLowering {
    func transposed(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let x = try call.input(0)
        let rank = shape(x).count
        let order = try call.integers("perm") ?? Array((0..<rank).reversed())
        guard order.sorted() == Array(0..<rank) else { throw call.fault("its order \(order) is none of \(rank) axes") }
        return [transpose(x, order)]
    }

    func concatenated(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let operands = try call.all()
        _ = try common(operands, call)
        return [try concat(operands, axis: try call.required("axis"), call)]
    }

    func concat(_ operands: [Operand], axis number: Int, _ call: ONNXCall) throws(ONNXFault) -> Operand {
        var target = shape(operands[0])
        let axis = try call.axis(number, rank: target.count)
        target[axis] = 0
        for operand in operands {
            var size = shape(operand)
            guard size.count == target.count else { throw call.fault("its inputs have different ranks") }
            target[axis] += size[axis]
            size[axis] = target[axis]
            if size != target { throw call.fault("its inputs differ beside axis \(axis)") }
        }
        _ = try dimensions(target, call)
        if operands.count == 1 { return operands[0] }
        let parts = operands.map { value($0) }
        return .value(graph.concat(parts, axis: axis))
    }

    func split(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let x = try call.input(0)
        let from = shape(x)
        let axis = try call.axis(try call.integer("axis", 0), rank: from.count)
        var sizes: [Int]
        if let operand = call.optional(1) {
            sizes = try integers(operand, call)
        } else if let list = try call.integers("split") {
            sizes = list
        } else {
            let parts = try call.integer("num_outputs", call.outputCount)
            guard parts >= 1, parts <= ONNXLimit.attributes else { throw call.fault("it makes \(parts) parts") }
            let size = (from[axis] + parts - 1) / parts
            sizes = (0..<parts).map { min(size, max(0, from[axis] - $0 * size)) }
        }
        var total = 0
        for size in sizes {
            if size < 0 || size > from[axis] { throw call.fault("it splits \(from[axis]) into \(sizes)") }
            total += size
        }
        if total != from[axis] { throw call.fault("it splits \(from[axis]) into \(sizes)") }
        var results: [Operand] = []
        var start = 0
        for size in sizes {
            var part = from
            part[axis] = size
            let dimensions = try dimensions(part, call)
            results.append(
                .value(graph.slice(value(x), axis: axis, start: Int64(start), size: dimensions[axis])))
            start += size
        }
        return results
    }

    func sliced(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let x = try call.input(0)
        let from = shape(x)
        let starts = try integers(try call.input(1), call)
        let ends = try integers(try call.input(2), call)
        let axes = try call.optional(3).map { operand throws(ONNXFault) in try integers(operand, call) }
        let steps = try call.optional(4).map { operand throws(ONNXFault) in try integers(operand, call) }
        guard ends.count == starts.count, axes.map({ $0.count == starts.count }) ?? (starts.count <= from.count),
            steps.map({ $0.count == starts.count }) ?? true
        else { throw call.fault("its starts, ends, axes and steps are not of one length") }
        var (first, stride, size) = (from.map { _ in 0 }, from.map { _ in 1 }, from)
        var seen: Set<Int> = []
        for place in starts.indices {
            let axis = try call.axis(axes?[place] ?? place, rank: from.count)
            if !seen.insert(axis).inserted { throw call.fault("it names an axis twice") }
            let (length, step) = (from[axis], steps?[place] ?? 1)
            if step == 0 { throw call.fault("a step of it is 0") }
            // Counted from the end where negative, then cut to what is there; far numbers stand for "to the end".
            func bounded(_ number: Int, _ range: ClosedRange<Int>) -> Int {
                let far = length + 1
                let near = min(max(number, -far), far)
                return min(max(near < 0 ? near + length : near, range.lowerBound), range.upperBound)
            }
            if step > 0 {
                let start = bounded(starts[place], 0...length)
                let end = bounded(ends[place], 0...length)
                let width = min(step, length + 1)
                (first[axis], stride[axis]) = (start, width)
                size[axis] = max(0, (end - start + width - 1) / width)
            } else {
                if length == 0 {
                    size[axis] = 0
                    continue
                }
                let start = bounded(starts[place], 0...length - 1)
                // An end before the first element is below every index: −length − 1, not −1, which is the last.
                let end = ends[place] < -length ? -1 : bounded(ends[place], -1...length - 1)
                let width = -max(step, -length - 1)
                (first[axis], stride[axis]) = (start, -width)
                size[axis] = max(0, (start - end + width - 1) / width)
            }
        }
        let sizes = try dimensions(size, call)
        if size == from && stride.allSatisfy({ $0 == 1 }) { return [x] }
        return [
            .value(
                graph.slice(value(x), starts: first.map(Int64.init), steps: stride.map(Int64.init), sizes: sizes))
        ]
    }

    func expanded(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let x = try call.input(0)
        let wanted = try integers(try call.input(1), call)
        _ = try dimensions(wanted, call)
        guard let target = ONNXShape.broadcast(shape(x), wanted) else {
            throw call.fault("\(shape(x)) does not broadcast with \(wanted)")
        }
        return [try broadcast(x, to: target, call)]
    }

    func tiled(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let x = try call.input(0)
        let from = shape(x)
        let repeats = try integers(try call.input(1), call)
        guard repeats.count == from.count else { throw call.fault("it has \(repeats.count) repeats of \(from)") }
        var target: [Int] = []
        for (size, count) in zip(from, repeats) {
            let (product, overflow) = size.multipliedReportingOverflow(by: count)
            if count < 0 || overflow { throw call.fault("it repeats an axis \(count) times") }
            target.append(product)
        }
        _ = try dimensions(target, call)
        if target == from { return [x] }
        if from.contains(0) { return [try gather(x, target, from.map { _ in Coordinate() }, call)] }
        let coordinates = from.indices.map { axis -> Coordinate in
            if from[axis] == 1 { return Coordinate() }
            return Coordinate(
                terms: [.init(axis: UInt8(axis), coefficient: 1)],
                modulus: repeats[axis] == 1 ? 0 : Dimension(UInt64(from[axis])))
        }
        return [try gather(x, target, coordinates, call)]
    }

    func padded(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let x = try call.input(0)
        let from = shape(x)
        let numbers = try integers(try call.input(1), call)
        let mode = try call.string("mode", "constant")
        var axes = Array(from.indices)
        if let operand = call.optional(3) {
            axes = []
            for axis in try integers(operand, call) { axes.append(try call.axis(axis, rank: from.count)) }
            if Set(axes).count != axes.count { throw call.fault("it names an axis twice") }
        }
        guard numbers.count == 2 * axes.count else { throw call.fault("it has \(numbers.count) pads") }
        var (before, after) = (from.map { _ in 0 }, from.map { _ in 0 })
        for (place, axis) in axes.enumerated() {
            (before[axis], after[axis]) = (numbers[place], numbers[axes.count + place])
            for number in [before[axis], after[axis]] where number < -from[axis] || number > 1 << 32 {
                throw call.fault("it pads an axis of \(from[axis]) by \(number)")
            }
        }
        let target = from.indices.map { before[$0] + from[$0] + after[$0] }
        _ = try dimensions(target, call)
        if mode == "constant" {
            var fill: UInt64 = 0
            if let operand = call.optional(2) {
                let value = try known(operand, call)
                guard value.count == 1, value.element == element(x) else {
                    throw call.fault("its value is not one number of its input's type")
                }
                fill = value.bits(0)
            }
            if target == from && before.allSatisfy({ $0 == 0 }) { return [x] }
            return [
                .value(
                    graph.pad(value(x), before: before.map(Int64.init), after: after.map(Int64.init), fill: fill))
            ]
        }
        guard ["reflect", "edge", "wrap"].contains(mode) else { throw call.fault("its mode is \(mode)") }
        var coordinates: [Coordinate] = []
        for (axis, size) in from.enumerated() {
            if before[axis] == 0 && after[axis] == 0 {
                coordinates.append(.axis(UInt8(axis)))
                continue
            }
            if size == 0 { throw call.fault("it has nothing to pad with") }
            try charge(target[axis], call)
            let places = (0..<target[axis]).map { place -> Int32 in
                var source = place - before[axis]
                switch mode {
                case "edge": source = min(max(source, 0), size - 1)
                case "wrap": source = ((source % size) + size) % size
                default:
                    let period = max(1, 2 * (size - 1))
                    source = ((source % period) + period) % period
                    if source >= size { source = period - source }
                }
                return Int32(clamping: source)
            }
            coordinates.append(table(places, axis: axis))
        }
        return [try gather(x, target, coordinates, call)]
    }

    /// A coordinate that is looked up in a list by one axis of the result.
    func table(_ places: [Int32], axis: Int) -> Coordinate {
        Coordinate(table: value(.constant(ConstantTensor(places))), tableAxes: [UInt8(axis)])
    }

    func dropout(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let x = try call.input(0)
        if let operand = call.optional(2) {
            let training = try known(operand, call)
            var ratio: Float = 0.5
            if let given = call.optional(1) { ratio = try floats(given, call).first ?? 0.5 }
            if training.count == 1 && training.bits(0) != 0 && ratio != 0 {
                throw call.fault("it is in training mode: its numbers are random")
            }
        }
        return [x, .constant(ConstantTensor(.bool, shape(x), .splat(1)))]
    }

    /// [batch, channel, height, width] with its channels as [depth, block, block], or block by block.
    func depthToSpace(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let x = try call.input(0)
        let (from, block) = (shape(x), try call.required("blocksize"))
        let mode = try call.string("mode", "DCR")
        guard from.count == 4, block >= 1, block <= 1 << 16, from[1] % (block * block) == 0,
            ["DCR", "CRD"].contains(mode)
        else { throw call.fault("it takes [batch, channel, height, width] and blocks of its channels") }
        let depth = from[1] / (block * block)
        let isDepthLast = mode == "DCR"
        let split =
            isDepthLast
            ? [from[0], block, block, depth, from[2], from[3]]
            : [from[0], depth, block, block, from[2], from[3]]
        let moved = transpose(try reshape(x, split, call), isDepthLast ? [0, 3, 4, 1, 5, 2] : [0, 1, 4, 2, 5, 3])
        return [try reshape(moved, [from[0], depth, from[2] * block, from[3] * block], call)]
    }

    func spaceToDepth(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let x = try call.input(0)
        let (from, block) = (shape(x), try call.required("blocksize"))
        guard from.count == 4, block >= 1, block <= 1 << 16, from[2] % block == 0, from[3] % block == 0 else {
            throw call.fault("it takes [batch, channel, height, width] in whole blocks")
        }
        let (height, width) = (from[2] / block, from[3] / block)
        let mode = try call.string("mode", "DCR")
        guard ["DCR", "CRD"].contains(mode) else { throw call.fault("its mode is \(mode)") }
        let split = try reshape(x, [from[0], from[1], height, block, width, block], call)
        let moved = transpose(split, mode == "DCR" ? [0, 3, 5, 1, 2, 4] : [0, 1, 3, 5, 2, 4])
        return [try reshape(moved, [from[0], from[1] * block * block, height, width], call)]
    }

    /// What is on or above (below) a diagonal; zero beside it.
    func triangle(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let x = try call.input(0)
        let (rank, element) = (shape(x).count, element(x))
        guard rank >= 2 else { throw call.fault("it takes matrices") }
        let isUpper = try call.flag("upper", true)
        var diagonal = 0
        if let operand = call.optional(1) { diagonal = try integers(operand, call).first ?? 0 }
        return [
            try map(element, [x], call, shape: shape(x)) { e, n in
                let (row, column) = (e.node(.index(UInt8(rank - 2))), e.node(.index(UInt8(rank - 1))))
                let distance = e.apply(.subtract, column, row)
                let bound = e.integer(diagonal, .i64)
                let isKept =
                    isUpper ? e.apply(.lessOrEqual, bound, distance) : e.apply(.lessOrEqual, distance, bound)
                let zero = element == .f32 ? e.float(0) : e.integer(0, element)
                _ = e.apply(.select, isKept, n[0], zero)
            }
        ]
    }

    func reverseSequence(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let (x, lengths) = (try call.input(0), try call.input(1))
        let from = shape(x)
        let batch = try call.axis(try call.integer("batch_axis", 1), rank: from.count)
        let time = try call.axis(try call.integer("time_axis", 0), rank: from.count)
        guard batch != time, shape(lengths) == [from[batch]] else {
            throw call.fault("its lengths are not of its batch")
        }
        let column = try reshape(try cast(lengths, to: .i64, call), [from[batch], 1], call)
        let places = try map(.i32, [column], call, shape: [from[batch], from[time]]) { e, n in
            let place = e.node(.index(1))
            let last = e.apply(.subtract, n[0], e.integer(1, .i64))
            let mirrored = e.apply(.subtract, last, place)
            let isInside = e.apply(.less, place, n[0])
            let chosen = e.apply(.select, isInside, mirrored, place)
            _ = e.apply(.toI32, chosen)
        }
        let table = Coordinate(table: value(places), tableAxes: [UInt8(batch), UInt8(time)])
        return [try gather(x, from, from.indices.map { $0 == time ? table : .axis(UInt8($0)) }, call)]
    }

    /// Cut or padded with zeros to a shape, the middle kept in the middle.
    func centred(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let x = try call.input(0)
        let (from, sizes) = (shape(x), try integers(try call.input(1), call))
        var axes = Array(from.indices)
        if let list = try call.integers("axes") {
            axes = []
            for axis in list { axes.append(try call.axis(axis, rank: from.count)) }
        }
        guard axes.count == sizes.count, Set(axes).count == axes.count else {
            throw call.fault("its axes and sizes do not fit")
        }
        var (target, before) = (from, from.map { _ in 0 })
        for (axis, size) in zip(axes, sizes) {
            if size < 0 || size > 1 << 32 { throw call.fault("it makes an axis of \(size)") }
            target[axis] = size
            before[axis] = size >= from[axis] ? (size - from[axis]) / 2 : -((from[axis] - size) / 2)
        }
        _ = try dimensions(target, call)
        let after = from.indices.map { Int64(target[$0] - from[$0] - before[$0]) }
        return [.value(graph.pad(value(x), before: before.map(Int64.init), after: after))]
    }
}
