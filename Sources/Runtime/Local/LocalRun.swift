public import Primitives
internal import Programs

/// One run of a model on this machine: its outputs, and what they took.
public struct LocalRun: Sendable {
    /// The outputs' names, in the order of `outputs`.
    public static let outputNames = ["last_hidden_state", "sentence_embedding"]

    /// An output by name.
    public struct Output: Sendable {
        public let name: String
        public let array: NumpyArray
        /// Which rows of the last axis are of tokens or sentences; the others are padding, and zero.
        public let rows: [Bool]

        /// An output; `rows` has one entry for each row of the last axis.
        public init(name: String, array: NumpyArray, rows: [Bool]) {
            precondition(array.shape.dropLast().reduce(1, *) == rows.count, "each row counts or does not")
            self.name = name
            self.array = array
            self.rows = rows
        }
    }

    /// `last_hidden_state`, f32 [batch, length, hidden], and `sentence_embedding`, f32 [batch, hidden].
    public let outputs: [Output]
    /// Reading the folder and packing its weights.
    public let loadTime: Duration
    /// The run alone; of several the middle of those after the first.
    public let runTime: Duration
    /// What the network would charge for the embeddings of this batch.
    public let computeUnits: ComputeUnits
    /// Bytes that the run takes at most, weights and outputs included, as planned before it started.
    public let peakMemory: UInt64
    public let threads: Int

    /// Runs a batch, quantized where that is asked for, so many times. The outputs' bits do not depend on `threads`. What needs more than `memory` bytes is refused before it starts.
    public init(
        _ model: LocalModel, _ arrays: EncoderArrays, threads: Int, memory: UInt64 = .max,
        quantization: Quantization? = nil, times: Int = 1
    ) throws(RunFault) {
        let start = ContinuousClock.now
        let axes = arrays.packed.axes.map { (name: $0.name, value: UInt64($0.value)) }
        let fixed: SpecialisedProgram
        var weights: [StoredParameter]?
        do throws(ProgramFault) {
            var charged = model.program
            var program = try model.imported.programWithTokens(takesSegments: arrays.hasSegments)
            if let quantization {
                charged = try QuantizedProgram(charged, quantization).program
                let quantized = try program.quantized(
                    quantization, model.imported.parameters.map { StoredParameter($0) })
                (program, weights) = (quantized.program, quantized.parameters)
            }
            computeUnits = try charged.specialise(axes).cost()
            fixed = try program.specialise(axes)
        } catch { throw .program(error) }
        let prepared = if let weights { try model.prepare(fixed, weights) } else { try model.prepare(fixed) }
        let executor = Executor(program: fixed, model: prepared, threads: threads)
        let hidden = model.imported.configuration.hiddenSize
        peakMemory = executor.peakMemory + LocalRun.bytesBeyondTheRun(arrays, hidden: hidden)
        if peakMemory > memory { throw .memory(needed: peakMemory, available: memory) }
        let inputs = HeldInputs(arrays.packed)
        let ready = ContinuousClock.now
        loadTime = model.readingTime + (ready - start)
        let tensors: [Tensor]
        do throws(ExecutionFault) {
            (tensors, runTime) = try RepeatedRun.timed(times) { () throws(ExecutionFault) in
                try executor.run(inputs: inputs.named)
            }
        } catch { throw .execution(error) }
        withExtendedLifetime(inputs) {}
        self.threads = threads
        do throws(NumpyFault) {
            outputs = [
                Output(
                    name: LocalRun.outputNames[0],
                    array: try LocalRun.padded(tensors[0], arrays, hidden: hidden),
                    rows: arrays.counts.flatMap { count in (0..<arrays.length).map { $0 < count } }),
                Output(
                    name: LocalRun.outputNames[1],
                    array: try NumpyArray(type: .f32, shape: tensors[1].shape, bytes: tensors[1].bytes),
                    rows: Array(repeating: true, count: arrays.batch)),
            ]
        } catch { preconditionFailure("the executor gives what its program declares: \(error)") }
    }

    /// The executor's peak counts each output once; here each is copied out of its buffer, and the tokens once more with their padding.
    private static func bytesBeyondTheRun(_ arrays: EncoderArrays, hidden: Int) -> UInt64 {
        let rows = arrays.packed.tokens + arrays.batch + arrays.batch * arrays.length
        return UInt64(rows) * UInt64(hidden) * 4
    }

    /// Packed tokens laid out as [batch, length, hidden], zeros where padding was.
    private static func padded(
        _ tokens: Tensor, _ arrays: EncoderArrays, hidden: Int
    ) throws(NumpyFault) -> NumpyArray {
        let width = hidden * 4
        var bytes: [UInt8] = []
        bytes.reserveCapacity(arrays.batch * arrays.length * width)
        var next = 0
        for count in arrays.counts {
            bytes += tokens.bytes[next..<next + count * width]
            bytes += repeatElement(0, count: (arrays.length - count) * width)
            next += count * width
        }
        return try NumpyArray(type: .f32, shape: [arrays.batch, arrays.length, hidden], bytes: bytes)
    }
}

/// A batch's inputs in memory that stays where it is.
private final class HeldInputs {
    let named: [(name: String, bytes: UnsafeRawBufferPointer)]

    init(_ batch: EncoderInputs) {
        named = batch.inputs.map { input in
            let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: input.values.count * 4, alignment: 64)
            input.values.withUnsafeBytes { memory.copyMemory(from: $0) }
            return (input.name, UnsafeRawBufferPointer(memory))
        }
    }

    deinit { for (_, bytes) in named { bytes.deallocate() } }
}
