import Foundation
import Runtime
import Synchronization
import Testing

@Suite struct ThreadTeamTests {
    /// How often each task was done, and whether a thread's number was one that the team has.
    private final class Log: Sendable {
        private let counts: Mutex<[Int]>
        private let isForeign = Atomic<Bool>(false)

        init(_ count: Int) { counts = Mutex([Int](repeating: 0, count: count)) }

        func note(_ task: Int, _ thread: Int, of threads: Int) {
            counts.withLock { $0[task] += 1 }
            if !(0..<threads).contains(thread) { isForeign.store(true, ordering: .relaxed) }
        }

        var isRight: Bool { !isForeign.load(ordering: .relaxed) && counts.withLock { $0.allSatisfy { $0 == 1 } } }
    }

    /// Round after round, so that helpers of one are still there in the next, and pauses between some, so that they have gone.
    @Test(arguments: [1, 2, 3, 8, 64]) func eachTaskIsDoneOnce(_ threads: Int) {
        let team = ThreadTeam(threads: threads)
        for round in 0..<1_500 {
            let count = [1, 2, 3, 7, 40][round % 5]
            let log = Log(count)
            team.run(count) { task, thread in log.note(task, thread, of: threads) }
            if !log.isRight { Issue.record("round \(round) of \(count) tasks on \(threads) threads") }
            if round % 300 == 299 { Thread.sleep(forTimeInterval: 0.002) }
        }
        team.run(0) { _, _ in Issue.record("there is no task") }
    }

    @Test func aRangeIsSharedOutWithoutGapsOrRests() {
        let team = ThreadTeam(threads: 3)
        for (count, grain) in [(0, 4), (1, 4), (4, 4), (5, 4), (1_000, 7), (10, 0)] {
            let log = Log(count)
            team.run(over: count, grain: grain) { range, thread in
                for place in range { log.note(place, thread, of: 3) }
            }
            #expect(log.isRight, "\(count) by \(grain)")
        }
    }

    /// A run within a run, and runs of several callers at once, do their tasks by themselves.
    @Test func whoFindsTheTeamBusyWorksAlone() {
        let team = ThreadTeam(threads: 2)
        let inner = Log(40)
        team.run(4) { outer, _ in
            team.run(10) { task, thread in inner.note(outer * 10 + task, thread, of: 2) }
        }
        #expect(inner.isRight)
        let logs = (0..<4).map { _ in Log(300) }
        DispatchQueue.concurrentPerform(iterations: 4) { caller in
            for round in 0..<300 {
                team.run(1) { _, _ in }
                let sum = Atomic<Int>(0)
                team.run(20) { task, _ in sum.wrappingAdd(task, ordering: .relaxed) }
                if sum.load(ordering: .relaxed) == 190 { logs[caller].note(round, 0, of: 1) }
            }
        }
        let isRight = logs.allSatisfy(\.isRight)
        #expect(isRight)
    }
}
