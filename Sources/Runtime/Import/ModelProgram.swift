public import Programs

/// Writes an encoder as a tensor program.
struct ProgramEncoderGraph: EncoderGraph {
    typealias Value = ValueID

    static let axes = ["tokens", "sentences", "length"]

    let parameters: [TensorDeclaration]
    let inputs: [TensorDeclaration]
    var builder: GraphBuilder
    private var used = 0

    init(parameters: [TensorDeclaration], takesSegments: Bool) {
        self.parameters = parameters
        let (tokens, sentences, length) = (Dimension(1, axis: 0), Dimension(1, axis: 1), Dimension(1, axis: 2))
        var inputs = [
            TensorDeclaration(name: "ids", type: TensorType(.i32, [tokens])),
            TensorDeclaration(name: "positions", type: TensorType(.i32, [tokens])),
            TensorDeclaration(name: "slots", type: TensorType(.i32, [sentences, length])),
            TensorDeclaration(name: "lengths", type: TensorType(.i32, [sentences])),
            TensorDeclaration(name: "places", type: TensorType(.i32, [tokens])),
        ]
        if takesSegments { inputs.append(TensorDeclaration(name: "segments", type: TensorType(.i32, [tokens]))) }
        self.inputs = inputs
        builder = GraphBuilder(leading: (parameters + inputs).map(\.type))
    }

    mutating func parameter(_ name: String, shape: [Int]) -> ValueID {
        precondition(used < parameters.count && parameters[used].type.dimensions == shape, "weights come in order")
        used += 1
        return ValueID(used - 1)
    }

    mutating func input(_ name: String, axes: [String]) -> ValueID {
        guard let place = inputs.firstIndex(where: { $0.name == name }) else {
            preconditionFailure("an encoder has no input \(name)")
        }
        return ValueID(parameters.count + place)
    }

    mutating func rows(of table: ValueID, at indices: ValueID) -> ValueID { builder.rows(of: table, at: indices) }

    mutating func row(_ row: Int, of table: ValueID) -> ValueID { builder.row(row, of: table) }

    mutating func sum(_ a: ValueID, _ b: ValueID) -> ValueID { builder.sum(a, b) }

    mutating func linear(_ x: ValueID, weight: ValueID, bias: ValueID) -> ValueID {
        builder.linear(x, weight: weight, bias: bias)
    }

    mutating func layerNorm(_ x: ValueID, gain: ValueID, bias: ValueID, epsilon: Float) -> ValueID {
        let width = Float(builder.type(x).shape[1].factor)
        return builder.layerNorm(x, gain: gain, bias: bias, width: width.bitPattern, epsilon: epsilon.bitPattern)
    }

    mutating func gelu(_ x: ValueID) -> ValueID { builder.gelu(x) }

    mutating func attention(
        query: ValueID, key: ValueID, value: ValueID, slots: ValueID, lengths: ValueID, places: ValueID, heads: Int,
        scale: Float
    ) -> ValueID {
        let width = builder.type(query).shape[1].factor / UInt64(heads)
        return builder.attention(
            query: query, key: key, value: value, slots: slots, lengths: lengths, places: places, heads: UInt64(heads),
            width: width, scale: scale.bitPattern)
    }

    mutating func meanPooled(_ x: ValueID, slots: ValueID, lengths: ValueID) -> ValueID {
        builder.meanPooled(x, slots: slots, lengths: lengths)
    }

    mutating func normalized(_ x: ValueID, floor: Float) -> ValueID {
        builder.normalized(x, floor: floor.bitPattern)
    }
}

extension ImportedModel {
    /// The encoder as a program with the axes `tokens`, `sentences` and `length`. Two imports of one folder give the same program.
    public func program() throws(ProgramFault) -> Program {
        var graph = emptyGraph(takesSegments: false)
        let embeddings = build(into: &graph)
        return try graph.program(outputs: [embeddings])
    }

    /// The same ops with one output more, the last layer's tokens, before the embeddings: what a local run shows beside what
    /// the network's program gives. Its root is another, the embeddings' bits are not.
    package func programWithTokens(takesSegments: Bool) throws(ProgramFault) -> Program {
        var graph = emptyGraph(takesSegments: takesSegments)
        let (tokens, embeddings) = buildWithTokens(into: &graph, takesSegments: takesSegments)
        return try graph.program(outputs: [tokens, embeddings])
    }

    private func emptyGraph(takesSegments: Bool) -> ProgramEncoderGraph {
        let declarations = parameters.map {
            TensorDeclaration(name: $0.name, type: TensorType(.f32, $0.shape.map { Dimension(UInt64($0)) }))
        }
        return ProgramEncoderGraph(parameters: declarations, takesSegments: takesSegments)
    }
}

extension ProgramEncoderGraph {
    fileprivate func program(outputs: [ValueID]) throws(ProgramFault) -> Program {
        try Program(
            axes: ProgramEncoderGraph.axes, parameters: parameters, inputs: inputs,
            scans: [Scan(steps: 1, operations: builder.operations, outputs: outputs)])
    }
}
