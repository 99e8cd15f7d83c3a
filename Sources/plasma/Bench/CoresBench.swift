import API
import Dispatch
import Synchronization

/// What two threads do together that share nothing, to what one does: 2 where each has a core. Processors of a virtual machine may for a while be two halves of
/// one core, which then gives less to whatever runs on it: a measurement from such a while says nothing about a program.
enum CoresBench {
    /// One thread and two by turns, so that both see the same moment; told is the middle of all rounds.
    static func measure(rounds: Int, seconds: Double) -> JSONValue {
        let found = (0..<rounds).map { _ in
            rate(threads: 2, seconds) { _ in pass } / rate(threads: 1, seconds) { _ in pass }
        }
        return ["twoThreadsToOne": .number(found.median ?? 0), "rounds": .array(found.map { .number($0) })]
    }

    /// Gigabytes a second that one thread and two read of memory that no cache holds, by turns; told are the middles.
    static func measureMemory(rounds: Int, seconds: Double) -> JSONValue {
        let count = 256 << 20
        let memory = SharedMemory(count)
        func read(_ threads: Int) -> Double {
            let part = count / threads / 16
            let passes = rate(threads: threads, seconds) { thread in
                var next = 0
                // A part of what the thread reads at a time, so that the clock is looked at often.
                return { start in
                    let piece = part / 64
                    defer { next = (next + 1) % 64 }
                    return memory.sum(from: thread * part + next * piece, count: piece, start)
                }
            }
            return passes * Double(part / 64 * 16) / 1e9
        }
        let found = (0..<rounds).map { _ in (one: read(1), two: read(2)) }
        return [
            "oneThread": .number(found.map(\.one).median ?? 0), "twoThreads": .number(found.map(\.two).median ?? 0),
            "twoThreadsToOne": .number(found.map { $0.two / $0.one }.median ?? 0),
        ]
    }

    private typealias Pass = (SIMD4<Float>) -> SIMD4<Float>

    /// Passes a second of so many threads together, each with its own.
    private static func rate(threads: Int, _ seconds: Double, _ make: @Sendable (_ thread: Int) -> Pass) -> Double {
        let passes = Atomic<Int>(0)
        let end = ModelBench.now() + seconds
        DispatchQueue.concurrentPerform(iterations: threads) { thread in
            let pass = make(thread)
            var own = 0
            var value = SIMD4<Float>(repeating: Float(thread))
            while ModelBench.now() < end {
                value = pass(value)
                own += 1
            }
            // What was computed is used, so that it is computed.
            passes.add(value.x.isNaN ? 0 : own, ordering: .relaxed)
        }
        return Double(passes.load(ordering: .relaxed)) / seconds
    }

    /// Chains of products and sums, enough of them to keep one core's units busy by themselves.
    @inline(never) private static func pass(_ start: SIMD4<Float>) -> SIMD4<Float> {
        let (factor, term) = (SIMD4<Float>(repeating: 0.999), SIMD4<Float>(repeating: 0.001))
        var (a, b, c, d) = (start, start + 1, start + 2, start + 3)
        var (e, f, g, h) = (start + 4, start + 5, start + 6, start + 7)
        var (i, j, k, l) = (start + 8, start + 9, start + 10, start + 11)
        for _ in 0..<1_000 {
            (a, b, c, d) = (a * factor + term, b * factor + term, c * factor + term, d * factor + term)
            (e, f, g, h) = (e * factor + term, f * factor + term, g * factor + term, h * factor + term)
            (i, j, k, l) = (i * factor + term, j * factor + term, k * factor + term, l * factor + term)
        }
        return a + b + c + d + e + f + g + h + i + j + k + l
    }
}

/// Memory that threads only read.
private final class SharedMemory: @unchecked Sendable {
    private let base: UnsafeMutablePointer<SIMD4<Float>>

    /// `count` bytes of zeros, each page touched.
    init(_ count: Int) {
        base = .allocate(capacity: count / 16)
        base.initialize(repeating: .zero, count: count / 16)
    }

    deinit { base.deallocate() }

    /// The sum of vectors, eight chains of them so that none waits for another.
    func sum(from first: Int, count: Int, _ start: SIMD4<Float>) -> SIMD4<Float> {
        var (a, b, c, d) = (start, SIMD4<Float>.zero, SIMD4<Float>.zero, SIMD4<Float>.zero)
        var (e, f, g, h) = (a, b, c, d)
        for place in stride(from: first, to: first + count - 7, by: 8) {
            let p = base + place
            (a, b, c, d) = (a + p[0], b + p[1], c + p[2], d + p[3])
            (e, f, g, h) = (e + p[4], f + p[5], g + p[6], h + p[7])
        }
        return a + b + c + d + e + f + g + h
    }
}
