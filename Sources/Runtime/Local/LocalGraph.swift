public import Primitives
internal import Programs

/// A model of an ONNX file to be run on this machine.
public struct LocalGraph: Sendable {
    /// The most bytes that one input's file may have.
    public static let inputLimit = 1 << 34

    public let model: ONNXModel
    /// How long reading and checking the file took.
    public let readingTime: Duration

    public init(path: String) throws(RunFault) {
        let start = ContinuousClock.now
        do throws(ONNXFault) { model = try ONNXModel(path: path) } catch { throw .graph(error) }
        readingTime = ContinuousClock.now - start
    }

    public init(_ model: ONNXModel) {
        self.model = model
        readingTime = .zero
    }

    /// Reads `NAME=FILE.npy` (or `.pb`) arguments; a name that the model does not know is refused before its file is opened.
    /// `path` tells where a file that is named lies.
    public func arrays(
        arguments: [String], path: (String) -> String = { $0 }
    ) throws(RunFault) -> [String: NumpyArray] {
        var files: [(name: String, path: String)] = []
        for argument in arguments {
            // Names of inputs may hold an equals sign, paths rarely do; the first one that ends a known name counts.
            guard let input = model.inputs.first(where: { argument.hasPrefix($0.name + "=") }) else {
                guard argument.contains("=") else { throw .argument(argument) }
                let name = String(argument.prefix { $0 != "=" })
                throw .graph(
                    .input(
                        name, "is none of the model's: it has \(model.inputs.map(\.name).joined(separator: ", "))"))
            }
            files.append((input.name, path(String(argument.dropFirst(input.name.count + 1)))))
        }
        return try arrays(files: files)
    }

    /// Reads one file, a .npy or a .pb.
    public static func array(path: String) throws(RunFault) -> NumpyArray {
        try EncoderArrays.read(path, limit: inputLimit)
    }

    /// Reads files by the inputs' names.
    public func arrays(files: [(name: String, path: String)]) throws(RunFault) -> [String: NumpyArray] {
        var arrays: [String: NumpyArray] = [:]
        for (name, path) in files {
            if arrays[name] != nil { throw .repeatedInput(name) }
            arrays[name] = try LocalGraph.array(path: path)
        }
        return arrays
    }

    /// Makes the program for these axes and inputs.
    public func imported(
        axes: [String: Int] = [:], arrays: [String: NumpyArray] = [:]
    ) throws(RunFault) -> ONNXProgram {
        do throws(ONNXFault) { return try model.imported(axes: axes, arrays: arrays) } catch { throw .graph(error) }
    }
}

/// One run of an ONNX model on this machine: its outputs, and what they took.
public struct GraphRun: Sendable {
    public let program: ONNXProgram
    /// By the model's output names, in its order.
    public let outputs: [(name: String, array: NumpyArray)]
    /// Reading the file, writing the program and laying out weights.
    public let loadTime: Duration
    /// The run alone; of several the middle of those after the first.
    public let runTime: Duration
    public let computeUnits: ComputeUnits
    /// Bytes that the run takes at most, weights and outputs included, as planned before it started.
    public let peakMemory: UInt64
    public let threads: Int

    /// Runs the model on arrays by the inputs' names, so many times. What needs more than `memory` bytes is refused before it starts.
    public init(
        _ graph: LocalGraph, _ arrays: [String: NumpyArray], axes: [String: Int] = [:], threads: Int,
        memory: UInt64 = .max, times: Int = 1
    ) throws(RunFault) {
        let start = ContinuousClock.now
        let made = try graph.imported(axes: axes, arrays: arrays)
        let fixed = made.specialised
        for declaration in fixed.inputs where arrays[declaration.name] == nil {
            throw .missingInput(declaration.name)
        }
        do throws(ProgramFault) { computeUnits = try fixed.cost() } catch { throw .program(error) }
        let executor = try made.executor(threads: threads, memory: memory)
        peakMemory = executor.peakMemory
        let held = fixed.inputs.map { OwnedBytes(arrays[$0.name]?.bytes ?? []) }
        let ready = ContinuousClock.now
        loadTime = graph.readingTime + (ready - start)
        let tensors: [Tensor]
        do throws(ExecutionFault) {
            (tensors, runTime) = try RepeatedRun.timed(times) { () throws(ExecutionFault) in
                try executor.run(inputs: held.map(\.bytes)).outputs[0]
            }
        } catch { throw .execution(error) }
        withExtendedLifetime(held) {}
        program = made
        self.threads = threads
        var outputs: [(name: String, array: NumpyArray)] = []
        for (name, tensor) in zip(made.outputs, tensors) {
            guard let type = NumpyType(tensor.element) else {
                throw .graph(.output(name, "is of \(tensor.element), which no .npy file holds: cast it to float32"))
            }
            do throws(NumpyFault) {
                outputs.append((name, try NumpyArray(type: type, shape: tensor.shape, bytes: tensor.bytes)))
            } catch { preconditionFailure("the executor gives what its program declares: \(error)") }
        }
        self.outputs = outputs
    }
}
