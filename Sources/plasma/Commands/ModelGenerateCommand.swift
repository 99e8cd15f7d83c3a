import API
import ArgumentParser
import Foundation
import Primitives
import Programs
import Runtime

extension ModelCommand {
    struct Generate: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Continue texts with a decoder of a folder; nothing leaves this machine.",
            discussion: """
                Example: plasma model generate models/SmolLM2-135M-Instruct --chat --prompt "Why is the sky blue?"
                Without --temperature the most likely token is taken each time. The same seed gives the same text.
                """)

        @Argument(help: "A folder with config.json, safetensors files and tokenizer.json.")
        var folder: String

        @Option(help: "What is continued; given several times, a batch.")
        var prompt: [String]

        @Flag(help: "Write each prompt as a user's message, as the model's chat template says.")
        var chat = false

        @Option(help: "The system's message of a chat.")
        var system: String?

        @Option(help: "The most tokens of each answer.")
        var maxTokens: Int = 64

        @OptionGroup var sampling: SamplingOptions

        @Option(help: "Linear layers on whole numbers. \(Quantization.help)")
        var quantize: Quantization?

        @Option(
            help:
                "Generate so many times and tell the middle of the times after the first, to hold it against another runtime."
        )
        var `repeat`: Int = 1

        @OptionGroup var options: LocalRunOptions

        func validate() throws {
            if `repeat` < 1 { throw ValidationError("--repeat must be 1 or more") }
            if system != nil && !chat { throw ValidationError("--system is of a chat: give --chat too") }
        }

        func run() throws {
            do {
                let generator = try TextGenerator(
                    folder: folder, threads: options.threads, quantization: quantize)
                var settings = sampling.settings(tokens: maxTokens)
                settings.stops = generator.generator.configuration.endTokens
                var prompts: [[Int32]] = []
                for text in prompt {
                    if !chat {
                        prompts.append(generator.ids(prompt: text))
                        continue
                    }
                    let messages = (system.map { [ChatMessage(.system, $0)] } ?? []) + [ChatMessage(.user, text)]
                    let (ids, ends) = try generator.ids(chat: messages)
                    prompts.append(ids)
                    for id in ends where !settings.stops.contains(id) { settings.stops.append(id) }
                }
                try generate(generator, prompts, settings)
            } catch { throw Failure(describing: error) }
        }

        private func generate(
            _ generator: TextGenerator, _ prompts: [[Int32]], _ settings: GenerationSettings
        ) throws {
            var stream = TokenStream(generator.tokenizer)
            let streams = prompts.count == 1 && options.format == .text
            func once(tells: Bool) throws -> (generation: Generation, times: Times) {
                let planned = ContinuousClock.now
                var start = planned
                var firstToken: ContinuousClock.Instant?
                let generation = try generator.generator.generate(
                    prompts, settings, memory: options.memory, onReady: { start = ContinuousClock.now },
                    onTokens: { tokens in
                        firstToken = firstToken ?? ContinuousClock.now
                        if streams && tells { show(stream.append(tokens[0])) }
                    })
                let end = ContinuousClock.now
                let first = firstToken ?? end
                return (
                    generation,
                    Times(
                        load: start - planned, prefill: (first - start).seconds, decode: (end - first).seconds)
                )
            }
            let (generation, first) = try once(tells: true)
            if streams { show(stream.finish() + "\n") }
            let load = generator.loadTime + first.load
            let others = try (1..<`repeat`).map { _ in try once(tells: false).times }
            // The first one finds memory that nobody has touched.
            let prefill = others.map(\.prefill).median ?? first.prefill
            let decode = others.map(\.decode).median ?? first.decode
            let texts = generation.rows.map { generator.tokenizer.decode($0) }
            if !streams && options.format == .text { print(texts.joined(separator: "\n\n")) }
            let tokens = generation.rows.map(\.count).reduce(0, +)
            let rate = decode > 0 ? Double(tokens - prompts.count) / decode : 0
            if options.format == .json {
                let json: JSONValue = [
                    "name": .string(generator.generator.model.name),
                    "promptTokens": .array(prompts.map { JSONValue($0.count) }),
                    "answers": .array(
                        zip(generation.rows, zip(texts, generation.isFinished)).map { row, rest in
                            [
                                "text": .string(rest.0), "tokens": .array(row.map { JSONValue(Int($0)) }),
                                "isFinished": .bool(rest.1),
                            ]
                        }),
                    "threads": JSONValue(options.threads), "loadSeconds": .number(load.seconds),
                    "prefillSeconds": .number(prefill), "decodeSeconds": .number(decode),
                    "tokensPerSecond": .number(rate),
                ]
                return print(json.text(pretty: true))
            }
            // Beside the text, so that the text alone can be piped on.
            let line = String(
                format: "%d + %d tokens; loaded in %.2f s, prefill %.3f s, decode %.3f s, %.1f tokens/s\n",
                prompts.map(\.count).reduce(0, +), tokens, load.seconds, prefill, decode, rate)
            FileHandle.standardError.write(Data(line.utf8))
        }

        /// Of one text.
        private struct Times {
            let load: Duration
            let prefill: Double
            let decode: Double
        }

        private func show(_ text: String) {
            if text.isEmpty { return }
            FileHandle.standardOutput.write(Data(text.utf8))
        }
    }
}
