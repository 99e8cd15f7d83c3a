internal import Foundation
public import Ledger
public import Logging
public import Primitives

/// The chain, as a provider needs it.
public protocol ChainAccess: AnyObject, Sendable {
    /// The jobs that give this operator something to do, with their specs, from the latest executed state.
    func work(of `operator`: Address) async throws -> ProviderView
    /// Signs and submits a move; returns once it is final or refused.
    func submit(_ payload: Payload, as key: SecretKey) async throws
}

/// The latest state as one provider sees it.
public struct ProviderView: Sendable {
    public var registered: Bool
    /// The offer of this provider's device 0 that stands.
    public var offer: OfferTerms?
    public var items: [WorkItem]
    public var jobs: [Digest: JobSpec]

    public init(registered: Bool, offer: OfferTerms?, items: [WorkItem], jobs: [Digest: JobSpec]) {
        self.registered = registered
        self.offer = offer
        self.items = items
        self.jobs = jobs
    }
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

/// The shell around `ProviderAgent`: looks at the state whenever it may have changed, and does what the agent says.
public actor WorkerService {
    private let configuration: WorkerConfiguration
    private let chain: any ChainAccess
    private let blobs: any BlobAccess
    private let runner: JobRunner
    private let logger: Logger
    private var progress: [WorkTask: WorkProgress] = [:]
    private var underWay: Set<WorkMove> = []
    private var fetched: [WorkTask: (done: UInt64, total: UInt64)] = [:]
    private var fractions: [WorkTask: Double] = [:]
    private var stages: [WorkTask: String] = [:]
    private var joining = false
    private var complaint: String?
    private var looking = false
    private var lookAgain = false

    public init(
        configuration: WorkerConfiguration, chain: any ChainAccess, blobs: any BlobAccess, logger: Logger
    ) {
        self.configuration = configuration
        self.chain = chain
        self.blobs = blobs
        self.logger = logger
        runner = JobRunner(
            blobs: blobs, threads: configuration.threads, memory: configuration.memory, flipsBit: configuration.flipsBit
        )
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
        progress.keys.sorted().map { task in
            WorkReport(
                task: task, stage: stages[task] ?? name(progress[task]), fetchedBytes: fetched[task]?.done ?? 0,
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
            guard let view = try? await chain.work(of: configuration.key.publicKey.address) else { return }
            join(view)
            for action in ProviderAgent.decide(items: view.items, progress: progress, underWay: underWay) {
                carryOut(action, view)
            }
        } while lookAgain
    }

    private func join(_ view: ProviderView) {
        // A new price or size in the configuration is a new offer.
        if joining || (view.registered && view.offer == configuration.offer) { return }
        joining = true
        let payload = view.registered ? .setOffer(configuration.offer) : configuration.registration
        Task {
            do {
                try await chain.submit(payload, as: configuration.key)
                logger.info("\(view.registered ? "the offer stands" : "registered as a provider")")
            } catch {
                complain("\(error)")
                try? await Task.sleep(nanoseconds: 1_000_000_000)
            }
            joining = false
            await look()
        }
    }

    /// Tells once why joining fails, and again only when the reason is another.
    private func complain(_ reason: String) {
        if reason == complaint { return }
        complaint = reason
        let address = configuration.key.publicKey.address
        logger.warning(
            "cannot join as a provider: \(reason). Trying until it works; the operator's account is \(address)")
    }

    private func carryOut(_ action: WorkAction, _ view: ProviderView) {
        switch action {
        case .fetch(let task):
            guard let spec = view.jobs[task.job] else { return }
            progress[task] = .fetching
            Task {
                do {
                    try await runner.fetch(spec) { done, total in
                        Task { await self.note(fetched: done, of: total, task) }
                    }
                    finish(task, .fetched)
                } catch {
                    finish(task, .refused(error as? WorkRefusal ?? .failed("\(error)")))
                }
            }
        case .run(let task):
            guard let spec = view.jobs[task.job] else { return }
            progress[task] = .running
            let runner = runner
            Thread.detachNewThread {
                let outcome: WorkProgress
                do {
                    let commitment = try runner.run(spec) { fraction in
                        Task { await self.note(fraction: fraction, task) }
                    }
                    outcome = .done(commitment)
                } catch {
                    outcome = .refused(error as? WorkRefusal ?? .failed("\(error)"))
                }
                Task { await self.finish(task, outcome) }
            }
        case .post(let move):
            guard let payload = payload(of: move) else { return }
            underWay.insert(move)
            Task {
                do { try await chain.submit(payload, as: configuration.key) } catch {
                    logger.warning("\(move) was refused: \(error)")
                    try? await Task.sleep(nanoseconds: 200_000_000)
                }
                underWay.remove(move)
                await look()
            }
        case .forget(let task):
            progress[task] = nil
            fetched[task] = nil
            fractions[task] = nil
            stages[task] = nil
        }
    }

    private func note(fetched done: UInt64, of total: UInt64, _ task: WorkTask) {
        if progress[task] != nil { fetched[task] = (done, total) }
    }

    private func note(fraction: Double, _ task: WorkTask) {
        if progress[task] != nil { fractions[task] = fraction }
    }

    private func finish(_ task: WorkTask, _ outcome: WorkProgress) {
        // Forgotten meanwhile: the job went elsewhere.
        if progress[task] == nil { return }
        if case .refused(let refusal) = outcome { logger.warning("job \(task.job.hex.prefix(8)): \(refusal)") }
        progress[task] = outcome
        Task {
            // An auditor has no other way out than to try again until its time is over.
            if case .refused(.unavailable) = outcome, task.role == .auditor {
                try? await Task.sleep(nanoseconds: 1_000_000_000)
                if progress[task] == outcome { progress[task] = nil }
            }
            await look()
        }
    }

    private func payload(of move: WorkMove) -> Payload? {
        func result(_ task: WorkTask) -> (ResultCommitment, Digest)? {
            guard case .done(let commitment) = progress[task] else { return nil }
            return (commitment, ProviderAgent.salt(key: configuration.key, task: task))
        }
        func masked(_ task: WorkTask) -> Digest? {
            result(task).map { commitment, salt in
                commitment.masked(
                    salt: salt, provider: configuration.key.publicKey.address, job: task.job, attempt: task.attempt)
            }
        }
        switch move {
        case .start(let task): return .startJob(job: task.job, attempt: task.attempt)
        case .decline(let task, let reason):
            return .declineJob(
                job: task.job, attempt: task.attempt, reason: DeclineReason(rawValue: reason) ?? .unsupported)
        case .heartbeat(let task): return .heartbeatJob(job: task.job, attempt: task.attempt)
        case .commit(let task):
            return masked(task).map { .commitResult(job: task.job, attempt: task.attempt, masked: $0) }
        case .open(let task):
            return result(task).map { .openResult(job: task.job, attempt: task.attempt, commitment: $0.0, salt: $0.1) }
        case .auditCommit(let task):
            return masked(task).map { .commitAudit(job: task.job, attempt: task.attempt, masked: $0) }
        case .auditReveal(let task):
            return result(task).map { .revealAudit(job: task.job, attempt: task.attempt, commitment: $0.0, salt: $0.1) }
        }
    }
}
