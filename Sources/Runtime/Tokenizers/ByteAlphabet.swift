/// The letters by which byte-level vocabularies write bytes: printable ones of Latin-1 stand for themselves, the others for U+0100 and on.
struct ByteAlphabet: Sendable {
    /// By byte.
    let scalars: [UInt32]
    /// By scalar below U+0144; −1 where none is meant.
    private let bytes: [Int16]

    init() {
        var scalars: [UInt32] = []
        var bytes = [Int16](repeating: -1, count: 0x144)
        var next: UInt32 = 0x100
        for byte in UInt32(0)...255 {
            let isPrintable =
                (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte) || (0xAE...0xFF).contains(byte)
            let scalar = isPrintable ? byte : next
            if !isPrintable { next += 1 }
            scalars.append(scalar)
            bytes[Int(scalar)] = Int16(byte)
        }
        self.scalars = scalars
        self.bytes = bytes
    }

    /// The byte that a scalar stands for.
    func byte(_ scalar: UInt32) -> UInt8? {
        guard scalar < UInt32(bytes.count), bytes[Int(scalar)] >= 0 else { return nil }
        return UInt8(bytes[Int(scalar)])
    }
}

extension [UInt32] {
    /// Appends a scalar's UTF-8. Every value came from a String or from tables, so it is a scalar.
    static func appendUTF8(_ value: UInt32, to bytes: inout [UInt8]) {
        if value < 0x80 {
            bytes.append(UInt8(value))
        } else {
            bytes.append(
                contentsOf: UTF8.encode(Unicode.Scalar(value) ?? "\u{FFFD}") ?? UTF8.encodedReplacementCharacter)
        }
    }

    var utf8: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count * 2)
        for value in self { [UInt32].appendUTF8(value, to: &bytes) }
        return bytes
    }
}
