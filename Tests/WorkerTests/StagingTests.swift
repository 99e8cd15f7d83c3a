import Ledger
import Primitives
import Programs
import Testing
import Worker

/// What a provider says of a job before its run, and of a run that is far too slow.
@Suite struct StagingTests {
    private let at: ProviderMachineTests
    private let gone = WorkProgress.refused(.unavailable("x"))

    init() throws { at = try ProviderMachineTests() }

    private func task(_ number: UInt8, _ role: WorkRole = .executor) -> WorkTask {
        WorkTask(job: Digest.of(Domain("test"), [number]), attempt: 1, role: role)
    }

    private func decide(
        _ items: [(WorkItem.Stage, WorkProgress?, UInt64)], slow: Set<WorkTask> = []
    ) -> [WorkAction] {
        // In the order of their names, which is the order in which they are looked at.
        let tasks = (1...UInt8(items.count)).map { task($0) }.sorted()
        var progress: [WorkTask: WorkProgress] = [:]
        for (task, item) in zip(tasks, items) { progress[task] = item.1 }
        let named = zip(tasks, items).map { WorkItem(task: $0, stage: $1.0, milliseconds: $1.2) }
        return ProviderAgent.decide(items: named, progress: progress, underWay: [], slow: slow)
    }

    private var tasks: [WorkTask] { (1...2).map { task($0) }.sorted() }

    // MARK: Waiting for a turn

    @Test func aJobBehindALongRunIsStagedAndStartsWithItsTurn() {
        let running = WorkItem.Stage.running(heartbeatDue: false)
        let fetched = WorkItem.Stage.assigned(isLate: false)
        #expect(decide([(running, .running, 2_001), (fetched, .fetched, 5)]) == [.post(.stage(tasks[1]))])
        #expect(decide([(running, .running, 2_000), (fetched, .fetched, 5)]) == [.post(.start(tasks[1]))])
        // It has said so; it starts once the run is done, or when its time runs out.
        #expect(decide([(running, .running, 9_000), (.staged(isLate: false), .fetched, 5)]) == [])
        #expect(
            decide([(running, .running, 9_000), (.staged(isLate: true), .fetched, 5)]) == [.post(.start(tasks[1]))])
        let done = WorkProgress.done(ResultCommitment(steps: [1], outputRoot: .zero, stateRoot: .zero))
        #expect(
            decide([(running, done, 9_000), (.staged(isLate: false), .fetched, 5)])
                == [.post(.commit(tasks[0])), .post(.start(tasks[1]))])
        // Late, it is not staged any more.
        #expect(
            decide([(running, .running, 9_000), (.assigned(isLate: true), .fetched, 5)])
                == [.post(.start(tasks[1]))])
    }

    @Test func ofTwoLongJobsOneStartsAndTheOtherWaits() {
        let fetched = WorkItem.Stage.assigned(isLate: false)
        #expect(
            decide([(fetched, .fetched, 9_000), (fetched, .fetched, 9_000)])
                == [.post(.start(tasks[0])), .post(.stage(tasks[1]))])
    }

    /// After a restart the inputs are looked for again: who has staged is bound to a start.
    @Test func whatWasStagedIsFetchedAgain() {
        #expect(decide([(.staged(isLate: false), nil, 5)]) == [.fetch(task(1))])
        #expect(decide([(.staged(isLate: true), .fetching, 5)]) == [])
    }

    // MARK: Inputs that cannot be had

    @Test func whoHasReportedGoesOnLookingAndStartsWithWhatItFinds() {
        var machine = ProviderMachine(key: at.key, registration: at.registration, offer: at.offer)
        let task = at.task
        func words(_ stage: WorkItem.Stage) -> [String] {
            machine.look(at: at.view(stage, task)).map { output in
                switch output {
                case .fetch: "fetch"
                case .submit(.declineJob(_, _, let reason), _): "decline \(reason)"
                case .submit(.startJob, _): "start"
                default: "\(output)"
                }
            }
        }
        #expect(words(.assigned(isLate: false)) == ["fetch"])
        let isAgain = machine.finished(task, gone)
        // It is said to the chain first.
        #expect(!isAgain)
        #expect(words(.assigned(isLate: false)) == ["decline inputsUnavailable"])
        machine.ended(.move(.decline(task, reason: 1)))
        #expect(words(.reported(isLate: false)) == [])
        // After a restart, or a pause.
        machine.retry(task)
        #expect(words(.reported(isLate: false)) == ["fetch"])
        let isTriedAgain = machine.finished(task, gone)
        #expect(isTriedAgain)
        // Witnesses have them, and it has not.
        #expect(words(.reported(isLate: true)) == ["decline inputsUnavailable"])
        machine.ended(.move(.decline(task, reason: 1)))
        machine.retry(task)
        #expect(words(.reported(isLate: false)) == ["fetch"])
        _ = machine.finished(task, .fetched)
        #expect(words(.reported(isLate: true)) == ["start"])
    }

    @Test func aWitnessOfInputsFetchesThemAsTheProviderWould() {
        var machine = ProviderMachine(key: at.key, registration: at.registration, offer: at.offer)
        let witness = task(1, .witness)
        func words(_ isLate: Bool) -> [String] {
            machine.look(at: at.view(.asked(isLate: isLate), witness)).map { output in
                switch output {
                case .fetch(let task, let order): "fetch \(task.role) \(order.spec == at.spec)"
                case .submit(.attestDelivery(_, _, let holds), _): "attest \(holds)"
                default: "\(output)"
                }
            }
        }
        #expect(words(false) == ["fetch witness true"])
        let isAgain = machine.finished(witness, gone)
        #expect(isAgain)
        #expect(words(false) == [])
        machine.retry(witness)
        #expect(words(false) == ["fetch witness true"])
        // What is wrong stays so.
        let isRight = machine.finished(witness, .refused(.malformed("x")))
        #expect(!isRight)
        #expect(words(false) == [])
        #expect(words(true) == ["attest false"])
    }

    // MARK: Slow numbers

    /// 10 steps at 10 operations and 40 at 1, of 150 with the reading.
    private var spec: JobSpec {
        var spec = at.spec
        spec.scans = [JobScan(steps: 10, weightedOperations: 10), JobScan(steps: 40, weightedOperations: 1)]
        spec.computeUnits = ComputeUnits(weightedOperations: 150)
        return spec
    }

    @Test(arguments: [
        // Nothing is judged before its time.
        (UInt64(14_999), UInt64(0), UInt64(1), false), (15_000, 0, 1, true),
        (29_999, 0, 30_000, false), (30_000, 0, 30_000, false),
        // Nothing is done: the time alone counts.
        (99_999, 0, 1_000, false), (100_000, 0, 1_000, true),
        // One step, 10 of 150: all would take 15 times as long.
        (99_999, 20_000, 15_000, false), (100_000, 20_000, 15_000, true),
        // Within a step nothing is known; a share may be rounded down by a millionth.
        (100_000, 39_998, 15_000, true), (100_000, 39_999, 15_000, false),
        // All of the first scan, and one step of the second.
        (67_333, 220_000, 1_000, false), (67_334, 220_000, 1_000, true),
        // As fast as its rate, and all but done.
        (1_000_000, 980_000, 1_000_000, false), (UInt64(1) << 40, 1_000_000, 1 << 31, true),
    ]) func aRunIsSlowByWhatIsDoneOfIt(_ elapsed: UInt64, _ done: UInt64, _ own: UInt64, _ isSlow: Bool) {
        let pace = RunPace(spec, milliseconds: own, patience: 15_000)
        #expect(pace.isSlow(after: elapsed, done: done) == isSlow)
    }

    @Test func aSlowRunIsReportedUntilTheStateSaysSo() {
        var machine = ProviderMachine(key: at.key, registration: at.registration, offer: at.offer)
        var view = at.view()
        view.items = [WorkItem(task: at.task, stage: .running(heartbeatDue: false), milliseconds: 10)]
        view.slowPatience = 15_000
        func reports() -> Int {
            machine.look(at: view).count { output in
                if case .submit(.reportSlow(_, 1), .move(.reportSlow)) = output { true } else { false }
            }
        }
        _ = machine.look(at: view)
        _ = machine.finished(at.task, .fetched)
        #expect(reports() == 0)
        #expect(machine.progress[at.task] == .running)
        let early = machine.progressed(at.task, after: 14_999, done: 0)
        #expect(!early)
        #expect(reports() == 0)
        let late = machine.progressed(at.task, after: 15_000, done: 0)
        let again = machine.progressed(at.task, after: 16_000, done: 0)
        #expect(late && !again)
        #expect(reports() == 1)
        #expect(reports() == 0)
        // Too early for the chain, or lost.
        machine.ended(.move(.reportSlow(at.task)))
        #expect(reports() == 1)
        // It came to its end all the same.
        machine.ended(.move(.reportSlow(at.task)))
        _ = machine.finished(at.task, .done(ResultCommitment(steps: [1], outputRoot: .zero, stateRoot: .zero)))
        #expect(reports() == 0)
        _ = machine.look(at: at.view())
        let forgotten = machine.progressed(at.task, after: 99_000, done: 0)
        #expect(!forgotten)
    }

    // MARK: Bytes

    /// Blobs of somebody else, of which what is fetched is kept.
    private final class FarBlobs: BlobAccess, @unchecked Sendable {
        let far: MemoryBlobs
        private var here: Set<Digest> = []
        private(set) var limits: [UInt64] = []

        init(_ far: MemoryBlobs) { self.far = far }

        func fetch(
            _ ids: [Digest], atMost limit: UInt64, progress: @escaping @Sendable (UInt64, UInt64) -> Void
        ) async throws {
            limits.append(limit)
            let bytes = ids.reduce(UInt64(0)) { $0 + UInt64(far.bytes(of: $1)?.count ?? 0) }
            if bytes > limit { throw BlobsTooLarge(count: ids.count, bytes: bytes, limit: limit) }
            here.formUnion(ids)
        }

        func mapped(_ id: Digest) throws -> any BlobBytes {
            if !here.contains(id) { throw MemoryBlobs.Missing() }
            return try far.mapped(id)
        }

        func storeTensor(type: UInt8, shape: [UInt64], bytes: [UInt8]) throws -> Digest { throw MemoryBlobs.Missing() }
        func tensorType(of id: Digest) throws -> (type: UInt8, shape: [UInt64])? { try far.tensorType(of: id) }
        func storeOutputs(_ steps: [[Digest]]) throws -> Digest { throw MemoryBlobs.Missing() }
        func outputs(of id: Digest) throws -> [[Digest]]? { try far.outputs(of: id) }
    }

    @Test func noMoreIsFetchedThanTheJobSaysToNeed() async throws {
        let blobs = MemoryBlobs()
        // As much as a program's file may have is left for it.
        let rows = UInt64(Program.maximumBytes / 16 + 8)
        let large = blobs.tensor(.i32, [rows, 4], [UInt8](repeating: 0, count: Int(rows) * 16))
        var job = try TestJob(
            JobRunnerTests.product(), axes: [rows], weights: [blobs.tensor([1, 2, 3, 4], [4])], inputs: [large],
            in: blobs)
        job.spec.memory = 64
        let far = FarBlobs(blobs)
        let runner = JobRunner(blobs: far, threads: 1, memory: 1 << 30, flipsBit: false)
        let fetcher = JobFetcher(blobs: far, runner: runner)
        let refusal = await #expect(throws: WorkRefusal.self) { _ = try await fetcher.fetch(WorkOrder(spec: job.spec)) }
        guard case .malformed(let reason)? = refusal else { throw MemoryBlobs.Missing() }
        #expect(reason.hasPrefix("an input of the job is larger than the job may need"), "\(reason)")
        #expect(far.limits == [1 << 20, 64 + UInt64(Program.maximumBytes)])
        // What is here already is refused as well: others could not have it.
        let other = JobRunner(blobs: blobs, threads: 1, memory: 1 << 30, flipsBit: false)
        #expect(throws: WorkRefusal.self) { try other.check(job.spec) }
    }

    @Test func aJobSaysHowMuchItReads() throws {
        var job = try JobRunnerTests.product([1, 2, 3, 4])
        // A weight and an input of 16 bytes each.
        job.spec.memory = 32
        _ = try job.run()
        job.spec.memory = 31
        #expect(throws: WorkRefusal.malformed("the job reads 32 bytes, and says to need 31 of memory in all")) {
            try job.run()
        }
    }
}
