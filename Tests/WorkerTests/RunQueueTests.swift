import Ledger
import Primitives
import Programs
import Testing
import Worker

@Suite struct RunQueueTests {
    static func task(_ number: UInt8) -> WorkTask {
        WorkTask(job: Digest.of(Domain("test"), [number]), attempt: 1, role: .executor)
    }

    static func order() throws -> WorkOrder {
        WorkOrder(
            spec: JobSpec(
                program: .zero, manifest: .zero, axes: [], parameters: AgreedList([]), inputs: [],
                scans: [JobScan(steps: 1, weightedOperations: 1)], computeUnits: ComputeUnits(weightedOperations: 1),
                memory: 1, maximumPricePer1000CU: .xpl(1), policy: .audited, queueMilliseconds: 1,
                deadlineMilliseconds: 1,
                storageHint: try SecretKey(seed: [UInt8](repeating: 1, count: 32)).publicKey))
    }

    @Test func runsFollowOneAnotherInTheOrderOfAsking() throws {
        var queue = RunQueue()
        let order = try Self.order()
        let first = queue.add(Self.task(1), order)?.task
        #expect(first == Self.task(1))
        for number in UInt8(2)...3 {
            let begun = queue.add(Self.task(number), order)?.task
            #expect(begun == nil)
        }
        for number in UInt8(1)...2 {
            let begun = queue.remove(Self.task(number))?.task
            #expect(begun == Self.task(number + 1))
        }
        let none = queue.remove(Self.task(3))?.task
        #expect(none == nil)
    }

    /// The chain had given its job to another, and its thread went on for hours: the next job waited for it and was lost too.
    @Test func aRunThatNobodyWaitsForHoldsNobodyUp() throws {
        var queue = RunQueue()
        let order = try Self.order()
        for number in UInt8(1)...3 { _ = queue.add(Self.task(number), order) }
        // One that waits is taken out, and begins nothing.
        let waiting = queue.remove(Self.task(2))?.task
        #expect(waiting == nil)
        let next = queue.remove(Self.task(1))?.task
        #expect(next == Self.task(3))
        // Its late end frees nobody else's turn.
        let late = queue.remove(Self.task(1))?.task
        #expect(late == nil)
        let begun = queue.add(Self.task(4), order)?.task
        #expect(begun == nil)
    }
}
