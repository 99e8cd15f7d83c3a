internal import Programs

/// Tensors that come from attributes and shapes alone.
extension ONNXLowering {
    func constant(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        func floats(_ bits: [UInt32], _ shape: [Int]) -> [Operand] {
            [.constant(ConstantTensor(bits.map { Float(bitPattern: $0) }, shape: shape))]
        }
        if let tensor = call.attributes["value"]?.tensor {
            return [.constant(try stored.constant(tensor, refusesNaN: false))]
        }
        if let bits = call.attributes["value_float"]?.float { return floats([bits], []) }
        if let attribute = call.attributes["value_floats"] {
            return floats(attribute.floats, [attribute.floats.count])
        }
        if let number = call.attributes["value_int"]?.integer {
            return [.constant(ConstantTensor(integers: [number], shape: []))]
        }
        if let attribute = call.attributes["value_ints"] {
            return [.constant(ConstantTensor(integers: attribute.integers))]
        }
        throw call.fault("its value is no tensor of numbers")
    }

    func constantOfShape(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let shape = try integers(try call.input(0), call)
        _ = try dimensions(shape, call)
        var (element, bits) = (ElementType.f32, UInt64(0))
        if let proto = call.attributes["value"]?.tensor {
            let value = try stored.constant(proto, refusesNaN: false)
            if value.count != 1 || value.isDouble { throw call.fault("its value is not one number that is taken") }
            (element, bits) = (value.element, value.bits(0))
        }
        return [.constant(ConstantTensor(element, shape, .splat(bits)))]
    }

    func shapeOf(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let shape = shape(try call.input(0))
        func place(_ number: Int) -> Int { min(max(number < 0 ? number + shape.count : number, 0), shape.count) }
        let start = place(try call.integer("start", 0))
        let end = place(try call.integer("end", shape.count))
        return [.constant(ConstantTensor(integers: Array(shape[start..<max(start, end)])))]
    }

    func range(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let operands = [try call.input(0), try call.input(1), try call.input(2)]
        let element = try common(operands, call)
        for operand in operands where count(operand) != 1 { throw call.fault("it takes three numbers") }
        if element == .f32 {
            var numbers: [Float] = []
            for operand in operands { numbers.append(try floats(operand, call)[0]) }
            let (start, delta) = (numbers[0], numbers[2])
            let steps = ((Double(numbers[1]) - Double(start)) / Double(delta)).rounded(.up)
            guard steps < 0x1p40, !steps.isNaN else { throw call.fault("it has no end") }
            return [
                try map(.f32, [], call, shape: [Int(max(0, steps))]) { e, _ in
                    let index = e.apply(.toF32, e.node(.index(0)))
                    let distance = e.apply(.multiply, index, e.float(delta))
                    _ = e.apply(.add, e.float(start), distance)
                }
            ]
        }
        guard element == .i64 || element == .i32 else { throw call.fault("it does not take \(element)") }
        var numbers: [Int] = []
        for operand in operands { numbers.append(try integers(operand, call)[0]) }
        let (start, delta) = (numbers[0], numbers[2])
        let (distance, overflow) = numbers[1].subtractingReportingOverflow(start)
        guard delta != 0, delta > -(1 << 40), delta < 1 << 40, !overflow, distance < 1 << 60, distance > -(1 << 60)
        else { throw call.fault("it has no end") }
        let steps = delta > 0 ? (distance + delta - 1) / delta : (distance + delta + 1) / delta
        return [
            try map(element, [], call, shape: [max(0, steps)]) { e, _ in
                let place = e.apply(.multiply, e.node(.index(0)), e.integer(delta, .i64))
                let number = e.apply(.add, place, e.integer(start, .i64))
                if element == .i32 { _ = e.apply(.toI32, number) }
            }
        ]
    }

    func identityMatrix(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let x = try call.input(0)
        let (shape, diagonal) = (shape(x), try call.integer("k", 0))
        guard shape.count == 2 else { throw call.fault("it makes matrices") }
        var target = element(x)
        if call.has("dtype") {
            let number = try call.required("dtype")
            guard number != 11, let element = ONNXStoredTensors.elements[number] else {
                throw call.fault("it makes \(ONNXStoredTensors.name(ofType: number))")
            }
            target = element
        }
        let made = try map(.bool, [], call, shape: shape) { e, _ in
            let (row, column) = (e.node(.index(0)), e.node(.index(1)))
            let distance = e.apply(.subtract, column, row)
            _ = e.apply(.equal, distance, e.integer(diagonal, .i64))
        }
        return [try cast(made, to: target, call)]
    }
}
