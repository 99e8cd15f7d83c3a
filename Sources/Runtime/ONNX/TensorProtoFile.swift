/// Reading an ONNX TensorProto (`.pb`, onnx.proto: message TensorProto), as the inputs of ONNX's own test data are kept.
///
/// Taken: dims, data_type, and the elements either as raw_data or as int32_data, int64_data or float_data. Other fields are passed over.
public enum TensorProtoFile {
    /// The most bytes that a file may have: lists of one-byte varints take up to about twenty times as much while they are read.
    public static let byteLimit = 64 << 20

    /// Reads a whole message in place; what is allocated is bounded by the file's own size, whatever its dims say.
    public static func decode(_ file: UnsafeRawBufferPointer) throws(TensorProtoFault) -> NumpyArray {
        var message = TensorMessage()
        try message.read(file)
        guard let type = types[message.type] else { throw .unsupportedType(message.type) }
        if message.isExternal { throw .external }
        let size: Int
        do throws(NumpyFault) { size = try NumpyFile.byteCount(type: type, shape: message.dimensions) } catch {
            throw .shape
        }
        var bytes: [UInt8] = []
        if let raw = message.raw {
            if raw.count != size { throw .size(needed: size, found: raw.count) }
            bytes = Array(raw)
        } else {
            let values = type == .i64 ? message.int64s : type == .f32 ? message.floats : message.int32s
            if values.count != size / type.byteCount {
                throw .size(needed: size, found: values.count * type.byteCount)
            }
            bytes.reserveCapacity(size)
            for value in values {
                for place in 0..<type.byteCount { bytes.append(UInt8(truncatingIfNeeded: value >> (8 * place))) }
            }
        }
        if type == .bool, bytes.contains(where: { $0 > 1 }) { throw .malformed }
        do throws(NumpyFault) {
            return try NumpyArray(type: type, shape: message.dimensions, bytes: bytes)
        } catch { throw .shape }
    }

    /// TensorProto.DataType by its number.
    private static let types: [UInt64: NumpyType] = [
        1: .f32, 2: .u8, 3: .i8, 6: .i32, 7: .i64, 9: .bool, 10: .f16,
    ]
}

/// Why a TensorProto is refused.
public enum TensorProtoFault: Error, Equatable, Sendable {
    case malformed
    case unsupportedType(UInt64)
    case external
    case shape
    case size(needed: Int, found: Int)
}

extension TensorProtoFault: CustomStringConvertible {
    public var description: String {
        switch self {
        case .malformed: "The file is not an ONNX TensorProto: write it with onnx.numpy_helper.from_array."
        case .unsupportedType(let number):
            "The TensorProto has the data type \(number): convert it to float32, float16, int32, int64, int8, uint8 or bool."
        case .external: "The TensorProto keeps its data in another file: save it with its data inside."
        case .shape: "The TensorProto's dims are not a list of sizes: write the file again."
        case .size(let needed, let found):
            "The TensorProto holds \(found) bytes of data where its dims need \(needed): write it again."
        }
    }
}

/// The fields of a TensorProto that are read.
private struct TensorMessage {
    var dimensions: [Int] = []
    var type: UInt64 = 0
    var floats: [UInt64] = []
    var int32s: [UInt64] = []
    var int64s: [UInt64] = []
    var raw: UnsafeRawBufferPointer?
    var isExternal = false
    private var hasBadDimension = false

    mutating func read(_ file: UnsafeRawBufferPointer) throws(TensorProtoFault) {
        var reader = ProtobufReader(file)
        do throws(ProtobufReader.Fault) {
            while !reader.isAtEnd {
                let (field, wire) = try reader.key()
                switch (field, wire) {
                case (1, .varint): add(dimension: try reader.varint())
                case (1, .bytes):
                    var packed = ProtobufReader(try reader.block())
                    while !packed.isAtEnd { add(dimension: try packed.varint()) }
                case (2, .varint): type = try reader.varint()
                case (4, .fixed32): floats.append(UInt64(try reader.fixed32()))
                case (4, .bytes):
                    var packed = ProtobufReader(try reader.block())
                    while !packed.isAtEnd { floats.append(UInt64(try packed.fixed32())) }
                case (5, .varint): int32s.append(try reader.varint())
                case (5, .bytes):
                    var packed = ProtobufReader(try reader.block())
                    while !packed.isAtEnd { int32s.append(try packed.varint()) }
                case (7, .varint): int64s.append(try reader.varint())
                case (7, .bytes):
                    var packed = ProtobufReader(try reader.block())
                    while !packed.isAtEnd { int64s.append(try packed.varint()) }
                case (9, .bytes): raw = try reader.block()
                case (14, .varint): isExternal = try reader.varint() == 1
                case (1...7, _), (9, _), (14, _): throw ProtobufReader.Fault()
                default: try reader.skip(wire)
                }
            }
        } catch { throw .malformed }
        if hasBadDimension { throw .shape }
    }

    private mutating func add(dimension: UInt64) {
        if dimensions.count < NumpyFile.rankLimit, let size = Int(exactly: dimension) {
            dimensions.append(size)
        } else {
            hasBadDimension = true
        }
    }
}
