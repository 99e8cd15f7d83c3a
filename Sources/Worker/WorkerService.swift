internal import Foundation
public import Ledger
public import Logging
public import Primitives
public import Programs
internal import Runtime

/// The chain, as a provider needs it.
public protocol ChainAccess: AnyObject, Sendable {
    /// The jobs that give this operator something to do, with their specs, from the latest executed state. `watching`: where it holds others' signed words.
    func work(
        of `operator`: Address, watching: [DisputeDesk.Attempt: [RevealPoint]]
    ) async throws -> ProviderView
    /// Signs moves and submits them together. `ended` is called for each, by its place, once it is final or refused, with the reason where it had no effect;
    /// returns after the last.
    func submit(
        _ payloads: [Payload], as key: SecretKey, ended: @escaping @Sendable (Int, String?) async -> Void) async
    /// Whether this provider is bound to answer a challenger without the chain, by the latest executed state.
    func permit(_ ask: WalkAsk, to provider: Address) async -> Result<WalkPermit, WalkAskRefusal>
}

/// Other nodes, as a challenger needs them.
public protocol PeerAccess: AnyObject, Sendable {
    /// Asks a node for a provider's answer; nil where it cannot be reached, or what it says is none.
    func ask(_ ask: WalkAsk, of node: PublicKey) async -> WalkAnswer?
}

/// What a person sees of a task.
public struct WorkReport: Sendable {
    public let task: WorkTask
    public let stage: String
    public let fetchedBytes: UInt64
    public let totalBytes: UInt64
    public let progress: Double
}

/// How a provider takes part.
public struct WorkerConfiguration: Sendable {
    public var key: SecretKey
    public var registration: Payload
    public var offer: OfferTerms
    public var threads: Int
    public var memory: UInt64
    /// Test only: a fault to commit.
    public var flipsBit: Bool
    /// Test only: it shows the bytes of no result.
    public var withholds = false

    public init(
        key: SecretKey, registration: Payload, offer: OfferTerms, threads: Int, memory: UInt64, flipsBit: Bool = false
    ) {
        self.key = key
        self.registration = registration
        self.offer = offer
        self.threads = threads
        self.memory = memory
        self.flipsBit = flipsBit
    }
}

/// The shell around `ProviderMachine`: looks at the state whenever it may have changed, and does what the machine says.
public actor WorkerService {
    private let configuration: WorkerConfiguration
    private let chain: any ChainAccess
    private let peers: any PeerAccess
    private let runner: JobRunner
    private let fetcher: JobFetcher
    private let logger: Logger
    /// Audits do not wait for jobs, so that a long one makes no auditor late.
    private var runs: [WorkRole: RunQueue] = [.executor: RunQueue(), .auditor: RunQueue()]
    private var machine: ProviderMachine
    private var fetched: [WorkTask: (done: UInt64, total: UInt64)] = [:]
    private var fractions: [WorkTask: Double] = [:]
    /// When the runs that go on have begun, in nanoseconds.
    private var begun: [WorkTask: UInt64] = [:]
    private var complaint: String?
    private var looking = false
    private var lookAgain = false

    public init(
        configuration: WorkerConfiguration, chain: any ChainAccess, blobs: any BlobAccess, peers: any PeerAccess,
        logger: Logger
    ) {
        self.configuration = configuration
        self.chain = chain
        self.peers = peers
        self.logger = logger
        machine = ProviderMachine(
            key: configuration.key, registration: configuration.registration, offer: configuration.offer)
        runner = JobRunner(
            blobs: blobs, threads: configuration.threads, memory: configuration.memory, flipsBit: configuration.flipsBit
        )
        fetcher = JobFetcher(blobs: blobs, runner: runner)
    }

    /// Looks until cancelled: on every executed block (`stateChanged`) and at least twice a second.
    public func run() async {
        while !Task.isCancelled {
            await look()
            try? await Task.sleep(nanoseconds: 500_000_000)
        }
    }

    /// The state may have changed.
    public func stateChanged() async { await look() }

    /// For operators: the tasks at hand.
    public var reports: [WorkReport] {
        machine.progress.keys.sorted().map { task in
            WorkReport(
                task: task, stage: name(machine.progress[task]), fetchedBytes: fetched[task]?.done ?? 0,
                totalBytes: fetched[task]?.total ?? 0, progress: fractions[task] ?? 0)
        }
    }

    private func name(_ progress: WorkProgress?) -> String {
        switch progress {
        case .fetching: "fetching"
        case .fetched: "fetched"
        case .running: "running"
        case .done: "done"
        case .refused: "refused"
        case nil: "waiting"
        }
    }

    private func look() async {
        if looking {
            lookAgain = true
            return
        }
        looking = true
        defer { looking = false }
        repeat {
            lookAgain = false
            let began = ContinuousClock.now
            for task in begun.keys { judge(task) }
            let watched = machine.watched
            guard let view = try? await chain.work(of: configuration.key.publicKey.address, watching: watched) else {
                return
            }
            var moves: [(payload: Payload, submission: ProviderMachine.Submission)] = []
            for output in machine.look(at: view) {
                if case .submit(let payload, let submission) = output {
                    moves.append((payload, submission))
                } else {
                    carryOut(output)
                }
            }
            if !moves.isEmpty { submit(moves) }
            // What ends meanwhile is seen by one look: with many jobs at hand a look for each would take all of the time, and their moves would not travel
            // together.
            try? await Task.sleep(for: min(began.duration(to: .now) * 4, .milliseconds(20)))
        } while lookAgain
    }

    /// All of a look's moves travel together.
    private func submit(_ moves: [(payload: Payload, submission: ProviderMachine.Submission)]) {
        Task {
            await chain.submit(moves.map(\.payload), as: configuration.key) { place, failure in
                await self.ended(moves[place].payload, moves[place].submission, failure)
            }
        }
    }

    private func ended(_ payload: Payload, _ submission: ProviderMachine.Submission, _ failure: String?) async {
        guard let failure else {
            if submission == .join {
                if case .setOffer = payload {
                    logger.info("the offer stands")
                } else {
                    logger.info("registered as a provider")
                }
            }
            // The block that it is in has had its look, or has it now.
            return machine.ended(submission)
        }
        switch submission {
        case .join: complain(failure)
        case .move(let move): logger.warning("\(move) was refused: \(failure)")
        case .device(let duty):
            logger.warning("a move in the challenge of device \(duty.device) was refused: \(failure)")
        case .dispute(let duty):
            logger.warning("a move in the dispute of job \(duty.job.hex.prefix(8)) was refused: \(failure)")
        }
        try? await Task.sleep(nanoseconds: UInt64(submission.pause.nanoseconds))
        machine.ended(submission)
        await look()
    }

    /// Tells once why joining fails, and again only when the reason is another.
    private func complain(_ reason: String) {
        if reason == complaint { return }
        complaint = reason
        let address = configuration.key.publicKey.address
        logger.warning(
            "cannot join as a provider: \(reason). Trying until it works; the operator's account is \(address). Somebody else can pay for a start without a bond: plasma provider request"
        )
    }

    private func carryOut(_ output: ProviderMachine.Output) {
        switch output {
        case .submit: break
        case .fetch(let task, let order):
            Task {
                do {
                    let resolution = try await fetcher.fetch(order) { done, total in
                        Task { await self.note(fetched: done, of: total, task) }
                    }
                    if let resolution { machine.found(resolution, for: task) }
                    finish(task, .fetched)
                } catch {
                    finish(task, .refused(error as? WorkRefusal ?? .failed("\(error)")))
                }
            }
        case .run(let task, let order): begin(runs[task.role]?.add(task, order))
        case .hold(let task, let result, let limit):
            Task {
                do {
                    try await fetcher.hold(result, atMost: limit) { done, total in
                        Task { await self.note(fetched: done, of: total, task) }
                    }
                    finish(task, .fetched)
                } catch {
                    finish(task, .refused(error as? WorkRefusal ?? .failed("\(error)")))
                }
            }
        case .gather(let task, let result, let order): gather(task, result, order)
        case .play(let item, let order): play(item, order)
        case .measure(let duty): measure(duty)
        case .warn(let failure): warn(failure)
        case .ask(let ask, let node, let pause):
            Task {
                if pause > .zero { try? await Task.sleep(nanoseconds: UInt64(pause.nanoseconds)) }
                machine.answered(ask, await peers.ask(ask, of: node))
                await look()
            }
        case .forget(let task):
            begun[task] = nil
            begin(runs[task.role]?.remove(task))
            fetched[task] = nil
            fractions[task] = nil
        }
    }

    /// A challenger asks this provider for a reveal.
    public func asked(_ ask: WalkAsk) async -> WalkAnswer {
        let permit: WalkPermit
        switch await chain.permit(ask, to: configuration.key.publicKey.address) {
        case .success(let found): permit = found
        case .failure(let refusal): return .refused(refusal)
        }
        let (answer, outputs) = machine.asked(ask, permit)
        for output in outputs { carryOut(output) }
        return answer
    }

    /// Runs a job whose turn it is, on a thread of its own.
    private func begin(_ item: (task: WorkTask, order: WorkOrder)??) {
        guard let (task, order) = item ?? nil else { return }
        begun[task] = DispatchTime.now().uptimeNanoseconds
        let runner = runner
        Thread.detachNewThread {
            let outcome: WorkProgress
            do {
                let commitment = try runner.run(runner.resolved(order).spec) { fraction in
                    Task { await self.note(fraction: fraction, task) }
                }
                outcome = .done(commitment)
            } catch {
                outcome = .refused(error as? WorkRefusal ?? .failed("\(error)"))
            }
            Task { await self.ran(task, outcome) }
        }
    }

    /// Tells the machine how a run goes on: it says whether that is far too slow.
    private func judge(_ task: WorkTask) {
        guard let start = begun[task] else { return }
        let elapsed = (DispatchTime.now().uptimeNanoseconds - start) / 1_000_000
        let done = UInt64(max(0, min(1, fractions[task] ?? 0)) * 1_000_000)
        if machine.progressed(task, after: elapsed, done: done) {
            logger.warning("job \(task.job.hex.prefix(8)) is far slower than its cost: \(elapsed) ms so far")
        }
    }

    private func ran(_ task: WorkTask, _ outcome: WorkProgress) {
        begun[task] = nil
        begin(runs[task.role]?.remove(task))
        finish(task, outcome)
    }

    /// Runs a challenge of the device, on a thread beside all others.
    private func measure(_ duty: DeviceDuty) {
        let threads = configuration.threads
        Thread.detachNewThread {
            let run = DeviceRun(duty.chain, showing: duty.numbers, threads: threads)
            Task { await self.measured(duty, run) }
        }
    }

    private func measured(_ duty: DeviceDuty, _ run: DeviceRun) async {
        machine.measured(duty, root: run.root, samples: run.samples)
        await look()
    }

    private func warn(_ failure: DeviceRecord.Failure) {
        switch failure {
        case .silent:
            logger.warning(
                "the device has not answered a challenge in time, and gets no job before it has answered another: if it was not down, its rate or memory in the configuration is far too high"
            )
        case .unproven:
            logger.warning(
                "the device has answered a challenge and not shown that the answer is right, which costs a part of the bond: look for faults in its memory before the node is started again"
            )
        }
    }

    /// Finds what a dispute asks for: the blobs again where they are gone, then steps of the job, on a thread.
    private func play(_ item: DisputeItem, _ order: WorkOrder) {
        Task {
            do {
                _ = try await fetcher.fetch(order)
            } catch {
                return finish(item.duty, .refused(error as? WorkRefusal ?? .failed("\(error)")))
            }
            let runner = runner
            Thread.detachNewThread {
                let outcome: DisputeProgress
                do { outcome = .done(try runner.play(item, runner.resolved(order).spec)) } catch {
                    outcome = .refused(error as? WorkRefusal ?? .failed("\(error)"))
                }
                Task { await self.finish(item.duty, outcome) }
            }
        }
    }

    /// Gathers the bytes of an own result; where they are gone, from a run of its own, on a thread.
    private func gather(_ task: WorkTask, _ result: ResultCommitment, _ order: WorkOrder) {
        if configuration.withholds { return finish(task, .fetched) }
        Task {
            do {
                var output: PostedOutput?
                do { output = try runner.posted(result) } catch WorkRefusal.unavailable {
                    _ = try await fetcher.fetch(order)
                    try await runAgain(order)
                    output = try runner.posted(result)
                }
                if let output { machine.found(output, for: task) }
                finish(task, .fetched)
            } catch {
                finish(task, .refused(error as? WorkRefusal ?? .failed("\(error)")))
            }
        }
    }

    private func runAgain(_ order: WorkOrder) async throws {
        let runner = runner
        try await withCheckedThrowingContinuation { (done: CheckedContinuation<Void, any Error>) in
            Thread.detachNewThread {
                do {
                    _ = try runner.run(runner.resolved(order).spec) { _ in }
                    done.resume()
                } catch { done.resume(throwing: error) }
            }
        }
    }

    private func finish(_ duty: DisputeDuty, _ outcome: DisputeProgress) {
        if case .refused(let refusal) = outcome {
            logger.warning("the dispute of job \(duty.job.hex.prefix(8)): \(refusal)")
        }
        let triesAgain = machine.finished(duty, outcome)
        Task {
            if triesAgain {
                try? await Task.sleep(nanoseconds: UInt64(ProviderMachine.fetchPause.nanoseconds))
                machine.retry(duty)
            }
            await look()
        }
    }

    private func note(fetched done: UInt64, of total: UInt64, _ task: WorkTask) {
        if machine.progress[task] != nil { fetched[task] = (done, total) }
    }

    private func note(fraction: Double, _ task: WorkTask) {
        if machine.progress[task] != nil { fractions[task] = fraction }
    }

    private func finish(_ task: WorkTask, _ outcome: WorkProgress) {
        if case .refused(let refusal) = outcome { logger.warning("job \(task.job.hex.prefix(8)): \(refusal)") }
        let triesAgain = machine.finished(task, outcome)
        Task {
            if triesAgain {
                try? await Task.sleep(nanoseconds: UInt64(ProviderMachine.fetchPause.nanoseconds))
                machine.retry(task)
            }
            await look()
        }
    }
}
