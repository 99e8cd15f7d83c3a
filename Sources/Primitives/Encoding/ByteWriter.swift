/// Writes canonical bytes. Integers are little-endian; lengths and counts are `u32`.
public struct ByteWriter: Sendable {
    @usableFromInline
    var row: [UInt8]

    /// What has been written.
    public var bytes: [UInt8] { row }

    /// How many bytes have been written.
    public var count: Int { row.count }

    /// An empty writer with room for `capacity` bytes.
    public init(capacity: Int = 64) {
        row = []
        row.reserveCapacity(capacity)
    }

    /// Forgets what has been written, and keeps the room.
    public mutating func removeAll() { row.removeAll(keepingCapacity: true) }

    /// Forgets all but the first `count` bytes.
    public mutating func cut(to count: Int) { row.removeLast(row.count - count) }

    /// Makes room for so many bytes more.
    public mutating func reserve(_ count: Int) { row.reserveCapacity(row.count + count) }

    public mutating func write(_ value: UInt8) { row.append(value) }

    public mutating func write(_ value: UInt16) { writeInteger(value) }

    public mutating func write(_ value: UInt32) { writeInteger(value) }

    public mutating func write(_ value: UInt64) { writeInteger(value) }

    public mutating func write(_ value: UInt128) { writeInteger(value) }

    @inline(__always)
    private mutating func writeInteger<T: FixedWidthInteger>(_ value: T) {
        withUnsafeBytes(of: value.littleEndian) { row.append(contentsOf: $0) }
    }

    /// One byte, 0 or 1.
    public mutating func write(bool value: Bool) { row.append(value ? 1 : 0) }

    /// The bytes alone: the reader knows how many.
    public mutating func write(raw value: some Collection<UInt8>) { row.append(contentsOf: value) }

    /// The bytes alone, from memory.
    public mutating func write(raw value: UnsafeRawBufferPointer) { row.append(contentsOf: value) }

    /// So many bytes, which `body` fills in where they lie: all of them.
    @inlinable
    public mutating func write(count: Int, _ body: (UnsafeMutableRawBufferPointer) -> Void) {
        let start = row.count
        row.append(contentsOf: repeatElement(0, count: count))
        row.withUnsafeMutableBytes { body(UnsafeMutableRawBufferPointer(rebasing: $0[start...])) }
    }

    /// Changes bytes that were written before, where they lie.
    @inlinable
    public mutating func change(_ range: Range<Int>, _ body: (UnsafeMutableRawBufferPointer) -> Void) {
        row.withUnsafeMutableBytes { body(UnsafeMutableRawBufferPointer(rebasing: $0[range])) }
    }

    /// A `u32` length, then the bytes.
    public mutating func write(bytes value: [UInt8]) {
        write(UInt32(value.count))
        row.append(contentsOf: value)
    }

    /// A `u32` length in bytes, then UTF-8.
    public mutating func write(string value: String) {
        let utf8 = value.utf8
        write(UInt32(utf8.count))
        row.append(contentsOf: utf8)
    }

    public mutating func write<T: CanonicalCodable>(_ value: T) { value.encode(into: &self) }

    /// A flag byte, then the value where there is one.
    public mutating func write<T: CanonicalCodable>(optional value: T?) {
        write(bool: value != nil)
        if let value { value.encode(into: &self) }
    }

    /// A `u32` count, then the values.
    public mutating func write<T: CanonicalCodable>(list values: [T]) {
        write(UInt32(values.count))
        for value in values { value.encode(into: &self) }
    }
}
