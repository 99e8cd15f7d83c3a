internal import Programs

extension ONNXOperators {
    /// Activations: functions of one float with settings.
    static let activations: Table = [
        "Relu": { try $0.relu($1) }, "Sigmoid": unary { e, x in _ = e.sigmoid(x) },
        "Tanh": unary { e, x in _ = e.apply(.tanh, x) }, "Softplus": unary { e, x in _ = e.softplus(x) },
        "Softsign": unary { e, x in
            let magnitude = e.magnitude(x)
            let sum = e.apply(.add, e.float(1), magnitude)
            _ = e.apply(.divide, x, sum)
        },
        "Mish": unary { e, x in
            let softplus = e.softplus(x)
            let tanh = e.apply(.tanh, softplus)
            _ = e.apply(.multiply, x, tanh)
        },
        "HardSwish": unary { e, x in
            let sixth = e.apply(.multiply, x, e.float(1 / 6))
            let shifted = e.apply(.add, sixth, e.float(0.5))
            let gate = e.clamped(shifted, 0, 1)
            _ = e.apply(.multiply, x, gate)
        },
        "Gelu": { lowering, call in
            let isTanh = try gelu(call)
            return try unary { e, x in _ = isTanh ? e.geluByTanh(x) : e.gelu(x) }(lowering, call)
        },
        "Swish": { lowering, call in
            let alpha = try call.float("alpha", 1)
            return try swish(alpha)(lowering, call)
        },
        "Elu": { lowering, call in
            let alpha = try call.float("alpha", 1)
            return try unary { e, x in
                let exponential = e.apply(.exp, x)
                let less = e.apply(.subtract, exponential, e.float(1))
                let low = e.apply(.multiply, e.float(alpha), less)
                let isBelow = e.apply(.less, x, e.float(0))
                _ = e.apply(.select, isBelow, low, x)
            }(lowering, call)
        },
        "Selu": { lowering, call in
            let (alpha, gamma) = (try call.float("alpha", 1.67326319), try call.float("gamma", 1.05070102))
            return try unary { e, x in
                let exponential = e.apply(.exp, x)
                let scaled = e.apply(.multiply, e.float(alpha), exponential)
                let low = e.apply(.subtract, scaled, e.float(alpha))
                let isAbove = e.apply(.less, e.float(0), x)
                let chosen = e.apply(.select, isAbove, x, low)
                _ = e.apply(.multiply, e.float(gamma), chosen)
            }(lowering, call)
        },
        "Celu": { lowering, call in
            let alpha = try call.float("alpha", 1)
            return try unary { e, x in
                let high = e.apply(.maximum, x, e.float(0))
                let part = e.apply(.divide, x, e.float(alpha))
                let exponential = e.apply(.exp, part)
                let less = e.apply(.subtract, exponential, e.float(1))
                let scaled = e.apply(.multiply, e.float(alpha), less)
                let low = e.apply(.minimum, scaled, e.float(0))
                _ = e.apply(.add, high, low)
            }(lowering, call)
        },
        "HardSigmoid": { lowering, call in
            let (alpha, beta) = (try call.float("alpha", 0.2), try call.float("beta", 0.5))
            return try unary { e, x in
                let scaled = e.apply(.multiply, e.float(alpha), x)
                let shifted = e.apply(.add, scaled, e.float(beta))
                _ = e.clamped(shifted, 0, 1)
            }(lowering, call)
        },
        "LeakyRelu": { lowering, call in
            let alpha = try call.float("alpha", 0.01)
            return try unary { e, x in
                let low = e.apply(.multiply, e.float(alpha), x)
                let isBelow = e.apply(.less, x, e.float(0))
                _ = e.apply(.select, isBelow, low, x)
            }(lowering, call)
        },
        "ThresholdedRelu": { lowering, call in
            let alpha = try call.float("alpha", 1)
            return try unary { e, x in
                let isAbove = e.apply(.less, e.float(alpha), x)
                _ = e.apply(.select, isAbove, x, e.float(0))
            }(lowering, call)
        },
        "Shrink": { lowering, call in
            let (lambda, bias) = (try call.float("lambd", 0.5), try call.float("bias", 0))
            return try unary { e, x in
                let raised = e.apply(.add, x, e.float(bias))
                let lowered = e.apply(.subtract, x, e.float(bias))
                let isBelow = e.apply(.less, x, e.float(-lambda))
                let isAbove = e.apply(.less, e.float(lambda), x)
                let high = e.apply(.select, isAbove, lowered, e.float(0))
                _ = e.apply(.select, isBelow, raised, high)
            }(lowering, call)
        },
        "PRelu": { lowering, call in
            let (x, slope) = (try call.input(0), try call.input(1))
            let wide = try lowering.broadcast(slope, to: lowering.shape(x), call)
            return [
                try lowering.numeric([x, wide], call) { e, n, element in
                    let low = e.apply(.multiply, n[0], n[1])
                    let isBelow = e.apply(.less, n[0], element == .f32 ? e.float(0) : e.integer(0, element))
                    _ = e.apply(.select, isBelow, low, n[0])
                }
            ]
        },
    ]

    /// Whether a Gelu is the one with tanh.
    static func gelu(_ call: ONNXCall) throws(ONNXFault) -> Bool {
        let kind = try call.string("approximate", "none")
        if kind != "none" && kind != "tanh" { throw call.fault("its approximation is \(kind)") }
        return kind == "tanh"
    }

    /// x·(1/(1 + exp(−αx))).
    static func swish(_ alpha: Float) -> Lowered {
        unary { e, x in
            let scaled = alpha == 1 ? x : e.apply(.multiply, e.float(alpha), x)
            let gate = e.sigmoid(scaled)
            _ = e.apply(.multiply, x, gate)
        }
    }
}

extension ONNXLowering {
    func relu(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        [
            try numeric([try call.input(0)], call) { e, n, element in
                _ = e.apply(.maximum, n[0], element == .f32 ? e.float(0) : e.integer(0, element))
            }
        ]
    }
}
