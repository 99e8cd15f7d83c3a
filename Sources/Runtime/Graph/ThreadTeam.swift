internal import Dispatch
internal import Synchronization

/// Threads that share out the tasks of one kernel after another. Which thread takes a task is open; what a task gives is not.
final class ThreadTeam: Sendable {
    let threads: Int

    init(threads: Int) { self.threads = max(1, threads) }

    /// Runs tasks 0 to count − 1, each once, and returns when all are done. The body gets the task and the thread's number.
    func run(_ count: Int, _ body: @Sendable (_ task: Int, _ thread: Int) -> Void) {
        let workers = min(threads, count)
        if workers <= 1 {
            for task in 0..<max(0, count) { body(task, 0) }
            return
        }
        let next = Counter()
        DispatchQueue.concurrentPerform(iterations: workers) { thread in
            while true {
                let task = next.increment()
                if task >= count { return }
                body(task, thread)
            }
        }
    }

    /// Like `run`, for a range in pieces of `grain`.
    func run(over count: Int, grain: Int, _ body: @Sendable (_ range: Range<Int>, _ thread: Int) -> Void) {
        let grain = max(1, grain)
        run((count + grain - 1) / grain) { task, thread in
            body(task * grain..<min(count, (task + 1) * grain), thread)
        }
    }
}
