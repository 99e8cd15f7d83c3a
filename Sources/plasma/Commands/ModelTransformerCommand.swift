import API
import ArgumentParser
import Foundation
import Primitives
import Programs
import Runtime

/// What `model run`, `check` and `show` do with a folder whose model is run as it is: a decoder, RoBERTa or ViT.
extension ModelCommand.Run {
    func runTransformer() throws {
        let start = ContinuousClock.now
        let model = try ModelImporter.importTransformer(folder)
        let reading = ContinuousClock.now - start
        let arrays = try TransformerArrays(arguments: input, kind: model.kind)
        let run = try TransformerRun(
            model, arrays, threads: options.threads, memory: options.memory, quantization: quantize,
            times: `repeat`)
        try write(run.outputs)
        let load = reading + run.loadTime
        let json: JSONValue = [
            "name": .string(model.name), "program": .string(try model.program().root.hex),
            "batch": JSONValue(arrays.batch), "threads": JSONValue(run.threads),
            "loadSeconds": .number(load.seconds), "runSeconds": .number(run.runTime.seconds),
            "computeUnits": .string(run.computeUnits.description), "peakMemoryBytes": JSONValue(run.peakMemory),
            "parameters": JSONValue(model.parameterCount), "outputs": .array(run.outputs.map(described)),
        ]
        if options.format == .json { return print(json.text(pretty: true)) }
        print(
            """
            \(model.name): \(arrays.batch) rows; threads \(run.threads)
            loaded in \(Self.milliseconds(load)), run in \(Self.milliseconds(run.runTime))
            \(run.computeUnits) CU, peak memory \(run.peakMemory / 1_000_000) MB, \(model.parameterCount) parameters
            """)
        for output in run.outputs { print("\(url(output).relativePath): f32 \(output.array.shape)") }
    }
}

extension ModelCommand.Show {
    func showTransformer() throws {
        let model = try ModelImporter.importTransformer(name)
        let summary = try TransformerSummary(
            model, batch: batch, length: length, threads: min(max(threads, 1), 1024), quantization: quantize)
        let total = summary.operations.map(\.count).reduce(0, +)
        func shape(_ shape: ModelSummary.Shape) -> JSONValue {
            [
                "name": .string(shape.name), "type": .string(shape.type),
                "shape": .array(shape.shape.map { JSONValue($0) }),
            ]
        }
        let types = Set(model.parameters.map(\.element.name)).sorted()
        let json: JSONValue = [
            "name": .string(model.name), "program": .string(summary.program.hex), "operations": JSONValue(total),
            "operationsByKind": .array(
                summary.operations.map { ["kind": .string($0.kind), "count": JSONValue($0.count)] }),
            "parameters": JSONValue(model.parameterCount), "parameterTensors": JSONValue(model.parameters.count),
            "parameterTypes": .array(types.map { .string($0) }), "subnormalWeights": JSONValue(model.subnormalCount),
            "example": [
                "batch": JSONValue(batch), "inputs": .array(summary.inputs.map(shape)),
                "outputs": .array(summary.outputs.map(shape)),
                "computeUnits": .string(summary.computeUnits.description),
                "peakMemoryBytes": JSONValue(summary.peakMemory),
            ],
        ]
        options.show(json) { _ in
            func line(_ shape: ModelSummary.Shape) -> String { "\(shape.name) \(shape.type) \(shape.shape)" }
            return """
                \(model.name): program \(summary.program.hex)
                \(Self.described(model.kind))
                \(total) operations: \(summary.operations.map { "\($0.count) \($0.kind)" }.joined(separator: ", "))
                \(model.parameterCount) parameters in \(model.parameters.count) tensors (\(types.joined(separator: ", ")))
                example: \(summary.computeUnits) CU, peak memory \(summary.peakMemory / 1_000_000) MB
                  in:  \(summary.inputs.map(line).joined(separator: ", "))
                  out: \(summary.outputs.map(line).joined(separator: ", "))
                """
        }
    }

    private static func described(_ kind: TransformerModel.Kind) -> String {
        switch kind {
        case .decoder(let c):
            "\(c.family.rawValue) decoder: \(c.layers) layers, \(c.heads) heads of \(c.headSize) "
                + "(\(c.keyValueHeads) of keys), \(c.vocabularySize) token ids, up to \(c.positions) tokens"
        case .roberta(let c):
            "roberta encoder: \(c.layers) layers, \(c.heads) heads, \(c.vocabularySize) token ids, "
                + "up to \(c.positions) tokens a row"
        case .vision(let c):
            "vision transformer: \(c.layers) layers, \(c.heads) heads, images of "
                + "\(c.channels) × \(c.imageSize[0]) × \(c.imageSize[1]), \(c.tokens) tokens"
        }
    }
}

extension ModelReference {
    /// Runs whatever kind of model the folder holds, and holds its outputs against the reference's.
    static func check(
        _ path: String, folder: String, threads: Int, memory: UInt64
    ) throws -> [OutputComparison] {
        if try ModelImporter.isTransformer(path: folder) {
            let model = try ModelImporter.importTransformer(folder)
            let reference = try ModelReference(
                path: path, inputs: TransformerArrays.names(model.kind), outputs: model.outputNames)
            return try reference.check(model, threads: threads, memory: memory)
        }
        let reference = try ModelReference(path: path)
        return try reference.check(try LocalModel(folder: folder), threads: threads, memory: memory)
    }
}
