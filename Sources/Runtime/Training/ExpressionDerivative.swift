internal import Programs

/// The derivative of a map by one of its inputs, as a map: what comes from above times ∂result/∂input, over the same inputs and the map's own result.
struct ExpressionDerivative {
    /// The expression. Its input 0 is the gradient of the result; the others are `inputs`, numbered as they were.
    private(set) var expression = MapExpression([])
    /// Which of the map's inputs it reads, in order; the number after the last is the map's result.
    private(set) var inputs: [Int] = []

    private var nodes: [MapNode]
    /// Each node of the map, once it is copied.
    private var copies: [UInt8?]
    private let original: [MapNode]
    /// The number of the map's result among what is read; nil where it is not as it was computed.
    private let result: UInt8?
    private var known: [MapNode: UInt8] = [:]
    private var used: [Int] = []

    /// Nil where the input has no influence that can be differentiated; `types` are those of the map's inputs. `readsResult`: where an exponential, a quotient
    /// or a root is the map's result, the derivative reads it instead of computing it once more. `readsGradient`: false for the derivative alone, without its
    /// product with what comes from above.
    init?(
        _ map: MapExpression, by input: Int, types: [ElementType], readsResult: Bool, readsGradient: Bool = true
    ) throws(DifferentiationFault) {
        original = map.nodes
        result = readsResult ? UInt8(types.count) : nil
        nodes = []
        copies = [UInt8?](repeating: nil, count: map.nodes.count)
        let nodeTypes = MapInterpreter.types(map, types)
        var depends = [Bool](repeating: false, count: original.count)
        for (place, node) in original.enumerated() {
            switch node {
            case .input(let number): depends[place] = Int(number) == input
            case .operation(let operation, let arguments):
                depends[place] =
                    nodeTypes[place] == .f32 && !ExpressionDerivative.isFlat(operation)
                    && arguments.contains { depends[Int($0)] && nodeTypes[Int($0)] == .f32 }
            default: break
            }
        }
        guard let last = original.indices.last, depends[last] else { return nil }
        // Backwards through the expression: what each node's gradient is, as a node of the new one.
        var gradients = [UInt8?](repeating: nil, count: original.count)
        gradients[last] = readsGradient ? add(.input(0)) : constant(1)
        var total: UInt8?
        for place in original.indices.reversed() where depends[place] {
            guard let gradient = gradients[place] else { continue }
            switch original[place] {
            case .input: total = sum(total, gradient)
            case .operation(let operation, let arguments):
                for (position, argument) in arguments.enumerated() where depends[Int(argument)] {
                    guard let part = partial(operation, arguments, position, place, gradient) else { continue }
                    gradients[Int(argument)] = sum(gradients[Int(argument)], part)
                }
            default: break
            }
        }
        guard let total else { return nil }
        // The result of a map is its last node.
        if Int(total) != nodes.count - 1 { nodes.append(.operation(.toF32, [total])) }
        let count = nodes.count { if case .operation = $0 { true } else { false } }
        if count > MapExpression.maximumOperations || nodes.count > MapExpression.maximumNodes {
            throw .tooLarge(operations: count)
        }
        let above = readsGradient ? 1 : 0
        if used.count + above > MapExpression.maximumInputs { throw .tooManyInputs(used.count + above) }
        let order = used.sorted()
        let renumbered = nodes.map { node -> MapNode in
            guard case .input(let number) = node, number > 0 else { return node }
            return .input(UInt8(above + (order.firstIndex(of: Int(number) - 1) ?? 0)))
        }
        self.expression = MapExpression(renumbered)
        self.inputs = order
    }

    /// Operations whose result does not move with their arguments.
    private static func isFlat(_ operation: ScalarOperation) -> Bool {
        switch operation {
        case .floor, .ceil, .truncate, .roundToEven: true
        default: false
        }
    }

    // MARK: Nodes

    private mutating func add(_ node: MapNode) -> UInt8 {
        if let place = known[node] { return place }
        nodes.append(node)
        let place = UInt8(truncatingIfNeeded: nodes.count - 1)
        known[node] = place
        return place
    }

    private mutating func apply(_ operation: ScalarOperation, _ arguments: UInt8...) -> UInt8 {
        add(.operation(operation, arguments))
    }

    private mutating func constant(_ value: Float) -> UInt8 { add(.constant(.f32, bits: UInt64(value.bitPattern))) }

    private mutating func sum(_ x: UInt8?, _ y: UInt8) -> UInt8 { x.map { apply(.add, $0, y) } ?? y }

    /// A node of the map, computed again.
    private mutating func copy(_ place: UInt8) -> UInt8 {
        if let held = copies[Int(place)] { return held }
        let made: UInt8
        if let result, Int(place) == original.count - 1 {
            made = add(.input(result + 1))
            if !used.contains(Int(result)) { used.append(Int(result)) }
            copies[Int(place)] = made
            return made
        }
        switch original[Int(place)] {
        case .input(let number):
            // One above: the gradient is input 0.
            made = add(.input(number + 1))
            if !used.contains(Int(number)) { used.append(Int(number)) }
        case .operation(let operation, let arguments):
            made = add(.operation(operation, arguments.map { copy($0) }))
        case let leaf: made = add(leaf)
        }
        copies[Int(place)] = made
        return made
    }

    /// The gradient that an operation gives its argument at `position`; nil for none.
    private mutating func partial(
        _ operation: ScalarOperation, _ a: [UInt8], _ position: Int, _ place: Int, _ g: UInt8
    ) -> UInt8? {
        let own = UInt8(truncatingIfNeeded: place)
        switch operation {
        case .add, .toF32: return g
        case .subtract: return position == 0 ? g : apply(.subtract, constant(0), g)
        case .multiply: return apply(.multiply, g, copy(a[1 - position]))
        case .divide:
            if position == 0 { return apply(.divide, g, copy(a[1])) }
            // −g·(x/y)/y
            let product = apply(.multiply, g, copy(own))
            return apply(.divide, apply(.subtract, constant(0), product), copy(a[1]))
        case .fma: return position == 2 ? g : apply(.multiply, g, copy(a[1 - position]))
        case .minimum, .maximum:
            // The argument that was taken; the first where both are equal.
            let (x, y) = (copy(a[0]), copy(a[1]))
            let takesSecond = operation == .maximum ? apply(.less, x, y) : apply(.less, y, x)
            return position == 0
                ? apply(.select, takesSecond, constant(0), g) : apply(.select, takesSecond, g, constant(0))
        case .squareRoot: return apply(.divide, apply(.multiply, g, constant(0.5)), copy(own))
        case .exp: return apply(.multiply, g, copy(own))
        case .log: return apply(.divide, g, copy(a[0]))
        case .tanh:
            let t = copy(own)
            return apply(.multiply, g, apply(.subtract, constant(1), apply(.multiply, t, t)))
        case .erf:
            // 2/√π·exp(−x²)
            let x = copy(a[0])
            let fall = apply(.exp, apply(.subtract, constant(0), apply(.multiply, x, x)))
            return apply(.multiply, g, apply(.multiply, constant(1.128_379_2), fall))
        case .sin: return apply(.multiply, g, apply(.cos, copy(a[0])))
        case .cos: return apply(.subtract, constant(0), apply(.multiply, g, apply(.sin, copy(a[0]))))
        case .select:
            let condition = copy(a[0])
            if position == 0 { return nil }
            return position == 1 ? apply(.select, condition, g, constant(0)) : apply(.select, condition, constant(0), g)
        default: return nil
        }
    }
}

/// Why a graph has no gradient. One sentence.
public enum DifferentiationFault: Error, Equatable, Sendable, CustomStringConvertible {
    case unsupported(op: Int, String)
    case tooLarge(operations: Int)
    case tooManyInputs(Int)
    case notAScalar
    case namedAxis

    public var description: String {
        switch self {
        case .unsupported(let op, let what): "op \(op) has no gradient: \(what)"
        case .tooLarge(let count):
            "a map's gradient has \(count) operations, at most \(MapExpression.maximumOperations) may be"
        case .tooManyInputs(let count):
            "a map's gradient reads \(count) tensors, at most \(MapExpression.maximumInputs) may be"
        case .notAScalar: "only a loss of one number can be differentiated"
        case .namedAxis: "a graph with named axes is differentiated after its axes have their values"
        }
    }
}
