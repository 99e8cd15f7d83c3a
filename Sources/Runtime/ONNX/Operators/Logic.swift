internal import Programs

extension ONNXOperators {
    /// Comparisons and truth values.
    static let logic: Table = [
        "Equal": { try $0.compare(.equal, $1) }, "Less": { try $0.compare(.less, $1) },
        "LessOrEqual": { try $0.compare(.lessOrEqual, $1) }, "Greater": { try $0.compare(.less, $1, swapped: true) },
        "GreaterOrEqual": { try $0.compare(.lessOrEqual, $1, swapped: true) },
        "And": { try $0.truth(.and, $1) }, "Or": { try $0.truth(.or, $1) }, "Xor": { try $0.truth(.exclusiveOr, $1) },
        "Not": { lowering, call in
            let x = try call.input(0)
            if lowering.element(x) != .bool { throw call.fault("it does not take \(lowering.element(x))") }
            return [
                try lowering.map(.bool, [x], call) { e, n in _ = e.apply(.exclusiveOr, n[0], e.integer(1, .bool)) }
            ]
        },
        "Where": { lowering, call in
            let (condition, x, y) = (try call.input(0), try call.input(1), try call.input(2))
            let element = try lowering.common([x, y], call)
            if lowering.element(condition) != .bool { throw call.fault("its condition is not bool") }
            return [
                try lowering.map(element, [condition, x, y], call) { e, n in
                    _ = e.apply(.select, n[0], n[1], n[2])
                }
            ]
        },
        "IsNaN": { lowering, call in
            let x = try lowering.float(call, 0)
            return [try lowering.map(.bool, [x], call) { e, n in _ = e.apply(.notEqual, n[0], n[0]) }]
        },
        "IsInf": { lowering, call in
            let x = try lowering.float(call, 0)
            let (high, low) = (try call.flag("detect_positive", true), try call.flag("detect_negative", true))
            return [
                try lowering.map(.bool, [x], call) { e, n in
                    let isHigh = e.apply(.equal, n[0], e.float(high ? .infinity : .nan))
                    let isLow = e.apply(.equal, n[0], e.float(low ? -.infinity : .nan))
                    _ = e.apply(.or, isHigh, isLow)
                }
            ]
        },
    ]

    /// Other element types.
    static let casts: Table = [
        "Cast": { lowering, call in
            let x = try call.input(0)
            let number = try call.required("to")
            guard let element = ONNXStoredTensors.elements[number] else {
                throw call.fault("it casts to \(ONNXStoredTensors.name(ofType: number))")
            }
            if case .constant(let tensor) = x, tensor.isDouble {
                if number == 11 { return [x] }
                if element != .f32 { throw call.fault("it casts from float64 to \(element)") }
                return [.constant(ConstantTensor(.f32, tensor.shape, tensor.storage, name: tensor.name))]
            }
            if number == 11 { throw call.fault("it casts to float64") }
            return [try lowering.cast(x, to: element, call)]
        },
        "CastLike": { lowering, call in
            let like = try call.input(1)
            if case .constant(let tensor) = like, tensor.isDouble { throw call.fault("it casts to float64") }
            return [try lowering.cast(try call.input(0), to: lowering.element(like), call)]
        },
    ]
}

extension ONNXLowering {
    func compare(
        _ operation: ScalarOperation, _ call: ONNXCall, swapped: Bool = false
    ) throws(ONNXFault) -> [Operand] {
        let (a, b) = (try call.input(0), try call.input(1))
        _ = try common([a, b], call)
        return [
            try map(.bool, [a, b], call) { e, n in
                _ = swapped ? e.apply(operation, n[1], n[0]) : e.apply(operation, n[0], n[1])
            }
        ]
    }

    func truth(_ operation: ScalarOperation, _ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let (a, b) = (try call.input(0), try call.input(1))
        guard element(a) == .bool, element(b) == .bool else { throw call.fault("it takes truth values") }
        return [try map(.bool, [a, b], call) { e, n in _ = e.apply(operation, n[0], n[1]) }]
    }
}
