internal import Programs

extension ONNXOperators {
    /// Arithmetic and functions of single elements.
    static let elementwise: Table = [
        "Add": { try $0.arithmetic(.add, $1) }, "Sub": { try $0.arithmetic(.subtract, $1) },
        "Mul": { try $0.arithmetic(.multiply, $1) }, "Div": { try $0.arithmetic(.divide, $1) },
        "Max": { try $0.variadic(.maximum, $1) }, "Min": { try $0.variadic(.minimum, $1) },
        "Sum": { try $0.variadic(.add, $1) }, "Mean": { try $0.mean($1) }, "Mod": { try $0.modulus($1) },
        "Pow": { try $0.power($1) }, "Neg": { try $0.negated($1) }, "Abs": { try $0.magnitude($1) },
        "Sign": { try $0.sign($1) }, "Reciprocal": unary { e, x in _ = e.apply(.divide, e.float(1), x) },
        "Sqrt": unary { e, x in _ = e.apply(.squareRoot, x) }, "Exp": unary { e, x in _ = e.apply(.exp, x) },
        "Log": unary { e, x in _ = e.apply(.log, x) }, "Sin": unary { e, x in _ = e.apply(.sin, x) },
        "Cos": unary { e, x in _ = e.apply(.cos, x) },
        "Tan": unary { e, x in
            let sine = e.apply(.sin, x)
            let cosine = e.apply(.cos, x)
            _ = e.apply(.divide, sine, cosine)
        }, "Erf": unary { e, x in _ = e.apply(.erf, x) }, "Floor": unary { e, x in _ = e.apply(.floor, x) },
        "Ceil": unary { e, x in _ = e.apply(.ceil, x) }, "Round": unary { e, x in _ = e.apply(.roundToEven, x) },
        "Clip": { try $0.clip($1) }, "BitShift": { try $0.bitShift($1) },
        "BitwiseAnd": { try $0.bitwise(.and, $1) }, "BitwiseOr": { try $0.bitwise(.or, $1) },
        "BitwiseXor": { try $0.bitwise(.exclusiveOr, $1) }, "BitwiseNot": { try $0.bitwiseNot($1) },
    ]

    /// A function of one float.
    static func unary(_ body: @escaping @Sendable (inout ExpressionBuilder, UInt8) -> Void) -> Lowered {
        { lowering, call in
            let x = try lowering.float(call, 0)
            return [try lowering.map(.f32, [x], call) { e, n in body(&e, n[0]) }]
        }
    }
}

extension ONNXLowering {
    /// An input that must be f32.
    func float(_ call: ONNXCall, _ place: Int) throws(ONNXFault) -> Operand {
        let operand = try call.input(place)
        if element(operand) != .f32 {
            throw call.fault("its input \(place) is \(element(operand)) where a float is needed")
        }
        return operand
    }

    /// The type that two operands share.
    func common(_ operands: [Operand], _ call: ONNXCall) throws(ONNXFault) -> ElementType {
        guard let first = operands.first else { throw call.fault("it has no input") }
        for operand in operands where element(operand) != element(first) {
            throw call.fault("its inputs are \(element(first)) and \(element(operand))")
        }
        return element(first)
    }

    /// An expression over whole numbers or floats; i8 and u8 are computed as i32 and wrap.
    func numeric(
        _ operands: [Operand], _ call: ONNXCall,
        _ body: (inout ExpressionBuilder, [UInt8], ElementType) -> Void
    ) throws(ONNXFault) -> Operand {
        let element = try common(operands, call)
        switch element {
        case .f32, .i32, .i64: return try map(element, operands, call) { e, n in body(&e, n, element) }
        case .i8, .u8:
            return try map(element, operands, call) { e, n in
                let wide = n.map { e.apply(.toI32, $0) }
                body(&e, wide, .i32)
                let last = UInt8(e.nodes.count - 1)
                _ = e.apply(ONNXLowering.conversion(to: element), last)
            }
        case .bool, .f16, .bf16: throw call.fault("it does not take \(element)")
        }
    }

    func arithmetic(_ operation: ScalarOperation, _ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let (a, b) = (try call.input(0), try call.input(1))
        return [try numeric([a, b], call) { e, n, _ in _ = e.apply(operation, n[0], n[1]) }]
    }

    func variadic(_ operation: ScalarOperation, _ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let operands = try call.all()
        var total = operands[0]
        for operand in operands.dropFirst() {
            total = try numeric([total, operand], call) { e, n, _ in _ = e.apply(operation, n[0], n[1]) }
        }
        return [total]
    }

    func mean(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let total = try variadic(.add, call)[0]
        if element(total) != .f32 { throw call.fault("it does not take \(element(total))") }
        let count = Float(call.inputs.count)
        return [try map(.f32, [total], call) { e, n in _ = e.apply(.divide, n[0], e.float(count)) }]
    }

    /// The remainder with the divisor's sign, or with `fmod` the dividend's.
    func modulus(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let (a, b) = (try call.input(0), try call.input(1))
        let keepsDividend = try call.flag("fmod")
        if element(a) == .f32 { throw call.fault("the remainder of floats has no exact form") }
        return [
            try numeric([a, b], call) { e, n, element in
                let quotient = e.apply(.divide, n[0], n[1])
                let whole = e.apply(.multiply, quotient, n[1])
                let rest = e.apply(.subtract, n[0], whole)
                if keepsDividend { return }
                let zero = e.integer(0, element)
                let isBelow = e.apply(.less, rest, zero)
                let isDivisorBelow = e.apply(.less, n[1], zero)
                let differs = e.apply(.exclusiveOr, isBelow, isDivisorBelow)
                let isRest = e.apply(.notEqual, rest, zero)
                let wants = e.apply(.and, differs, isRest)
                let raised = e.apply(.add, rest, n[1])
                _ = e.apply(.select, wants, raised, rest)
            }
        ]
    }

    /// Powers with the exponents 2, 3, ½, −½ and −1, which docs/numerics.md fixes, and 0 and 1; whole numbers to small powers.
    func power(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let base = try call.input(0)
        let exponent = try known(try call.input(1), call)
        guard exponent.count > 0, let bits = exponent.scalar else {
            throw call.fault("its exponent is not one number")
        }
        let value: Float
        if exponent.element == .f32 {
            value = Float(bitPattern: UInt32(truncatingIfNeeded: bits))
        } else {
            guard let number = exponent.integers?.first else { throw call.fault("its exponent is no number") }
            value = Float(number)
        }
        let target = ONNXShape.broadcast(shape(base), exponent.shape) ?? shape(base)
        let wide = try broadcast(base, to: target, call)
        if element(base) != .f32 {
            guard value >= 0, value <= 16, value == value.rounded() else {
                throw call.fault("a whole number to the power \(value) has no exact form")
            }
            return [
                try numeric([wide], call) { e, n, element in
                    var product = e.integer(1, element)
                    for _ in 0..<Int(value) { product = e.apply(.multiply, product, n[0]) }
                }
            ]
        }
        switch value {
        case 1: return [wide]
        case 0: return [.constant(ConstantTensor(.f32, target, .splat(UInt64(Float(1).bitPattern))))]
        case 2, 3, 0.5, -0.5, -1:
            return [
                try map(.f32, [wide], call) { e, n in
                    let x = n[0]
                    switch value {
                    case 2: _ = e.apply(.multiply, x, x)
                    case 3:
                        let square = e.apply(.multiply, x, x)
                        _ = e.apply(.multiply, square, x)
                    case 0.5: _ = e.apply(.squareRoot, x)
                    case -0.5:
                        let root = e.apply(.squareRoot, x)
                        _ = e.apply(.divide, e.float(1), root)
                    default: _ = e.apply(.divide, e.float(1), x)
                    }
                }
            ]
        default: throw call.fault("the power \(value) has no exact form; 2, 3, 0.5, -0.5 and -1 have")
        }
    }

    func negated(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        [
            try numeric([try call.input(0)], call) { e, n, element in
                if element == .f32 { _ = e.negated(n[0]) } else { _ = e.apply(.subtract, e.integer(0, element), n[0]) }
            }
        ]
    }

    func magnitude(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let x = try call.input(0)
        if element(x) == .u8 { return [x] }
        return [
            try numeric([x], call) { e, n, element in
                if element == .f32 {
                    _ = e.magnitude(n[0])
                } else {
                    let negative = e.apply(.subtract, e.integer(0, element), n[0])
                    _ = e.apply(.maximum, n[0], negative)
                }
            }
        ]
    }

    func sign(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        [
            try numeric([try call.input(0)], call) { e, n, element in
                let isFloat = element == .f32
                let zero = isFloat ? e.float(0) : e.integer(0, element)
                let one = isFloat ? e.float(1) : e.integer(1, element)
                let minusOne = isFloat ? e.float(-1) : e.integer(-1, element)
                let isBelow = e.apply(.less, n[0], zero)
                let isAbove = e.apply(.less, zero, n[0])
                let low = e.apply(.select, isBelow, minusOne, n[0])
                _ = e.apply(.select, isAbove, one, low)
            }
        ]
    }

    func clip(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        var result = try call.input(0)
        if let low = call.optional(1) {
            result = try numeric([result, low], call) { e, n, _ in _ = e.apply(.maximum, n[0], n[1]) }
        }
        if let high = call.optional(2) {
            result = try numeric([result, high], call) { e, n, _ in _ = e.apply(.minimum, n[0], n[1]) }
        }
        return [result]
    }

    func bitShift(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let (a, b) = (try call.input(0), try call.input(1))
        let direction = try call.string("direction", "")
        guard ["LEFT", "RIGHT"].contains(direction), element(a) == .u8, element(b) == .u8 else {
            throw call.fault("it takes uint8 and a direction")
        }
        let count = direction == "LEFT" ? ScalarOperation.shiftLeft : .shiftRight
        return [
            try map(.u8, [a, b], call) { e, n in
                let (x, y) = (e.apply(.toI32, n[0]), e.apply(.toI32, n[1]))
                // A shift by the width or more leaves nothing; the map's own shift would wrap its count.
                let isWhole = e.apply(.less, y, e.integer(8, .i32))
                let shifted = e.apply(count, x, y)
                let kept = e.apply(.select, isWhole, shifted, e.integer(0, .i32))
                _ = e.apply(.toU8, kept)
            }
        ]
    }

    func bitwise(_ operation: ScalarOperation, _ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let (a, b) = (try call.input(0), try call.input(1))
        if element(a) == .f32 { throw call.fault("it does not take floats") }
        return [try numeric([a, b], call) { e, n, _ in _ = e.apply(operation, n[0], n[1]) }]
    }

    func bitwiseNot(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let x = try call.input(0)
        if element(x) == .f32 { throw call.fault("it does not take floats") }
        return [
            try numeric([x], call) { e, n, element in
                _ = e.apply(.exclusiveOr, n[0], e.integer(-1, element))
            }
        ]
    }
}
