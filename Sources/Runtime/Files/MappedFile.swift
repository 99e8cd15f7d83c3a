#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A regular file mapped for reading; the mapping lives as long as the value.
///
/// The file must not shrink meanwhile (the kernel answers reads past its end with SIGBUS), so what a node keeps is copied
/// into its blob store first.
public final class MappedFile: @unchecked Sendable {
    // Unchecked, because the pointer is to memory that nobody writes.
    /// The file's bytes.
    public let bytes: UnsafeRawBufferPointer

    /// Maps a file of at most `limit` bytes.
    public init(path: String, limit: Int = 1 << 40) throws(FileFault) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        if descriptor < 0 {
            let code = errno
            throw code == ENOENT ? .missing(path) : .unreadable(path, String(cString: strerror(code)))
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .unreadable(path, String(cString: strerror(errno))) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw .unreadable(path, "not a regular file") }
        let size = Int(status.st_size)
        if size > limit { throw .tooLarge(path, bytes: size, limit: limit) }
        if size == 0 {
            bytes = UnsafeRawBufferPointer(start: nil, count: 0)
            return
        }
        guard let address = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), address != MAP_FAILED else {
            throw .unreadable(path, String(cString: strerror(errno)))
        }
        bytes = UnsafeRawBufferPointer(start: address, count: size)
    }

    deinit {
        if let address = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: address), bytes.count) }
    }
}

/// Why a file cannot be read.
public enum FileFault: Error, Equatable, Sendable {
    case missing(String)
    case unreadable(String, String)
    case tooLarge(String, bytes: Int, limit: Int)
}

extension FileFault: CustomStringConvertible {
    public var description: String {
        switch self {
        case .missing(let path): "\(path) does not exist: check the path."
        case .unreadable(let path, let why): "\(path) cannot be read (\(why)): check the file and its permissions."
        case .tooLarge(let path, let bytes, let limit):
            "\(path) has \(bytes) bytes, more than the \(limit) that are read: check that it is the right file."
        }
    }
}
