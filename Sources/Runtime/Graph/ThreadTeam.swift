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
///
/// Threads of even numbers begin with the first half of the tasks, the others with the second: so of kernels that follow one another each thread takes
/// about the same part, which it finds in its cache. Who is done with its half goes on with the other.
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
    /// The round, and how many tasks of each half are taken: so a task is taken of the round that was looked at or not at all.
    private let ticket = Atomic<UInt64>(0)
    /// Tasks of the round. It changes while the ticket is one of which nothing can be taken: who reads another round's count then fails to take by it.
    private let count = Atomic<Int>(0)
    private static let closed = UInt64(1) << 42 - 1
    private let done = Atomic<Int>(0)
    /// A bit for each helper that is there.
    private let present = Atomic<UInt64>(0)
    private var body: (@Sendable (Int, Int) -> Void)?

    func publish(_ count: Int, _ body: @escaping @Sendable (Int, Int) -> Void) {
        self.body = body
        done.store(0, ordering: .relaxed)
        let round = ticket.load(ordering: .relaxed) >> 42
        ticket.store((round &+ 1) << 42 | Work.closed, ordering: .relaxed)
        self.count.store(count, ordering: .releasing)
        ticket.store((round &+ 2) << 42, ordering: .sequentiallyConsistent)
    }

    /// The next task for a thread, if there is one, and what the ticket is once it is taken.
    private func next(_ seen: UInt64, _ thread: Int) -> (task: Int, ticket: UInt64)? {
        let count = count.load(ordering: .acquiring)
        let half = (count + 1) / 2
        let (first, second) = (Int(seen >> 21 & 0x1F_FFFF), Int(seen & 0x1F_FFFF))
        let isFirst = first < half && (thread % 2 == 0 || second >= count - half)
        if isFirst { return (first, seen + 1 << 21) }
        return second < count - half ? (half + second, seen + 1) : nil
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
            guard let (task, taken) = next(seen, thread) else { return took }
            guard
                ticket.weakCompareExchange(expected: seen, desired: taken, ordering: .acquiringAndReleasing).exchanged
            else { continue }
            took = true
            perform(task, thread)
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
            if next(seen, number) == nil { return }
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
