public import Primitives
public import Programs

/// A tensor as it is shown to the chain.
public struct PostedTensor: Hashable, Sendable, CanonicalCodable {
    public let element: ElementType
    public let shape: [UInt64]
    /// Row-major, little-endian: as many as type and shape say.
    public let bytes: [UInt8]

    public init(element: ElementType, shape: [UInt64], bytes: [UInt8]) {
        self.element = element
        self.shape = shape
        self.bytes = bytes
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        element = try reader.read(ElementType.self)
        shape = try reader.readList(UInt64.self, max: TensorType.maximumRank)
        bytes = try reader.readBytes(max: PostedOutput.maximumBytes)
        var count = UInt64(element.size)
        for dimension in shape {
            let (product, overflow) = count.multipliedReportingOverflow(by: dimension)
            if overflow { throw .invalid("a tensor's shape is larger than any bytes") }
            count = product
        }
        if count != UInt64(bytes.count) {
            throw .invalid("a tensor of type \(element) and shape \(shape) has \(count) bytes, found \(bytes.count)")
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(element)
        writer.write(list: shape)
        writer.write(bytes: bytes)
    }

    public var root: Digest { TensorRoot.of(element, shape, bytes) }
}

/// All bytes of a small result: what a provider shows to the chain that is said to hand them to nobody.
public struct PostedOutput: Hashable, Sendable, CanonicalCodable {
    /// Of all tensors together.
    public static let maximumBytes = 16 * 1024
    public static let maximumTensors = 1024

    /// The tensors of one step, or those that are kept.
    public struct List: Hashable, Sendable, CanonicalCodable {
        public let tensors: [PostedTensor]

        public init(_ tensors: [PostedTensor]) { self.tensors = tensors }

        public init(from reader: inout ByteReader) throws(DecodingFault) {
            tensors = try reader.readList(PostedTensor.self, max: PostedOutput.maximumTensors)
        }

        public func encode(into writer: inout ByteWriter) { writer.write(list: tensors) }
    }

    /// What each step gave out, over all scans.
    public let steps: [List]
    public let kept: List

    public init(steps: [List], kept: List) {
        self.steps = steps
        self.kept = kept
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        steps = try reader.readList(List.self, max: PostedOutput.maximumTensors)
        kept = try reader.read(List.self)
        let count = tensors.count
        let bytes = tensors.reduce(0) { $0 + $1.bytes.count }
        if count > PostedOutput.maximumTensors { throw .tooLong(found: count, limit: PostedOutput.maximumTensors) }
        if bytes > PostedOutput.maximumBytes { throw .tooLong(found: bytes, limit: PostedOutput.maximumBytes) }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(list: steps)
        writer.write(kept)
    }

    public var tensors: [PostedTensor] { steps.flatMap(\.tensors) + kept.tensors }

    /// The lists of the tensors' roots, under which a result names them.
    public var stepRoots: [[Digest]] { steps.map { $0.tensors.map(\.root) } }
    public var keptRoots: [Digest] { kept.tensors.map(\.root) }

    /// Whether these are the bytes of a result, all of them and no others: the number of steps says where each list stands, so that no node of a tree passes
    /// for a tensor.
    func isAll(of commitment: ResultCommitment) -> Bool {
        // At most 2^20 in a job.
        UInt64(steps.count) == commitment.steps.reduce(0, &+)
            && ResultRoots.outputRoot(stepRoots) == commitment.outputRoot
            && ResultRoots.stateRoot(keptRoots) == commitment.stateRoot
    }
}
