/// Reads canonical bytes from an attacker: every length is bounded before anything is allocated.
public struct ByteReader: Sendable {
    private let bytes: [UInt8]
    private var position: Int
    private let end: Int

    public init(_ bytes: [UInt8]) {
        self.bytes = bytes
        position = 0
        end = bytes.count
    }

    /// How many bytes are unread.
    public var remaining: Int { end - position }

    /// How many bytes have been read.
    public var offset: Int { position }

    /// Checks that nothing is left.
    public func finish() throws(DecodingFault) {
        if remaining != 0 { throw .trailing(remaining) }
    }

    private func need(_ count: Int) throws(DecodingFault) {
        if count < 0 || count > remaining { throw .truncated(needed: count, left: remaining) }
    }

    @inline(__always)
    private mutating func readInteger<T: FixedWidthInteger>(_: T.Type) throws(DecodingFault) -> T {
        let size = MemoryLayout<T>.size
        try need(size)
        let value = bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: position, as: T.self) }
        position += size
        return T(littleEndian: value)
    }

    public mutating func readUInt8() throws(DecodingFault) -> UInt8 { try readInteger(UInt8.self) }

    public mutating func readUInt16() throws(DecodingFault) -> UInt16 { try readInteger(UInt16.self) }

    public mutating func readUInt32() throws(DecodingFault) -> UInt32 { try readInteger(UInt32.self) }

    public mutating func readUInt64() throws(DecodingFault) -> UInt64 { try readInteger(UInt64.self) }

    public mutating func readUInt128() throws(DecodingFault) -> UInt128 { try readInteger(UInt128.self) }

    /// A flag that must be 0 or 1.
    public mutating func readBool() throws(DecodingFault) -> Bool {
        switch try readUInt8() {
        case 0: return false
        case 1: return true
        case let other: throw .invalid("a flag must be 0 or 1, found \(other)")
        }
    }

    /// Exactly `count` bytes.
    public mutating func readRaw(_ count: Int) throws(DecodingFault) -> [UInt8] {
        try need(count)
        defer { position += count }
        return Array(bytes[position..<position + count])
    }

    /// A `u32` length of at most `max`, then that many bytes.
    public mutating func readBytes(max: Int) throws(DecodingFault) -> [UInt8] {
        let count = Int(try readUInt32())
        if count > max { throw .tooLong(found: count, limit: max) }
        return try readRaw(count)
    }

    /// A `u32` length of at most `max`, then valid UTF-8.
    public mutating func readString(max: Int) throws(DecodingFault) -> String {
        let raw = try readBytes(max: max)
        guard let text = String(validating: raw, as: UTF8.self) else { throw .invalid("a text is not valid UTF-8") }
        return text
    }

    public mutating func read<T: CanonicalCodable>(_: T.Type) throws(DecodingFault) -> T { try T(from: &self) }

    /// A flag byte, then the value where the flag is 1.
    public mutating func readOptional<T: CanonicalCodable>(_: T.Type) throws(DecodingFault) -> T? {
        try readBool() ? try T(from: &self) : nil
    }

    /// A `u32` count of at most `max`, then the values. Memory grows only with bytes that are there.
    public mutating func readList<T: CanonicalCodable>(_: T.Type, max: Int) throws(DecodingFault) -> [T] {
        let count = Int(try readUInt32())
        if count > max { throw .tooLong(found: count, limit: max) }
        var values: [T] = []
        values.reserveCapacity(Swift.min(count, remaining))
        for _ in 0..<count { values.append(try T(from: &self)) }
        return values
    }
}
