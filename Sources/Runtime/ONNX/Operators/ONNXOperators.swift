internal import Programs

/// The operators that are taken, by domain and name.
enum ONNXOperators {
    /// Writes a call into the lowering's graph; gives its outputs. Throws an `ONNXFault`: closures in a table cannot say so.
    typealias Lowered = @Sendable (ONNXLowering, ONNXCall) throws -> [Operand]

    static func run(
        _ lowered: Lowered, _ lowering: ONNXLowering, _ call: ONNXCall
    ) throws(ONNXFault) -> [Operand] {
        do { return try lowered(lowering, call) } catch {
            guard let fault = error as? ONNXFault else { throw call.fault("\(error)") }
            throw fault
        }
    }

    /// Operators of one topic.
    typealias Table = [String: Lowered]

    static let table: [String: Table] = {
        var standard: Table = [:]
        for part in [
            elementwise, activations, logic, casts, movement, selection, reductions, products, convolutions,
            normalizations, quantization, attention, resizing,
        ] {
            standard.merge(part) { first, _ in first }
        }
        return ["": standard, "com.microsoft": microsoft]
    }()

    /// Operators that give half precision on as it is: they move elements or name types themselves.
    static let keepsStorage: Set<String> = [
        "Cast", "CastLike", "CenterCropPad", "Compress", "Concat", "Constant", "ConstantOfShape", "DepthToSpace",
        "Dropout", "Expand", "EyeLike", "Flatten", "Gather", "GatherElements", "GatherND", "Identity", "NonZero", "Pad",
        "Reshape", "ReverseSequence", "Shape", "Size", "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose",
        "Unsqueeze",
    ]

    /// All names, those of other domains with their domain.
    static var names: [String] {
        table.flatMap { domain, part in part.keys.map { domain.isEmpty ? $0 : "\(domain).\($0)" } }.sorted()
    }
}

extension ExpressionBuilder {
    mutating func float(_ value: Float) -> UInt8 { constant(bits: value.bitPattern) }

    mutating func integer(_ value: Int, _ element: ElementType) -> UInt8 {
        let bits = UInt64(bitPattern: Int64(value))
        return node(.constant(element, bits: element.size == 8 ? bits : bits & (1 << UInt64(8 * element.size) - 1)))
    }

    /// −x, the sign of a zero included.
    mutating func negated(_ x: UInt8) -> UInt8 { apply(.multiply, x, float(-1)) }

    /// |x|; that of a zero is +0.
    mutating func magnitude(_ x: UInt8) -> UInt8 {
        let negative = negated(x)
        return apply(.maximum, x, negative)
    }

    /// 1/(1 + exp(−x)).
    mutating func sigmoid(_ x: UInt8) -> UInt8 {
        let negative = apply(.subtract, constant(bits: 0), x)
        let exponential = apply(.exp, negative)
        let sum = apply(.add, float(1), exponential)
        return apply(.divide, float(1), sum)
    }

    /// log(1 + exp(x)) = max(x, 0) + log(1 + exp(−|x|)).
    mutating func softplus(_ x: UInt8) -> UInt8 {
        let magnitude = magnitude(x)
        let negative = negated(magnitude)
        let exponential = apply(.exp, negative)
        let sum = apply(.add, float(1), exponential)
        let logarithm = apply(.log, sum)
        let positive = apply(.maximum, x, float(0))
        return apply(.add, positive, logarithm)
    }

    /// (0.5·x)·(1 + erf(x·0.70710677)).
    mutating func gelu(_ x: UInt8) -> UInt8 {
        let scaled = apply(.multiply, x, constant(bits: 0x3F35_04F3))
        let erf = apply(.erf, scaled)
        let sum = apply(.add, float(1), erf)
        let half = apply(.multiply, float(0.5), x)
        return apply(.multiply, half, sum)
    }

    /// (0.5·x)·(1 + tanh(0.7978846·(x + 0.044715·((x·x)·x)))).
    mutating func geluByTanh(_ x: UInt8) -> UInt8 {
        let square = apply(.multiply, x, x)
        let cube = apply(.multiply, square, x)
        let weighted = apply(.multiply, constant(bits: 0x3D37_2713), cube)
        let sum = apply(.add, x, weighted)
        let inner = apply(.multiply, constant(bits: 0x3F4C_422A), sum)
        let tanh = apply(.tanh, inner)
        let shifted = apply(.add, float(1), tanh)
        let half = apply(.multiply, float(0.5), x)
        return apply(.multiply, half, shifted)
    }

    /// At least `low` and at most `high`; NaN stays.
    mutating func clamped(_ x: UInt8, _ low: Float, _ high: Float) -> UInt8 {
        let raised = apply(.maximum, x, float(low))
        return apply(.minimum, raised, float(high))
    }
}
