internal import Programs

/// Other shapes of the same elements in the same order.
extension ONNXLowering {
    func reshaped(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let x = try call.input(0)
        let from = shape(x)
        var target = try integers(try call.input(1), call)
        if target.count > ONNXLimit.rank { throw call.fault("it makes a tensor of \(target.count) axes") }
        let allowsZero = try call.flag("allowzero")
        if !allowsZero {
            for place in target.indices where target[place] == 0 {
                if place >= from.count { throw call.fault("its shape \(target) keeps an axis that is not there") }
                target[place] = from[place]
            }
        }
        if let open = target.firstIndex(of: -1) {
            var rest = target
            rest[open] = 1
            guard let count = ONNXShape.count(from), let known = ONNXShape.count(rest), known > 0, count % known == 0
            else { throw call.fault("\(from) cannot be taken as \(target)") }
            target[open] = count / known
        }
        return [try reshape(x, target, call)]
    }

    func flattened(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let x = try call.input(0)
        let from = shape(x)
        var axis = try call.integer("axis", 1)
        if axis < 0 { axis += from.count }
        guard axis >= 0, axis <= from.count else { throw call.fault("its axis \(axis) is not there") }
        return [try reshape(x, [from[..<axis].reduce(1, *), from[axis...].reduce(1, *)], call)]
    }

    /// Axes that are an input since opset 13, an attribute before; nil where neither is there.
    func axes(_ call: ONNXCall, _ place: Int) throws(ONNXFault) -> [Int]? {
        if let operand = call.optional(place) { return try integers(operand, call) }
        return try call.integers("axes")
    }

    func squeezed(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let x = try call.input(0)
        let from = shape(x)
        var kept: [Int] = []
        if let list = try axes(call, 1) {
            let gone = Set(try call.axes(list, rank: from.count))
            for (axis, size) in from.enumerated() {
                if !gone.contains(axis) {
                    kept.append(size)
                } else if size != 1 {
                    throw call.fault("it takes away an axis of \(size)")
                }
            }
        } else {
            kept = from.filter { $0 != 1 }
        }
        return [try reshape(x, kept, call)]
    }

    func unsqueezed(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let x = try call.input(0)
        guard let list = try axes(call, 1) else { throw call.fault("its axes are missing") }
        var rest = shape(x)[...]
        let rank = rest.count + list.count
        let new = Set(try call.axes(list, rank: rank))
        var target: [Int] = []
        for axis in 0..<rank { target.append(new.contains(axis) ? 1 : rest.popFirst() ?? 1) }
        return [try reshape(x, target, call)]
    }
}
