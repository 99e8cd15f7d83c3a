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

    /// How large an encoder is, and how many sentences of up to how many tokens it reads.
    struct EncoderSize {
        var vocabulary: UInt64 = 40
        var width = 24
        var layers = 2
        var heads = 2
        var positions = 16
        var sentences = 3
        var longest: UInt64 = 6

        /// That of all-MiniLM-L6-v2.
        static let miniLM = EncoderSize(
            vocabulary: 30_522, width: 384, layers: 6, heads: 12, positions: 512, sentences: 4, longest: 24)
    }

    /// A BERT, of two layers on three sentences where nothing else is said.
    static func encoder(seed: UInt64, _ size: EncoderSize = EncoderSize()) throws -> DisputeJob {
        var random = SplitMix64(seed: seed)
        let inner = size.width == EncoderSize.miniLM.width ? 4 * size.width : 2 * size.width
        let configuration = try BertConfiguration(
            try settings(
                #"{"model_type":"bert","vocab_size":\#(size.vocabulary),"hidden_size":\#(size.width),"#
                    + #""num_hidden_layers":\#(size.layers),"num_attention_heads":\#(size.heads),"#
                    + #""intermediate_size":\#(inner),"max_position_embeddings":\#(size.positions),"type_vocab_size":2}"#
            ))
        let declarations = BertWeights.needs(configuration).map {
            TensorDeclaration(name: $0.name, type: TensorType(.f32, $0.shape.map { Dimension(UInt64($0)) }))
        }
        var graph = ProgramEncoderGraph(parameters: declarations, takesSegments: false)
        let built = BertEncoder(configuration: configuration, isNormalized: true).build(into: &graph)
        let program = try Program(
            axes: ProgramEncoderGraph.axes, parameters: declarations, inputs: graph.inputs,
            scans: [Scan(steps: 1, operations: graph.builder.operations, outputs: [built.embeddings])])
        let sentences = (0..<size.sentences).map { _ in
            (0..<Int(random.next() % size.longest + 1)).map { _ in Int32(random.next() % size.vocabulary) }
        }
        let batch = try EncoderInputs(sentences, truncated: [])
        return try DisputeJob(
            "encoder", program, axes: batch.axes.map { ($0.name, UInt64($0.value)) },
            parameters: weights(declarations, &random),
            inputs: batch.inputs.map { Tensor($0.values, shape: $0.shape) }, seed: seed)
    }

    /// The same job with its linear layers on whole numbers.
    func quantized(_ quantization: Quantization) throws -> DisputeJob {
        let stored = zip(program.parameters, parameters).map { StoredParameter(name: $0.name, $1) }
        let (quantized, weights) = try program.quantized(quantization, stored)
        return try DisputeJob(
            "\(name) \(quantization.rawValue)", quantized, axes: zip(program.axes, axes).map { ($0, $1) },
            parameters: weights.map(\.tensor), inputs: inputs, carried: carried, seed: seed)
    }

    /// How large a generator is, and how many tokens it draws at most.
    struct GeneratorSize {
        var vocabulary: UInt64 = 48
        var width = 16
        var layers = 2
        var heads = 2
        var positions = 32
        var tokens: UInt64 = 10

        /// That of GPT-2, 124 million weights, for 64 tokens.
        static let gpt2 = GeneratorSize(
            vocabulary: 50_257, width: 768, layers: 12, heads: 12, positions: 1_024, tokens: 64)
    }

    /// A GPT-2 that draws tokens among the most likely, with a cache; stop tokens may end it sooner. Of two layers and ten tokens where nothing else is said.
    static func generator(seed: UInt64, _ size: GeneratorSize = GeneratorSize()) throws -> DisputeJob {
        var random = SplitMix64(seed: seed)
        let configuration = try DecoderConfiguration(
            try settings(
                #"{"model_type":"gpt2","vocab_size":\#(size.vocabulary),"n_embd":\#(size.width),"n_layer":\#(size.layers),"#
                    + #""n_head":\#(size.heads),"n_positions":\#(size.positions)}"#))
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
        func tokens(_ count: Int) -> [Int32] { (0..<count).map { _ in Int32(random.next() % size.vocabulary) } }
        let inputs = [
            Tensor(tokens(8), shape: [2, 4]), Tensor([Int32(4), Int32(random.next() % 4 + 1)], shape: [2]),
            Tensor(tokens(3), shape: [3]), Tensor([Int32(0)], shape: []), Tensor([Float(0.9), 1.2], shape: [2]),
            Tensor([Int32(12), 30], shape: [2]), Tensor([Float(0.95), 2], shape: [2]),
        ]
        return try DisputeJob(
            "generator", program,
            axes: [
                ("batch", 2), ("length", 4), ("tokens", size.tokens - 1), ("capacity", size.tokens + 3), ("stops", 3),
            ],
            parameters: weights(declarations, &random), inputs: inputs, seed: seed)
    }

    /// How large a model is trained, and for how many steps.
    struct TrainingSize {
        var width = 8
        var layers = 1
        var context = 6
        var batch = 2
        var text = 120
        var steps = 6

        /// A GPT of 0.1 million weights, for fifty steps.
        static let fifty = TrainingSize(width: 64, layers: 2, context: 32, batch: 8, text: 4_096, steps: 50)
    }

    /// Steps of AdamW of a small GPT, its weights and moments kept: six where nothing else is said.
    static func training(seed: UInt64, _ size: TrainingSize = TrainingSize()) throws -> DisputeJob {
        var random = SplitMix64(seed: seed)
        let configuration = GPTConfiguration(
            vocabulary: 256, width: size.width, layers: size.layers, heads: 2, context: size.context)
        var settings = TrainingSettings()
        settings.batch = size.batch
        settings.clip = 1
        let text = (0..<size.text).map { _ in UInt8(truncatingIfNeeded: random.next() % 26 + 97) }
        let steps = size.steps
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
