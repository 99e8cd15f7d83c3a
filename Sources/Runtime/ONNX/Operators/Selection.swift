internal import Programs

extension ONNXOperators {
    /// Elements by index: gathers, scatters, orders.
    static let selection: Table = [
        "Gather": { try $0.gathered($1) }, "GatherElements": { try $0.gatheredElements($1) },
        "GatherND": { try $0.gatheredRows($1) }, "Compress": { try $0.compressed($1) },
        "NonZero": { try $0.nonZero($1) }, "OneHot": { try $0.oneHot($1) }, "TopK": { try $0.top($1) },
        "ScatterElements": { try $0.scatteredElements($1) }, "ScatterND": { try $0.scatteredRows($1) },
    ]
}

extension ONNXLowering {
    /// Indices into an axis as the i32 that a gather reads: counted from the end where negative.
    func index(_ operand: Operand, size: Int, _ call: ONNXCall) throws(ONNXFault) -> Operand {
        guard [.i32, .i64].contains(element(operand)) else { throw call.fault("its indices are \(element(operand))") }
        if size > 1 << 30 { throw call.fault("an axis of \(size) is too long for an index") }
        if case .constant(let tensor) = operand, tensor.count <= ONNXLimit.numbers, let numbers = tensor.integers {
            try charge(tensor.count, call)
            var places: [Int32] = []
            for number in numbers {
                guard number >= -size, number < size else {
                    throw call.fault("the index \(number) is outside an axis of \(size)")
                }
                places.append(Int32(number < 0 ? number + size : number))
            }
            return .constant(ConstantTensor(places, shape: tensor.shape))
        }
        let element = element(operand)
        return try map(.i32, [operand], call, shape: shape(operand)) { e, n in
            let isBelow = e.apply(.less, n[0], e.integer(0, element))
            let counted = e.apply(.add, n[0], e.integer(size, element))
            let chosen = e.apply(.select, isBelow, counted, n[0])
            if element == .i64 {
                // What is outside stays outside when it is cut to 32 bits.
                let raised = e.apply(.maximum, chosen, e.integer(-1, .i64))
                let cut = e.apply(.minimum, raised, e.integer(size, .i64))
                _ = e.apply(.toI32, cut)
            }
        }
    }

    func gathered(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let (x, indices) = (try call.input(0), try call.input(1))
        let from = shape(x)
        let axis = try call.axis(try call.integer("axis", 0), rank: from.count)
        let places = try index(indices, size: from[axis], call)
        return [try take(x, axis: axis, places, call)]
    }

    /// Elements of an axis by i32 indices; a regular row of known ones is a slice.
    func take(_ x: Operand, axis: Int, _ places: Operand, _ call: ONNXCall) throws(ONNXFault) -> Operand {
        let (from, new) = (shape(x), shape(places))
        let target = from[..<axis] + new + from[(axis + 1)...]
        _ = try dimensions(Array(target), call)
        var coordinate: Coordinate?
        if case .constant(let tensor) = places, new.count <= 1, let numbers = tensor.integers, !numbers.isEmpty {
            let step = numbers.count > 1 ? numbers[1] - numbers[0] : 0
            if numbers.indices.allSatisfy({ numbers[$0] == numbers[0] + $0 * step }) {
                let terms =
                    new.isEmpty || step == 0
                    ? []
                    : [
                        Coordinate.Term(axis: UInt8(axis), coefficient: Int64(step))
                    ]
                coordinate = Coordinate(offset: Int64(numbers[0]), terms: terms)
            }
        }
        if coordinate == nil {
            coordinate = Coordinate(
                table: value(places), tableAxes: (axis..<axis + new.count).map { UInt8($0) })
        }
        let coordinates = from.indices.map { place -> Coordinate in
            if place < axis { return .axis(UInt8(place)) }
            return place == axis ? coordinate ?? Coordinate() : .axis(UInt8(place - 1 + new.count))
        }
        return try gather(x, Array(target), coordinates, call)
    }

    func gatheredElements(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let (x, indices) = (try call.input(0), try call.input(1))
        let (from, target) = (shape(x), shape(indices))
        let axis = try call.axis(try call.integer("axis", 0), rank: from.count)
        guard from.count == target.count, from.indices.allSatisfy({ $0 == axis || target[$0] <= from[$0] }) else {
            throw call.fault("indices of \(target) do not fit \(from)")
        }
        let places = try index(indices, size: from[axis], call)
        let table = Coordinate(table: value(places), tableAxes: target.indices.map { UInt8($0) })
        return [try gather(x, target, from.indices.map { $0 == axis ? table : .axis(UInt8($0)) }, call)]
    }

    /// Numbers of the last axis of an index tensor, each as a tensor of its own.
    private func columns(_ indices: Operand, _ sizes: [Int], _ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let shape = shape(indices)
        var columns: [Operand] = []
        for (place, size) in sizes.enumerated() {
            var part: Operand
            let rest = Array(shape.dropLast())
            if case .constant(let tensor) = indices, let numbers = tensor.integers {
                let width = max(1, shape[shape.count - 1])
                part = .constant(
                    ConstantTensor(
                        integers: stride(from: place, to: numbers.count, by: width).map { numbers[$0] }, shape: rest))
            } else {
                part = .value(graph.slice(value(indices), axis: shape.count - 1, start: Int64(place), size: 1))
                part = try reshape(part, rest, call)
            }
            columns.append(try index(part, size: size, call))
        }
        return columns
    }

    func gatheredRows(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let (x, indices) = (try call.input(0), try call.input(1))
        let (from, places) = (shape(x), shape(indices))
        let batch = try call.integer("batch_dims", 0)
        guard let depth = places.last, batch >= 0, batch < places.count, depth >= 1, batch + depth <= from.count,
            from[..<batch] == places[..<batch]
        else { throw call.fault("indices of \(places) do not fit \(from)") }
        let rank = places.count - 1
        let columns = try columns(indices, Array(from[batch..<batch + depth]), call)
        let target = places.dropLast() + from[(batch + depth)...]
        _ = try dimensions(Array(target), call)
        let coordinates = from.indices.map { axis -> Coordinate in
            if axis < batch { return .axis(UInt8(axis)) }
            if axis < batch + depth {
                return Coordinate(
                    table: value(columns[axis - batch]), tableAxes: (0..<rank).map { UInt8($0) })
            }
            return .axis(UInt8(rank + axis - batch - depth))
        }
        return [try gather(x, Array(target), coordinates, call)]
    }

    func compressed(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        var x = try call.input(0)
        let condition = try known(try call.input(1), call)
        guard condition.element == .bool, condition.shape.count == 1, condition.count <= ONNXLimit.numbers else {
            throw call.fault("its condition is not a list of truth values")
        }
        var axis = 0
        if call.has("axis") {
            axis = try call.axis(try call.required("axis"), rank: shape(x).count)
        } else {
            x = try reshape(x, [count(x)], call)
        }
        try charge(condition.count, call)
        let size = shape(x)[axis]
        let places = (0..<min(condition.count, size)).filter { condition.bits($0) != 0 }.map { Int32($0) }
        return [try take(x, axis: axis, .constant(ConstantTensor(places)), call)]
    }

    func nonZero(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let x = try known(try call.input(0), call)
        if x.count > ONNXLimit.numbers { throw call.fault("it takes \(x.count) numbers as a setting") }
        try charge(x.count, call)
        var found: [[Int]] = []
        for place in 0..<x.count {
            let bits = x.computedBits(place)
            // −0 is zero too.
            if bits == 0 || (x.element.isFloat && bits == 0x8000_0000) { continue }
            var (rest, coordinates) = (place, x.shape.map { _ in 0 })
            for axis in x.shape.indices.reversed() {
                coordinates[axis] = rest % x.shape[axis]
                rest /= x.shape[axis]
            }
            found.append(coordinates)
        }
        let numbers = x.shape.indices.flatMap { axis in found.map { $0[axis] } }
        return [.constant(ConstantTensor(integers: numbers, shape: [x.shape.count, found.count]))]
    }

    func oneHot(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let (indices, values) = (try call.input(0), try call.input(2))
        let sizes = try known(try call.input(1), call)
        var depth = 0
        if let number = sizes.integers?.first { depth = number }
        if let number = sizes.floats?.first, number >= 0, number < 0x1p31 { depth = Int(number) }
        guard sizes.count == 1, depth >= 1, depth <= 1 << 31, count(values) == 2 else {
            throw call.fault("its depth is not a size, or its values are not two")
        }
        var target = shape(indices)
        let axis = try call.axis(try call.integer("axis", -1), rank: target.count + 1)
        target.insert(depth, at: axis)
        _ = try dimensions(target, call)
        var column = target
        column[axis] = 1
        let numbers = try reshape(try cast(indices, to: .i64, call), column, call)
        var parts: [Operand] = []
        for place in 0..<2 {
            if case .constant(let tensor) = values {
                parts.append(.constant(ConstantTensor(tensor.element, [], .splat(tensor.bits(place)))))
            } else {
                let part = graph.slice(value(try reshape(values, [2], call)), axis: 0, start: Int64(place), size: 1)
                parts.append(try reshape(.value(part), [], call))
            }
        }
        return [
            try map(element(values), [numbers, parts[0], parts[1]], call, shape: target) { e, n in
                let isBelow = e.apply(.less, n[0], e.integer(0, .i64))
                let counted = e.apply(.add, n[0], e.integer(depth, .i64))
                let place = e.apply(.select, isBelow, counted, n[0])
                let isHot = e.apply(.equal, place, e.node(.index(UInt8(axis))))
                _ = e.apply(.select, isHot, n[2], n[1])
            }
        ]
    }

    /// The axis moved to the end: the order of axes, and the order that undoes it.
    func last(_ axis: Int, rank: Int) -> (order: [Int], back: [Int]) {
        let order = (0..<rank).filter { $0 != axis } + [axis]
        var back = order
        for (place, axis) in order.enumerated() { back[axis] = place }
        return (order, back)
    }

    func top(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let x = try call.input(0)
        let from = shape(x)
        let counts = try integers(try call.input(1), call)
        let axis = try call.axis(try call.integer("axis", -1), rank: from.count)
        guard counts.count == 1, counts[0] >= 0, counts[0] <= from[axis] else {
            throw call.fault("it takes \(counts) of \(from[axis])")
        }
        let (order, back) = last(axis, rank: from.count)
        let moved = transpose(x, order)
        var keys = moved
        if [.i8, .u8].contains(element(x)) { keys = try cast(moved, to: .i32, call) }
        guard [.f32, .i32, .i64].contains(element(keys)) else { throw call.fault("it does not take \(element(x))") }
        let shape = shape(moved)
        let sorted = graph.append(
            .sort(input: value(keys), descending: try call.flag("largest", true)),
            TensorType(.i32, try dimensions(shape, call)))
        let places = graph.slice(sorted, axis: shape.count - 1, start: 0, size: Dimension(UInt64(counts[0])))
        let target = shape.dropLast() + [counts[0]]
        let table = Coordinate(table: places, tableAxes: shape.indices.map { UInt8($0) })
        let values = try gather(
            moved, Array(target), shape.indices.map { $0 == shape.count - 1 ? table : .axis(UInt8($0)) }, call)
        return [transpose(values, back), transpose(try cast(.value(places), to: .i64, call), back)]
    }

    /// Pairs of a place and an update that are compared one by one.
    private static let pairLimit = 1 << 28

    /// The updates' places as one number each, for every update: i32 [updates].
    private func flatPlaces(_ columns: [Operand], _ sizes: [Int], _ call: ONNXCall) throws(ONNXFault) -> Operand {
        var lists: [[Int]] = []
        for case .constant(let tensor) in columns {
            if let numbers = tensor.integers { lists.append(numbers) }
        }
        if lists.count == columns.count {
            let places = lists[0].indices.map { update in
                Int32(clamping: zip(lists, sizes).reduce(0) { $0 * $1.1 + $1.0[update] })
            }
            return .constant(ConstantTensor(places))
        }
        var flat = columns[0]
        for place in columns.indices.dropFirst() {
            let size = sizes[place]
            flat = try map(.i32, [flat, columns[place]], call) { e, n in
                let row = e.apply(.multiply, n[0], e.integer(size, .i32))
                _ = e.apply(.add, row, n[1])
            }
        }
        return try reshape(flat, [count(flat)], call)
    }

    /// The data with rows replaced by updates, or updates added to it.
    func scatteredRows(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let (x, indices, updates) = (try call.input(0), try call.input(1), try call.input(2))
        let (from, places) = (shape(x), shape(indices))
        guard let depth = places.last, depth >= 1, depth <= from.count,
            shape(updates) == places.dropLast() + from[depth...]
        else { throw call.fault("updates of \(shape(updates)) do not fit \(from)") }
        _ = try common([x, updates], call)
        let sizes = Array(from[..<depth])
        let rows = sizes.reduce(1, *)
        if rows > 1 << 30 { throw call.fault("it has \(rows) places") }
        let count = places.dropLast().reduce(1, *)
        let width = from[depth...].reduce(1, *)
        let flat = try flatPlaces(try columns(indices, sizes, call), sizes, call)
        let (data, parts) = (try reshape(x, [rows, width], call), try reshape(updates, [count, width], call))
        let result = try scatter(data, flat, parts, reduction: try call.string("reduction", "none"), call)
        return [try reshape(result, from, call)]
    }

    /// Rows of [rows, width] replaced by (or joined with) rows of [count, width] at i32 [count].
    private func scatter(
        _ data: Operand, _ places: Operand, _ updates: Operand, reduction: String, _ call: ONNXCall
    ) throws(ONNXFault) -> Operand {
        let (rows, width, count) = (shape(data)[0], shape(data)[1], shape(updates)[0])
        if count == 0 { return data }
        var isRepeated = true
        // For every row the last update of it, or −1.
        let owner: Operand
        if case .constant(let tensor) = places, let numbers = tensor.integers {
            try charge(rows, call)
            var owners = [Int32](repeating: -1, count: rows)
            for (place, row) in numbers.enumerated() { owners[row] = Int32(place) }
            isRepeated = Set(numbers).count != numbers.count
            owner = .constant(ConstantTensor(owners, shape: [rows, 1]))
        } else {
            let (pairs, overflow) = rows.multipliedReportingOverflow(by: count)
            if overflow || pairs > ONNXLowering.pairLimit {
                throw call.fault("it has \(rows) places and \(count) updates whose places are not known at import")
            }
            let candidates = try map(.i32, [places], call, shape: [rows, count]) { e, n in
                let place = e.apply(.toI64, n[0])
                let isHere = e.apply(.equal, place, e.node(.index(0)))
                let number = e.apply(.toI32, e.node(.index(1)))
                _ = e.apply(.select, isHere, number, e.integer(-1, .i32))
            }
            owner = .value(graph.column(graph.reduce(.maximum, value(candidates))))
        }
        if reduction == "add" && isRepeated {
            // A sum over all updates of a row, one contraction with a matrix of ones and zeros.
            guard element(data) == .f32,
                rows.multipliedReportingOverflow(by: count).partialValue <= ONNXLowering.pairLimit,
                !rows.multipliedReportingOverflow(by: count).overflow
            else {
                throw call.fault("it adds several updates to one place")
            }
            let matrix = try map(.f32, [places], call, shape: [rows, count]) { e, n in
                let place = e.apply(.toI64, n[0])
                let isHere = e.apply(.equal, place, e.node(.index(0)))
                _ = e.apply(.select, isHere, e.float(1), e.float(0))
            }
            let sums = graph.contract(value(matrix), graph.transpose(value(updates), [1, 0]))
            return try map(.f32, [data, .value(sums)], call) { e, n in _ = e.apply(.add, n[0], n[1]) }
        }
        if (reduction == "max" || reduction == "min") && isRepeated && element(data) == .f32 {
            // The extreme over all updates of a row, in each of its places.
            let (pairs, overflow) = (rows * width).multipliedReportingOverflow(by: count)
            if overflow || pairs > ONNXLowering.pairLimit { throw call.fault("it has too many updates") }
            let isGreatest = reduction == "max"
            let candidates = try map(
                .f32, [places, transposeLast(updates)], call, shape: [rows, width, count]
            ) { e, n in
                let place = e.apply(.toI64, n[0])
                let isHere = e.apply(.equal, place, e.node(.index(0)))
                _ = e.apply(.select, isHere, n[1], e.float(isGreatest ? -.infinity : .infinity))
            }
            let extremes = reduce(isGreatest ? .maximum : .minimum, candidates)
            return try map(.f32, [data, extremes], call) { e, n in
                _ = e.apply(isGreatest ? .maximum : .minimum, n[0], n[1])
            }
        }
        if reduction != "none" && isRepeated { throw call.fault("its reduction \(reduction) may meet a place twice") }
        let first = Coordinate(
            table: value(try reshape(owner, [rows], call)), tableAxes: [0])
        let moved = try gather(updates, [rows, width], [first, .axis(1)], call)
        let element = element(data)
        let operations: [String: ScalarOperation] = [
            "add": .add, "mul": .multiply, "max": .maximum, "min": .minimum,
        ]
        var joined = moved
        if reduction != "none" {
            guard let operation = operations[reduction] else { throw call.fault("its reduction is \(reduction)") }
            joined = try numeric([data, moved], call) { e, n, _ in _ = e.apply(operation, n[0], n[1]) }
        }
        return try map(element, [owner, joined, data], call) { e, n in
            let isUpdated = e.apply(.lessOrEqual, e.integer(0, .i32), n[0])
            _ = e.apply(.select, isUpdated, n[1], n[2])
        }
    }

    func scatteredElements(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let (x, indices, updates) = (try call.input(0), try call.input(1), try call.input(2))
        let (from, places) = (shape(x), shape(indices))
        let axis = try call.axis(try call.integer("axis", 0), rank: from.count)
        guard places == shape(updates), places.count == from.count,
            from.indices.allSatisfy({ places[$0] <= from[$0] })
        else { throw call.fault("updates of \(shape(updates)) do not fit \(from)") }
        _ = try common([x, updates], call)
        let (rows, count) = (count(x), self.count(updates))
        if rows > 1 << 30 { throw call.fault("it has \(rows) places") }
        let columns = try index(indices, size: from[axis], call)
        // The place of each update in the data, row by row.
        let flat = try map(.i32, [columns], call, shape: places) { e, n in
            var sum = e.integer(0, .i64)
            for other in from.indices {
                let place = other == axis ? e.apply(.toI64, n[0]) : e.node(.index(UInt8(other)))
                let row = e.apply(.multiply, sum, e.integer(from[other], .i64))
                sum = e.apply(.add, row, place)
            }
            _ = e.apply(.toI32, sum)
        }
        var known = try reshape(flat, [count], call)
        if case .constant(let tensor) = columns, let numbers = tensor.integers {
            known = .constant(ConstantTensor(Self.flat(numbers, places, from, axis)))
        }
        let result = try scatter(
            try reshape(x, [rows, 1], call), known, try reshape(updates, [count, 1], call),
            reduction: try call.string("reduction", "none"), call)
        return [try reshape(result, from, call)]
    }

    private static func flat(_ columns: [Int], _ places: [Int], _ from: [Int], _ axis: Int) -> [Int32] {
        columns.enumerated().map { number, column in
            var rest = number
            var coordinates = places
            for other in places.indices.reversed() {
                coordinates[other] = rest % places[other]
                rest /= places[other]
            }
            coordinates[axis] = column
            return Int32(clamping: zip(coordinates, from).reduce(0) { $0 * $1.1 + $1.0 })
        }
    }
}

extension ElementType {
    var isFloat: Bool { self == .f32 || self == .f16 || self == .bf16 }
}
