public import Programs

/// One weight of a model in the type that its file has: row-major, little-endian, in place in the mapped file.
public struct StoredParameter: @unchecked Sendable {
    // Unchecked, because the pointer is into memory that the owner keeps and nobody writes.
    /// The weight's name in the file.
    public let name: String
    /// f32, bf16 or f16; i8 where it was quantized.
    public let element: ElementType
    public let shape: [Int]
    /// How many elements are subnormal as f32: they slow x86 by up to 200 times.
    public let subnormalCount: Int
    /// Valid while the value lives.
    let bytes: UnsafeRawBufferPointer
    private let owner: AnyObject

    /// The product of the shape.
    public var elementCount: Int { bytes.count / element.size }

    public var declaration: TensorDeclaration {
        TensorDeclaration(name: name, type: TensorType(element, shape.map { Dimension(UInt64($0)) }))
    }

    /// Reads the bytes, which are valid within the call.
    public func withBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try withExtendedLifetime(owner) { try body(bytes) }
    }

    /// A copy of it.
    public var tensor: Tensor {
        Tensor(element: element, shape: shape, bytes: withBytes { Array($0) })
    }

    /// The same numbers in f32; bf16 and f16 exactly.
    func widened() -> Tensor {
        let source = bytes
        let count = elementCount
        let wide = [UInt8](unsafeUninitializedCapacity: 4 * count) { buffer, written in
            let words = UnsafeMutableRawBufferPointer(buffer)
            for index in 0..<count {
                let bits: UInt32
                switch element {
                case .bf16:
                    bits = UInt32(source.loadUnaligned(fromByteOffset: 2 * index, as: UInt16.self)) << 16
                case .f16:
                    bits = HalfPrecision.widened(source.loadUnaligned(fromByteOffset: 2 * index, as: UInt16.self))
                default: bits = source.loadUnaligned(fromByteOffset: 4 * index, as: UInt32.self)
                }
                words.storeBytes(of: bits, toByteOffset: 4 * index, as: UInt32.self)
            }
            written = 4 * count
        }
        return withExtendedLifetime(owner) { Tensor(element: .f32, shape: shape, bytes: wide) }
    }

    /// Takes a tensor from a file; refuses what is not finite. Elements that do not lie at a multiple of their size are copied once.
    init(_ tensor: SafetensorsFile.Tensor, of file: SafetensorsFile, shape: [Int]) throws(ImportFault) {
        if tensor.shape != shape { throw .weightShape(tensor.name, found: tensor.shape, expected: shape) }
        switch tensor.type {
        case .f32: element = .f32
        case .bf16: element = .bf16
        case .f16: element = .f16
        default: throw .weightType(tensor.name, found: tensor.type)
        }
        name = tensor.name
        self.shape = shape
        let source = file.bytes(of: tensor)
        if UInt(bitPattern: source.baseAddress) % UInt(element.size) == 0 {
            bytes = source
            owner = file.owner
        } else {
            let copy = HeldBytes(source)
            bytes = copy.bytes
            owner = copy
        }
        let found = element == .f32 ? FloatScan.of(words: bytes) : FloatScan.of(halves: bytes, element)
        if let place = found.notFinite { throw .weightNotFinite(tensor.name, element: place) }
        subnormalCount = found.subnormals
    }

    /// A parameter that was made of others.
    init(name: String, element: ElementType, shape: [Int], _ held: HeldBytes) {
        self.name = name
        self.element = element
        self.shape = shape
        subnormalCount = element == .f32 ? FloatScan.of(words: held.bytes).subnormals : 0
        bytes = held.bytes
        owner = held
    }

    /// A weight that is an f32 in its model.
    package init(_ imported: ImportedParameter) {
        name = imported.name
        element = .f32
        shape = imported.shape
        subnormalCount = imported.subnormalCount
        // The pointer leaves its call: the parameter, kept as the owner, holds the memory.
        bytes = imported.withBytes { $0 }
        owner = ParameterOwner(imported)
    }

    /// A parameter that lies in no file.
    package init(name: String, _ tensor: Tensor) {
        self.init(name: name, element: tensor.element, shape: tensor.shape, HeldBytes.of(tensor.bytes))
    }

    /// A parameter that the settings give and no file holds.
    init(name: String, values: [Float]) {
        self.name = name
        element = .f32
        shape = [values.count]
        subnormalCount = values.count { $0.isSubnormal }
        let held = HeldBytes.of(values)
        bytes = held.bytes
        owner = held
    }
}

/// Keeps what an imported parameter keeps.
private final class ParameterOwner: Sendable {
    private let parameter: ImportedParameter

    init(_ parameter: ImportedParameter) { self.parameter = parameter }
}

/// Bytes in memory of their own.
final class HeldBytes: @unchecked Sendable {
    // Unchecked, because nobody writes after `init`.
    let bytes: UnsafeRawBufferPointer

    init(_ source: UnsafeRawBufferPointer) {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, source.count), alignment: 64)
        memory.copyMemory(from: source)
        bytes = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(memory)[0..<source.count])
    }

    static func of<T: BitwiseCopyable>(_ values: [T]) -> HeldBytes { values.withUnsafeBytes { HeldBytes($0) } }

    deinit { UnsafeMutableRawPointer(mutating: bytes.baseAddress)?.deallocate() }
}

/// What a row of floats holds that must not be, or slows: found in one pass without a branch for each element.
struct FloatScan {
    var notFinite: Int?
    var subnormals = 0

    static func of(words raw: UnsafeRawBufferPointer) -> FloatScan {
        let words = raw.bindMemory(to: UInt32.self)
        var scan = FloatScan()
        var bad = 0
        var subnormals = 0
        for bits in words {
            let exponent = bits & 0x7F80_0000
            bad &+= exponent == 0x7F80_0000 ? 1 : 0
            subnormals &+= exponent == 0 && bits & 0x007F_FFFF != 0 ? 1 : 0
        }
        if bad > 0 { scan.notFinite = words.firstIndex { $0 & 0x7F80_0000 == 0x7F80_0000 } }
        scan.subnormals = subnormals
        return scan
    }

    static func of(halves raw: UnsafeRawBufferPointer, _ element: ElementType) -> FloatScan {
        let words = raw.bindMemory(to: UInt16.self)
        let mask: UInt16 = element == .bf16 ? 0x7F80 : 0x7C00
        var scan = FloatScan()
        var bad = 0
        var subnormals = 0
        for bits in words {
            bad &+= bits & mask == mask ? 1 : 0
            subnormals &+= bits & mask == 0 && bits & 0x7F != 0 ? 1 : 0
        }
        if bad > 0 { scan.notFinite = words.firstIndex { $0 & mask == mask } }
        // A subnormal f16 is a normal f32.
        scan.subnormals = element == .bf16 ? subnormals : 0
        return scan
    }
}
