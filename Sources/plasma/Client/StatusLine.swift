import Foundation
import Synchronization

/// One line of a terminal that is written over and over. Where the output is no terminal, only what changed by much is worth a line: nothing.
final class StatusLine: Sendable {
    private let isLive: Bool
    private let shown = Mutex("")

    init(isQuiet: Bool = false) { isLive = !isQuiet && isatty(STDERR_FILENO) == 1 }

    func update(_ text: String) {
        if !isLive { return }
        shown.withLock { shown in
            if shown == text { return }
            shown = text
            FileHandle.standardError.write(Data("\r\u{1B}[K\(text)".utf8))
        }
    }

    /// Removes the line, so that what follows starts at its beginning.
    func clear() {
        if !isLive { return }
        shown.withLock { shown in
            if shown.isEmpty { return }
            shown = ""
            FileHandle.standardError.write(Data("\r\u{1B}[K".utf8))
        }
    }
}
