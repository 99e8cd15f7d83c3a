internal import CKernels
internal import Programs

/// A tensor whose elements are known at import: a weight in place in its file, a folded value, or one number many times over.
final class ConstantTensor: @unchecked Sendable {
    // Unchecked, because the pointer is into memory that the owner keeps and nobody writes.
    enum Storage {
        /// Every element has these bits.
        case splat(UInt64)
        /// Row-major, little-endian, aligned to the element; kept by the owner.
        case bytes(UnsafeRawBufferPointer, owner: AnyObject?)
    }

    let element: ElementType
    let shape: [Int]
    let storage: Storage
    /// What the file calls it.
    let name: String?
    /// Whether the file has it as float64. It is rounded to float32 here, which only a cast to float32 may rely on.
    let isDouble: Bool

    init(_ element: ElementType, _ shape: [Int], _ storage: Storage, name: String? = nil, isDouble: Bool = false) {
        self.element = element
        self.shape = shape
        self.storage = storage
        self.name = name
        self.isDouble = isDouble
    }

    convenience init(_ tensor: Tensor) {
        let owned = OwnedBytes(tensor.bytes)
        self.init(tensor.element, tensor.shape, .bytes(owned.bytes, owner: owned))
    }

    convenience init(integers: [Int], shape: [Int]? = nil) {
        let owned = OwnedBytes(integers.map(Int64.init).withUnsafeBytes { Array($0) })
        self.init(.i64, shape ?? [integers.count], .bytes(owned.bytes, owner: owned))
    }

    convenience init(_ values: [Int32], shape: [Int]? = nil) {
        let owned = OwnedBytes(values.withUnsafeBytes { Array($0) })
        self.init(.i32, shape ?? [values.count], .bytes(owned.bytes, owner: owned))
    }

    convenience init(_ values: [Float], shape: [Int]? = nil) {
        let owned = OwnedBytes(values.withUnsafeBytes { Array($0) })
        self.init(.f32, shape ?? [values.count], .bytes(owned.bytes, owner: owned))
    }

    /// Elements; the shape was bounded when the tensor was made.
    var count: Int { shape.reduce(1, *) }

    var type: TensorType { TensorType(element, shape.map { Dimension(UInt64($0)) }) }

    /// An element's bits, widened to a word as a map's constant has them.
    func bits(_ index: Int) -> UInt64 {
        switch storage {
        case .splat(let bits): return bits
        case .bytes(let bytes, _):
            switch element {
            case .f32, .i32: return UInt64(bytes.loadUnaligned(fromByteOffset: 4 * index, as: UInt32.self))
            case .i64: return bytes.loadUnaligned(fromByteOffset: 8 * index, as: UInt64.self)
            case .i8, .u8: return UInt64(bytes[index])
            case .bool: return bytes[index] == 0 ? 0 : 1
            case .f16, .bf16: return UInt64(bytes.loadUnaligned(fromByteOffset: 2 * index, as: UInt16.self))
            }
        }
    }

    /// An element's bits as those of the type that maps compute in: f16 and bf16 widened, one form of NaN.
    func computedBits(_ index: Int) -> UInt64 {
        let bits = bits(index)
        switch element {
        case .f32: return UInt64(ConstantTensor.canonical(Float(bitPattern: UInt32(truncatingIfNeeded: bits))))
        case .f16: return UInt64(ConstantTensor.canonical(pk_f16_to_f32(UInt16(truncatingIfNeeded: bits))))
        case .bf16: return UInt64(ConstantTensor.canonical(pk_bf16_to_f32(UInt16(truncatingIfNeeded: bits))))
        default: return bits
        }
    }

    private static func canonical(_ value: Float) -> UInt32 { value.isNaN ? 0x7FC0_0000 : value.bitPattern }

    /// The one number that every element is, where the elements are known to be one.
    var scalar: UInt64? {
        if case .splat = storage { return computedBits(0) }
        return count == 1 ? computedBits(0) : nil
    }

    /// The elements as whole numbers; nil for floats.
    var integers: [Int]? {
        switch element {
        case .i64: return (0..<count).map { Int(Int64(bitPattern: bits($0))) }
        case .i32: return (0..<count).map { Int(Int32(truncatingIfNeeded: bits($0))) }
        case .i8: return (0..<count).map { Int(Int8(truncatingIfNeeded: bits($0))) }
        case .u8, .bool: return (0..<count).map { Int(bits($0)) }
        default: return nil
        }
    }

    /// The elements as f32; nil for whole numbers.
    var floats: [Float]? {
        switch element {
        case .f32, .f16, .bf16:
            return (0..<count).map { Float(bitPattern: UInt32(truncatingIfNeeded: computedBits($0))) }
        default: return nil
        }
    }

    /// The same elements under another shape of as many.
    func reshaped(_ shape: [Int]) -> ConstantTensor {
        ConstantTensor(element, shape, storage, name: name, isDouble: isDouble)
    }

    /// The bytes; a splat is written out.
    var dense: (bytes: UnsafeRawBufferPointer, owner: AnyObject?) {
        switch storage {
        case .bytes(let bytes, let owner): return (bytes, owner)
        case .splat(let bits):
            var bytes: [UInt8] = []
            bytes.reserveCapacity(count * element.size)
            for _ in 0..<count {
                for place in 0..<element.size { bytes.append(UInt8(truncatingIfNeeded: bits >> (8 * place))) }
            }
            let owned = OwnedBytes(bytes)
            return (owned.bytes, owned)
        }
    }
}

/// Bytes that stay where they are, aligned for every element type and for vectors.
final class OwnedBytes: @unchecked Sendable {
    // Unchecked, because nobody writes after `init`.
    let bytes: UnsafeRawBufferPointer

    init(_ source: [UInt8]) {
        bytes = source.withUnsafeBytes { OwnedBytes.copy($0) }
    }

    init(_ source: UnsafeRawBufferPointer) { bytes = OwnedBytes.copy(source) }

    private static func copy(_ source: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(64, source.count), alignment: 64)
        memory.copyMemory(from: source)
        return UnsafeRawBufferPointer(rebasing: memory[0..<source.count])
    }

    deinit { if let address = bytes.baseAddress { UnsafeMutableRawPointer(mutating: address).deallocate() } }
}
