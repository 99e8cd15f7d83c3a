public import Programs

/// The small decoder's training: each byte of a text is predicted from those before it.
public struct ByteObjective: TrainingObjective {
    public let configuration: GPTConfiguration
    /// Bytes of the text.
    public let text: Int

    public init(_ configuration: GPTConfiguration, text: Int) {
        self.configuration = configuration
        self.text = text
    }

    public var weights: [TensorDeclaration] { configuration.weights }
    public var frozen: [TensorDeclaration] { [] }
    public var data: [TensorDeclaration] {
        [TensorDeclaration(name: "text", type: TensorType(.u8, [Dimension(UInt64(text))]))]
    }

    public func loss(
        _ graph: inout GraphBuilder, weights: [ValueID], frozen: [ValueID], data: [ValueID], rows: ValueID,
        dropout: Dropout?
    ) -> (loss: ValueID, constants: Set<ValueID>) {
        let length = Dimension(UInt64(configuration.context))
        func bytes(_ offset: Int64) -> ValueID {
            let bytes = graph.stretches(of: data[0], from: rows, offset: offset, length: length)
            return graph.map(.i32, graph.type(bytes).shape, [bytes]) { e in _ = e.apply(.toI32, e.input(0)) }
        }
        let (ids, targets) = (bytes(0), bytes(1))
        let loss = configuration.loss(&graph, weights: weights, ids: ids, targets: targets, dropout: dropout)
        return (loss, graph.extremes)
    }

    public func check(_ settings: TrainingSettings, steps: Int, memory: UInt64) throws(TrainingFault) {
        let sizes = [
            ("vocabulary", configuration.vocabulary), ("width", configuration.width), ("layers", configuration.layers),
            ("heads", configuration.heads), ("context", configuration.context), ("batch", settings.batch),
            ("steps", steps),
        ]
        for (name, size) in sizes where !(1...1 << 24).contains(size) { throw .setting(name, "must be from 1 to 2^24") }
        try settings.check(steps: steps)
        if configuration.width % configuration.heads != 0 {
            throw .setting(
                "width", "must be a multiple of the heads: \(configuration.width) is none of \(configuration.heads)")
        }
        if configuration.vocabulary < 256 { throw .setting("vocabulary", "must be at least 256: tokens are bytes") }
        // A weight and its two moments in 32 bits, held twice while a run starts. No size is above 2^24, so that all but the last product fit.
        let blocks = UInt64(configuration.layers) * 12 * UInt64(configuration.width)
        let needed = (UInt64(configuration.vocabulary) + UInt64(configuration.context) + blocks)
            .multipliedReportingOverflow(by: UInt64(configuration.width) * 24)
        if needed.overflow || needed.partialValue > memory {
            throw .memory(needed: needed.overflow ? .max : needed.partialValue, available: memory)
        }
        try TrainingProgram.check(weights: configuration.weights.count)
    }
}
