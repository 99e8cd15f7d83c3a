/// A map's expression for one element, in integers.
struct LeafMap {
    let nodes: [MapNode]
    let types: [ElementType]

    /// `inputs` and the result are loaded words (`LeafValue`).
    func value(
        _ inputs: [Int64], coordinates: [UInt64], element: UInt64, context: Leaf.Context
    ) -> Int64 {
        var words: [Int64] = []
        words.reserveCapacity(nodes.count)
        for (place, node) in nodes.enumerated() {
            switch node {
            case .input(let number): words.append(inputs[Int(number)])
            case .constant(let type, let bits): words.append(LeafValue.loaded(bits, type))
            case .index(let axis): words.append(Int64(coordinates[Int(axis)]))
            case .step: words.append(Int64(bitPattern: context.step))
            case .random(let draw):
                let word = Philox.word(
                    seed: context.seed, element: element, operation: context.operation, draw: draw,
                    step: UInt32(truncatingIfNeeded: context.step))
                words.append(Int64(word))
            case .operation(let operation, let arguments):
                let x = words[Int(arguments[0])]
                let y = arguments.count > 1 ? words[Int(arguments[1])] : 0
                let z = arguments.count > 2 ? words[Int(arguments[2])] : 0
                let type = types[Int(arguments[0])]
                words.append(
                    type == .f32
                        ? LeafMap.onFloats(operation, x, y, z) : LeafMap.onIntegers(operation, x, y, z, type))
                // Nothing but its own type's values leaves a node.
                assert(LeafValue.loaded(LeafValue.stored(words[place], types[place]), types[place]) == words[place])
            }
        }
        return words[words.count - 1]
    }

    private static func onFloats(_ operation: ScalarOperation, _ a: Int64, _ b: Int64, _ c: Int64) -> Int64 {
        let (x, y, z) = (LeafValue.float(a), LeafValue.float(b), LeafValue.float(c))
        switch operation {
        case .add: return LeafValue.word(x + y)
        case .subtract: return LeafValue.word(x - y)
        case .multiply: return LeafValue.word(x * y)
        case .divide: return LeafValue.word(x / y)
        case .fma: return LeafValue.word(.fma(x, y, z))
        case .minimum: return LeafValue.word(.minimum(x, y))
        case .maximum: return LeafValue.word(.maximum(x, y))
        case .squareRoot: return LeafValue.word(x.squareRoot)
        case .exp: return LeafValue.word(x.exponential)
        case .log: return LeafValue.word(x.logarithm)
        case .tanh: return LeafValue.word(x.hyperbolicTangent)
        case .erf: return LeafValue.word(x.errorFunction)
        case .sin: return LeafValue.word(x.sine)
        case .cos: return LeafValue.word(x.cosine)
        case .floor: return LeafValue.word(x.floor)
        case .ceil: return LeafValue.word(x.ceil)
        case .truncate: return LeafValue.word(x.truncated)
        case .roundToEven: return LeafValue.word(x.roundedToEven)
        case .equal: return Binary32.isEqual(x, y) ? 1 : 0
        case .notEqual: return Binary32.isEqual(x, y) ? 0 : 1
        case .less: return Binary32.isLess(x, y) ? 1 : 0
        case .lessOrEqual: return Binary32.isLessOrEqual(x, y) ? 1 : 0
        case .toF32: return a
        case .toI32: return Int64(x.int32)
        case .toI64: return x.int64
        case .toI8: return Int64(x.int8)
        case .toU8: return Int64(x.uint8)
        case .toBool: return x.bool ? 1 : 0
        case .select, .and, .or, .exclusiveOr, .shiftLeft, .shiftRight, .multiplyHigh:
            preconditionFailure("an expression is checked before it is evaluated: \(operation) takes no f32 first")
        }
    }

    private static func onIntegers(
        _ operation: ScalarOperation, _ x: Int64, _ y: Int64, _ z: Int64, _ type: ElementType
    ) -> Int64 {
        func wrapped(_ value: Int64) -> Int64 { type == .i32 ? Int64(Int32(truncatingIfNeeded: value)) : value }
        let places = y & (type == .i32 ? 31 : 63)
        switch operation {
        case .add: return wrapped(x &+ y)
        case .subtract: return wrapped(x &- y)
        case .multiply: return wrapped(x &* y)
        // By zero 0; the least by −1 wraps to itself.
        case .divide: return y == 0 ? 0 : y == -1 ? wrapped(0 &- x) : x / y
        case .minimum: return min(x, y)
        case .maximum: return max(x, y)
        case .equal: return x == y ? 1 : 0
        case .notEqual: return x == y ? 0 : 1
        case .less: return x < y ? 1 : 0
        case .lessOrEqual: return x <= y ? 1 : 0
        case .select: return x == 0 ? z : y
        case .and: return x & y
        case .or: return x | y
        case .exclusiveOr: return x ^ y
        case .shiftLeft: return wrapped(x << places)
        case .shiftRight: return x >> places
        case .multiplyHigh: return type == .i32 ? (x * y) >> 32 : x.multipliedFullWidth(by: y).high
        case .toF32: return LeafValue.word(Binary32(x))
        case .toI32: return Int64(Int32(truncatingIfNeeded: x))
        case .toI64: return x
        case .toI8: return Int64(Int8(truncatingIfNeeded: x))
        case .toU8: return Int64(UInt8(truncatingIfNeeded: x))
        case .toBool: return x == 0 ? 0 : 1
        case .fma, .squareRoot, .exp, .log, .tanh, .erf, .sin, .cos, .floor, .ceil, .truncate, .roundToEven:
            preconditionFailure("an expression is checked before it is evaluated: \(operation) takes no \(type)")
        }
    }
}
