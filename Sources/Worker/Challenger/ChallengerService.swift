internal import Foundation
public import Ledger
public import Logging
public import Primitives
public import Programs

/// The chain, as a challenger needs it.
public protocol ChallengerAccess: AnyObject, Sendable {
    /// Results that an account may run again and dispute, from the latest executed state.
    func results(
        for account: Address, _ rules: ChallengerRules, watching: [DisputeDesk.Attempt: [RevealPoint]]
    ) async throws -> ChallengerView
    /// Signs moves and submits them together, as `ChainAccess` does.
    func submit(
        _ payloads: [Payload], as key: SecretKey, ended: @escaping @Sendable (Int, String?) async -> Void) async
}

/// What a person sees of a challenger.
public struct ChallengerReport: Sendable {
    public let account: Address
    public let rules: ChallengerRules
    public let tally: ChallengerMachine.Tally
    /// Results that were other ones.
    public let disputed: [DisputeDesk.Attempt]
    public let findings: [(attempt: DisputeDesk.Attempt, finding: ChallengerMachine.Finding)]
}

/// The shell around `ChallengerMachine`: looks at the state whenever it may have changed, and does what the machine says.
public actor ChallengerService {
    private let key: SecretKey
    private let rules: ChallengerRules
    private let chain: any ChallengerAccess
    private let peers: any PeerAccess
    private let runner: JobRunner
    private let fetcher: JobFetcher
    private let logger: Logger
    private let running = DispatchQueue(label: "plasma.challenger")
    private var machine: ChallengerMachine
    private var told: Set<DisputeDesk.Attempt> = []
    private var looking = false
    private var lookAgain = false

    public init(
        key: SecretKey, rules: ChallengerRules, threads: Int, memory: UInt64, chain: any ChallengerAccess,
        blobs: any BlobAccess, peers: any PeerAccess, logger: Logger
    ) {
        self.key = key
        self.rules = rules
        self.chain = chain
        self.peers = peers
        self.logger = logger
        machine = ChallengerMachine(key: key, rules: rules)
        runner = JobRunner(blobs: blobs, threads: threads, memory: memory, flipsBit: false)
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

    public var report: ChallengerReport {
        ChallengerReport(
            account: machine.address, rules: rules, tally: machine.tally, disputed: machine.disputed,
            findings: machine.findings.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })
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
            let watched = machine.watched
            guard let view = try? await chain.results(for: machine.address, rules, watching: watched) else { return }
            for output in machine.look(at: view) { carryOut(output) }
            tell()
        } while lookAgain
    }

    /// Says once of each result that is not what came out here.
    private func tell() {
        let differing = machine.findings.filter { $0.value == .differs || $0.value == .differsBeyondLimit }
        for (attempt, finding) in differing.sorted(by: { $0.key < $1.key }) where told.insert(attempt).inserted {
            logger.notice(
                "the result of job \(attempt.job.hex.prefix(8)) is not what comes out here: \(finding == .differs ? "it is disputed" : "it can no longer be challenged within the deposit limit and the balance")"
            )
        }
        told.formIntersection(machine.findings.keys)
    }

    private func carryOut(_ output: ChallengerMachine.Output) {
        switch output {
        case .check(let attempt, let order): check(attempt, order)
        case .play(let item, let order): play(item, order)
        case .ask(let ask, let node, let pause):
            Task {
                if pause > .zero { try? await Task.sleep(nanoseconds: UInt64(pause.nanoseconds)) }
                machine.answered(ask, await peers.ask(ask, of: node))
                await look()
            }
        case .submit(let payload, let duty):
            Task {
                await chain.submit([payload], as: key) { _, refusal in await self.ended(duty, refusal) }
            }
        }
    }

    private func ended(_ duty: DisputeDuty, _ refusal: String?) async {
        if let refusal {
            logger.warning("a move in the dispute of job \(duty.job.hex.prefix(8)) was refused: \(refusal)")
            let pause = ProviderMachine.Submission.dispute(duty).pause
            try? await Task.sleep(nanoseconds: UInt64(pause.nanoseconds))
        }
        machine.ended(duty)
        await look()
    }

    private func check(_ attempt: DisputeDesk.Attempt, _ order: WorkOrder) {
        Task {
            do { _ = try await fetcher.fetch(order) } catch {
                return await checked(attempt, .failure(error as? WorkRefusal ?? .failed("\(error)")))
            }
            let runner = runner
            running.async {
                let outcome = Result { try runner.commitment(attempt.job, runner.resolved(order).spec) }
                    .mapError { $0 as? WorkRefusal ?? .failed("\($0)") }
                Task { await self.checked(attempt, outcome) }
            }
        }
    }

    private func checked(
        _ attempt: DisputeDesk.Attempt, _ outcome: Result<ResultCommitment, WorkRefusal>
    ) async {
        if case .failure(let refusal) = outcome {
            logger.info("job \(attempt.job.hex.prefix(8)) is not run again: \(refusal)")
        }
        machine.checked(attempt, outcome)
        await look()
    }

    /// Finds what a dispute asks for on a thread.
    private func play(_ item: DisputeItem, _ order: WorkOrder) {
        Task {
            do { _ = try await fetcher.fetch(order) } catch {
                return finish(item.duty, .refused(error as? WorkRefusal ?? .failed("\(error)")))
            }
            let runner = runner
            running.async {
                let outcome: DisputeProgress
                do { outcome = .done(try runner.play(item, runner.resolved(order).spec)) } catch {
                    outcome = .refused(error as? WorkRefusal ?? .failed("\(error)"))
                }
                Task { await self.finish(item.duty, outcome) }
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
}
