public import Primitives

/// The operations of `map`, on one element at a time. Meaning and rounding: docs/numerics.md.
public enum ScalarOperation: UInt8, Sendable, Hashable, CaseIterable {
    case add = 0
    case subtract = 1
    case multiply = 2
    case divide = 3
    case fma = 4
    case minimum = 5
    case maximum = 6
    case squareRoot = 7
    case exp = 8
    case log = 9
    case tanh = 10
    case erf = 11
    case sin = 12
    case cos = 13
    case floor = 14
    case ceil = 15
    case truncate = 16
    case roundToEven = 17
    case equal = 18
    case notEqual = 19
    case less = 20
    case lessOrEqual = 21
    case select = 22
    case and = 23
    case or = 24
    case exclusiveOr = 25
    case shiftLeft = 26
    case shiftRight = 27
    case multiplyHigh = 28
    case toF32 = 29
    case toI32 = 30
    case toI64 = 31
    case toI8 = 32
    case toU8 = 33
    case toBool = 34

    public var argumentCount: Int {
        switch self {
        case .fma, .select: 3
        case .add, .subtract, .multiply, .divide, .minimum, .maximum, .equal, .notEqual, .less, .lessOrEqual, .and, .or,
            .exclusiveOr, .shiftLeft, .shiftRight, .multiplyHigh:
            2
        default: 1
        }
    }
}

/// One node of an expression: a leaf, or an operation on earlier nodes.
public enum MapNode: Hashable, Sendable, CanonicalCodable {
    /// The element of the map's n-th tensor.
    case input(UInt8)
    case constant(ElementType, bits: UInt64)
    /// The element's coordinate on an axis of the result, i64.
    case index(UInt8)
    /// The step's number, i64.
    case step
    /// One Philox4x32-10 word for the element (u32 in an i64); the number tells draws of one op apart.
    case random(UInt8)
    case operation(ScalarOperation, [UInt8])

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        switch try reader.readUInt8() {
        case 0: self = .input(try reader.readUInt8())
        case 1: self = .constant(try reader.read(ElementType.self), bits: try reader.readUInt64())
        case 2: self = .index(try reader.readUInt8())
        case 3: self = .step
        case 4: self = .random(try reader.readUInt8())
        case 5:
            let tag = try reader.readUInt8()
            guard let operation = ScalarOperation(rawValue: tag) else {
                throw .invalid("a map has no operation \(tag)")
            }
            var arguments: [UInt8] = []
            for _ in 0..<operation.argumentCount { arguments.append(try reader.readUInt8()) }
            self = .operation(operation, arguments)
        case let tag: throw .invalid("a map has no node \(tag)")
        }
    }

    public func encode(into writer: inout ByteWriter) {
        switch self {
        case .input(let number):
            writer.write(UInt8(0))
            writer.write(number)
        case .constant(let type, let bits):
            writer.write(UInt8(1))
            writer.write(type)
            writer.write(bits)
        case .index(let axis):
            writer.write(UInt8(2))
            writer.write(axis)
        case .step: writer.write(UInt8(3))
        case .random(let draw):
            writer.write(UInt8(4))
            writer.write(draw)
        case .operation(let operation, let arguments):
            writer.write(UInt8(5))
            writer.write(operation.rawValue)
            for argument in arguments { writer.write(argument) }
        }
    }
}

/// An elementwise expression: nodes in order, the last one the result. At most 64 operations and 4 tensors.
public struct MapExpression: Hashable, Sendable, CanonicalCodable {
    public static let maximumOperations = 64
    public static let maximumNodes = 160
    public static let maximumInputs = 4

    public let nodes: [MapNode]

    public init(_ nodes: [MapNode]) { self.nodes = nodes }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        nodes = try reader.readList(MapNode.self, max: MapExpression.maximumNodes)
    }

    public func encode(into writer: inout ByteWriter) { writer.write(list: nodes) }

    /// How many operations an element costs.
    public var operationCount: Int {
        nodes.count { if case .operation = $0 { true } else { false } }
    }

    /// The result's type where the inputs have these, or what is wrong.
    func check(inputs: [ElementType], rank: Int) throws(ProgramFault) -> ElementType {
        let types = try types(inputs: inputs, rank: rank)
        return types[types.count - 1]
    }

    /// Every node's type where the inputs have these, or what is wrong. At least one.
    func types(inputs: [ElementType], rank: Int) throws(ProgramFault) -> [ElementType] {
        if nodes.isEmpty { throw .invalid(op: nil, "a map is empty") }
        if operationCount > MapExpression.maximumOperations {
            throw .invalid(
                op: nil, "a map has \(operationCount) operations, at most \(MapExpression.maximumOperations) may be")
        }
        var types: [ElementType] = []
        for (position, node) in nodes.enumerated() {
            switch node {
            case .input(let number):
                if Int(number) >= inputs.count {
                    throw .invalid(op: nil, "a map reads input \(number) of \(inputs.count)")
                }
                let type = inputs[Int(number)]
                types.append(type == .bf16 || type == .f16 ? .f32 : type)
            case .constant(let type, let bits):
                if type.size < 8 && bits >> UInt64(type.size * 8) != 0 {
                    throw .invalid(op: nil, "a constant has more bits than its type")
                }
                if type == .bool && bits > 1 { throw .invalid(op: nil, "a bool constant is 0 or 1") }
                if type == .bf16 || type == .f16 { throw .invalid(op: nil, "a constant is of a storage type") }
                types.append(type)
            case .index(let axis):
                if Int(axis) >= rank { throw .invalid(op: nil, "a map reads coordinate \(axis) of rank \(rank)") }
                types.append(.i64)
            case .step, .random: types.append(.i64)
            case .operation(let operation, let arguments):
                if arguments.contains(where: { Int($0) >= position }) {
                    throw .invalid(op: nil, "a map reads a node that comes later")
                }
                types.append(try MapExpression.result(operation, arguments.map { types[Int($0)] }))
            }
        }
        return types
    }

    private static func result(_ operation: ScalarOperation, _ types: [ElementType]) throws(ProgramFault) -> ElementType
    {
        func wrong() -> ProgramFault { .invalid(op: nil, "\(operation) does not take \(types)") }
        let first = types[0]
        let integers: Set<ElementType> = [.i32, .i64]
        switch operation {
        case .add, .subtract, .multiply, .divide, .minimum, .maximum:
            guard types[1] == first, first == .f32 || integers.contains(first) else { throw wrong() }
            return first
        case .fma:
            guard types.allSatisfy({ $0 == .f32 }) else { throw wrong() }
            return .f32
        case .squareRoot, .exp, .log, .tanh, .erf, .sin, .cos, .floor, .ceil, .truncate, .roundToEven:
            guard first == .f32 else { throw wrong() }
            return .f32
        case .equal, .notEqual, .less, .lessOrEqual:
            guard types[1] == first else { throw wrong() }
            return .bool
        case .select:
            guard first == .bool, types[1] == types[2] else { throw wrong() }
            return types[1]
        case .and, .or, .exclusiveOr:
            guard types[1] == first, first == .bool || integers.contains(first) else { throw wrong() }
            return first
        case .shiftLeft, .shiftRight, .multiplyHigh:
            guard types[1] == first, integers.contains(first) else { throw wrong() }
            return first
        case .toF32: return .f32
        case .toI32: return .i32
        case .toI64: return .i64
        case .toI8: return .i8
        case .toU8: return .u8
        case .toBool: return .bool
        }
    }
}
