import API
import ArgumentParser
import Foundation
import Primitives
import Programs
import Runtime

struct ModelCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "model", abstract: "Import models, run and check them here, publish them, look at them.",
        subcommands: [Import.self, Run.self, Generate.self, Check.self, Publish.self, List.self, Show.self])

    struct Import: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Read a Hugging Face folder and say what it is; nothing leaves this machine.",
            discussion: "Example: plasma model import .cache/all-MiniLM-L6-v2")

        @Argument(help: "A folder with config.json, model.safetensors and a tokenizer.")
        var folder: String

        @Option(name: .shortAndLong, help: "text or json")
        var output: OutputFormat = .text

        func run() throws {
            do {
                let model = try ModelImporter.importFolder(folder)
                let program = try model.program()
                let elements = model.parameters.map(\.elementCount).reduce(0, +)
                let example = try program.specialise([("tokens", 32), ("sentences", 1), ("length", 32)])
                let json: JSONValue = [
                    "name": .string(model.name), "program": .string(program.root.hex),
                    "operations": JSONValue(program.scans.map(\.operations.count).reduce(0, +)),
                    "parameters": JSONValue(elements), "parameterBytes": JSONValue(elements * 4),
                    "limit": JSONValue(model.tokenizer.limit), "hiddenSize": JSONValue(model.configuration.hiddenSize),
                    "subnormalWeights": JSONValue(model.subnormalCount),
                    "computeUnitsFor32Tokens": .string(try example.cost().description),
                    "files": .array(model.files.map { .string($0.name) }),
                ]
                if output == .json { return print(json.text(pretty: true)) }
                print(
                    """
                    \(model.name): program \(program.root.hex)
                    \(program.scans.map(\.operations.count).reduce(0, +)) operations, \(elements) parameters \
                    (\(elements * 4 / 1_000_000) MB), embeddings of \(model.configuration.hiddenSize) numbers
                    sentences of up to \(model.tokenizer.limit) tokens; one of 32 costs \(try example.cost()) CU
                    Publish it with: plasma model publish \(folder)
                    """)
            } catch { throw Failure(describing: error) }
        }
    }

    struct Publish: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Import a Hugging Face folder and publish it on the network.",
            discussion: "Example: plasma model publish .cache/all-MiniLM-L6-v2 --home devnet/client")

        @OptionGroup var options: ClientOptions
        @OptionGroup var keys: KeyOptions

        @Argument(help: "A folder with config.json, model.safetensors and a tokenizer.")
        var folder: String

        @Option(help: "The model's name on the network. Default: the folder's.")
        var name: String?

        @Option(help: "What you get of each run's pay, in hundredths of a percent, at most 2000.")
        var royalty: UInt16 = 0

        @Option(
            help: "Of a decoder: how its program chooses tokens: greedy, sampled, or filtered by --top-k and --top-p.")
        var sampling = "greedy"

        func run() async throws {
            guard let kind = SamplingKind.allCases.first(where: { "\($0)" == sampling }) else {
                throw Failure("\"\(sampling)\" is no way to choose tokens: use greedy, sampled or filtered")
            }
            let key = try keys.open()
            let line = StatusLine(isQuiet: options.isJSON)
            let progress: @Sendable (UInt64, UInt64) -> Void = { done, total in
                line.update("uploading \(done * 100 / max(total, 1)) % of \(total / 1_000_000) MB")
            }
            let published: ModelPublisher.Published
            do {
                if try ModelImporter.isTransformer(path: folder) {
                    let model = try ModelImporter.importTransformer(folder)
                    published = try await options.withNode { node in
                        try await ModelPublisher(node: node, key: key).publish(
                            model, folder: folder, sampling: kind, as: name ?? model.name, royaltyBasisPoints: royalty,
                            progress: progress)
                    }
                } else {
                    let model = try ModelImporter.importFolder(folder)
                    published = try await options.withNode { node in
                        try await ModelPublisher(node: node, key: key).publish(
                            model, as: name ?? model.name, royaltyBasisPoints: royalty, progress: progress)
                    }
                }
            } catch { throw Failure(describing: error) }
            line.clear()
            let json: JSONValue = [
                "name": .string(published.name), "manifest": .string(published.manifest.hex),
                "program": .string(published.program.hex), "bytes": JSONValue(published.bytes),
                "height": JSONValue(published.finality.height), "transaction": .string(published.finality.id.hex),
            ]
            options.show(json) { _ in
                """
                published \(published.name): final at height \(published.finality.height)
                manifest \(published.manifest.hex)
                program  \(published.program.hex)
                """
            }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the published models.")

        @OptionGroup var options: ClientOptions

        func run() async throws {
            let answer = try await options.withNode { try await $0.call("model.list") }
            options.show(answer) { answer in
                let models = answer["models"]?.array ?? []
                if models.isEmpty { return "no model is published yet: plasma model publish FOLDER" }
                return models.map { "\($0["name"]?.string ?? "")\t\($0["manifest"]?.string ?? "")" }
                    .joined(separator: "\n")
            }
        }
    }
}
