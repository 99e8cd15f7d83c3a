internal import CKernels
internal import Dispatch
internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#endif

/// Threads that share out the tasks of one kernel after another. Which thread takes a task is open; what a task gives is not.
///
/// Kernels follow one another within microseconds, which is less than it takes to wake a thread. So helpers wait for more work a little while before they go,
/// and the caller, who takes tasks as well, never depends on them: one that comes late or never costs time, not the result.
package final class ThreadTeam: Sendable {
    package let threads: Int
    private let work = Work()

    package init(threads: Int) { self.threads = max(1, threads) }

    /// Runs tasks 0 to count − 1, each once, and returns when all are done. The body gets the task and the thread's number.
    package func run(_ count: Int, _ body: @Sendable (_ task: Int, _ thread: Int) -> Void) {
        let wanted = min(threads, count) - 1
        if wanted <= 0 || count > Work.mostTasks
            || !work.isFree.exchange(false, ordering: .acquiring)
        {
            for task in 0..<max(0, count) { body(task, 0) }
            return
        }
        defer { work.isFree.store(true, ordering: .releasing) }
        withoutActuallyEscaping(body) { body in
            work.publish(count, body)
            for number in 1...wanted where work.enlist(number) {
                let work = work
                DispatchQueue.global(qos: .userInitiated).async {
                    pk_set_float_environment()
                    work.help(number)
                }
            }
            work.take(0)
            work.wait(count)
        }
    }

    /// Like `run`, for a range in pieces of `grain`.
    package func run(over count: Int, grain: Int, _ body: @Sendable (_ range: Range<Int>, _ thread: Int) -> Void) {
        let grain = max(1, grain)
        run((count + grain - 1) / grain) { task, thread in
            body(task * grain..<min(count, (task + 1) * grain), thread)
        }
    }
}

/// The tasks at hand.
///
/// Unchecked: `body` is written before a ticket names its round, and read only by who holds a task of that round, which does not end before the task does.
private final class Work: @unchecked Sendable {
    static let mostTasks = 1 << 20
    /// Helpers that may be told apart.
    private static let mostHelpers = 63
    /// Times that a helper looks for more before it goes: some 50 microseconds.
    private static let patience = 2_000

    let isFree = Atomic<Bool>(true)
    /// The round, how many tasks it has, and the next of them: so a task is taken of the round that was looked at or not at all.
    private let ticket = Atomic<UInt64>(0)
    private let done = Atomic<Int>(0)
    /// A bit for each helper that is there.
    private let present = Atomic<UInt64>(0)
    private var body: (@Sendable (Int, Int) -> Void)?

    func publish(_ count: Int, _ body: @escaping @Sendable (Int, Int) -> Void) {
        self.body = body
        done.store(0, ordering: .relaxed)
        let round = (ticket.load(ordering: .relaxed) >> 42) &+ 1
        ticket.store(round << 42 | UInt64(count) << 21, ordering: .sequentiallyConsistent)
    }

    /// Whether the helper of this number is to be called.
    func enlist(_ number: Int) -> Bool {
        if number > Work.mostHelpers { return false }
        let bit = UInt64(1) << UInt64(number)
        return present.bitwiseOr(bit, ordering: .sequentiallyConsistent).oldValue & bit == 0
    }

    /// Takes tasks until there are none, and says whether there was any.
    @discardableResult func take(_ thread: Int) -> Bool {
        var took = false
        while true {
            let seen = ticket.load(ordering: .acquiring)
            let (count, next) = (seen >> 21 & 0x1F_FFFF, seen & 0x1F_FFFF)
            if next >= count { return took }
            guard
                ticket.weakCompareExchange(expected: seen, desired: seen + 1, ordering: .acquiringAndReleasing)
                    .exchanged
            else { continue }
            took = true
            perform(Int(next), thread)
            done.wrappingAdd(1, ordering: .releasing)
        }
    }

    /// By itself, so that nothing holds the body any more when the task counts as done.
    @inline(never) private func perform(_ task: Int, _ thread: Int) {
        body?(task, thread)
    }

    func help(_ number: Int) {
        let bit = UInt64(1) << UInt64(number)
        repeat {
            var left = Work.patience
            while left > 0 {
                left = take(number) ? Work.patience : left - 1
                pk_wait_a_little()
            }
            present.bitwiseAnd(~bit, ordering: .sequentiallyConsistent)
            // Who looked for this helper before it went takes it for present: it looks once more, and stays if it is not replaced.
            let seen = ticket.load(ordering: .sequentiallyConsistent)
            if seen & 0x1F_FFFF >= seen >> 21 & 0x1F_FFFF { return }
        } while enlist(number)
    }

    /// Waits until all tasks of the round are done, whoever does them.
    func wait(_ count: Int) {
        var looks = 0
        while done.load(ordering: .acquiring) < count {
            looks += 1
            if looks % 4096 == 0 { sched_yield() } else { pk_wait_a_little() }
        }
        body = nil
    }
}
