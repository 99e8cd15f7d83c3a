public import Programs

/// A tensor in memory of this machine: row-major, little-endian.
public struct Tensor: Sendable, Equatable {
    public let element: ElementType
    public let shape: [Int]
    public var bytes: [UInt8]

    public init(element: ElementType, shape: [Int], bytes: [UInt8]) {
        self.element = element
        self.shape = shape
        self.bytes = bytes
    }

    public init(_ values: [Float], shape: [Int]) {
        self.init(element: .f32, shape: shape, bytes: values.withUnsafeBytes { Array($0) })
    }

    public init(_ values: [Int32], shape: [Int]) {
        self.init(element: .i32, shape: shape, bytes: values.withUnsafeBytes { Array($0) })
    }

    /// The elements of an f32 tensor.
    public var floats: [Float] { bytes.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) } }
}

/// Why a program could not be run on these inputs.
public enum ExecutionFault: Error, Equatable, Sendable, CustomStringConvertible {
    case inputCount(expected: Int, found: Int)
    case inputSize(name: String, expected: UInt64, found: Int)
    case missingInput(String)
    case parameterSize(name: String, expected: UInt64, found: Int)
    case unsupported(String)
    case cancelled
    case floatEnvironment

    public var description: String {
        switch self {
        case .inputCount(let expected, let found): "the program takes \(expected) inputs, \(found) were given"
        case .inputSize(let name, let expected, let found):
            "the input \"\(name)\" has \(found) bytes, the program takes \(expected)"
        case .missingInput(let name): "the input \"\(name)\" is missing"
        case .parameterSize(let name, let expected, let found):
            "the weight \"\(name)\" has \(found) bytes, the program takes \(expected)"
        case .unsupported(let what): "this node cannot run \(what) yet"
        case .cancelled: "the run was cancelled"
        case .floatEnvironment: "the processor's rounding mode was changed by another library: restart the node"
        }
    }
}
