internal import Glibc

/// Keeps a home for one process, by a lock on its file `lock`, which also holds the process id.
///
/// The kernel frees the lock however the process ends, so a killed node leaves nothing to clean up.
public final class HomeLock: Sendable {
    public let home: String
    private let descriptor: Int32

    /// Of 50 ms, before a home counts as in use.
    private static let tries = 20

    /// Takes the lock, making the home where it is not there yet.
    ///
    /// - Throws: `homeInUse` where another process has it.
    public init(home: String) throws(StorageFault) {
        try File.makeDirectory(home)
        let path = home + "/lock"
        let opened = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        if opened < 0 { throw File.fault("open", path) }
        // Who was killed frees the lock a moment after it is gone from sight: a start right behind it need not fail.
        var taken = flock(opened, LOCK_EX | LOCK_NB)
        for _ in 0..<HomeLock.tries where taken != 0 && errno == EWOULDBLOCK {
            usleep(50_000)
            taken = flock(opened, LOCK_EX | LOCK_NB)
        }
        if taken != 0 {
            let busy = errno == EWOULDBLOCK
            let fault = File.fault("lock", path)
            var holder = [UInt8](repeating: 0, count: 16)
            let got = pread(opened, &holder, holder.count, 0)
            _ = close(opened)
            if !busy { throw fault }
            let text = String(decoding: holder.prefix(max(0, got)).prefix { $0 >= 48 && $0 <= 57 }, as: UTF8.self)
            throw .homeInUse(path: home, process: Int32(text))
        }
        let text = Array("\(getpid())\n".utf8)
        _ = ftruncate(opened, 0)
        _ = pwrite(opened, text, text.count, 0)
        self.home = home
        descriptor = opened
    }

    deinit { _ = close(descriptor) }
}
