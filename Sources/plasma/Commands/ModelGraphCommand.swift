import API
import ArgumentParser
import Foundation
import Primitives
import Programs
import Runtime

/// What only an ONNX file needs.
struct GraphOptions: ParsableArguments {
    @Option(
        help: "NAME=SIZE of an axis that an ONNX file leaves open, once for each; the inputs' files give the others.")
    var axis: [String] = []

    /// Whether a model is an ONNX file, by its name.
    static func isGraph(_ path: String) -> Bool { path.hasSuffix(".onnx") }

    func sizes() throws -> [String: Int] {
        var sizes: [String: Int] = [:]
        for text in axis {
            // The name may hold an equals sign, the number does not.
            guard let mark = text.lastIndex(of: "="), let size = Int(text[text.index(after: mark)...]), size >= 1,
                sizes.updateValue(size, forKey: String(text[..<mark])) == nil
            else { throw Failure("\"\(text)\" is not an axis with a size, given once: write it as --axis batch=8.") }
        }
        return sizes
    }
}

/// What `model run`, `check` and `show` do with an ONNX file.
extension ModelCommand.Run {
    func runGraph() throws {
        let local: LocalGraph
        let run: GraphRun
        do {
            local = try LocalGraph(path: folder)
            run = try GraphRun(
                local, try local.arrays(arguments: input), axes: try graph.sizes(), threads: options.threads,
                memory: options.memory, times: `repeat`)
        } catch { throw Failure(describing: error) }
        var files: [(name: String, array: NumpyArray, url: URL)] = []
        for (name, array) in run.outputs {
            files.append((name, array, url(of: name, beside: files.map(\.url))))
        }
        for file in files {
            do {
                try FileManager.default.createDirectory(atPath: output, withIntermediateDirectories: true)
                try Data(NumpyFile.encode(file.array)).write(to: file.url, options: .atomic)
            } catch { throw Failure("\(file.url.path) cannot be written: choose another --output folder.") }
        }
        let parameters = run.program.specialised.parameterCount
        let json: JSONValue = [
            "name": .string(local.model.name), "program": .string(run.program.program.root.hex),
            "threads": JSONValue(run.threads), "loadSeconds": .number(run.loadTime.seconds),
            "runSeconds": .number(run.runTime.seconds), "computeUnits": .string(run.computeUnits.description),
            "peakMemoryBytes": JSONValue(run.peakMemory), "parameters": JSONValue(parameters),
            "boundInputs": .array(run.program.boundInputs.map { .string($0) }),
            "outputs": .array(
                files.map { file in
                    [
                        "name": .string(file.name), "file": .string(file.url.relativePath),
                        "type": .string(file.array.type.rawValue),
                        "shape": .array(file.array.shape.map { JSONValue($0) }),
                    ]
                }),
        ]
        if options.format == .json { return print(json.text(pretty: true)) }
        print(
            """
            \(local.model.name): program \(run.program.program.root.hex); threads \(run.threads)
            loaded in \(Self.milliseconds(run.loadTime)), run in \(Self.milliseconds(run.runTime))
            \(run.computeUnits) CU, peak memory \(run.peakMemory / 1_000_000) MB, \(parameters) parameters
            """)
        for file in files { print("\(file.url.relativePath): \(file.array.type.rawValue) \(file.array.shape)") }
    }

    /// An output's file: its name, with what a file's name may not have everywhere written as an underscore.
    private func url(of name: String, beside others: [URL]) -> URL {
        let allowed = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
        let plain = String(name.prefix(120).map { allowed.contains($0) ? $0 : "_" })
        let folder = URL(fileURLWithPath: output)
        var url = folder.appendingPathComponent(plain + ".npy")
        var number = 1
        while others.contains(url) {
            number += 1
            url = folder.appendingPathComponent("\(plain)-\(number).npy")
        }
        return url
    }
}

extension ModelCommand.Check {
    func checkGraph() throws -> [OutputComparison] {
        let local = try LocalGraph(path: folder)
        let reference = try ModelReference(
            path: against, inputs: local.model.inputs.map(\.name), outputs: local.model.outputs)
        return try reference.check(
            local, axes: try graph.sizes(), threads: options.threads, memory: options.memory)
    }
}

extension ModelCommand.Show {
    func showGraph() throws {
        let local: LocalGraph
        let sizes: [String: Int]
        var summary: GraphSummary?
        do {
            sizes = try graph.sizes()
            local = try LocalGraph(path: name)
            for name in sizes.keys.sorted() where !local.model.axes.contains(name) { throw ONNXFault.unknownAxis(name) }
            // Without all sizes there is no program yet, but the file can be looked at.
            if local.model.axes.allSatisfy({ sizes[$0] != nil }) {
                summary = try GraphSummary(
                    local, axes: sizes, threads: min(max(threads, 1), 1024),
                    memory: ProcessInfo.processInfo.physicalMemory)
            }
        } catch { throw Failure(describing: error) }
        let model = local.model
        func axes(_ input: ONNXModel.Input) -> String {
            guard let axes = input.axes else { return "of any shape" }
            let texts = axes.map { axis in
                switch axis {
                case .size(let size): "\(size)"
                case .named(let name): sizes[name].map { "\(name)=\($0)" } ?? name
                case .unknown: "?"
                }
            }
            return "[\(texts.joined(separator: ", "))]"
        }
        func shape(_ shape: ModelSummary.Shape) -> JSONValue {
            [
                "name": .string(shape.name), "type": .string(shape.type),
                "shape": .array(shape.shape.map { JSONValue($0) }),
            ]
        }
        var members: [String: JSONValue] = [
            "name": .string(model.name),
            "operators": .array(
                model.operators.map { ["name": .string($0.name), "count": JSONValue($0.count)] }),
            "axes": .array(model.axes.map { .string($0) }),
            "modelInputs": .array(
                model.inputs.map {
                    ["name": .string($0.name), "type": .string($0.element.name), "axes": .string(axes($0))]
                }),
            "modelOutputs": .array(model.outputs.map { .string($0) }),
        ]
        if let summary {
            members["program"] = .string(summary.program.hex)
            members["operations"] = JSONValue(summary.operations.map(\.count).reduce(0, +))
            members["operationsByKind"] = .array(
                summary.operations.map { ["kind": .string($0.kind), "count": JSONValue($0.count)] })
            members["parameters"] = JSONValue(summary.parameterCount)
            members["parameterBytes"] = JSONValue(summary.parameterBytes)
            members["parameterTensors"] = JSONValue(summary.tensorCount)
            members["inputs"] = .array(summary.inputs.map(shape))
            members["outputs"] = .array(summary.outputs.map(shape))
            members["computeUnits"] = .string(summary.computeUnits.description)
            members["peakMemoryBytes"] = JSONValue(summary.peakMemory)
        }
        options.show(.object(members)) { _ in
            let operators = model.operators.map { "\($0.count) \($0.name)" }.joined(separator: ", ")
            let inputs = model.inputs.map { "  in:  \($0.name) \($0.element.name) \(axes($0))" }.joined(separator: "\n")
            let head = "\(model.name): \(operators)\n\(inputs)"
            guard let summary else {
                let open = model.axes.filter { sizes[$0] == nil }.map { "--axis \($0)=SIZE" }.joined(separator: " ")
                return head + "\n" + model.outputs.map { "  out: \($0)" }.joined(separator: "\n")
                    + "\nThe program and its cost need sizes: \(open)"
            }
            let kinds = summary.operations.map { "\($0.count) \($0.kind)" }.joined(separator: ", ")
            let outputs = summary.outputs.map { "  out: \($0.name) \($0.type) \($0.shape)" }.joined(separator: "\n")
            return """
                \(head)
                \(outputs)
                program \(summary.program.hex): \(kinds)
                \(summary.parameterCount) parameters in \(summary.tensorCount) tensors, \
                \(summary.parameterBytes / 1_000_000) MB
                \(summary.computeUnits) CU, peak memory \(summary.peakMemory / 1_000_000) MB
                """
        }
    }
}
