import Ledger
import Primitives
import Programs
import Testing
import Worker

/// Jobs that read what other jobs left.
@Suite struct WorkOrderTests {
    private let parent = Digest.of(Domain("parent"), [1])

    /// A job that counts to what another gave out at a step.
    private func child(of job: TestJob, step: UInt64? = 2, index: UInt32 = 0, count: UInt32 = 2) -> JobSpec {
        var spec = job.spec
        spec.inputs[0].source = .result(ResultTensor(job: parent, step: step, index: index, count: count))
        return spec
    }

    private func runner(_ job: TestJob) -> JobRunner {
        JobRunner(blobs: job.blobs, threads: 1, memory: 1 << 20, flipsBit: false)
    }

    @Test func whatAnotherLeftIsReadAndShown() throws {
        let job = try JobRunnerTests.counter(from: 3, to: 20)
        let result = try job.run()
        let results = [parent: result]
        for (spec, expected) in [
            // It counted 4, 5, 6 … from 3; nine steps end at 12, which is kept.
            (child(of: job), Int32(6)), (child(of: job, step: nil, count: 1), 12),
        ] {
            let order = WorkOrder(spec: spec, results: results)
            #expect(order.lists == [spec.inputs[0].result?.step == nil ? result.stateRoot : result.outputRoot])
            let (plain, shown) = try runner(job).resolved(order)
            let resolution = try #require(shown)
            let root = TensorRoot.of(.i32, [], MemoryBlobs.bytes([expected]))
            #expect(plain.inputs[0].root == root)
            #expect(try resolution.roots(of: spec, reading: results) == plain.roots)
            let blobs = try runner(job).blobs(of: order)
            #expect(blobs.contains(root))
            try runner(job).check(plain)
            let counted = try runner(job).run(plain) { _ in }
            #expect(counted.steps == [UInt64(expected) - 3])
        }
        // A job that names roots alone is itself.
        let plain = try runner(job).resolved(WorkOrder(spec: job.spec))
        #expect(plain.spec == job.spec && plain.resolution == nil)
    }

    /// A hostile peer parts a list otherwise than the steps that gave it out: the id is the same, and so is what is read of it.
    @Test func aListThatIsPartedOtherwiseIsReadAllTheSame() throws {
        let job = try JobRunnerTests.counter(from: 3, to: 7)
        let result = try job.run()
        let steps = try #require(job.blobs.lists[result.outputRoot])
        let kept = try #require(job.blobs.lists[result.stateRoot])
        #expect(steps.map(\.count) == [2, 2, 2, 2])
        let order = WorkOrder(spec: child(of: job), results: [parent: result])
        let known = try runner(job).resolved(order)
        let tensors = steps.flatMap { $0 }
        for width in [1, 4, 8] {
            let list = stride(from: 0, to: 8, by: width).map { Array(tensors[$0..<$0 + width]) }
            #expect(ResultRoots.outputRoot(list) == result.outputRoot)
            job.blobs.replace(result.outputRoot, by: list)
            let (plain, resolution) = try runner(job).resolved(order)
            #expect(plain == known.spec && resolution == known.resolution)
            #expect(try runner(job).tensors(of: result) == tensors + kept[0])
        }
    }

    @Test func whatIsNotThereIsRefused() throws {
        let job = try JobRunnerTests.counter(from: 3, to: 20)
        let result = try job.run()
        let wrong = [
            child(of: job, step: 9), child(of: job, count: 3), child(of: job, index: 0, count: 1),
            child(of: job, step: nil, count: 2),
        ]
        for spec in wrong {
            #expect(throws: WorkRefusal.self) {
                try runner(job).resolved(WorkOrder(spec: spec, results: [parent: result]))
            }
        }
        #expect(throws: WorkRefusal.unavailable("the result of job \(parent)")) {
            try runner(job).resolved(WorkOrder(spec: child(of: job)))
        }
        let elsewhere = ResultCommitment(steps: [9], outputRoot: .zero, stateRoot: .zero)
        #expect(throws: WorkRefusal.unavailable("the list of what a job gave out")) {
            try runner(job).resolved(WorkOrder(spec: child(of: job), results: [parent: elsewhere]))
        }
        // Of the right type, at the right place, but not what the program reads.
        let order = WorkOrder(spec: child(of: job, index: 1), results: [parent: result])
        #expect(throws: WorkRefusal.self) { try runner(job).check(try runner(job).resolved(order).spec) }
    }

    /// The first start shows the roots; where the chain knows them, it is as any start.
    @Test func aStartShowsWhatNobodyHasShown() throws {
        let key = try SecretKey(seed: [UInt8](repeating: 1, count: 32))
        let offer = OfferTerms(
            device: 0, pricePer1000CUf32: .xpl(1), pricePer1000CUi8: .xpl(1), memory: 1, capacity: 1, expiry: 1_000,
            measuredRate: 1)
        let job = try JobRunnerTests.counter(from: 3, to: 20)
        let result = try job.run()
        let spec = child(of: job)
        let task = WorkTask(job: Digest.of(Domain("child"), [1]), attempt: 1, role: .executor)
        var view = ProviderView(
            registered: true, offer: offer, items: [WorkItem(task: task, stage: .assigned(isLate: false))],
            jobs: [task.job: spec])
        view.results = [parent: result]
        view.unresolved = [task.job]
        for isShown in [true, false] {
            var machine = ProviderMachine(key: key, registration: .withdrawProvider, offer: offer)
            var order: WorkOrder?
            for output in machine.look(at: view) { if case .fetch(task, let found) = output { order = found } }
            let found = try #require(order)
            #expect(found == WorkOrder(spec: spec, results: [parent: result]))
            let resolution = try #require(try runner(job).resolved(found).resolution)
            if isShown { machine.found(resolution, for: task) }
            _ = machine.finished(task, .fetched)
            let posted = machine.look(at: view).compactMap { output -> Payload? in
                if case .submit(let payload, .move(.start)) = output { payload } else { nil }
            }
            #expect(posted == (isShown ? [.startAfter(job: task.job, attempt: 1, resolution: resolution)] : []))
            view.unresolved = []
            let plain = machine.look(at: view).compactMap { output -> Payload? in
                if case .submit(let payload, .move(.start)) = output { payload } else { nil }
            }
            #expect(plain == (isShown ? [] : [.startJob(job: task.job, attempt: 1)]))
            view.unresolved = [task.job]
        }
    }
}
