internal import CKernels
internal import Programs

/// Evaluates a map's expression for one element, by the scalar specification.
struct MapInterpreter {
    private let nodes: [MapNode]
    private let types: [ElementType]
    private let random: RandomSource

    init(_ expression: MapExpression, _ inputs: [ElementType], _ random: RandomSource) {
        nodes = expression.nodes
        self.random = random
        types = MapInterpreter.types(expression, inputs)
    }

    /// The type of each node where the inputs have these.
    static func types(_ expression: MapExpression, _ inputs: [ElementType]) -> [ElementType] {
        var types: [ElementType] = []
        for node in expression.nodes {
            switch node {
            case .input(let number):
                let type = inputs[Int(number)]
                types.append(type == .bf16 || type == .f16 ? .f32 : type)
            case .constant(let type, _): types.append(type)
            case .index, .step, .random: types.append(.i64)
            case .operation(let operation, let arguments):
                let first = types[Int(arguments[0])]
                switch operation {
                case .equal, .notEqual, .less, .lessOrEqual, .toBool: types.append(.bool)
                case .select: types.append(types[Int(arguments[1])])
                case .toF32: types.append(.f32)
                case .toI32: types.append(.i32)
                case .toI64: types.append(.i64)
                case .toI8: types.append(.i8)
                case .toU8: types.append(.u8)
                default: types.append(first)
                }
            }
        }
        return types
    }

    /// The value at the coordinates, which are those of the `element`-th of the result.
    func evaluate(_ inputs: [Int64], _ coordinates: [Int], element: Int) -> Int64 {
        var words: [Int64] = []
        words.reserveCapacity(nodes.count)
        for (place, node) in nodes.enumerated() {
            switch node {
            case .input(let number): words.append(inputs[Int(number)])
            case .constant(let type, let bits): words.append(MapInterpreter.signed(bits, type))
            case .index(let axis): words.append(Int64(coordinates[Int(axis)]))
            case .step: words.append(Int64(bitPattern: random.step))
            case .random(let draw): words.append(Int64(random.word(element: element, draw: draw)))
            case .operation(let operation, let arguments):
                let operands = arguments.map { words[Int($0)] }
                words.append(
                    MapInterpreter.apply(operation, operands, types[Int(arguments[0])], types[place]))
            }
        }
        return words[words.count - 1]
    }

    static func signed(_ bits: UInt64, _ type: ElementType) -> Int64 {
        switch type {
        case .i32: Int64(Int32(truncatingIfNeeded: bits))
        case .i8: Int64(Int8(truncatingIfNeeded: bits))
        default: Int64(bitPattern: bits)
        }
    }

    private static func wrap(_ value: Int64, _ type: ElementType) -> Int64 {
        type == .i32 ? Int64(Int32(truncatingIfNeeded: value)) : value
    }

    private static func float(_ word: Int64) -> Float { Float(bitPattern: UInt32(truncatingIfNeeded: word)) }

    /// Max and min by rule 5: NaN wins, a zero result is +0.
    private static func extremum(_ x: Float, _ y: Float, largest: Bool) -> Float {
        if x.isNaN || y.isNaN { return .nan }
        let chosen = largest ? (x < y ? y : x) : (y < x ? y : x)
        return chosen == 0 ? 0 : chosen
    }

    private static func apply(_ operation: ScalarOperation, _ a: [Int64], _ type: ElementType, _ result: ElementType)
        -> Int64
    {
        if type == .f32 { return applyFloat(operation, a, result) }
        let x = a[0]
        let y = a.count > 1 ? a[1] : 0
        let bits: Int64 = type == .i32 ? 32 : 64
        switch operation {
        case .add: return wrap(x &+ y, type)
        case .subtract: return wrap(x &- y, type)
        case .multiply: return wrap(x &* y, type)
        case .divide: return y == 0 ? 0 : wrap(x.dividedReportingOverflow(by: y).partialValue, type)
        case .minimum: return min(x, y)
        case .maximum: return max(x, y)
        case .equal: return x == y ? 1 : 0
        case .notEqual: return x != y ? 1 : 0
        case .less: return x < y ? 1 : 0
        case .lessOrEqual: return x <= y ? 1 : 0
        case .select: return x != 0 ? a[1] : a[2]
        case .and: return x & y
        case .or: return x | y
        case .exclusiveOr: return x ^ y
        case .shiftLeft: return wrap(x &<< (y & (bits - 1)), type)
        case .shiftRight: return x >> (y & (bits - 1))
        case .multiplyHigh: return type == .i32 ? (x &* y) >> 32 : x.multipliedFullWidth(by: y).high
        case .toF32: return Int64(Float(x).bitPattern)
        case .toI32: return Int64(Int32(truncatingIfNeeded: x))
        case .toI64: return x
        case .toI8: return Int64(Int8(truncatingIfNeeded: x))
        case .toU8: return Int64(UInt8(truncatingIfNeeded: x))
        case .toBool: return x != 0 ? 1 : 0
        // The validator of programs lets no integer into a float operation.
        default: return 0
        }
    }

    private static func applyFloat(_ operation: ScalarOperation, _ a: [Int64], _ result: ElementType) -> Int64 {
        let x = float(a[0])
        let y = a.count > 1 ? float(a[1]) : 0
        func give(_ value: Float) -> Int64 { ReferenceExecutor.canonical(value) }
        switch operation {
        case .add: return give(x + y)
        case .subtract: return give(x - y)
        case .multiply: return give(x * y)
        case .divide: return give(x / y)
        case .fma: return give(float(a[2]).addingProduct(x, y))
        case .minimum: return give(extremum(x, y, largest: false))
        case .maximum: return give(extremum(x, y, largest: true))
        case .squareRoot: return give(x.squareRoot())
        case .exp: return give(pk_exp_f32(x))
        case .log: return give(pk_log_f32(x))
        case .tanh: return give(pk_tanh_f32(x))
        case .erf: return give(pk_erf_f32(x))
        case .sin: return give(pk_sin_f32(x))
        case .cos: return give(pk_cos_f32(x))
        case .floor: return give(x.rounded(.down))
        case .ceil: return give(x.rounded(.up))
        case .truncate: return give(x.rounded(.towardZero))
        case .roundToEven: return give(x.rounded(.toNearestOrEven))
        case .equal: return x == y ? 1 : 0
        case .notEqual: return x != y ? 1 : 0
        case .less: return x < y ? 1 : 0
        case .lessOrEqual: return x <= y ? 1 : 0
        case .toF32: return give(x)
        case .toI32: return Int64(pk_f32_to_i32(x))
        case .toI64: return pk_f32_to_i64(x)
        case .toI8: return Int64(pk_f32_to_i8(x))
        case .toU8: return Int64(pk_f32_to_u8(x))
        case .toBool: return x != 0 ? 1 : 0
        // The validator of programs lets no float into an integer operation.
        default: return 0
        }
    }
}
