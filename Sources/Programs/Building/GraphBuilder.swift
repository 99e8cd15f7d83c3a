import Primitives

/// Writes a step graph op by op. Values are numbered as the program will number them.
public struct GraphBuilder: Sendable {
    /// Types of all values so far, leading ones first.
    public private(set) var types: [TensorType]
    public private(set) var operations: [OperationRecord] = []

    /// A graph over leading tensors (parameters, inputs, carried tensors).
    public init(leading: [TensorType]) { types = leading }

    /// Appends an op and gives its result.
    public mutating func append(_ operation: Operation, _ result: TensorType) -> ValueID {
        operations.append(OperationRecord(operation, result))
        types.append(result)
        return ValueID(types.count - 1)
    }

    public func type(_ id: ValueID) -> TensorType { types[Int(id.index)] }

    /// An elementwise expression over tensors that broadcast to `shape`.
    public mutating func map(
        _ element: ElementType, _ shape: [Dimension], _ inputs: [ValueID], _ body: (inout ExpressionBuilder) -> Void
    ) -> ValueID {
        var builder = ExpressionBuilder()
        body(&builder)
        return append(.map(MapExpression(builder.nodes), inputs: inputs), TensorType(element, shape))
    }

    /// Sum or extremum of each row, or where the extremum is.
    public mutating func reduce(_ reduction: Reduction, _ input: ValueID, extent: ValueID? = nil) -> ValueID {
        let type = type(input)
        let isPlace = reduction == .argumentOfMaximum || reduction == .argumentOfMinimum
        return append(
            .reduce(reduction, input: input, extent: extent, prefix: false),
            TensorType(isPlace ? .i32 : type.element, Array(type.shape.dropLast())))
    }

    /// A·Bᵀ over the common last axis.
    public mutating func contract(_ left: ValueID, _ right: ValueID, extent: ValueID? = nil) -> ValueID {
        let (a, b) = (type(left), type(right))
        let shape = Array(a.shape.dropLast()) + [b.shape[b.shape.count - 2]]
        return append(
            .contract(left: left, right: right, extent: extent, selected: false),
            TensorType(a.element == .i8 ? .i32 : .f32, shape))
    }

    /// One piece that covers the whole result.
    public mutating func gather(_ source: ValueID, _ shape: [Dimension], _ coordinates: [Coordinate]) -> ValueID {
        let zero = [Dimension](repeating: 0, count: shape.count)
        let piece = GatherPiece(start: zero, size: shape, source: source, coordinates: coordinates)
        return append(.gather([piece], fill: 0), TensorType(type(source).element, shape))
    }

    /// The same tensor with a last axis of 1, so that a row's number broadcasts over the row.
    public mutating func column(_ source: ValueID) -> ValueID {
        let shape = type(source).shape
        return gather(source, shape + [1], shape.indices.map { .axis(UInt8($0)) })
    }
}

/// Writes the nodes of an expression.
public struct ExpressionBuilder: Sendable {
    public private(set) var nodes: [MapNode] = []

    public mutating func node(_ node: MapNode) -> UInt8 {
        nodes.append(node)
        return UInt8(nodes.count - 1)
    }

    public mutating func input(_ number: Int) -> UInt8 { node(.input(UInt8(number))) }

    /// An f32 constant by its bits.
    public mutating func constant(bits: UInt32) -> UInt8 { node(.constant(.f32, bits: UInt64(bits))) }

    public mutating func apply(_ operation: ScalarOperation, _ arguments: UInt8...) -> UInt8 {
        node(.operation(operation, arguments))
    }
}
