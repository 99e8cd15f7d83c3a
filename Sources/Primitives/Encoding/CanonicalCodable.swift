/// A value with exactly one byte representation: little-endian fixed-width integers, `u32` lengths, no padding, no options left open.
public protocol CanonicalCodable {
    /// Appends this value's bytes.
    func encode(into writer: inout ByteWriter)
    /// Reads one value, leaving what follows unread.
    init(from reader: inout ByteReader) throws(DecodingFault)
}

extension CanonicalCodable {
    /// This value's only encoding.
    public var canonicalBytes: [UInt8] {
        var writer = ByteWriter(capacity: 256)
        writer.write(self)
        return writer.bytes
    }

    /// Reads a value that fills `bytes` exactly.
    public init(canonicalBytes bytes: [UInt8]) throws(DecodingFault) {
        var reader = ByteReader(bytes)
        self = try Self(from: &reader)
        try reader.finish()
    }
}

extension UInt64: CanonicalCodable {
    public func encode(into writer: inout ByteWriter) { writer.write(self) }
    public init(from reader: inout ByteReader) throws(DecodingFault) { self = try reader.readUInt64() }
}

extension UInt32: CanonicalCodable {
    public func encode(into writer: inout ByteWriter) { writer.write(self) }
    public init(from reader: inout ByteReader) throws(DecodingFault) { self = try reader.readUInt32() }
}

extension UInt16: CanonicalCodable {
    public func encode(into writer: inout ByteWriter) { writer.write(self) }
    public init(from reader: inout ByteReader) throws(DecodingFault) { self = try reader.readUInt16() }
}
