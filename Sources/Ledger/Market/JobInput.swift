public import Primitives
internal import Programs

/// A tensor that a job leaves: one that a step gave out, or one that is kept at the end.
public struct ResultTensor: Hashable, Sendable, CanonicalCodable {
    /// The job that leaves it.
    public let job: Digest
    /// The step, counted over all scans; nil for a tensor that is kept.
    public let step: UInt64?
    /// Its place among those of the step, or among those that are kept.
    public let index: UInt32
    /// How many there are of these: it says how long the tensor's path is, so that nothing above a tensor is taken for one.
    public let count: UInt32

    public init(job: Digest, step: UInt64?, index: UInt32, count: UInt32) {
        self.job = job
        self.step = step
        self.index = index
        self.count = count
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        job = try reader.read(Digest.self)
        step = try reader.readOptional(UInt64.self)
        index = try reader.readUInt32()
        count = try reader.readUInt32()
        if count > UInt32(Scan.maximumOutputs) || index >= count {
            throw .invalid("tensor \(index) of \(count), of at most \(Scan.maximumOutputs)")
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(job)
        writer.write(optional: step)
        writer.write(index)
        writer.write(count)
    }
}

/// One input of a job: its name in the program, and where its tensor is from.
public struct JobInput: Hashable, Sendable, CanonicalCodable {
    public enum Source: Hashable, Sendable {
        /// The tensor itself.
        case root(Digest)
        /// What another job leaves, once it is settled.
        case result(ResultTensor)
    }

    public var name: String
    public var source: Source

    public init(name: String, source: Source) {
        self.name = name
        self.source = source
    }

    public init(name: String, root: Digest) { self.init(name: name, source: .root(root)) }

    /// The tensor's root; nil where another job leaves it.
    public var root: Digest? { if case .root(let root) = source { root } else { nil } }

    /// What another job leaves; nil where the root is given.
    public var result: ResultTensor? { if case .result(let tensor) = source { tensor } else { nil } }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        name = try reader.readString(max: JobSpec.maximumNameBytes)
        switch try reader.readUInt8() {
        case 0: source = .root(try reader.read(Digest.self))
        case 1: source = .result(try reader.read(ResultTensor.self))
        case let other: throw .invalid("no input has a source \(other)")
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(string: name)
        switch source {
        case .root(let root):
            writer.write(UInt8(0))
            writer.write(root)
        case .result(let tensor):
            writer.write(UInt8(1))
            writer.write(tensor)
        }
    }
}

/// What a job reads, all by root.
public struct JobRoots: Hashable, Sendable, CanonicalCodable {
    /// Of the inputs, in the job's order.
    public let inputs: [Digest]
    /// Over the roots of all carried tensors before the first step.
    public let initialState: Digest

    public init(inputs: [Digest], initialState: Digest) {
        self.inputs = inputs
        self.initialState = initialState
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        inputs = try reader.readList(Digest.self, max: JobSpec.maximumInputs)
        initialState = try reader.read(Digest.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(list: inputs)
        writer.write(initialState)
    }
}

extension JobSpec {
    /// The jobs whose results this one reads, each once, in the order in which it names them.
    public var parents: [Digest] {
        var parents: [Digest] = []
        for job in inputs.compactMap({ $0.result?.job }) + [stateOf].compactMap({ $0 }) where !parents.contains(job) {
            parents.append(job)
        }
        return parents
    }

    /// What it reads, where it says all of it by root.
    public var roots: JobRoots? {
        let roots = inputs.compactMap(\.root)
        return roots.count == inputs.count && stateOf == nil ? JobRoots(inputs: roots, initialState: initialState) : nil
    }

    /// Why it cannot read these results of its parents; nil where it can.
    func problem(with results: [Digest: ResultCommitment]) -> String? {
        for tensor in inputs.compactMap(\.result) {
            guard let step = tensor.step, let result = results[tensor.job] else { continue }
            let taken = result.steps.reduce(UInt64(0)) { $0 &+ $1 }
            if step >= taken { return "it reads step \(step) of job \(tensor.job), which took \(taken)" }
        }
        return nil
    }
}
