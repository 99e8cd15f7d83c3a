#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

extension HuggingFaceFolder {
    /// Whether anything has this path.
    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// Whether a folder has this path.
    static func isFolder(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }
}

/// What the file system says of a path.
enum FileProbe {
    /// The path with every link followed; nil where nothing is there.
    static func resolved(_ path: String) -> String? {
        guard let found = realpath(path, nil) else { return nil }
        defer { free(found) }
        return String(cString: found)
    }
}
