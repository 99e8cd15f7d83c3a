public import Programs

/// How texts are continued.
public struct GenerationSettings: Sendable, Equatable {
    /// The most tokens that a row gets, at least 1.
    public var maximumTokens = 64
    /// 0 takes the most likely token.
    public var temperature: Float = 0
    /// Draw among so many of the most likely tokens; nil for all.
    public var limit: Int?
    /// Draw among the fewest most likely tokens that reach this share of the probability; nil for all.
    public var share: Float?
    public var seed: UInt64 = 0
    /// Tokens that end a row.
    public var stops: [Int32] = []
    /// What a row that has ended gives.
    public var padding: Int32 = 0

    public init() {}

    var sampling: SamplingKind {
        temperature == 0 ? .greedy : limit == nil && share == nil ? .sampled : .filtered
    }
}

/// Why nothing is generated. One sentence with the next step.
public enum GenerationFault: Error, Equatable, Sendable {
    case notADecoder(String)
    case noPrompt
    case emptyPrompt(row: Int)
    case token(Int32, row: Int, bound: Int)
    case tooLong(prompt: Int, tokens: Int, limit: Int)
    case setting(String, String)
    case memory(needed: UInt64, available: UInt64)
    case program(ProgramFault)
    case execution(ExecutionFault)
}

extension GenerationFault: CustomStringConvertible {
    public var description: String {
        switch self {
        case .notADecoder(let name):
            return "\(name) is not a decoder: choose a folder with a GPT-2, Llama, Mistral or Qwen2 model."
        case .noPrompt: return "There is no prompt: give at least one."
        case .emptyPrompt(let row): return "Prompt \(row) has no token: write at least one word."
        case .token(let id, let row, let bound):
            return "Prompt \(row) has the token \(id), the model knows those below \(bound): "
                + "check that the tokenizer is its own."
        case .tooLong(let prompt, let tokens, let limit):
            return "\(prompt) tokens of prompt and \(tokens) more are beyond the \(limit) that the model takes: "
                + "shorten the prompt or ask for fewer."
        case .setting(let name, let what): return "The \(name) \(what)."
        case .memory(let needed, let available):
            return "The generation needs \(needed) bytes of memory and \(available) are there: "
                + "ask for fewer tokens or a smaller batch."
        case .program(let fault): return "The model cannot be run on this batch (\(fault)): use a smaller one."
        case .execution(let fault): return "The run failed: \(fault)."
        }
    }
}

/// What was generated.
public struct Generation: Sendable, Equatable {
    /// The new tokens of each row, its stop token included.
    public let rows: [[Int32]]
    /// Whether each row ended by a stop token.
    public let isFinished: [Bool]
    /// Steps that were run: the prefill and those of the decoder.
    public let steps: Int
    /// The logits of each step, f32 [batch, vocabulary], where they were asked for.
    public let logits: [Tensor]
}

/// Continues texts with a decoder: one program, two scans, the cache carried between them.
public struct Generator: Sendable {
    public let model: TransformerModel
    private let decoder: DecoderGraph
    private let threads: Int
    /// Packed once for all texts.
    private let weights = PackedWeights()
    /// Made once for all texts; nil where nothing is quantized.
    private let quantized: QuantizedWeights?

    public init(
        _ model: TransformerModel, threads: Int, quantization: Quantization? = nil
    ) throws(GenerationFault) {
        guard let decoder = model.decoder else { throw .notADecoder(model.name) }
        self.model = model
        quantized = quantization == .w8a8 ? QuantizedWeights(model.parameters) : nil
        self.decoder = decoder
        self.threads = threads
    }

    public var configuration: DecoderConfiguration { decoder.configuration }

    /// The program with the axes `batch`, `length`, `tokens` (decode steps), `capacity` (at least both together) and `stops`.
    public func program(_ sampling: SamplingKind, givesLogits: Bool = false) throws(ProgramFault) -> Program {
        try made(sampling, givesLogits: givesLogits).program
    }

    /// The program and what its parameters are.
    private func made(
        _ sampling: SamplingKind, givesLogits: Bool
    ) throws(ProgramFault) -> (program: Program, parameters: [StoredParameter]) {
        let plain = try GenerationGraph(decoder: decoder, sampling: sampling, givesLogits: givesLogits)
            .program(model.parameters.map(\.declaration))
        guard let quantized else { return (plain, model.parameters) }
        let smaller = try QuantizedProgram(plain)
        return (smaller.program, quantized.parameters(of: smaller))
    }

    /// Continues each prompt. A row's tokens do not depend on the rows beside it where they are not drawn; a draw depends on the row's place.
    /// `onReady` is called when the program is planned and its weights are packed; `onTokens` is told the tokens of each step, one a row.
    public func generate(
        _ prompts: [[Int32]], _ settings: GenerationSettings, givesLogits: Bool = false, memory: UInt64 = .max,
        onReady: () -> Void = {}, onTokens: ([Int32]) -> Void = { _ in }
    ) throws(GenerationFault) -> Generation {
        let length = try check(prompts, settings)
        // The prefill gives the first token; a scan has at least one step.
        let steps = max(1, settings.maximumTokens - 1)
        let stops = settings.stops.isEmpty ? [-1] : settings.stops
        let fixed: SpecialisedProgram
        let parameters: [StoredParameter]
        do throws(ProgramFault) {
            let made = try made(settings.sampling, givesLogits: givesLogits)
            parameters = made.parameters
            fixed = try made.program.specialise([
                ("batch", UInt64(prompts.count)), ("length", UInt64(length)), ("tokens", UInt64(steps)),
                ("capacity", UInt64(length + steps)), ("stops", UInt64(stops.count)),
            ])
        } catch { throw .program(error) }
        let runner: ProgramRunner
        do throws(RunnerFault) {
            runner = try ProgramRunner(fixed, parameters, threads: threads, weights: weights, memory: memory)
        } catch {
            switch error {
            case .memory(let needed): throw .memory(needed: needed, available: memory)
            case .execution(let fault): throw .execution(fault)
            }
        }
        onReady()
        var told = 0
        let outputs: [[Tensor]]
        do throws(ExecutionFault) {
            outputs = try runner.run(
                inputs: inputs(prompts, length: length, stops: stops, settings), seed: settings.seed
            ) { step in
                // The least scan may give one token more than was asked for.
                if told < settings.maximumTokens { onTokens(Generator.tokens(step)) }
                told += 1
            }
        } catch { throw .execution(error) }
        return collect(outputs, prompts.count, settings, givesLogits: givesLogits)
    }

    /// Checks everything before memory is taken; gives the longest prompt's length.
    private func check(_ prompts: [[Int32]], _ settings: GenerationSettings) throws(GenerationFault) -> Int {
        let bound = configuration.vocabularySize
        guard let length = prompts.map(\.count).max() else { throw .noPrompt }
        for (row, prompt) in prompts.enumerated() {
            if prompt.isEmpty { throw .emptyPrompt(row: row) }
            if let id = prompt.first(where: { $0 < 0 || $0 >= bound }) { throw .token(id, row: row, bound: bound) }
        }
        let tokens = settings.maximumTokens
        if tokens < 1 { throw .setting("number of tokens", "must be at least 1") }
        if length > configuration.positions || tokens > configuration.positions - length {
            throw .tooLong(prompt: length, tokens: tokens, limit: configuration.positions)
        }
        if !(settings.temperature >= 0 && settings.temperature <= 1e6) {
            throw .setting("temperature", "must be a number from 0 to 1000000")
        }
        if let limit = settings.limit, limit < 1 { throw .setting("top-k limit", "must be at least 1") }
        if let share = settings.share, !(share > 0 && share <= 1) {
            throw .setting("top-p share", "must be above 0 and at most 1")
        }
        return length
    }

    /// The program's inputs in its order; prompts padded at their ends.
    private func inputs(
        _ prompts: [[Int32]], length: Int, stops: [Int32], _ settings: GenerationSettings
    ) -> [HeldBytes] {
        let count = prompts.count
        let ids = prompts.flatMap { $0 + [Int32](repeating: 0, count: length - $0.count) }
        var inputs = [
            HeldBytes.of(ids), HeldBytes.of(prompts.map { Int32($0.count) }), HeldBytes.of(stops),
            HeldBytes.of([settings.padding]),
        ]
        if settings.sampling == .greedy { return inputs }
        inputs.append(HeldBytes.of([Float](repeating: settings.temperature, count: count)))
        if settings.sampling == .sampled { return inputs }
        let limit = Int32(clamping: min(settings.limit ?? configuration.vocabularySize, configuration.vocabularySize))
        inputs.append(HeldBytes.of([Int32](repeating: limit, count: count)))
        // Above 1, so that a running sum that rounding lets reach 1 cuts nothing off.
        let share = settings.share.map { $0 == 1 ? 2 : $0 } ?? 2
        inputs.append(HeldBytes.of([Float](repeating: share, count: count)))
        return inputs
    }

    private static func tokens(_ step: [Tensor]) -> [Int32] {
        step[0].bytes.withUnsafeBytes { Array($0.bindMemory(to: Int32.self)) }
    }

    private func collect(
        _ outputs: [[Tensor]], _ count: Int, _ settings: GenerationSettings, givesLogits: Bool
    ) -> Generation {
        var rows = [[Int32]](repeating: [], count: count)
        var finished = [Bool](repeating: false, count: count)
        for step in outputs.prefix(settings.maximumTokens) {
            let tokens = Generator.tokens(step)
            for row in 0..<count where !finished[row] {
                rows[row].append(tokens[row])
                finished[row] = settings.stops.contains(tokens[row])
            }
        }
        return Generation(
            rows: rows, isFinished: finished, steps: outputs.count,
            logits: givesLogits ? outputs.map { $0[1] } : [])
    }
}
