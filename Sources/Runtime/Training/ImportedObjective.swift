public import Programs

/// The training of a model that was imported: a loss on its forward pass, whose extents are those of one batch.
public struct ImportedObjective: TrainingObjective {
    /// What the loss is made of.
    public enum Target: Sendable, Hashable {
        /// The forward pass takes token ids, i32 [batch, length], and gives logits, [batch, length, vocabulary]; the data set is so many tokens, and each is
        /// predicted from those before it.
        case nextToken(tokens: Int)
        /// The data set is so many examples of the forward pass's inputs, each with the number of its class; the output is logits, [batch, classes].
        case classes(examples: Int)
        /// The data set is so many examples, each with what the output should be: the mean of the squared differences.
        case values(examples: Int)
    }

    public let forward: ForwardGraph
    public let target: Target
    /// For each parameter of the forward pass whether it is moved.
    public let isTrained: [Bool]

    /// A parameter of another type than f32, bf16 or f16 cannot be moved.
    public init(_ forward: ForwardGraph, target: Target, isTrained: [Bool]) {
        precondition(isTrained.count == forward.parameters.count, "each parameter is moved or not")
        self.forward = forward
        self.target = target
        self.isTrained = zip(isTrained, forward.parameters).map { $0 && $1.type.element.isFloat }
    }

    public var weights: [TensorDeclaration] {
        zip(forward.parameters, isTrained).filter(\.1).map {
            TensorDeclaration(name: $0.0.name, type: TensorType(.f32, $0.0.type.shape))
        }
    }

    public var frozen: [TensorDeclaration] { zip(forward.parameters, isTrained).filter { !$0.1 }.map(\.0) }

    public var data: [TensorDeclaration] {
        switch target {
        case .nextToken(let tokens):
            return [TensorDeclaration(name: "tokens", type: TensorType(.i32, [Dimension(UInt64(tokens))]))]
        case .classes(let count):
            return examples(count) + [
                TensorDeclaration(name: "classes", type: TensorType(.i32, [Dimension(UInt64(count))]))
            ]
        case .values(let count):
            let shape = [Dimension(UInt64(count))] + resultShape.dropFirst()
            return examples(count) + [TensorDeclaration(name: "values", type: TensorType(.f32, shape))]
        }
    }

    /// The inputs of so many examples.
    private func examples(_ count: Int) -> [TensorDeclaration] {
        forward.inputs.map {
            TensorDeclaration(
                name: $0.name,
                type: TensorType($0.type.element, [Dimension(UInt64(count))] + $0.type.shape.dropFirst()))
        }
    }

    /// The output's shape.
    private var resultShape: [Dimension] {
        var graph = GraphBuilder(leading: (forward.parameters + forward.inputs).map(\.type))
        let count = forward.parameters.count
        let output = forward.append(
            to: &graph, parameters: (0..<count).map { ValueID($0) },
            inputs: forward.inputs.indices.map { ValueID(count + $0) })
        return graph.type(output).shape
    }

    public func loss(
        _ graph: inout GraphBuilder, weights: [ValueID], frozen: [ValueID], data: [ValueID], rows: ValueID,
        dropout: Dropout?
    ) throws(TrainingFault) -> (loss: ValueID, constants: Set<ValueID>) {
        var (moved, still) = (weights[...], frozen[...])
        let parameters = isTrained.map { $0 ? moved.removeFirst() : still.removeFirst() }
        if case .nextToken = target {
            let length = forward.inputs[0].type.shape[1]
            let ids = graph.stretches(of: data[0], from: rows, offset: 0, length: length)
            let targets = graph.stretches(of: data[0], from: rows, offset: 1, length: length)
            let logits = forward.append(to: &graph, parameters: parameters, inputs: [ids])
            let loss = graph.crossEntropy(logits, targets: targets)
            // A decoder's extremes are those of its softmaxes.
            return (loss, graph.extremes)
        }
        let batch = data.map { graph.examples($0, rows) }
        let result = forward.append(to: &graph, parameters: parameters, inputs: Array(batch.dropLast()))
        let before = graph.extremes
        let loss: ValueID
        if case .classes = target {
            loss = graph.crossEntropy(result, targets: batch[batch.count - 1])
        } else {
            loss = graph.meanSquare(result, batch[batch.count - 1])
        }
        // An extreme in the model may be a pool's, through which all flows.
        return (loss, graph.extremes.subtracting(before))
    }

    public func check(_ settings: TrainingSettings, steps: Int, memory: UInt64) throws(TrainingFault) {
        if weights.isEmpty {
            throw .setting("freeze", "leaves no weight to be trained: take a pattern of it or of train_only away")
        }
        if settings.thinning != forward.dropout {
            throw .setting("dropout", "has no place in the model's graph: leave it out")
        }
        for input in forward.inputs where input.type.shape.first != Dimension(UInt64(settings.batch)) {
            throw .setting("batch", "is \(settings.batch), and the model's \(input.name) is of another batch")
        }
        try checkAny(settings, steps: steps, memory: memory)
    }
}

extension GraphBuilder {
    /// The mean loss of predicting i32 `targets` from logits with an axis of classes more.
    fileprivate mutating func crossEntropy(_ logits: ValueID, targets: ValueID) -> ValueID {
        let shape = type(logits).shape
        let count = type(targets).count
        let scores = reshape(logits, [Dimension(count), shape[shape.count - 1]])
        return crossEntropy(
            scores, targets: reshape(targets, [Dimension(count)]), count: Float(count).bitPattern)
    }

    /// ROW((x − y)²)/n over all elements.
    public mutating func meanSquare(_ x: ValueID, _ y: ValueID) -> ValueID {
        let square = map(.f32, type(x).shape, [x, y]) { e in
            let difference = e.apply(.subtract, e.input(0), e.input(1))
            _ = e.apply(.multiply, difference, difference)
        }
        let count = type(x).count
        let sum = reduce(.sum, reshape(square, [Dimension(count)]))
        return map(.f32, [], [sum]) { e in
            let s = e.input(0)
            _ = e.apply(.divide, s, e.constant(bits: Float(count).bitPattern))
        }
    }

    /// The examples of a data set that `rows` names.
    fileprivate mutating func examples(_ data: ValueID, _ rows: ValueID) -> ValueID {
        let shape = type(rows).shape + type(data).shape.dropFirst()
        return gather(
            data, shape, [Coordinate(table: rows, tableAxes: [0])] + (1..<shape.count).map { .axis(UInt8($0)) })
    }
}
