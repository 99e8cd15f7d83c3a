import Primitives

/// The key of a tree record: its depth in nibbles, then as many of the path, of an odd number the last byte's second half empty. A value without an array,
/// since a block asks for thousands.
public struct TreeKey: Sendable {
    /// 33 bytes at most, and how many of them.
    private var words = (UInt64(0), UInt64(0), UInt64(0), UInt64(0), UInt64(0))
    private let count: Int

    init(_ path: Digest, _ depth: Int) {
        count = 1 + (depth + 1) / 2
        Swift.withUnsafeMutableBytes(of: &words) { key in
            key[0] = UInt8(depth)
            path.withUnsafeBytes { bytes in for index in 1..<count { key[index] = bytes[index - 1] } }
            if depth & 1 == 1 { key[count - 1] &= 0xf0 }
        }
    }

    /// Lends the bytes.
    @inline(__always)
    public func withUnsafeBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
        try Swift.withUnsafeBytes(of: words) { words throws(E) in
            try body(UnsafeRawBufferPointer(rebasing: words[0..<count]))
        }
    }
}
