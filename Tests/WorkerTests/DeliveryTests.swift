import Ledger
import Primitives
import Programs
import Testing
import Worker

/// What a provider does about claims that an output is handed to nobody: as a witness of others', and where its own is claimed.
@Suite struct DeliveryTests {
    private let job = Digest.of(Domain("test"), [1])
    private let at: ProviderMachineTests
    private var witness: WorkTask { WorkTask(job: job, attempt: 1, role: .witness) }
    private var own: WorkTask { WorkTask(job: job, attempt: 1, role: .deliverer) }
    private let result = ResultCommitment(steps: [1], outputRoot: .zero, stateRoot: .zero)
    private let gone = WorkProgress.refused(.unavailable("x"))

    init() throws { at = try ProviderMachineTests() }

    private var machine: ProviderMachine {
        ProviderMachine(key: at.key, registration: at.registration, offer: at.offer)
    }

    private func view(_ stage: WorkItem.Stage, _ task: WorkTask) -> ProviderView {
        var view = at.view(stage, task)
        view.claimed[task] = result
        return view
    }

    /// What a look asks for, in words.
    private func words(_ outputs: [ProviderMachine.Output]) -> [String] {
        outputs.map { output in
            switch output {
            case .hold(let task, let found, let limit):
                "hold \(task.role) \(found == result && limit == at.spec.memory)"
            case .gather(let task, let found, _): "gather \(task.role) \(found == result)"
            case .submit(.attestDelivery(_, let attempt, let holds), _): "attest \(attempt) \(holds)"
            case .submit(.postOutput(_, let attempt, _), _): "post \(attempt)"
            case .forget(let task): "forget \(task.role)"
            default: "\(output)"
            }
        }
    }

    @Test func aWitnessFetchesTheOutputAndSaysThatItHoldsIt() {
        var machine = machine
        let asked = view(.asked(isLate: false), witness)
        #expect(words(machine.look(at: asked)) == ["hold witness true"])
        #expect(words(machine.look(at: asked)) == [])
        let isAgain = machine.finished(witness, .fetched)
        #expect(!isAgain)
        #expect(words(machine.look(at: asked)) == ["attest 1 true"])
        // Once, until it has ended.
        #expect(words(machine.look(at: asked)) == [])
        machine.ended(.move(.attest(witness, holds: true)))
        // The state asks no more.
        #expect(words(machine.look(at: at.view())) == ["forget witness"])
    }

    @Test func aWitnessThatCannotHaveItTriesAgainAndSaysSoWhileItsWordCounts() {
        var machine = machine
        let (early, late) = (view(.asked(isLate: false), witness), view(.asked(isLate: true), witness))
        _ = machine.look(at: early)
        let isAgain = machine.finished(witness, gone)
        #expect(isAgain)
        #expect(words(machine.look(at: early)) == [])
        machine.retry(witness)
        #expect(words(machine.look(at: early)) == ["hold witness true"])
        // While it is being fetched, and after it was not to be had.
        #expect(words(machine.look(at: late)) == ["attest 1 false"])
        machine.ended(.move(.attest(witness, holds: false)))
        _ = machine.finished(witness, gone)
        #expect(words(machine.look(at: late)) == ["attest 1 false"])
    }

    @Test func whatCameInTheLastMomentIsHeld() {
        var machine = machine
        _ = machine.look(at: view(.asked(isLate: false), witness))
        _ = machine.finished(witness, .fetched)
        #expect(words(machine.look(at: view(.asked(isLate: true), witness))) == ["attest 1 true"])
    }

    @Test func aSmallOutputThatIsClaimedIsShownToTheChain() {
        var machine = machine
        let claimed = view(.claimed, own)
        #expect(words(machine.look(at: claimed)) == ["gather deliverer true"])
        machine.found(PostedOutput(steps: [], kept: .init([])), for: own)
        _ = machine.finished(own, .fetched)
        #expect(words(machine.look(at: claimed)) == ["post 1"])
        machine.ended(.move(.post(own)))
        // It was lost on its way: again.
        #expect(words(machine.look(at: claimed)) == ["post 1"])
        #expect(words(machine.look(at: at.view())) == ["forget deliverer"])
    }

    @Test func aLargeOutputThatIsClaimedIsOnlyServed() {
        var machine = machine
        let claimed = view(.claimed, own)
        _ = machine.look(at: claimed)
        _ = machine.finished(own, .fetched)
        #expect(words(machine.look(at: claimed)) == [])
    }

    /// A restart loses nothing but what was on its way: the state says it all again.
    @Test func afterARestartBothBeginAnew() {
        var first = machine
        _ = first.look(at: view(.claimed, own))
        _ = first.finished(own, .fetched)
        var second = machine
        #expect(words(second.look(at: view(.claimed, own))) == ["gather deliverer true"])
        #expect(
            words(second.look(at: view(.asked(isLate: false), witness))) == ["hold witness true", "forget deliverer"])
    }

    // MARK: The bytes

    @Test func theBytesOfASmallResultAreThoseOfItsRoots() throws {
        let job = try JobRunnerTests.counter(from: 2, to: 6, seed: 5)
        let result = try job.run()
        let runner = JobRunner(blobs: job.blobs, threads: 1, memory: 1 << 20, flipsBit: false)
        let output = try #require(try runner.posted(result))
        #expect(output.steps.count == 4)
        #expect(ResultRoots.outputRoot(output.stepRoots) == result.outputRoot)
        #expect(ResultRoots.stateRoot(output.keptRoots) == result.stateRoot)
        #expect(try PostedOutput(canonicalBytes: output.canonicalBytes) == output)
        #expect(try runner.tensors(of: result) == output.tensors.map(\.root))
        #expect(runner.lists(of: result) == [result.outputRoot, result.stateRoot])
    }

    @Test(arguments: [(UInt64(1023), true), (1024, true), (1025, false)])
    func aResultIsShownUpToItsBound(_ rows: UInt64, _ isSmall: Bool) throws {
        let blobs = MemoryBlobs()
        let numbers = [Int32](repeating: 3, count: Int(rows) * 4)
        let job = try TestJob(
            JobRunnerTests.product(), axes: [rows], weights: [blobs.tensor([1, 2, 3, 4], [4])],
            inputs: [blobs.tensor(numbers, [rows, 4])], in: blobs)
        let runner = JobRunner(blobs: blobs, threads: 1, memory: 1 << 20, flipsBit: false)
        let output = try runner.posted(try job.run(runner))
        #expect((output != nil) == isSmall)
    }

    /// Nothing but types and shapes, and yet too much for a transaction.
    @Test func manySmallTensorsAreTooManyToShow() throws {
        let job = try JobRunnerTests.counter(from: 0, to: 2000, steps: 1100)
        let runner = JobRunner(blobs: job.blobs, threads: 1, memory: 1 << 20, flipsBit: false)
        #expect(try runner.posted(try job.run(runner)) == nil)
    }

    @Test func whatIsNotHereIsUnavailable() throws {
        let job = try JobRunnerTests.counter(from: 2, to: 6)
        let result = try job.run()
        let elsewhere = JobRunner(blobs: MemoryBlobs(), threads: 1, memory: 1 << 20, flipsBit: false)
        #expect(throws: WorkRefusal.unavailable("the list of what a job gave out")) { try elsewhere.posted(result) }
    }

    /// By the memory that a job says to need the chain tells how long handing its result out may take.
    @Test func aJobThatLeavesMoreThanItSaysToNeedIsRefused() throws {
        var job = try JobRunnerTests.counter(from: 2, to: 6)
        let fixed = try job.program.specialise([("steps", 9)])
        // A word of 4 bytes and one of 8 at each of nine steps, and the count that is kept.
        #expect(fixed.resultBytes == 9 * 12 + 4)
        #expect(fixed.memoryEstimate >= fixed.resultBytes)
        job.spec.memory = fixed.resultBytes
        _ = try job.run()
        job.spec.memory -= 1
        #expect(throws: WorkRefusal.malformed("the job leaves 112 bytes, and says to need 111 of memory in all")) {
            try job.run()
        }
    }
}
