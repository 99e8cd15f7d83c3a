internal import Glibc

/// A local file that is uploaded or downloaded into.
final class LocalFile: Sendable {
    let path: String
    private let descriptor: Int32

    init(reading path: String) throws(ClientFault) {
        self.path = path
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        if descriptor < 0 { throw LocalFile.fault(path) }
    }

    init(writing path: String) throws(ClientFault) {
        self.path = path
        descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        if descriptor < 0 { throw LocalFile.fault(path) }
    }

    deinit { _ = close(descriptor) }

    /// - Throws: `file` where it is no regular file.
    func length() throws(ClientFault) -> UInt64 {
        var status = stat()
        if fstat(descriptor, &status) != 0 { throw LocalFile.fault(path) }
        if status.st_mode & S_IFMT != S_IFREG { throw .file(path: path, reason: "is not a file") }
        return UInt64(clamping: status.st_size)
    }

    func read(_ count: Int, at offset: UInt64) throws(ClientFault) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var filled = 0
        while filled < count {
            let got = bytes.withUnsafeMutableBytes {
                pread(descriptor, $0.baseAddress?.advanced(by: filled), count - filled, off_t(offset) + off_t(filled))
            }
            if got < 0 && errno == EINTR { continue }
            if got < 0 { throw LocalFile.fault(path) }
            if got == 0 { throw .file(path: path, reason: "became shorter while it was sent") }
            filled += got
        }
        return bytes
    }

    func append(_ bytes: [UInt8]) throws(ClientFault) {
        var written = 0
        while written < bytes.count {
            let put = bytes.withUnsafeBytes {
                write(descriptor, $0.baseAddress?.advanced(by: written), bytes.count - written)
            }
            if put < 0 && errno == EINTR { continue }
            if put < 0 { throw LocalFile.fault(path) }
            written += put
        }
    }

    private static func fault(_ path: String) -> ClientFault {
        let code = errno
        return .file(path: path, reason: strerror(code).map { String(cString: $0) } ?? "error \(code)")
    }
}
