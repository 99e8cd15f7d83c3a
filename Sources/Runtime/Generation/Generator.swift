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
    private let quantized: (kind: Quantization, weights: QuantizedWeights)?

    public init(
        _ model: TransformerModel, threads: Int, quantization: Quantization? = nil
    ) throws(GenerationFault) {
        guard let decoder = model.decoder else { throw .notADecoder(model.name) }
        self.model = model
        quantized = quantization.map { ($0, QuantizedWeights(model.parameters)) }
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
        let smaller = try QuantizedProgram(plain, quantized.kind)
        return (smaller.program, quantized.weights.parameters(of: smaller))
    }

    /// Continues each prompt. A row's tokens do not depend on the rows beside it where they are not drawn; a draw depends on the row's place.
    /// `onReady` is called when the program is planned and its weights are packed; `onTokens` is told the tokens of each step, one a row.
    public func generate(
        _ prompts: [[Int32]], _ settings: GenerationSettings, givesLogits: Bool = false, memory: UInt64 = .max,
        onReady: () -> Void = {}, onTokens: ([Int32]) -> Void = { _ in }
    ) throws(GenerationFault) -> Generation {
        let request = try GenerationRequest(prompts, settings, settings.sampling, configuration)
        let fixed: SpecialisedProgram
        let parameters: [StoredParameter]
        do throws(ProgramFault) {
            let made = try made(settings.sampling, givesLogits: givesLogits)
            parameters = made.parameters
            fixed = try made.program.specialise(request.axes)
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
                inputs: request.held, seed: settings.seed
            ) { step in
                // The least scan may give one token more than was asked for.
                if told < settings.maximumTokens { onTokens(Generator.tokens(step)) }
                told += 1
            }
        } catch { throw .execution(error) }
        return collect(outputs, prompts.count, settings, givesLogits: givesLogits)
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
