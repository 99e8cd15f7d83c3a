internal import Primitives
internal import Programs

/// Small real models, written by the same code as large ones, with weights from a seed.
extension DisputeJob {
    private static func settings(_ text: String) throws -> JSONValue { try JSONReader.read(Array(text.utf8)) }

    /// f32 tensors of around 1/√width; vectors around 1, so that gains are gains.
    private static func weights(_ declarations: [TensorDeclaration], _ random: inout SplitMix64) -> [Tensor] {
        declarations.map { declaration in
            let shape = declaration.type.dimensions
            let spread = shape.count == 1 ? Float(0.2) : 2 / Float(shape.last ?? 1).squareRoot()
            let middle: Float = shape.count == 1 ? 0.5 : 0
            return Tensor(
                (0..<Int(declaration.type.count)).map { _ in
                    middle + (Float(random.next() >> 40) * 0x1p-24 - 0.5) * spread
                }, shape: shape)
        }
    }

    /// A BERT of two layers on three sentences.
    static func encoder(seed: UInt64) throws -> DisputeJob {
        var random = SplitMix64(seed: seed)
        let configuration = try BertConfiguration(
            try settings(
                #"{"model_type":"bert","vocab_size":40,"hidden_size":24,"num_hidden_layers":2,"num_attention_heads":2,"#
                    + #""intermediate_size":48,"max_position_embeddings":16,"type_vocab_size":2}"#))
        let declarations = BertWeights.needs(configuration).map {
            TensorDeclaration(name: $0.name, type: TensorType(.f32, $0.shape.map { Dimension(UInt64($0)) }))
        }
        var graph = ProgramEncoderGraph(parameters: declarations, takesSegments: false)
        let built = BertEncoder(configuration: configuration, isNormalized: true).build(into: &graph)
        let program = try Program(
            axes: ProgramEncoderGraph.axes, parameters: declarations, inputs: graph.inputs,
            scans: [Scan(steps: 1, operations: graph.builder.operations, outputs: [built.embeddings])])
        let sentences = (0..<3).map { _ in (0..<Int(random.next() % 6 + 1)).map { _ in Int32(random.next() % 40) } }
        let batch = try EncoderInputs(sentences, truncated: [])
        return try DisputeJob(
            "encoder", program, axes: batch.axes.map { ($0.name, UInt64($0.value)) },
            parameters: weights(declarations, &random),
            inputs: batch.inputs.map { Tensor($0.values, shape: $0.shape) }, seed: seed)
    }

    /// A GPT-2 of two layers that draws up to ten tokens among the most likely, with a cache; stop tokens may end it sooner.
    static func generator(seed: UInt64) throws -> DisputeJob {
        var random = SplitMix64(seed: seed)
        let configuration = try DecoderConfiguration(
            try settings(
                #"{"model_type":"gpt2","vocab_size":48,"n_embd":16,"n_layer":2,"n_head":2,"n_positions":32}"#))
        var list = ParameterList()
        let decoder = DecoderGraph(
            configuration: configuration, weights: DecoderWeights(configuration, &list))
        let declarations = list.sources.map { source -> TensorDeclaration in
            switch source {
            case .file(let need):
                TensorDeclaration(
                    name: need.names[0], type: TensorType(.f32, need.shape.map { Dimension(UInt64($0)) }))
            case .derived(let name, let values):
                TensorDeclaration(name: name, type: TensorType(.f32, [Dimension(UInt64(values.count))]))
            }
        }
        let program = try GenerationGraph(decoder: decoder, sampling: .filtered, givesLogits: false)
            .program(declarations)
        func tokens(_ count: Int) -> [Int32] { (0..<count).map { _ in Int32(random.next() % 48) } }
        let inputs = [
            Tensor(tokens(8), shape: [2, 4]), Tensor([Int32(4), Int32(random.next() % 4 + 1)], shape: [2]),
            Tensor(tokens(3), shape: [3]), Tensor([Int32(0)], shape: []), Tensor([Float(0.9), 1.2], shape: [2]),
            Tensor([Int32(12), 30], shape: [2]), Tensor([Float(0.95), 2], shape: [2]),
        ]
        return try DisputeJob(
            "generator", program,
            axes: [("batch", 2), ("length", 4), ("tokens", 9), ("capacity", 13), ("stops", 3)],
            parameters: weights(declarations, &random), inputs: inputs, seed: seed)
    }

    /// Six steps of AdamW of a small GPT, its weights and moments kept.
    static func training(seed: UInt64) throws -> DisputeJob {
        var random = SplitMix64(seed: seed)
        let configuration = GPTConfiguration(vocabulary: 256, width: 8, layers: 1, heads: 2, context: 6)
        var settings = TrainingSettings()
        settings.batch = 2
        settings.clip = 1
        let text = (0..<120).map { _ in UInt8(truncatingIfNeeded: random.next() % 26 + 97) }
        let steps = 6
        let program = try TrainingProgram(configuration, settings, text: text.count, steps: steps)
        let starts = try TrainingDraws.starts(
            steps: steps, batch: settings.batch, text: text.count, context: configuration.context, seed: seed)
        let weights = TrainingDraws.weights(configuration, seed: seed)
        let moments = weights.map {
            Tensor(element: .f32, shape: $0.shape, bytes: [UInt8](repeating: 0, count: $0.bytes.count))
        }
        let scalars = [Tensor([Float(1)], shape: []), Tensor([Float(1)], shape: []), Tensor([Int32(0)], shape: [])]
        return try DisputeJob(
            "training", program.program, parameters: [],
            inputs: [
                Tensor(element: .u8, shape: [text.count], bytes: text),
                Tensor(starts, shape: [steps, settings.batch]),
            ], carried: weights + moments + moments + scalars, seed: seed)
    }

    /// What makes every level of a walk deep: forty steps, tensors of hundreds of blocks, rows of 274 segments.
    static func long(seed: UInt64) throws -> DisputeJob {
        var random = SplitMix64(seed: seed)
        let terms = Dimension(70_000)
        let declared = [
            TensorDeclaration(name: "w", type: TensorType(.f32, [3, terms])),
            TensorDeclaration(name: "x", type: TensorType(.f32, [2, terms])),
            TensorDeclaration(name: "s", type: TensorType(.f32, [20_000])),
        ]
        var graph = GraphBuilder(leading: declared.map(\.type))
        let scaled = graph.map(.f32, [2, terms], [ValueID(1)]) { e in
            let step = e.apply(.toF32, e.node(.step))
            _ = e.apply(.fma, step, e.constant(bits: Float(0x1p-10).bitPattern), e.input(0))
        }
        let product = graph.contract(scaled, ValueID(0))
        let place = graph.reduce(.argumentOfMaximum, scaled)
        let sum = graph.reduce(.sum, ValueID(2))
        let next = graph.map(.f32, [20_000], [ValueID(2), sum]) { e in
            let (s, total) = (e.input(0), e.input(1))
            let word = e.apply(
                .multiply, e.apply(.toF32, e.node(.random(0))), e.constant(bits: Float(0x1p-32).bitPattern))
            let pulled = e.apply(.fma, total, e.constant(bits: Float(-0x1p-16).bitPattern), word)
            _ = e.apply(.fma, s, e.constant(bits: Float(0.5).bitPattern), pulled)
        }
        let program = try Program(
            axes: [], parameters: [declared[0]], inputs: [declared[1]], carried: [declared[2]], kept: [0],
            scans: [
                Scan(steps: 40, operations: graph.operations, outputs: [product, place, sum], carried: [next])
            ])
        let tensors = weights(declared, &random)
        return try DisputeJob(
            "long", program, parameters: [tensors[0]], inputs: [tensors[1]], carried: [tensors[2]], seed: seed)
    }
}
