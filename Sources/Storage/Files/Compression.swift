internal import CLZ4

/// LZ4 where it pays: above 1 KiB, and kept only if smaller. The first byte says which; a length follows where packed.
enum Compression {
    static let threshold = 1024

    static func pack(_ bytes: [UInt8]) -> [UInt8] {
        if bytes.count >= threshold {
            let bound = Int(LZ4_compressBound(Int32(clamping: bytes.count)))
            var packed = [UInt8](repeating: 0, count: bound + 5)
            let length = packed.withUnsafeMutableBytes { out in
                bytes.withUnsafeBytes { input in
                    LZ4_compress_default(
                        input.baseAddress?.assumingMemoryBound(to: CChar.self),
                        out.baseAddress?.advanced(by: 5).assumingMemoryBound(to: CChar.self),
                        Int32(clamping: bytes.count), Int32(clamping: bound))
                }
            }
            if length > 0 && Int(length) + 5 < bytes.count {
                packed[0] = 1
                for i in 0..<4 { packed[1 + i] = UInt8(truncatingIfNeeded: bytes.count >> (8 * i)) }
                packed.removeLast(packed.count - 5 - Int(length))
                return packed
            }
        }
        return [0] + bytes
    }

    /// Nil where the bytes are not what `pack` makes or unpack to more than `limit`.
    static func unpack(_ packed: [UInt8], limit: Int) -> [UInt8]? {
        switch packed.first {
        case 0: return packed.count - 1 <= limit ? Array(packed.dropFirst()) : nil
        case 1 where packed.count > 5:
            var length = 0
            for i in (0..<4).reversed() { length = length << 8 | Int(packed[1 + i]) }
            if length > limit { return nil }
            var bytes = [UInt8](repeating: 0, count: length)
            let got = bytes.withUnsafeMutableBytes { out in
                packed.withUnsafeBytes { input in
                    LZ4_decompress_safe(
                        input.baseAddress?.advanced(by: 5).assumingMemoryBound(to: CChar.self),
                        out.baseAddress?.assumingMemoryBound(to: CChar.self),
                        Int32(clamping: packed.count - 5), Int32(clamping: length))
                }
            }
            return Int(got) == length ? bytes : nil
        default: return nil
        }
    }
}
