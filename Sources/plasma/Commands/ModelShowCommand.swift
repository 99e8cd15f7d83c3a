import API
import ArgumentParser
import Foundation
import Primitives
import Programs
import Runtime

extension ModelCommand {
    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show a published model, or the model of a folder or ONNX file on this machine.",
            discussion: "Example: plasma model show .cache/all-MiniLM-L6-v2 --batch 8 --length 128")

        @OptionGroup var options: ClientOptions

        @Argument(help: "The model's name on the network, or the path of a folder or a file MODEL.onnx.")
        var name: String

        @Option(help: "Rows of the example batch, for a folder.")
        var batch: Int = 1

        @Option(help: "Tokens of each row of the example batch, for a folder.")
        var length: Int = 32

        @Option(help: "Threads that the example's memory is planned for, for a folder.")
        var threads: Int = 1

        @Option(help: "Show a folder's model with its linear layers on whole numbers. \(Quantization.help)")
        var quantize: Quantization?

        @OptionGroup var graph: GraphOptions

        func run() async throws {
            if GraphOptions.isGraph(name) {
                try Quantization.refuseForGraph(quantize)
                return try showGraph()
            }
            // A name with a slash is a path even where nothing is there, so that a wrong path is called one.
            var isFolder: ObjCBool = false
            let exists = FileManager.default.fileExists(atPath: name, isDirectory: &isFolder)
            if name.contains("/") || (exists && isFolder.boolValue) { return try showFolder() }
            if let quantize {
                throw Failure(
                    "\(name) is a model on the network, which runs as it was published: leave --quantize \(quantize.rawValue) out, "
                        + "or give a folder (./\(name)).")
            }
            let model = try await options.withNode { try await $0.call("model.get", ["name": .string(name)]) }
            options.show(model) { model in
                ["name", "manifest", "program", "publisher", "royalty"].map { key in
                    "\(key): \(model[key]?.string ?? model[key]?.text(pretty: false) ?? "")"
                }.joined(separator: "\n")
            }
        }

        private func showFolder() throws {
            let model: LocalModel
            let summary: ModelSummary
            do {
                if try ModelImporter.isTransformer(path: name) { return try showTransformer() }
                model = try LocalModel(folder: name)
                summary = try ModelSummary(
                    model, batch: batch, length: length, threads: min(max(threads, 1), 1024), quantization: quantize)
            } catch { throw Failure(describing: error) }
            let total = summary.operations.map(\.count).reduce(0, +)
            let configuration = model.imported.configuration
            func shape(_ shape: ModelSummary.Shape) -> JSONValue {
                [
                    "name": .string(shape.name), "type": .string(shape.type),
                    "shape": .array(shape.shape.map { JSONValue($0) }),
                ]
            }
            let json: JSONValue = [
                "name": .string(model.imported.name), "program": .string(summary.program.hex),
                "layers": JSONValue(configuration.layers), "hiddenSize": JSONValue(configuration.hiddenSize),
                "vocabularySize": JSONValue(configuration.vocabularySize),
                "positions": JSONValue(configuration.positions),
                "sentenceLimit": JSONValue(model.imported.settings.limit),
                "operations": JSONValue(total),
                "operationsByKind": .array(
                    summary.operations.map { ["kind": .string($0.kind), "count": JSONValue($0.count)] }),
                "parameters": JSONValue(summary.parameterCount), "parameterTensors": JSONValue(summary.tensorCount),
                "example": [
                    "batch": JSONValue(batch), "length": JSONValue(length), "threads": JSONValue(summary.threads),
                    "inputs": .array(summary.inputs.map(shape)), "outputs": .array([shape(summary.output)]),
                    "computeUnits": .string(summary.computeUnits.description),
                    "peakMemoryBytes": JSONValue(summary.peakMemory),
                ],
            ]
            options.show(json) { _ in
                let kinds = summary.operations.map { "\($0.count) \($0.kind)" }.joined(separator: ", ")
                func line(_ shape: ModelSummary.Shape) -> String { "\(shape.name) \(shape.type) \(shape.shape)" }
                return """
                    \(model.imported.name): program \(summary.program.hex)
                    \(total) operations: \(kinds)
                    \(summary.parameterCount) parameters in \(summary.tensorCount) tensors, \(configuration.layers) layers, \
                    \(configuration.vocabularySize) token ids, up to \(configuration.positions) tokens a row
                    example of \(batch) × \(length): \(summary.computeUnits) CU, \
                    peak memory \(summary.peakMemory / 1_000_000) MB (threads \(summary.threads))
                      in:  \(summary.inputs.map(line).joined(separator: ", "))
                      out: \(line(summary.output))
                    """
            }
        }
    }
}
