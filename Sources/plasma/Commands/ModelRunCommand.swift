import API
public import ArgumentParser
import Foundation
import Primitives
import Programs
public import Runtime

/// How a model runs on this machine.
struct LocalRunOptions: ParsableArguments {
    @Option(help: "Threads; the outputs' bits do not depend on them. Default: one for each processor.")
    var threads: Int = ProcessInfo.processInfo.activeProcessorCount

    @Option(name: [.customShort("o"), .customLong("format")], help: "text or json")
    var format: OutputFormat = .text

    func validate() throws {
        if !(1...1024).contains(threads) { throw ValidationError("--threads must be from 1 to 1024") }
    }

    /// What a run may take: this machine's memory.
    var memory: UInt64 { ProcessInfo.processInfo.physicalMemory }
}

extension Quantization: ExpressibleByArgument {
    static let help = "w8a8: of eight bits. fx15: of fifteen, in two halves."

    static func refuseForGraph(_ quantization: Quantization?) throws {
        if quantization != nil { throw Failure("An ONNX file is run as it is written: leave --quantize out.") }
    }
}

extension Duration {
    /// In seconds.
    var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}

extension ModelCommand {
    struct Run: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Run a model of a folder or an ONNX file on NumPy files; nothing leaves this machine.",
            discussion: """
                Example: plasma model run .cache/all-MiniLM-L6-v2 --input input_ids=ids.npy --output out
                Inputs: input_ids, attention_mask, token_type_ids, each [batch, length]; pixel_values for images. Outputs: \
                last_hidden_state.npy, sentence_embedding.npy, logits.npy, as the model has them.
                """)

        @Argument(help: "A folder with config.json, model.safetensors and a tokenizer, or a file MODEL.onnx.")
        var folder: String

        @Option(help: "NAME=FILE.npy, or an ONNX TensorProto NAME=FILE.pb, once for each input.")
        var input: [String] = []

        @Option(help: "The folder for the outputs, made if it is not there.")
        var output: String

        @Option(help: "Linear layers of a folder's model on whole numbers. \(Quantization.help)")
        var quantize: Quantization?

        @Option(
            help:
                "Run so many times and tell the middle of the times after the first, to hold it against another runtime."
        )
        var `repeat`: Int = 1

        @OptionGroup var options: LocalRunOptions

        @OptionGroup var graph: GraphOptions

        func validate() throws {
            if `repeat` < 1 { throw ValidationError("--repeat must be 1 or more") }
        }

        func run() throws {
            if GraphOptions.isGraph(folder) {
                try Quantization.refuseForGraph(quantize)
                return try runGraph()
            }
            do {
                if try ModelImporter.isTransformer(path: folder) { return try runTransformer() }
                let model = try LocalModel(folder: folder)
                let arrays = try EncoderArrays(arguments: input, configuration: model.imported.configuration)
                let run = try LocalRun(
                    model, arrays, threads: options.threads, memory: options.memory, quantization: quantize,
                    times: `repeat`)
                try write(run.outputs)
                show(model, arrays, run)
            } catch { throw Failure(describing: error) }
        }

        func write(_ outputs: [LocalRun.Output]) throws {
            for output in outputs {
                do {
                    try FileManager.default.createDirectory(atPath: self.output, withIntermediateDirectories: true)
                    try Data(NumpyFile.encode(output.array)).write(to: url(output), options: .atomic)
                } catch { throw Failure("\(url(output).path) cannot be written: choose another --output folder.") }
            }
        }

        func url(_ output: LocalRun.Output) -> URL {
            URL(fileURLWithPath: self.output).appendingPathComponent(output.name + ".npy")
        }

        private func show(_ model: LocalModel, _ arrays: EncoderArrays, _ run: LocalRun) {
            let json: JSONValue = [
                "name": .string(model.imported.name), "program": .string(model.program.root.hex),
                "batch": JSONValue(arrays.batch), "length": JSONValue(arrays.length),
                "tokens": JSONValue(arrays.packed.tokens), "threads": JSONValue(run.threads),
                "kernels": .string(KernelVariant.best.description), "loadSeconds": .number(run.loadTime.seconds),
                "runSeconds": .number(run.runTime.seconds), "computeUnits": .string(run.computeUnits.description),
                "peakMemoryBytes": JSONValue(run.peakMemory), "parameters": JSONValue(model.parameterCount),
                "outputs": .array(run.outputs.map(described)),
            ]
            if options.format == .json { return print(json.text(pretty: true)) }
            print(
                """
                \(model.imported.name): \(arrays.batch) rows, \(arrays.packed.tokens) tokens; threads \(run.threads), \
                kernels \(KernelVariant.best)
                loaded in \(Self.milliseconds(run.loadTime)), run in \(Self.milliseconds(run.runTime))
                \(run.computeUnits) CU, peak memory \(run.peakMemory / 1_000_000) MB, \(model.parameterCount) parameters
                """)
            for output in run.outputs { print("\(url(output).relativePath): f32 \(output.array.shape)") }
        }

        func described(_ output: LocalRun.Output) -> JSONValue {
            [
                "name": .string(output.name), "file": .string(url(output).relativePath),
                "type": .string(output.array.type.rawValue),
                "shape": .array(output.array.shape.map { JSONValue($0) }),
            ]
        }

        static func milliseconds(_ duration: Duration) -> String {
            String(format: "%.1f ms", duration.seconds * 1000)
        }
    }

    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Run a model of a folder or an ONNX file and hold its outputs against those of another runtime.",
            discussion: "Example: plasma model check .cache/all-MiniLM-L6-v2 --against reference.json")

        @Argument(help: "A folder with config.json, model.safetensors and a tokenizer, or a file MODEL.onnx.")
        var folder: String

        @Option(help: "A JSON file that names inputs, expected outputs and bounds.")
        var against: String

        @OptionGroup var options: LocalRunOptions

        @OptionGroup var graph: GraphOptions

        func run() throws {
            let comparisons: [OutputComparison]
            do {
                comparisons =
                    GraphOptions.isGraph(folder)
                    ? try checkGraph()
                    : try ModelReference.check(
                        against, folder: folder, threads: options.threads, memory: options.memory)
            } catch { throw Failure(describing: error) }
            let failed = comparisons.filter { !$0.holds }
            if options.format == .json {
                let json: JSONValue = [
                    "holds": .bool(failed.isEmpty), "outputs": .array(comparisons.map(Self.json)),
                ]
                print(json.text(pretty: true))
            } else {
                for comparison in comparisons { print(Self.text(comparison)) }
            }
            if !failed.isEmpty {
                throw Failure(
                    "\(against) does not hold for \(failed.map(\.name).joined(separator: " and ")): "
                        + "check that its inputs, outputs and weights are of one model.")
            }
        }

        private static func json(_ comparison: OutputComparison) -> JSONValue {
            // JSON has no infinity.
            func number(_ value: Double) -> JSONValue { value.isFinite ? .number(value) : .string("infinite") }
            return [
                "name": .string(comparison.name), "holds": .bool(comparison.holds),
                "greatestAbsolute": number(comparison.greatestAbsolute),
                "greatestRelative": number(comparison.greatestRelative),
                "leastCosine": .number(comparison.leastCosine), "elements": JSONValue(comparison.elements),
                "elementsBeyond": JSONValue(comparison.elementsBeyond),
            ]
        }

        private static func text(_ comparison: OutputComparison) -> String {
            let cosine = comparison.bound.cosine.map { " of at least \($0)" } ?? ""
            return String(
                format: "%@ %@: greatest difference %.3g, relative %.3g, %d of %d elements beyond; least cosine %.9f%@",
                comparison.name, comparison.holds ? "holds" : "does not hold", comparison.greatestAbsolute,
                comparison.greatestRelative, comparison.elementsBeyond, comparison.elements, comparison.leastCosine,
                cosine)
        }
    }
}
