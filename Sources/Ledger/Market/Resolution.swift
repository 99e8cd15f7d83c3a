public import Primitives
internal import Programs

/// Why what a provider shows of a job's parents is not theirs.
public enum ResolutionFault: Error, Equatable, Sendable, CustomStringConvertible {
    /// As many tensors must be shown as the job names.
    case count(expected: Int, found: Int)
    /// The path of an input, by its place among those that other jobs leave, does not lead to what the job has committed to.
    case path(Int)
    /// The state is not what the job that it names has kept, or is shown where none is named.
    case state
    /// The flag does not lie in the state as it is shown, or is shown where none is asked for.
    case flag

    public var description: String {
        switch self {
        case .count(let expected, let found): "the job names \(expected) tensors of others, \(found) are shown"
        case .path(let place): "tensor \(place) of those shown is not where its job's result has it"
        case .flag: "the flag that is shown is not the one in the state"
        case .state: "the state that is shown is not what the job's result keeps"
        }
    }
}

/// A tensor's root with its path: up the tensors of its step, then up the steps.
public struct ShownTensor: Hashable, Sendable, CanonicalCodable {
    public let root: Digest
    public let siblings: [Digest]

    public init(root: Digest, siblings: [Digest]) {
        self.root = root
        self.siblings = siblings
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        root = try reader.read(Digest.self)
        siblings = try reader.readList(Digest.self, max: MerkleProof.maximumDepth)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(root)
        writer.write(list: siblings)
    }
}

/// A flag of a state with its path.
public struct ShownFlag: Hashable, Sendable, CanonicalCodable {
    /// Whether it is set: the scan has ended.
    public let isSet: Bool
    public let siblings: [Digest]

    public init(isSet: Bool, siblings: [Digest]) {
        self.isSet = isSet
        self.siblings = siblings
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        isSet = try reader.readBool()
        siblings = try reader.readList(Digest.self, max: MerkleProof.maximumDepth)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(bool: isSet)
        writer.write(list: siblings)
    }

    /// The root of the tensor that it is.
    public static func root(_ isSet: Bool) -> Digest { TensorRoot.of(.bool, [], [isSet ? 1 : 0]) }
}

/// Where what a job reads of others stands in their results: shown once, by the first provider that starts the job, and known to the chain from then on, so
/// that a dispute has plain roots.
public struct Resolution: Hashable, Sendable, CanonicalCodable {
    /// Each input that another job leaves, in the job's order.
    public let inputs: [ShownTensor]
    /// The Merkle root over the kept tensors' roots, where the job begins with another's state.
    public let state: Digest?
    /// The flag that may have ended the scan which the job goes on with.
    public let flag: ShownFlag?

    public init(inputs: [ShownTensor], state: Digest?, flag: ShownFlag? = nil) {
        self.inputs = inputs
        self.state = state
        self.flag = flag
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        inputs = try reader.readList(ShownTensor.self, max: JobSpec.maximumReferences)
        state = try reader.readOptional(Digest.self)
        flag = try reader.readOptional(ShownFlag.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(list: inputs)
        writer.write(optional: state)
        writer.write(optional: flag)
    }

    /// What the job reads, checked against its parents' results. Every path has one length, so that no node of a tree passes for a tensor.
    public func roots(
        of spec: JobSpec, reading results: [Digest: ResultCommitment]
    ) throws(ResolutionFault) -> JobRoots {
        let named = spec.inputs.count { $0.result != nil }
        if inputs.count != named { throw .count(expected: named, found: inputs.count) }
        var roots: [Digest] = []
        var place = 0
        for input in spec.inputs {
            switch input.source {
            case .root(let root): roots.append(root)
            case .result(let tensor):
                guard let result = results[tensor.job], Resolution.leads(inputs[place], to: result, tensor) else {
                    throw .path(place)
                }
                roots.append(inputs[place].root)
                place += 1
            }
        }
        guard let parent = spec.stateOf else {
            if state != nil { throw .state }
            if flag != nil { throw .flag }
            return JobRoots(inputs: roots, initialState: spec.initialState)
        }
        guard let state, let result = results[parent], ResultRoots.wrapped(state) == result.stateRoot else {
            throw .state
        }
        // A flag's root stands for the tensor itself, so that no node passes for it; its place says which one it is.
        let leads = zip([spec.flag].compactMap { $0 }, [flag].compactMap { $0 }).allSatisfy { place, flag in
            UInt64(place) >> UInt64(flag.siblings.count) == 0
                && MerkleProof(index: UInt64(place), siblings: flag.siblings).root(of: ShownFlag.root(flag.isSet))
                    == state
        }
        if (spec.flag == nil) != (flag == nil) || !leads { throw .flag }
        return JobRoots(inputs: roots, initialState: state)
    }

    private static func leads(_ shown: ShownTensor, to result: ResultCommitment, _ tensor: ResultTensor) -> Bool {
        let list = MerkleLevels.height(of: UInt64(tensor.count))
        let steps = result.steps.reduce(UInt64(0)) { $0 &+ $1 }
        let height = tensor.step == nil ? 0 : MerkleLevels.height(of: steps)
        if shown.siblings.count != list + height { return false }
        if let step = tensor.step, step >= steps { return false }
        let inList = MerkleProof(index: UInt64(tensor.index), siblings: Array(shown.siblings.prefix(list)))
            .root(of: shown.root)
        guard let step = tensor.step else { return ResultRoots.wrapped(inList) == result.stateRoot }
        let top = MerkleProof(index: step, siblings: Array(shown.siblings.dropFirst(list))).root(of: inList)
        return ResultRoots.wrapped(top) == result.outputRoot
    }
}
