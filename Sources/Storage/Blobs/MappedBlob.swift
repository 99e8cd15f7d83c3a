internal import Glibc

/// A blob's bytes in memory, read by the kernel as they are touched. Stays valid when the blob is deleted.
///
/// Unchecked: the memory is read-only and lives as long as this object.
public final class MappedBlob: @unchecked Sendable {
    /// The bytes, valid only while this object is kept: hold it in a property, or use `withUnsafeBytes`.
    public let bytes: UnsafeRawBufferPointer

    init(_ file: File, length: UInt64) throws(StorageFault) {
        if length == 0 {
            bytes = UnsafeRawBufferPointer(start: nil, count: 0)
            return
        }
        guard let mapped = mmap(nil, Int(length), PROT_READ, MAP_SHARED, file.descriptor, 0), mapped != MAP_FAILED
        else {
            throw File.fault("map", file.path)
        }
        bytes = UnsafeRawBufferPointer(start: mapped, count: Int(length))
    }

    /// Lends the bytes to `body`.
    public func withUnsafeBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
        defer { withExtendedLifetime(self) {} }
        return try body(bytes)
    }

    deinit {
        if let start = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: start), bytes.count) }
    }
}
