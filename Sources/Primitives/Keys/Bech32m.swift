/// Bech32m (BIP 350): base 32 with a checksum that finds any four wrong characters.
public enum Bech32m {
    private static let alphabet = Array("qpzry9x8gf2tvdw0s3jn54khce6mua7l".utf8)
    private static let constant: UInt32 = 0x2bc8_30a3

    private static func polymod(_ values: [UInt8]) -> UInt32 {
        let generators: [UInt32] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3]
        var checksum: UInt32 = 1
        for value in values {
            let top = checksum >> 25
            checksum = (checksum & 0x1ff_ffff) << 5 ^ UInt32(value)
            for i in 0..<5 where (top >> UInt32(i)) & 1 == 1 { checksum ^= generators[i] }
        }
        return checksum
    }

    private static func expand(_ prefix: [UInt8]) -> [UInt8] {
        prefix.map { $0 >> 5 } + [0] + prefix.map { $0 & 31 }
    }

    /// `prefix1…` of the bytes.
    public static func encode(prefix: String, bytes: [UInt8]) -> String {
        var values: [UInt8] = []
        var buffer: UInt32 = 0
        var bits: UInt32 = 0
        for byte in bytes {
            buffer = buffer << 8 | UInt32(byte)
            bits += 8
            while bits >= 5 {
                bits -= 5
                values.append(UInt8((buffer >> bits) & 31))
            }
        }
        if bits > 0 { values.append(UInt8((buffer << (5 - bits)) & 31)) }
        let head = Array(prefix.utf8)
        let check = polymod(expand(head) + values + [0, 0, 0, 0, 0, 0]) ^ constant
        for i in 0..<6 { values.append(UInt8((check >> UInt32(5 * (5 - i))) & 31)) }
        return prefix + "1" + String(decoding: values.map { alphabet[Int($0)] }, as: UTF8.self)
    }

    /// The prefix and the bytes. Mixed case, a wrong checksum and non-zero padding are refused.
    public static func decode(_ text: String) throws(AddressFault) -> (prefix: String, bytes: [UInt8]) {
        var characters = Array(text.utf8)
        if characters.count > 90 { throw .malformed }
        let hasUpper = characters.contains { (65...90).contains($0) }
        let hasLower = characters.contains { (97...122).contains($0) }
        if hasUpper && hasLower { throw .malformed }
        if hasUpper { characters = characters.map { (65...90).contains($0) ? $0 + 32 : $0 } }
        guard let separator = characters.lastIndex(of: 49), separator >= 1, characters.count - separator > 6 else {
            throw .malformed
        }
        let head = Array(characters[..<separator])
        if head.contains(where: { $0 < 33 || $0 > 126 }) { throw .malformed }
        var values: [UInt8] = []
        for character in characters[(separator + 1)...] {
            guard let value = alphabet.firstIndex(of: character) else { throw .malformed }
            values.append(UInt8(value))
        }
        if polymod(expand(head) + values) != constant { throw .badChecksum }
        var bytes: [UInt8] = []
        var buffer: UInt32 = 0
        var bits: UInt32 = 0
        for value in values.dropLast(6) {
            buffer = (buffer << 5 | UInt32(value)) & 0xfff
            bits += 5
            if bits >= 8 {
                bits -= 8
                bytes.append(UInt8((buffer >> bits) & 0xff))
            }
        }
        if bits >= 5 || buffer & ((1 << bits) - 1) != 0 { throw .malformed }
        return (String(decoding: head, as: UTF8.self), bytes)
    }
}
