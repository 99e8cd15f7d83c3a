internal import Programs

/// Writes a vision transformer as a program: `pixel_values`, f32 [batch, channels, height, width], to `last_hidden_state`, [batch, tokens, hidden], and, with a
/// classifier, `logits`, [batch, classes].
struct VisionGraph: Sendable {
    private struct Layer: Sendable {
        let before: NormWeights
        let query, key, value, output: LinearWeights
        let after: NormWeights
        let up, down: LinearWeights
    }

    let configuration: VisionConfiguration
    private let classToken: ValueID
    private let positions: ValueID
    private let patches: LinearWeights
    private let layers: [Layer]
    private let norm: NormWeights
    private let classifier: LinearWeights?

    /// Numbers what the settings ask for.
    init(_ configuration: VisionConfiguration, _ list: inout ParameterList) {
        self.configuration = configuration
        let hidden = configuration.hiddenSize
        func names(_ name: String) -> [String] { ["vit." + name, name] }
        func linear(_ name: String, _ inputs: Int, _ outputs: Int, hasBias: Bool = true) -> LinearWeights {
            let weight = list.weight(names(name + ".weight"), outputs, inputs)
            return LinearWeights(weight: weight, bias: hasBias ? list.weight(names(name + ".bias"), outputs) : nil)
        }
        func norm(_ name: String) -> NormWeights {
            let gain = list.weight(names(name + ".weight"), hidden)
            return NormWeights(gain: gain, bias: list.weight(names(name + ".bias"), hidden))
        }
        classToken = list.weight(names("embeddings.cls_token"), 1, 1, hidden)
        positions = list.weight(names("embeddings.position_embeddings"), 1, configuration.tokens, hidden)
        let kernel = "embeddings.patch_embeddings.projection"
        let patchWeight = list.weight(
            names(kernel + ".weight"), hidden, configuration.channels, configuration.patchSize[0],
            configuration.patchSize[1])
        patches = LinearWeights(weight: patchWeight, bias: list.weight(names(kernel + ".bias"), hidden))
        let biased = configuration.hasQueryBias
        layers = (0..<configuration.layers).map { layer in
            let root = "encoder.layer.\(layer)."
            let before = norm(root + "layernorm_before")
            let query = linear(root + "attention.attention.query", hidden, hidden, hasBias: biased)
            let key = linear(root + "attention.attention.key", hidden, hidden, hasBias: biased)
            let value = linear(root + "attention.attention.value", hidden, hidden, hasBias: biased)
            let output = linear(root + "attention.output.dense", hidden, hidden)
            let after = norm(root + "layernorm_after")
            let up = linear(root + "intermediate.dense", hidden, configuration.intermediateSize)
            let down = linear(root + "output.dense", configuration.intermediateSize, hidden)
            return Layer(
                before: before, query: query, key: key, value: value, output: output, after: after, up: up, down: down)
        }
        self.norm = norm("layernorm")
        if let classes = configuration.classes {
            let weight = list.weight(["classifier.weight"], classes, hidden)
            classifier = LinearWeights(weight: weight, bias: list.weight(["classifier.bias"], classes))
        } else {
            classifier = nil
        }
    }

    var outputNames: [String] { classifier == nil ? ["last_hidden_state"] : ["last_hidden_state", "logits"] }

    func program(_ parameters: [TensorDeclaration]) throws(ProgramFault) -> Program {
        let batch = Dimension(1, axis: 0)
        let image = [batch] + ([configuration.channels] + configuration.imageSize).map { Dimension(UInt64($0)) }
        let inputs = [TensorDeclaration(name: "pixel_values", type: TensorType(.f32, image))]
        var builder = GraphBuilder(leading: (parameters + inputs).map(\.type))
        var x = embedded(&builder, ValueID(parameters.count), batch)
        let heads = UInt64(configuration.heads)
        let width = UInt64(configuration.hiddenSize) / heads
        let scale = (1 / Float(width).squareRoot()).bitPattern
        for layer in layers {
            let normed = builder.norm(x, layer.before, epsilon: configuration.epsilon)
            let query = builder.heads(builder.linear(normed, layer.query), count: heads, width: width)
            let key = builder.heads(builder.linear(normed, layer.key), count: heads, width: width)
            let value = builder.heads(builder.linear(normed, layer.value), count: heads, width: width)
            let context = builder.attention(
                query: query, keys: builder.keyRows(key), values: builder.valueColumns(value), extent: nil,
                scale: scale)
            x = builder.sum(builder.linear(context, layer.output), x)
            let after = builder.norm(x, layer.after, epsilon: configuration.epsilon)
            x = builder.sum(builder.linear(builder.gelu(builder.linear(after, layer.up)), layer.down), x)
        }
        x = builder.norm(x, norm, epsilon: configuration.epsilon)
        var outputs = [x]
        if let classifier {
            let first = builder.gather(
                x, [batch, Dimension(UInt64(configuration.hiddenSize))], [.axis(0), Coordinate(), .axis(1)])
            outputs.append(builder.linear(first, classifier))
        }
        return try Program(
            axes: ["batch"], parameters: parameters, inputs: inputs,
            scans: [Scan(steps: 1, operations: builder.operations, outputs: outputs)])
    }

    /// The class token and the image's patches, row by row, each with its position: a convolution without overlap, k in the
    /// order (channel, row, column).
    private func embedded(_ builder: inout GraphBuilder, _ pixels: ValueID, _ batch: Dimension) -> ValueID {
        func sizes(_ values: [Int]) -> [Dimension] { values.map { Dimension(UInt64($0)) } }
        let (grid, patch) = (configuration.grid, configuration.patchSize)
        let hidden = Dimension(UInt64(configuration.hiddenSize))
        func pixel(_ block: UInt8, _ within: UInt8, _ size: Int) -> Coordinate {
            Coordinate(terms: [.init(axis: block, coefficient: Int64(size)), .init(axis: within, coefficient: 1)])
        }
        let cut = builder.gather(
            pixels, [batch] + sizes(grid) + sizes([configuration.channels] + patch),
            [.axis(0), .axis(3), pixel(1, 4, patch[0]), pixel(2, 5, patch[1])])
        let depth = configuration.channels * patch[0] * patch[1]
        let rows = builder.reshape(cut, [batch] + sizes([grid[0] * grid[1], depth]))
        let kernel = builder.reshape(patches.weight, [hidden, Dimension(UInt64(depth))])
        let embedded = builder.linear(rows, LinearWeights(weight: kernel, bias: patches.bias))
        let shape = [batch, Dimension(UInt64(configuration.tokens)), hidden]
        let first = builder.widened(classToken)
        let joined = builder.append(
            .gather(
                [
                    GatherPiece(
                        start: [0, 0, 0], size: [batch, 1, hidden], source: first,
                        coordinates: [Coordinate(), Coordinate(), .axis(2)]),
                    GatherPiece(
                        start: [0, 1, 0], size: [batch, Dimension(UInt64(configuration.tokens - 1)), hidden],
                        source: embedded,
                        coordinates: [
                            .axis(0), Coordinate(offset: -1, terms: [.init(axis: 1, coefficient: 1)]), .axis(2),
                        ]),
                ], fill: 0), TensorType(.f32, shape))
        return builder.sum(joined, positions)
    }
}
