import Foundation

/// Ctrl-C and SIGTERM end what was started, then the process.
final class Interruption: @unchecked Sendable {
    // Written in `init` and `end`, by one thread.
    private var sources: [any DispatchSourceSignal] = []

    init(_ stop: @escaping @Sendable () async -> Void) {
        for number in [SIGINT, SIGTERM] {
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler {
                Task {
                    await stop()
                    exit(130)
                }
            }
            source.resume()
            sources.append(source)
        }
    }

    func end() {
        for source in sources { source.cancel() }
        signal(SIGINT, SIG_DFL)
        signal(SIGTERM, SIG_DFL)
    }
}
