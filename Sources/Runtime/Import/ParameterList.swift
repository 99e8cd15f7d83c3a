internal import Programs

/// Numbers the weights of a model in the order of their use, so that a program can be written before any file is open.
struct ParameterList: Sendable {
    /// Where a parameter comes from.
    enum Source: Sendable, Equatable {
        case file(WeightFiles.Need)
        /// Made from the settings.
        case derived(name: String, values: [Float])
    }

    private(set) var sources: [Source] = []

    /// A weight under one of these names, the usual one first.
    mutating func weight(_ names: [String], _ shape: Int...) -> ValueID {
        sources.append(.file(WeightFiles.Need(names: names, shape: shape)))
        return ValueID(sources.count - 1)
    }

    mutating func derived(_ name: String, _ values: [Float]) -> ValueID {
        sources.append(.derived(name: name, values: values))
        return ValueID(sources.count - 1)
    }

    /// The names of those that no file holds.
    var derivedNames: Set<String> {
        Set(
            sources.compactMap { source in
                if case .derived(let name, _) = source { return name }
                return nil
            })
    }

    /// Takes every parameter out of the files.
    func load(_ files: WeightFiles) throws(ImportFault) -> [StoredParameter] {
        var parameters: [StoredParameter] = []
        for source in sources {
            switch source {
            case .file(let need): parameters.append(try files.parameter(need))
            case .derived(let name, let values): parameters.append(StoredParameter(name: name, values: values))
            }
        }
        return parameters
    }
}

/// A linear layer's weights by their numbers.
struct LinearWeights: Sendable {
    let weight: ValueID
    let bias: ValueID?
    /// Whether the file has [inputs, outputs], as GPT-2's do.
    var isTransposed = false
}

/// A norm's weights by their numbers; an RMS norm has no bias.
struct NormWeights: Sendable {
    let gain: ValueID
    let bias: ValueID?
}

extension GraphBuilder {
    /// x · weightᵀ, and the bias where there is one.
    mutating func linear(_ x: ValueID, _ weights: LinearWeights) -> ValueID {
        let stored = weights.isTransposed ? transpose(weights.weight, [1, 0]) : weights.weight
        let product = contract(x, widened(stored))
        return weights.bias.map { sum(product, $0) } ?? product
    }

    /// A layer norm, or an RMS norm where there is no bias.
    mutating func norm(_ x: ValueID, _ weights: NormWeights, epsilon: Float) -> ValueID {
        let shape = type(x).shape
        let width = Float(shape[shape.count - 1].factor).bitPattern
        if let bias = weights.bias {
            return layerNorm(x, gain: weights.gain, bias: bias, width: width, epsilon: epsilon.bitPattern)
        }
        return rmsNorm(x, gain: weights.gain, width: width, epsilon: epsilon.bitPattern)
    }

    /// Rows of a table, [rows, width], by i32 indices [batch, length]: [batch, length, width] in f32.
    mutating func embeddings(of table: ValueID, at indices: ValueID) -> ValueID {
        let rows = gather(
            table, type(indices).shape + [type(table).shape[1]],
            [Coordinate(table: indices, tableAxes: [0, 1]), .axis(2)])
        return widened(rows)
    }
}
