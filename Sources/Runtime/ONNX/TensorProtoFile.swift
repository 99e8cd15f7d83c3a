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
    private static let types: [UInt64: NumpyType] = [1: .f32, 2: .u8, 3: .i8, 6: .i32, 7: .i64, 9: .bool]
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
            "The TensorProto has the data type \(number): convert it to float32, int32, int64, int8, uint8 or bool."
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
    var raw: Slice<UnsafeRawBufferPointer>?
    var isExternal = false

    mutating func read(_ file: UnsafeRawBufferPointer) throws(TensorProtoFault) {
        var reader = ProtobufReader(file[...])
        while !reader.isAtEnd {
            let key = try reader.varint()
            let (field, wire) = (key >> 3, key & 7)
            switch (field, wire) {
            case (1, 0): try add(dimension: try reader.varint())
            case (1, 2):
                var packed = ProtobufReader(try reader.bytes())
                while !packed.isAtEnd { try add(dimension: try packed.varint()) }
            case (2, 0): type = try reader.varint()
            case (4, 5): floats.append(try reader.fixed(4))
            case (4, 2):
                var packed = ProtobufReader(try reader.bytes())
                while !packed.isAtEnd { floats.append(try packed.fixed(4)) }
            case (5, 0): int32s.append(try reader.varint())
            case (5, 2):
                var packed = ProtobufReader(try reader.bytes())
                while !packed.isAtEnd { int32s.append(try packed.varint()) }
            case (7, 0): int64s.append(try reader.varint())
            case (7, 2):
                var packed = ProtobufReader(try reader.bytes())
                while !packed.isAtEnd { int64s.append(try packed.varint()) }
            case (9, 2): raw = try reader.bytes()
            case (14, 0): isExternal = try reader.varint() == 1
            case (0, _), (1...7, _), (9, _), (14, _): throw .malformed
            default: try reader.skip(wire)
            }
        }
    }

    private mutating func add(dimension: UInt64) throws(TensorProtoFault) {
        guard dimensions.count < NumpyFile.rankLimit, let size = Int(exactly: dimension) else { throw .shape }
        dimensions.append(size)
    }
}

/// The wire format of protocol buffers: varints, fixed numbers and lengths, never past the end.
private struct ProtobufReader {
    private var rest: Slice<UnsafeRawBufferPointer>

    init(_ bytes: Slice<UnsafeRawBufferPointer>) { rest = bytes }

    var isAtEnd: Bool { rest.isEmpty }

    mutating func varint() throws(TensorProtoFault) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 70, by: 7) {
            guard let byte = rest.popFirst(), shift < 63 || byte <= 1 else { throw .malformed }
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
        }
        throw .malformed
    }

    mutating func fixed(_ count: Int) throws(TensorProtoFault) -> UInt64 {
        if rest.count < count { throw .malformed }
        var value: UInt64 = 0
        for place in 0..<count { value |= UInt64(rest[rest.startIndex + place]) << (8 * UInt64(place)) }
        rest = rest.dropFirst(count)
        return value
    }

    mutating func bytes() throws(TensorProtoFault) -> Slice<UnsafeRawBufferPointer> {
        guard let count = Int(exactly: try varint()), count <= rest.count else { throw .malformed }
        let part = rest.prefix(count)
        rest = rest.dropFirst(count)
        return part
    }

    mutating func skip(_ wire: UInt64) throws(TensorProtoFault) {
        switch wire {
        case 0: _ = try varint()
        case 1: _ = try fixed(8)
        case 2: _ = try bytes()
        case 5: _ = try fixed(4)
        default: throw .malformed
        }
    }
}
