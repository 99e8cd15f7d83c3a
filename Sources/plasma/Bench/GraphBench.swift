import API
import Foundation
import Programs
import Runtime

/// Times an ONNX model on given inputs, as its peers are timed.
enum GraphBench {
    /// Runs for `seconds` after one run to warm up: the median by the clock, and the least of processor time.
    static func measure(
        _ graph: LocalGraph, _ arrays: [String: NumpyArray], threads: Int, seconds: Double
    ) throws -> JSONValue {
        let program = try graph.imported(arrays: arrays)
        let executor = try program.executor(threads: threads)
        let inputs = try program.specialised.inputs.map { input in
            guard let array = arrays[input.name] else { throw RunFault.missingInput(input.name) }
            return array.bytes
        }
        return try ModelBench.withMemory(inputs) { inputs in
            _ = try executor.run(inputs: inputs)
            var (times, processor): ([Double], [Double]) = ([], [])
            let end = ModelBench.now() + seconds
            while ModelBench.now() < end || times.count < 3 {
                let (start, used) = (ModelBench.now(), processorSeconds())
                _ = try executor.run(inputs: inputs)
                times.append(ModelBench.now() - start)
                processor.append(processorSeconds() - used)
            }
            return [
                "runtime": "plasma", "kernels": .string(KernelVariant.best.description), "threads": JSONValue(threads),
                "runs": JSONValue(times.count), "seconds": .number(times.sorted()[times.count / 2]),
                "processorSeconds": .number(processor.min() ?? 0), "peakMemory": JSONValue(executor.peakMemory),
            ]
        }
    }

    /// Of all threads of this process.
    private static func processorSeconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
