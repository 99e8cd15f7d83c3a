/// The wire format of protocol buffers, read strictly and in place: varints, fixed numbers and lengths, never past the end.
/// Nothing is copied and nothing is allocated, so a length that lies can only be refused.
struct ProtobufReader {
    /// What is wrong with the bytes.
    struct Fault: Error {}

    /// How a field's value is written.
    enum Wire: UInt64 {
        case varint = 0
        case fixed64 = 1
        case bytes = 2
        case fixed32 = 5
    }

    private let bytes: UnsafeRawBufferPointer
    private var position = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    var isAtEnd: Bool { position == bytes.count }

    /// The next field's number and form.
    mutating func key() throws(Fault) -> (field: UInt64, wire: Wire) {
        let key = try varint()
        guard key >> 3 != 0, key >> 3 < 1 << 29, let wire = Wire(rawValue: key & 7) else { throw Fault() }
        return (key >> 3, wire)
    }

    mutating func varint() throws(Fault) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while shift < 70 {
            if position == bytes.count { throw Fault() }
            let byte = bytes[position]
            position += 1
            // The tenth byte holds one bit.
            if shift == 63 && byte > 1 { throw Fault() }
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
        throw Fault()
    }

    mutating func fixed32() throws(Fault) -> UInt32 {
        if bytes.count - position < 4 { throw Fault() }
        let value = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt32.self))
        position += 4
        return value
    }

    mutating func fixed64() throws(Fault) -> UInt64 {
        if bytes.count - position < 8 { throw Fault() }
        let value = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self))
        position += 8
        return value
    }

    /// A length and as many bytes, in place.
    mutating func block() throws(Fault) -> UnsafeRawBufferPointer {
        guard let count = Int(exactly: try varint()), count <= bytes.count - position else { throw Fault() }
        let part = UnsafeRawBufferPointer(rebasing: bytes[position..<position + count])
        position += count
        return part
    }

    mutating func string() throws(Fault) -> String {
        guard let text = String(validating: try block(), as: UTF8.self) else { throw Fault() }
        return text
    }

    mutating func skip(_ wire: Wire) throws(Fault) {
        switch wire {
        case .varint: _ = try varint()
        case .fixed64: _ = try fixed64()
        case .bytes: _ = try block()
        case .fixed32: _ = try fixed32()
        }
    }
}
