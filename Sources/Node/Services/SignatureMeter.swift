internal import Foundation
internal import Synchronization

/// Counts signature checks and the processor time that they take: what a node does most when it is busy.
final class SignatureMeter: Sendable {
    static let shared = SignatureMeter()

    private let count = Atomic<UInt64>(0)
    private let nanoseconds = Atomic<UInt64>(0)

    /// Runs `checks` signature checks and adds their time on this thread.
    func measure<T>(_ checks: Int, _ body: () throws -> T) rethrows -> T {
        let began = SignatureMeter.threadTime
        defer {
            count.wrappingAdd(UInt64(checks), ordering: .relaxed)
            nanoseconds.wrappingAdd(SignatureMeter.threadTime &- began, ordering: .relaxed)
        }
        return try body()
    }

    var verified: UInt64 { count.load(ordering: .relaxed) }

    var seconds: Double { Double(nanoseconds.load(ordering: .relaxed)) / 1e9 }

    private static var threadTime: UInt64 { time(CLOCK_THREAD_CPUTIME_ID) }

    /// Processor time of the whole process, in seconds.
    static var processSeconds: Double { Double(time(CLOCK_PROCESS_CPUTIME_ID)) / 1e9 }

    private static func time(_ clock: clockid_t) -> UInt64 {
        var now = timespec()
        clock_gettime(clock, &now)
        return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
    }
}
