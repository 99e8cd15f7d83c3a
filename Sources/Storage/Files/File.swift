internal import Glibc

/// An open file, with the operating system's answers as `StorageFault`s. Not for two threads at once.
final class File: Sendable {
    let path: String
    let descriptor: Int32

    enum Mode { case read, readWrite, createNew, createOrOpen, truncate }

    init(_ path: String, _ mode: Mode, permissions: mode_t = 0o644) throws(StorageFault) {
        let flags: Int32 =
            switch mode {
            case .read: O_RDONLY
            case .readWrite: O_RDWR
            case .createNew: O_RDWR | O_CREAT | O_EXCL
            case .createOrOpen: O_RDWR | O_CREAT
            case .truncate: O_RDWR | O_CREAT | O_TRUNC
            }
        self.path = path
        while true {
            let opened = Glibc.open(path, flags | O_CLOEXEC, permissions)
            if opened >= 0 {
                descriptor = opened
                return
            }
            switch errno {
            case EINTR: continue
            case ENOENT where mode == .read || mode == .readWrite: throw .missing(path: path)
            case EEXIST: throw .exists(path: path)
            default: throw File.fault("open", path)
            }
        }
    }

    deinit { _ = close(descriptor) }

    func size() throws(StorageFault) -> UInt64 {
        var status = stat()
        if fstat(descriptor, &status) != 0 { throw File.fault("examine", path) }
        return UInt64(clamping: status.st_size)
    }

    /// Reads exactly `count` bytes, or fewer where the file ends.
    func read(_ count: Int, at offset: UInt64) throws(StorageFault) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var filled = 0
        while filled < count {
            let got = bytes.withUnsafeMutableBytes { buffer in
                pread(
                    descriptor, buffer.baseAddress?.advanced(by: filled), count - filled, off_t(offset) + off_t(filled))
            }
            if got < 0 {
                if errno == EINTR { continue }
                throw File.fault("read", path)
            }
            if got == 0 { break }
            filled += got
        }
        if filled < count { bytes.removeLast(count - filled) }
        return bytes
    }

    func write(_ bytes: [UInt8], at offset: UInt64) throws(StorageFault) {
        if let fault = bytes.withUnsafeBytes({ put($0, at: offset) }) { throw fault }
    }

    private func put(_ buffer: UnsafeRawBufferPointer, at offset: UInt64) -> StorageFault? {
        var written = 0
        while written < buffer.count {
            let count = pwrite(
                descriptor, buffer.baseAddress?.advanced(by: written), buffer.count - written,
                off_t(offset) + off_t(written))
            if count < 0 {
                if errno == EINTR { continue }
                return File.fault("write", path)
            }
            written += count
        }
        return nil
    }

    func truncate(to length: UInt64) throws(StorageFault) {
        while ftruncate(descriptor, off_t(length)) != 0 {
            if errno != EINTR { throw File.fault("shorten", path) }
        }
    }

    /// Returns once what was written survives loss of power. A failure is final: the kernel may have dropped the pages.
    func sync() throws(StorageFault) {
        if fdatasync(descriptor) != 0 { throw File.fault("sync", path) }
    }

    // MARK: What is done with names

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    static func rename(_ from: String, to: String) throws(StorageFault) {
        if Glibc.rename(from, to) != 0 { throw fault("rename", from) }
    }

    static func remove(_ path: String) throws(StorageFault) {
        if unlink(path) != 0 && errno != ENOENT { throw fault("delete", path) }
    }

    /// Makes the directory's entries durable.
    static func syncDirectory(_ path: String) throws(StorageFault) {
        let directory = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if directory < 0 { throw fault("open", path) }
        defer { _ = close(directory) }
        if fsync(directory) != 0 { throw fault("sync", path) }
    }

    /// Makes a directory and those above it.
    static func makeDirectory(_ path: String, permissions: mode_t = 0o755) throws(StorageFault) {
        if mkdir(path, permissions) == 0 {
            return try syncDirectory(parent(path))
        }
        switch errno {
        case EEXIST: return
        case ENOENT where parent(path) != path:
            try makeDirectory(parent(path))
            if mkdir(path, permissions) != 0 && errno != EEXIST { throw fault("create", path) }
            try syncDirectory(parent(path))
        default: throw fault("create", path)
        }
    }

    /// The names in a directory, sorted.
    static func names(in path: String) throws(StorageFault) -> [String] {
        guard let directory = opendir(path) else { throw fault("list", path) }
        defer { closedir(directory) }
        var found: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != "." && name != ".." { found.append(name) }
        }
        return found.sorted()
    }

    /// Deletes a file, or a directory with all in it. What is not there is no fault.
    static func removeTree(_ path: String) throws(StorageFault) {
        if unlink(path) == 0 || errno == ENOENT { return }
        if errno != EISDIR && errno != EPERM { throw fault("delete", path) }
        for name in try names(in: path) { try removeTree(path + "/" + name) }
        if rmdir(path) != 0 && errno != ENOENT { throw fault("delete", path) }
    }

    static func parent(_ path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// Puts `bytes` under `path` so that a crash leaves the old content or the new, and returns once they are durable.
    static func replace(_ path: String, with bytes: [UInt8], permissions: mode_t = 0o644) throws(StorageFault) {
        let temporary = path + ".new"
        let file = try File(temporary, .truncate, permissions: permissions)
        do throws(StorageFault) {
            try file.write(bytes, at: 0)
            try file.sync()
        } catch {
            _ = unlink(temporary)
            throw error
        }
        try rename(temporary, to: path)
        try syncDirectory(parent(path))
    }

    static func contents(_ path: String, limit: Int) throws(StorageFault) -> [UInt8] {
        let file = try File(path, .read)
        let size = try file.size()
        if size > UInt64(limit) { throw .tooLarge(what: path, found: size, limit: UInt64(limit)) }
        return try file.read(Int(size), at: 0)
    }

    static func fault(_ operation: String, _ path: String) -> StorageFault {
        let code = errno
        return code == ENOSPC || code == EDQUOT
            ? .diskFull(path: path) : .system(operation: operation, path: path, code: code)
    }

    static func message(_ code: Int32) -> String {
        guard let text = strerror(code) else { return "error \(code)" }
        return String(cString: text)
    }
}
