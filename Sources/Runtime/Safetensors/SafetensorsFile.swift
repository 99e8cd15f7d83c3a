/// A safetensors file, checked whole before any tensor is handed out.
///
/// Layout: header length (u64, little-endian), header (JSON), data. The strict form is required: names are unique, every
/// tensor's bytes agree with its type and shape, and the tensors fill the data with neither hole nor overlap.
public struct SafetensorsFile: Sendable {
    /// The longest header that is read, as in the reference implementation.
    public static let headerLimit = 100_000_000
    /// The most dimensions a tensor may have.
    public static let rankLimit = 16

    /// One tensor, in place.
    public struct Tensor: Sendable {
        public let name: String
        public let type: SafetensorsType
        public let shape: [Int]
        /// Where its bytes lie in `SafetensorsFile.data`.
        public let range: Range<Int>

        /// The product of the shape.
        public var elementCount: Int { range.count / type.byteCount }
    }

    /// The tensors in the order of their bytes.
    public let tensors: [Tensor]
    /// What the file says of itself, in its order.
    public let metadata: [(name: String, value: String)]
    private let file: MappedFile
    private let dataStart: Int
    private let indices: [String: Int]

    /// Opens and checks a file.
    public init(path: String) throws(SafetensorsFault) {
        let mapped: MappedFile
        do throws(FileFault) { mapped = try MappedFile(path: path) } catch { throw .file(error) }
        try self.init(mapped)
    }

    /// Checks a mapped file.
    public init(_ file: MappedFile) throws(SafetensorsFault) {
        let header = try SafetensorsHeader(file.bytes)
        self.file = file
        tensors = header.tensors
        metadata = header.metadata
        dataStart = header.dataStart
        var indices: [String: Int] = [:]
        for (index, tensor) in header.tensors.enumerated() { indices[tensor.name] = index }
        self.indices = indices
    }

    /// The tensor of a name.
    public subscript(_ name: String) -> Tensor? { indices[name].map { tensors[$0] } }

    /// The bytes of a tensor, valid while the file's value lives.
    public func withBytes<R>(of tensor: Tensor, _ body: (UnsafeRawBufferPointer) -> R) -> R {
        body(bytes(of: tensor))
    }

    /// The bytes of a tensor; the caller keeps `owner` alive while it reads them.
    package func bytes(of tensor: Tensor) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(
            rebasing: file.bytes[dataStart + tensor.range.lowerBound..<dataStart + tensor.range.upperBound])
    }

    /// What keeps the bytes mapped.
    package var owner: MappedFile { file }
}
