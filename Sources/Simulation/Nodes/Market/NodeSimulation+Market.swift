import Gossip
import Ledger
import Primitives
import Replica
import Runtime
import Worker

/// What happens to one provider, or is due.
enum ProviderEvent {
    /// The regular look at the state; arranges the next.
    case tick
    case look
    case submit([SimulatedMove])
    case ended(ProviderMachine.Submission)
    /// Waited for long enough.
    case overdue(Digest)
    case fetch(WorkTask)
    case retry(WorkTask)
    case ran(WorkTask)
    case played(DisputeDuty)
    case retryPlay(DisputeDuty)
    /// A provider is asked for a reveal, after a pause; what came of it.
    case ask(WalkAsk, of: PublicKey)
    case answered(WalkAsk, WalkAnswer?, id: UInt64)
    case measured(DeviceDuty)
    /// How a run goes on that makes no progress, since when.
    case crawled(WorkTask, since: Instant)

    var code: UInt8 {
        switch self {
        case .tick: 0
        case .look: 1
        case .submit: 2
        case .ended: 3
        case .overdue: 4
        case .fetch: 5
        case .retry: 6
        case .ran: 7
        case .played: 8
        case .retryPlay: 9
        case .ask: 10
        case .answered: 11
        case .measured: 12
        case .crawled: 13
        }
    }
}

/// What a provider wants to say, and what for.
struct SimulatedMove {
    var payload: Payload
    let submission: ProviderMachine.Submission
}

/// The market: providers in nodes, each a real `ProviderMachine` over a real `JobRunner`, and requesters who post jobs through nodes. Each shell does what
/// the real one does: it looks at the executed state after each block and twice a second, fetches blobs from peers, submits at its own node and waits
/// there until the transaction is final.
extension NodeSimulation {
    private static var regularLook: Interval { .milliseconds(500) }
    private static var finalityPatience: Interval { .seconds(20) }
    /// How long after the healing they may take.
    static var marketBound: Interval { .seconds(120) }
    /// How long after the healing what happened before may still cost somebody something.
    static var calming: Interval { .seconds(30) }

    static func market(_ parameters: inout ChainParameters) {
        parameters.auditLag = 4
        parameters.offerActivationHeights = 3
        parameters.startWindow = 6_000
        parameters.heartbeatWindow = 3_000
        parameters.runBase = 6_000
        parameters.auditBase = 6_000
        parameters.openWindow = 6_000
        parameters.revealWindow = 6_000
        parameters.settleBase = 1_000
        parameters.unauditedWindow = 2_000
        parameters.disputeBase = 6_000
        parameters.challengeWindow = 6_000
        // Many traps, so that a short run sees some; with a jackpot that the fee allows.
        parameters.trapPerMille = 250
        parameters.jackpotPerMille = 100
        // Some rounds in a short run. Its time is the simulation's, so all who are up are as fast as they say.
        parameters.deviceChallengeInterval = 20_000
        parameters.deviceFirstInterval = 1_000
        parameters.deviceChallengeAllowance = 3_000
        parameters.deviceChallengePatience = 3_000
    }

    // MARK: Providers' processes

    mutating func startProviders(in node: SimulatedNode) {
        for provider in providers where provider.home == node.index { start(provider, in: node) }
    }

    mutating func start(_ provider: SimulatedProvider, in node: SimulatedNode) {
        if provider.isGone { return }
        provider.start(offer: JobLoad.offer, node: node.key.publicKey)
        arrange(provider, .tick, after: draw(1...200))
    }

    func endProviders(in node: SimulatedNode) {
        for provider in providers where provider.home == node.index { provider.end() }
    }

    /// The node has executed blocks: whoever waits for a transaction hears of it, and providers look again.
    mutating func tellProviders(in node: SimulatedNode, _ receipts: [TransactionReceipt]) {
        for provider in providers where provider.home == node.index && provider.machine != nil {
            for receipt in receipts {
                let failed = Set(receipt.failures.map { Int($0.place) })
                for (place, submission) in (provider.waiting.removeValue(forKey: receipt.id) ?? []).enumerated() {
                    let succeeded = receipt.succeeded || !failed.isEmpty && !failed.contains(place)
                    if succeeded, case .dispute(let duty) = submission { count(duty.move) }
                    arrange(provider, .ended(submission), after: succeeded ? .milliseconds(1) : submission.pause)
                }
            }
            // A word that gets lost inside the process changes nothing but the delay.
            if provider.looksSoon || chanceOnMarket(profile.droppedLooks) { continue }
            provider.looksSoon = true
            arrange(provider, .look, after: .milliseconds(1))
        }
    }

    mutating func arrange(_ provider: SimulatedProvider, _ event: ProviderEvent, after delay: Interval) {
        schedule(provider.home, after: delay, .provider(provider.index, life: provider.life, event))
    }

    mutating func happened(_ event: ProviderEvent, to provider: SimulatedProvider, in node: SimulatedNode) {
        switch event {
        case .tick:
            arrange(provider, .tick, after: NodeSimulation.regularLook)
            look(provider, in: node)
        case .look:
            provider.looksSoon = false
            look(provider, in: node)
        case .submit(let moves): submit(moves, by: provider, at: node)
        case .ended(let submission):
            provider.machine?.ended(submission)
            look(provider, in: node)
        case .overdue(let id):
            for submission in provider.waiting.removeValue(forKey: id) ?? [] {
                arrange(provider, .ended(submission), after: submission.pause)
            }
        case .fetch(let task): fetch(task, by: provider, at: node)
        case .retry(let task):
            provider.machine?.retry(task)
            look(provider, in: node)
        case .ran(let task): ran(task, by: provider, at: node)
        case .played(let duty): played(duty, by: provider, at: node)
        case .retryPlay(let duty):
            provider.machine?.retry(duty)
            look(provider, in: node)
        case .ask(let ask, let target): self.ask(ask, of: target, by: provider)
        case .answered(let ask, let answer, let id):
            answered(ask, answer, id: id, to: provider)
            look(provider, in: node)
        case .measured(let duty):
            let run = DeviceRun(duty.chain, showing: duty.numbers, threads: 1)
            provider.machine?.measured(duty, root: run.root, samples: run.samples)
            look(provider, in: node)
        case .crawled(let task, let since):
            guard provider.machine?.progress[task] == .running else { return }
            let elapsed = UInt64(max(0, now.interval(since: since).milliseconds))
            if provider.machine?.progressed(task, after: elapsed, done: 0) == true { look(provider, in: node) }
            arrange(provider, .crawled(task, since: since), after: NodeSimulation.regularLook)
        }
    }

    private mutating func look(_ provider: SimulatedProvider, in node: SimulatedNode) {
        guard
            var view = try? ProviderView(
                of: provider.key.publicKey.address, watching: provider.machine?.watched ?? [:], in: node.disk.state)
        else { return }
        if provider.actor == .lazyAuditor { view.disputes = LazyAuditor().onChain(view.disputes) }
        var moves: [SimulatedMove] = []
        for output in provider.machine?.look(at: view) ?? [] {
            switch output {
            case .submit(let payload, let submission):
                moves.append(SimulatedMove(payload: payload, submission: submission))
            case .fetch(let task, let order):
                provider.orders[task] = order
                provider.fetches[task] = SimulatedProvider.Fetch(.order(order))
                arrange(provider, .fetch(task), after: .milliseconds(1))
            case .hold(let task, let result, _):
                provider.fetches[task] = SimulatedProvider.Fetch(.result(result))
                arrange(provider, .fetch(task), after: .milliseconds(1))
            case .gather(let task, let result, let order): gather(task, result, order, by: provider, at: node)
            case .run(let task, let order):
                provider.orders[task] = order
                if subnormalJobs.contains(task.job) {
                    arrange(provider, .crawled(task, since: now), after: NodeSimulation.regularLook)
                } else {
                    arrange(provider, .ran(task), after: drawOnMarket(5...60))
                }
            case .play(let item, let order):
                provider.plays[item.duty] = (item, order)
                arrange(provider, .played(item.duty), after: drawOnMarket(5...120))
            case .measure(let duty): arrange(provider, .measured(duty), after: drawOnMarket(5...60))
            case .warn: break
            case .ask(let ask, let target, let pause): arrange(provider, .ask(ask, of: target), after: pause)
            case .forget(let task):
                provider.fetches[task] = nil
                provider.orders[task] = nil
            }
        }
        if moves.isEmpty { return }
        submit(moves, by: provider, at: node)
        if moves.contains(where: { vanishes(provider, after: $0.payload) }) {
            provider.isGone = true
            provider.end()
        }
    }

    /// Convictions that took one transaction.
    private mutating func count(_ move: DisputeDuty.Move) {
        switch move {
        case .settle: settledByTranscript += 1
        case .contradict: contradictions += 1
        default: break
        }
    }

    private mutating func vanishes(_ provider: SimulatedProvider, after payload: Payload) -> Bool {
        guard provider.actor == .vanishingProvider, case .startJob = payload else { return false }
        return chanceOnMarket(400)
    }

    // MARK: Running

    mutating func finish(_ task: WorkTask, _ outcome: WorkProgress, of provider: SimulatedProvider) {
        provider.fetches[task] = nil
        if provider.machine?.finished(task, outcome) == true {
            arrange(provider, .retry(task), after: ProviderMachine.fetchPause)
        } else {
            arrange(provider, .look, after: .milliseconds(1))
        }
    }

    private mutating func ran(_ task: WorkTask, by provider: SimulatedProvider, at node: SimulatedNode) {
        guard let order = provider.orders[task] else { return }
        if provider.actor == .lazyAuditor, task.role == .auditor {
            return finish(task, .done(word(to: provider, task, at: node)), of: provider)
        }
        let lies = provider.actor == .lyingProvider && task.role == .executor
        let outcome: WorkProgress
        do {
            let withholds = provider.actor == .withholdingProvider && task.role == .executor
            let runner =
                withholds
                ? provider.withholdingRunner(on: node.disk.blobs)
                : provider.runner(on: node.disk.blobs, flipsBit: lies)
            outcome = .done(try runner.run(runner.resolved(order).spec, progress: { _ in }))
        } catch { outcome = .refused(error as? WorkRefusal ?? .failed("\(error)")) }
        finish(task, outcome, of: provider)
    }

    /// The bytes of an own result that is claimed, from its blobs or from another run.
    private mutating func gather(
        _ task: WorkTask, _ result: ResultCommitment, _ order: WorkOrder, by provider: SimulatedProvider,
        at node: SimulatedNode
    ) {
        if provider.actor == .withholdingProvider { return finish(task, .fetched, of: provider) }
        let runner = provider.runner(on: node.disk.blobs, flipsBit: provider.actor == .lyingProvider)
        do {
            var output: PostedOutput?
            do { output = try runner.posted(result) } catch WorkRefusal.unavailable {
                _ = try runner.run(runner.resolved(order).spec, progress: { _ in })
                output = try runner.posted(result)
            }
            if let output { provider.machine?.found(output, for: task) }
            finish(task, .fetched, of: provider)
        } catch { finish(task, .refused(error as? WorkRefusal ?? .failed("\(error)")), of: provider) }
    }

    /// What an auditor that does not run commits to.
    private func word(to auditor: SimulatedProvider, _ task: WorkTask, at node: SimulatedNode) -> ResultCommitment {
        let job = try? Query.job(task.job, in: node.disk.state)
        guard LazyAuditor().asks(about: task.job),
            let executor = providers.first(where: { $0.key.publicKey.address == job?.assignment?.provider }),
            let word = executor.word(on: task.job, in: node.disk.state)
        else { return LazyAuditor().result(of: task, steps: job?.spec.scans.map(\.steps) ?? [1]) }
        return word
    }

    /// The answer to what a dispute asks, from a run over the blobs that are on this node's disk.
    private mutating func played(_ duty: DisputeDuty, by provider: SimulatedProvider, at node: SimulatedNode) {
        guard let (item, order) = provider.plays.removeValue(forKey: duty) else { return }
        let lies = provider.actor == .lyingProvider && duty.move.isDefence
        let outcome: DisputeProgress
        if provider.actor == .lazyAuditor, duty.move == .challenge {
            // It stands by its guess, and has nothing to show for it.
            if !LazyAuditor().asks(about: duty.job), let opening = jobs.opening(of: order.spec.program) {
                outcome = .done(.opening(opening))
            } else {
                outcome = .refused(.failed("it has not run"))
            }
        } else {
            outcome = answer(item, order, provider.runner(on: node.disk.blobs, flipsBit: lies))
        }
        if provider.machine?.finished(duty, outcome) == true {
            arrange(provider, .retryPlay(duty), after: ProviderMachine.fetchPause)
        } else {
            arrange(provider, .look, after: .milliseconds(1))
        }
    }

    private func answer(_ item: DisputeItem, _ order: WorkOrder, _ runner: JobRunner) -> DisputeProgress {
        do { return .done(try runner.play(item, runner.resolved(order).spec)) } catch {
            return .refused(error as? WorkRefusal ?? .failed("\(error)"))
        }
    }

    // MARK: Submitting

    /// As the real node does: drafts behind what waits here, of many moves in one, signed, checked, handed in, and waited for.
    private mutating func submit(_ moves: [SimulatedMove], by provider: SimulatedProvider, at node: SimulatedNode) {
        // The machine is on its disk: whoever asks it waits.
        if now < node.busyUntil || node.pending != nil {
            return arrange(provider, .submit(moves), after: .milliseconds(5))
        }
        var payloads = moves.map(\.payload)
        if provider.actor == .lazyAuditor {
            let salt = { (job: Digest) in
                ProviderAgent.salt(key: provider.key, task: WorkTask(job: job, attempt: 1, role: .auditor))
            }
            payloads = payloads.map { payload in
                LazyAuditor().instead(
                    of: payload, in: node.disk.state, as: provider.key.publicKey.address, salt: salt) ?? payload
            }
        }
        let life = provider.life
        for bundle in Payload.bundles(of: payloads) {
            let submissions = moves[bundle.places].map(\.submission)
            let handed = hand(bundle.payload, of: provider.key, to: node)
            // The node may crash over what the provider has just given it.
            if provider.life != life { return }
            guard let id = handed else {
                for submission in submissions { arrange(provider, .ended(submission), after: submission.pause) }
                continue
            }
            provider.waiting[id] = submissions
            arrange(provider, .overdue(id), after: NodeSimulation.finalityPatience)
        }
    }

    /// Gives a node a transaction; returns its id where it was let in.
    mutating func hand(_ payload: Payload, of key: SecretKey, to node: SimulatedNode) -> Digest? {
        guard let draft = try? node.process?.replica.draft(payload, from: key.publicKey) else { return nil }
        let signed = draft.signed(by: key)
        guard (try? node.process?.replica.check(signed)) != nil else { return nil }
        node.inbox.append(.transactions([signed], local: true))
        step(node)
        return signed.id
    }

    /// Providers whose process ends by itself and comes back: what they knew is gone.
    mutating func drawProviderTrouble() {
        for provider in providers where provider.machine != nil && chanceOnMarket(profile.providerRestart) {
            providerRestarts += 1
            start(provider, in: nodes[provider.home])
        }
    }

    // MARK: Chance of its own, so that a network without a market is what it was

    mutating func chanceOnMarket(_ thousandths: UInt64) -> Bool {
        thousandths > 0 && marketRandom.next() % 1000 < thousandths
    }

    mutating func drawOnMarket(_ range: ClosedRange<Int64>) -> Interval {
        .milliseconds(range.lowerBound + Int64(marketRandom.next() % UInt64(range.upperBound - range.lowerBound + 1)))
    }
}
