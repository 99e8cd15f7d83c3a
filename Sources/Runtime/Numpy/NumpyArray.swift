/// The element types of the .npy files that are read and written.
public enum NumpyType: String, Sendable, CaseIterable {
    case f32 = "<f4"
    case f16 = "<f2"
    case i32 = "<i4"
    case i64 = "<i8"
    case i8 = "|i1"
    case u8 = "|u1"
    case bool = "|b1"

    /// Bytes of one element.
    public var byteCount: Int {
        switch self {
        case .i8, .u8, .bool: 1
        case .f16: 2
        case .f32, .i32: 4
        case .i64: 8
        }
    }
}

/// An array as NumPy's .npy files hold it: row-major, little-endian.
public struct NumpyArray: Sendable, Equatable {
    public let type: NumpyType
    public let shape: [Int]
    public let bytes: [UInt8]

    /// An array; its bytes must be exactly those of its type and shape.
    public init(type: NumpyType, shape: [Int], bytes: [UInt8]) throws(NumpyFault) {
        let size = try NumpyFile.byteCount(type: type, shape: shape)
        if bytes.count != size { throw .size(needed: size, found: bytes.count) }
        self.type = type
        self.shape = shape
        self.bytes = bytes
    }

    /// An array of floats.
    public init(_ values: [Float], shape: [Int]) throws(NumpyFault) {
        try self.init(type: .f32, shape: shape, bytes: values.withUnsafeBytes { Array($0) })
    }

    /// The values of an f32 array; nil for other types.
    public var floats: [Float]? {
        if type != .f32 { return nil }
        return bytes.withUnsafeBytes { raw in
            (0..<raw.count / 4).map { raw.loadUnaligned(fromByteOffset: $0 * 4, as: Float.self) }
        }
    }

    /// The values of an array of whole numbers or truth values; nil for floats.
    public var integers: [Int64]? {
        bytes.withUnsafeBytes { raw in
            let count = raw.count / type.byteCount
            switch type {
            case .f32, .f16: return nil
            case .i32:
                return (0..<count).map {
                    Int64(Int32(littleEndian: raw.loadUnaligned(fromByteOffset: $0 * 4, as: Int32.self)))
                }
            case .i64:
                return (0..<count).map {
                    Int64(littleEndian: raw.loadUnaligned(fromByteOffset: $0 * 8, as: Int64.self))
                }
            case .i8: return raw.map { Int64(Int8(bitPattern: $0)) }
            case .u8, .bool: return raw.map { Int64($0) }
            }
        }
    }
}

/// Why a .npy file cannot be had: it cannot be read, or it is not one that is taken.
public enum NumpyFileFault: Error, Equatable, Sendable, CustomStringConvertible {
    case file(FileFault)
    case contents(path: String, NumpyFault)

    public var description: String {
        switch self {
        case .file(let fault): fault.description
        case .contents(let path, let fault): "\(path): \(fault)"
        }
    }
}

/// Why a .npy file is refused.
public enum NumpyFault: Error, Equatable, Sendable {
    case empty
    case notNumpy
    case version(UInt8, UInt8)
    case header(String)
    case unsupportedType(String)
    case fortranOrder
    case shape
    case size(needed: Int, found: Int)
}

extension NumpyFault: CustomStringConvertible {
    public var description: String {
        switch self {
        case .empty: "The .npy file is empty: write it again with numpy.save."
        case .notNumpy: "The file is not a .npy file: write it with numpy.save."
        case .version(let major, let minor):
            "The .npy file has version \(major).\(minor): save it again so that it has version 1.0."
        case .header(let what): "The .npy header \(what): write the file again with numpy.save."
        case .unsupportedType(let name):
            "The .npy file holds \(name.prefix(20)): convert it to one of <f4, <f2, <i4, <i8, |i1, |u1, |b1."
        case .fortranOrder: "The .npy file is in Fortran order: save numpy.ascontiguousarray of it."
        case .shape: "The .npy file's shape is not a list of sizes: write the file again with numpy.save."
        case .size(let needed, let found):
            "The .npy file holds \(found) bytes of data where its shape needs \(needed): write it again with numpy.save."
        }
    }
}
