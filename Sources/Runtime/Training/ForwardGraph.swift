public import Programs

/// A model's forward pass with all its extents fixed, to be put into a larger graph: what is imported is trained by this.
///
/// In that graph everything computed is f32: weights of storage types that are trained are f32 there, and what their ops kept in fewer bits is kept whole.
public struct ForwardGraph: Sendable {
    public let parameters: [TensorDeclaration]
    public let inputs: [TensorDeclaration]
    /// What its ops leave out at random; nil where there are none that do.
    public let dropout: Dropout?
    private let operations: [OperationRecord]
    private let output: ValueID

    /// The one scan of a program that runs once and carries nothing, for one of its outputs.
    public init(_ program: SpecialisedProgram, output: Int = 0) throws(TrainingFault) {
        guard program.scans.count == 1, program.scans[0].steps == 1, program.carried.isEmpty,
            program.scans[0].outputs.indices.contains(output)
        else { throw .setting("the model", "is not one pass from inputs to outputs, so that it has no loss") }
        self.init(
            parameters: program.parameters, inputs: program.inputs, operations: program.scans[0].operations,
            output: program.scans[0].outputs[output])
    }

    init(
        parameters: [TensorDeclaration], inputs: [TensorDeclaration], operations: [OperationRecord], output: ValueID,
        dropout: Dropout? = nil
    ) {
        self.parameters = parameters
        self.inputs = inputs
        self.operations = operations
        self.output = output
        self.dropout = dropout
    }

    /// Appends the pass over tensors of `graph`: `parameters` and `inputs` as declared, a parameter of bf16 or f16 also as f32. Gives its output.
    public func append(
        to graph: inout GraphBuilder, parameters: [ValueID], inputs: [ValueID]
    ) -> ValueID {
        var numbers = parameters + inputs
        for record in operations {
            let operation = record.operation.renumbered { numbers[Int($0.index)] }
            numbers.append(ForwardGraph.append(operation, record.result, to: &graph))
        }
        return numbers[Int(output.index)]
    }

    private static func append(
        _ operation: Operation, _ result: TensorType, to graph: inout GraphBuilder
    ) -> ValueID {
        let wide = TensorType(result.element.isStorage ? .f32 : result.element, result.shape)
        switch operation {
        case .map(let expression, let inputs):
            // What widens a weight that is wide already.
            if expression.nodes == [.input(0)], let source = inputs.first, graph.type(source) == wide { return source }
            return graph.append(operation, wide)
        case .gather(let pieces, let fill):
            let isMoved = pieces.contains { !graph.type($0.source).element.isStorage }
            if !result.element.isStorage || !isMoved { return graph.append(operation, result) }
            // Some of what is moved together may be storage still.
            let sources = pieces.map { graph.widened($0.source) }
            let moved = zip(pieces, sources).map {
                GatherPiece(start: $0.start, size: $0.size, source: $1, coordinates: $0.coordinates)
            }
            let bits = UInt16(truncatingIfNeeded: fill)
            let filled = result.element == .bf16 ? UInt32(bits) << 16 : HalfPrecision.widened(bits)
            return graph.append(.gather(moved, fill: UInt64(filled)), wide)
        case .reduce, .contract, .sort: return graph.append(operation, result)
        }
    }
}

extension ElementType {
    fileprivate var isStorage: Bool { self == .bf16 || self == .f16 }
}
