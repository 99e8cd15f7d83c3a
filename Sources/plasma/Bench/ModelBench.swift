import API
import Foundation
import Programs
import Runtime

/// Times an encoder on sentences of one length, as its peers are timed.
enum ModelBench {
    /// The median of as many runs as fit into `seconds`, after three to warm up.
    static func measure(
        _ model: ImportedModel, threads: Int, batch: Int, length: Int, seconds: Double,
        quantization: Quantization? = nil
    ) throws -> JSONValue {
        // Ids that any vocabulary of this size has; the time does not depend on which.
        var state: UInt32 = 1
        let vocabulary = UInt32(model.configuration.vocabularySize)
        let ids = (0..<batch).map { _ in
            (0..<length).map { _ -> Int32 in
                state = state &* 1_664_525 &+ 1_013_904_223
                return Int32((state >> 8) % vocabulary)
            }
        }
        let inputs = try EncoderInputs(ids, truncated: [])
        let made = try model.program().quantized(quantization, model.parameters.map { StoredParameter($0) })
        let program = try made.program.specialise(inputs.axes.map { ($0.name, UInt64($0.value)) })
        let weights = made.parameters.map { parameter in parameter.withBytes { Array($0) } }
        let bytes = inputs.inputs.map { input in input.values.withUnsafeBytes { Array($0) } }
        let times = try withMemory(weights) { weights in
            let prepared = try PreparedModel(program: program, parameters: weights, owners: [])
            let executor = Executor(program: program, model: prepared, threads: threads)
            return try withMemory(bytes) { bytes in
                let named = zip(inputs.inputs.map(\.name), bytes).map { ($0, $1) }
                for _ in 0..<3 { _ = try executor.run(inputs: named) }
                var times: [Double] = []
                let end = now() + seconds
                while now() < end || times.count < 3 {
                    let start = now()
                    _ = try executor.run(inputs: named)
                    times.append(now() - start)
                }
                return times.sorted()
            }
        }
        let median = times[times.count / 2]
        return [
            "runtime": "plasma", "kernels": .string(KernelVariant.best.description), "threads": JSONValue(threads),
            "batch": JSONValue(batch), "sequence": JSONValue(length), "runs": JSONValue(times.count),
            "seconds": .number(median), "embeddingsPerSecond": .number((Double(batch) / median * 100).rounded() / 100),
        ]
    }

    static func now() -> Double { Double(DispatchTime.now().uptimeNanoseconds) / 1e9 }

    /// Lends the memory of many arrays at once.
    static func withMemory<R>(
        _ arrays: [[UInt8]], _ lent: [UnsafeRawBufferPointer] = [], _ body: ([UnsafeRawBufferPointer]) throws -> R
    ) rethrows -> R {
        if lent.count == arrays.count { return try body(lent) }
        return try arrays[lent.count].withUnsafeBytes { try withMemory(arrays, lent + [$0], body) }
    }
}
