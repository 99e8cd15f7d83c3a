/// One weight of an imported model: f32, row-major, little-endian, in place in its file where that is what the file has.
public struct ImportedParameter: @unchecked Sendable {
    // Unchecked, because the pointer is into memory that the owner keeps and nobody writes.
    /// The weight's name in the file.
    public let name: String
    public let shape: [Int]
    /// How many elements are subnormal: they slow x86 by up to 200 times.
    public let subnormalCount: Int
    private let bytes: UnsafeRawBufferPointer
    private let owner: AnyObject

    /// The product of the shape.
    public var elementCount: Int { bytes.count / 4 }

    /// Reads the bytes, which are valid within the call.
    public func withBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try withExtendedLifetime(owner) { try body(bytes) }
    }

    /// Takes a tensor from a file, widening f16 and bf16 exactly; refuses what is not finite.
    init(
        _ tensor: SafetensorsFile.Tensor, of file: SafetensorsFile, shape: [Int]
    ) throws(ImportFault) {
        name = tensor.name
        if tensor.shape != shape { throw .weightShape(tensor.name, found: tensor.shape, expected: shape) }
        self.shape = shape
        let source = file.bytes(of: tensor)
        switch tensor.type {
        case .f32 where UInt(bitPattern: source.baseAddress) % 4 == 0:
            bytes = source
            owner = file.owner
        case .f32, .f16, .bf16:
            let widened = WidenedWeights(source, type: tensor.type)
            bytes = widened.bytes
            owner = widened
        default: throw .weightType(tensor.name, found: tensor.type)
        }
        var subnormals = 0
        for (index, bits) in bytes.bindMemory(to: UInt32.self).enumerated() {
            let exponent = bits & 0x7F80_0000
            if exponent == 0x7F80_0000 { throw .weightNotFinite(tensor.name, element: index) }
            if exponent == 0 && bits & 0x007F_FFFF != 0 { subnormals += 1 }
        }
        subnormalCount = subnormals
    }
}

/// Weights that were not f32, or not aligned, in their file.
private final class WidenedWeights {
    let bytes: UnsafeRawBufferPointer

    init(_ source: UnsafeRawBufferPointer, type: SafetensorsType) {
        let count = source.count / type.byteCount
        let target = UnsafeMutableRawBufferPointer.allocate(byteCount: count * 4, alignment: 64)
        for index in 0..<count {
            let bits: UInt32
            switch type {
            case .bf16:
                bits =
                    UInt32(UInt16(littleEndian: source.loadUnaligned(fromByteOffset: index * 2, as: UInt16.self))) << 16
            case .f16:
                bits = HalfPrecision.widened(
                    UInt16(littleEndian: source.loadUnaligned(fromByteOffset: index * 2, as: UInt16.self)))
            default: bits = UInt32(littleEndian: source.loadUnaligned(fromByteOffset: index * 4, as: UInt32.self))
            }
            target.storeBytes(of: bits.littleEndian, toByteOffset: index * 4, as: UInt32.self)
        }
        bytes = UnsafeRawBufferPointer(target)
    }

    deinit { bytes.deallocate() }
}

/// IEEE binary16, by integers.
package enum HalfPrecision {
    /// The f32 bits of an f16: always exact.
    package static func widened(_ half: UInt16) -> UInt32 {
        let sign = UInt32(half & 0x8000) << 16
        let exponent = UInt32(half >> 10) & 0x1F
        var fraction = UInt32(half & 0x3FF)
        if exponent == 0x1F { return sign | 0x7F80_0000 | fraction << 13 }
        if exponent != 0 { return sign | (exponent + 112) << 23 | fraction << 13 }
        if fraction == 0 { return sign }
        // A subnormal half is a normal float: shift its leading one up to the hidden bit.
        var shifts: UInt32 = 0
        while fraction & 0x400 == 0 {
            fraction <<= 1
            shifts += 1
        }
        return sign | (113 - shifts) << 23 | (fraction & 0x3FF) << 13
    }
}
