import Glibc

enum TestFiles {
    static func remove(_ path: String) { _ = unlink(path) }
}
