/// One provider's work from start to payment, as a machine: what it has fetched and run, and which of its moves are on their way. What to do next is
/// `ProviderAgent`'s to say, from the chain's state; the shell (the node's, or the simulator's) fetches, runs and submits, and tells what came of it.
///
/// 1. Whoever is not registered registers; an offer that is not the one of the configuration is set anew.
/// 2. A move is on its way until the shell says that it ended, however it ended: then it is posted again if the state still asks for it.
/// 3. What could not be fetched is declined before the start. After it, and as an auditor, it is tried again: there is no other way out.
/// 4. What is committed is what will be opened, after a restart too: salt, proof and decoy come from the key and the job alone.
/// 5. Disputes are played by `DisputeDesk`, and those who ask for a reveal without the chain are answered by `WalkDefence`: what either needs is found by a run
///    of its own. Nothing of it is kept but the answer.
/// 6. What a challenge asks of the device is run at once, beside whatever else runs (`DeviceDesk`): it takes seconds. A device whose answers are not right
///    offers itself again once, and then no more: each time costs a part of the bond.
/// 7. What a claim asks is fetched as an output, or as a job's inputs are, or gathered from what is here (`Delivery`); what could not be had is tried again, as
///    under rule 3.
/// 8. How a run goes on is judged by the times that the shell tells (`progressed`), and reported once where it is far too slow.
public import Ledger
public import Primitives
public import Programs

public struct ProviderMachine: Sendable {
    public enum Output: Sendable {
        /// Sign and submit this; `ended` is called once it is final or refused.
        case submit(Payload, Submission)
        case fetch(WorkTask, WorkOrder)
        case run(WorkTask, WorkOrder)
        /// Fetch all tensors that a result names, at most so many bytes, and keep them: a witness hands them out from then on.
        case hold(WorkTask, ResultCommitment, atMost: UInt64)
        /// Gather the bytes of an own result (`found`), by running the job again where they are gone.
        case gather(WorkTask, ResultCommitment, WorkOrder)
        /// Find the answer to a duty by a run of the job, whose blobs are fetched first where they are gone.
        case play(DisputeItem, WorkOrder)
        /// Run a challenge of a device (`measured`).
        case measure(DeviceDuty)
        /// Tell whoever runs this machine that its device has failed a challenge.
        case warn(DeviceRecord.Failure)
        /// Ask a provider's node after a pause, and give back what it says (`answered`).
        case ask(WalkAsk, of: PublicKey, after: Interval)
        /// The task is over: what is kept of it may go.
        case forget(WorkTask)
    }

    /// What was submitted.
    public enum Submission: Hashable, Sendable {
        case join
        case move(WorkMove)
        case dispute(DisputeDuty)
        case device(DeviceDuty)

        /// How long a shell waits after this was refused before it says so.
        public var pause: Interval {
            switch self {
            case .join: .seconds(1)
            case .move, .dispute, .device: .milliseconds(200)
            }
        }
    }

    /// How long a shell waits before what could not be fetched is tried again.
    public static let fetchPause = Interval.seconds(1)

    private let key: SecretKey
    private let registration: Payload
    private let offer: OfferTerms
    public private(set) var progress: [WorkTask: WorkProgress] = [:]
    private var underWay: Set<WorkMove> = []
    private var desk: DisputeDesk
    private var defence: WalkDefence
    private var devices = DeviceDesk()
    private var lastFailure: DeviceRecord.Failure?
    /// How often this machine has offered a device whose answer was not right.
    private var retrials = 0
    private var isJoining = false
    /// Tasks that can still be declined.
    private var declinable: Set<WorkTask> = []
    private var draws: [WorkTask: TrapTerms] = [:]
    private var trapPerMille: UInt64 = 0
    /// Whether each draw has set a trap: found out once.
    private var traps: [WorkTask: Bool] = [:]
    /// Proofs of draws that were audited, so that each is made once: a proof costs as much as five signatures.
    private var proofs: [WorkTask: TrapProof] = [:]
    /// Jobs that read what others left, where no start has shown that yet, and what shows it.
    private var unresolved: Set<Digest> = []
    private var resolutions: [WorkTask: Resolution] = [:]
    /// Bytes of own results that are claimed.
    private var outputs: [WorkTask: PostedOutput] = [:]
    /// What the runs of this device are measured by, and those that are far slower.
    private var paces: [WorkTask: RunPace] = [:]
    private var slow: Set<WorkTask> = []

    public init(key: SecretKey, registration: Payload, offer: OfferTerms) {
        self.key = key
        self.registration = registration
        self.offer = offer
        desk = DisputeDesk(key: key)
        defence = WalkDefence(key: key)
    }

    public var duties: [DisputeDuty: DisputeProgress] { desk.duties }

    /// Where a provider's signed word is held against what it reveals on chain.
    public var watched: [DisputeDesk.Attempt: [RevealPoint]] { desk.watched }

    public var address: Address { key.publicKey.address }

    /// The state may have changed, or something has ended: everything to do now.
    public mutating func look(at view: ProviderView) -> [Output] {
        var outputs: [Output] = []
        // A new price or size in the configuration is a new offer.
        warn(view, &outputs)
        if !isJoining, !view.registered || view.offer != offer, mayOffer(view) {
            isJoining = true
            outputs.append(.submit(view.registered ? .setOffer(offer) : registration, .join))
        }
        draws = view.draws
        trapPerMille = view.trapPerMille
        unresolved = view.unresolved
        declinable = Set(
            view.items.filter { if case .assigned = $0.stage { true } else { false } }.map(\.task))
        for item in view.items {
            guard case .running = item.stage, let spec = view.jobs[item.task.job] else { continue }
            paces[item.task] = RunPace(spec, milliseconds: item.milliseconds, patience: view.slowPatience)
        }
        var moves: [WorkMove] = []
        let actions = ProviderAgent.decide(items: view.items, progress: progress, underWay: underWay, slow: slow)
        for action in actions {
            switch action {
            case .fetch(let task):
                guard let output = fetching(task, view) else { continue }
                progress[task] = .fetching
                outputs.append(output)
            case .run(let task):
                guard let order = view.order(for: task.job) else { continue }
                progress[task] = .running
                outputs.append(.run(task, order))
            case .post(let move): moves.append(move)
            case .forget(let task):
                progress[task] = nil
                traps[task] = nil
                proofs[task] = nil
                resolutions[task] = nil
                self.outputs[task] = nil
                paces[task] = nil
                slow.remove(task)
                outputs.append(.forget(task))
            }
        }
        post(moves, atMost: view.maximumMoves - DisputeDesk.maximumPlays, &outputs)
        play(view, &outputs)
        for output in devices.look(at: view.devices) {
            switch output {
            case .run(let duty): outputs.append(.measure(duty))
            case .submit(let payload, let duty): outputs.append(.submit(payload, .device(duty)))
            }
        }
        return outputs
    }

    private mutating func warn(_ view: ProviderView, _ outputs: inout [Output]) {
        if let failure = view.deviceFailure, failure != lastFailure { outputs.append(.warn(failure)) }
        lastFailure = view.deviceFailure
    }

    /// Rule 6.
    private mutating func mayOffer(_ view: ProviderView) -> Bool {
        guard view.registered, view.offer == nil, view.deviceFailure == .unproven else { return true }
        retrials += 1
        return retrials == 1
    }

    /// A device's challenge was run: what came out, and what is to be shown of it.
    public mutating func measured(_ duty: DeviceDuty, root: Digest, samples: [DeviceSample]) {
        devices.finished(duty, root: root, samples: samples)
    }

    private func fetching(_ task: WorkTask, _ view: ProviderView) -> Output? {
        switch task.role {
        case .executor, .auditor: view.order(for: task.job).map { .fetch(task, $0) }
        case .witness:
            if let result = view.claimed[task], let spec = view.jobs[task.job] {
                .hold(task, result, atMost: spec.memory)
            } else {
                // What is asked for is what the job reads.
                view.order(for: task.job).map { .fetch(task, $0) }
            }
        case .deliverer:
            if let result = view.claimed[task], let order = view.order(for: task.job) {
                .gather(task, result, order)
            } else {
                nil
            }
        }
    }

    /// The most urgent first, and no more on their way than the chain lets wait, with room for those of disputes: what is refused is only late.
    private mutating func post(_ moves: [WorkMove], atMost limit: Int, _ outputs: inout [Output]) {
        for urgency in 0...WorkMove.leastUrgent {
            for move in moves where move.urgency == urgency {
                if underWay.count >= max(1, limit) { return }
                guard let payload = payload(of: move) else { continue }
                underWay.insert(move)
                outputs.append(.submit(payload, .move(move)))
            }
        }
    }

    /// Rule 5.
    private mutating func play(_ view: ProviderView, _ outputs: inout [Output]) {
        defence.keep { view.disputable.contains($0) || view.resting.contains($0) }
        for output in desk.look(at: view.disputes, revealed: view.revealed, clock: view.disputeClock) {
            switch output {
            case .play(let item):
                guard let order = view.order(for: item.duty.job) else { continue }
                outputs.append(.play(item, order))
            case .submit(let payload, let duty): outputs.append(.submit(payload, .dispute(duty)))
            case .ask(let ask, let node, let pause): outputs.append(.ask(ask, of: node, after: pause))
            }
        }
    }

    /// A challenger asks for a reveal without the chain; the state says whether it may. What is said at once, and what to find out first.
    public mutating func asked(_ ask: WalkAsk, _ permit: WalkPermit) -> (answer: WalkAnswer, outputs: [Output]) {
        let (answer, item) = defence.asked(ask, permit)
        return (answer, item.map { [.play($0, permit.order)] } ?? [])
    }

    /// What came of an ask; nil where the node was not reached, or what it said cannot be read.
    public mutating func answered(_ ask: WalkAsk, _ answer: WalkAnswer?) { desk.answered(ask, answer) }

    /// The answer to a duty was found, or none. Returns whether it is to be looked for again after `fetchPause`, by `retry`.
    public mutating func finished(_ duty: DisputeDuty, _ outcome: DisputeProgress) -> Bool {
        defence.finished(duty, outcome) ? false : desk.finished(duty, outcome)
    }

    public mutating func retry(_ duty: DisputeDuty) { desk.retry(duty) }

    /// A fetch or a run has ended. Returns whether it is to be tried again after `fetchPause`, by `retry`.
    public mutating func finished(_ task: WorkTask, _ outcome: WorkProgress) -> Bool {
        // Forgotten meanwhile: the job went elsewhere.
        if progress[task] == nil { return false }
        progress[task] = outcome
        guard case .refused(.unavailable) = outcome else { return false }
        return !declinable.contains(task)
    }

    /// How far a run is: milliseconds since it has begun, and the millionths of its steps that are done. Whether it is known from now on as far too slow.
    public mutating func progressed(_ task: WorkTask, after elapsed: UInt64, done millionths: UInt64) -> Bool {
        guard progress[task] == .running, let pace = paces[task], !slow.contains(task),
            pace.isSlow(after: elapsed, done: millionths)
        else { return false }
        slow.insert(task)
        return true
    }

    /// What a fetched job's start has to show: where the results that it reads stand.
    public mutating func found(_ resolution: Resolution, for task: WorkTask) {
        if progress[task] != nil { resolutions[task] = resolution }
    }

    /// The bytes of an own result that is claimed, where they are few.
    public mutating func found(_ output: PostedOutput, for task: WorkTask) {
        if progress[task] != nil { outputs[task] = output }
    }

    /// What could not be fetched is fetched anew.
    public mutating func retry(_ task: WorkTask) {
        if case .refused(.unavailable)? = progress[task] { progress[task] = nil }
    }

    /// What was submitted is final, refused, or was waited for long enough.
    public mutating func ended(_ submission: Submission) {
        switch submission {
        case .join: isJoining = false
        case .move(let move): underWay.remove(move)
        case .dispute(let duty): desk.ended(duty)
        case .device(let duty): devices.ended(duty)
        }
    }

    /// How the executor opens a result that it has: beside a decoy where its draw set a trap. Nil before the result and the state are there.
    private mutating func opening(_ task: WorkTask) -> ResultOpening? {
        guard case .done(let commitment) = progress[task], let draw = draws[task] else { return nil }
        let isSet =
            traps[task]
            ?? TrapDraw.isSet(
                VRF.output(key, alpha: TrapDraw.input(job: task.job, beacon: draw.beacon)), perMille: trapPerMille)
        traps[task] = isSet
        if draw.isAudited, proofs[task] == nil {
            proofs[task] = TrapProof(job: task.job, beacon: draw.beacon, key: key)
        }
        return ResultOpening(
            commitment: commitment, decoy: isSet ? ProviderAgent.decoy(key: key, task: task, beside: commitment) : nil,
            salt: ProviderAgent.salt(key: key, task: task), trap: draw.isAudited ? proofs[task] : nil)
    }

    private mutating func payload(of move: WorkMove) -> Payload? {
        func result(_ task: WorkTask) -> (ResultCommitment, Digest)? {
            guard case .done(let commitment) = progress[task] else { return nil }
            return (commitment, ProviderAgent.salt(key: key, task: task))
        }
        func masked(_ task: WorkTask) -> Digest? {
            result(task).map { commitment, salt in
                commitment.masked(salt: salt, provider: address, job: task.job, attempt: task.attempt)
            }
        }
        switch move {
        case .start(let task):
            if !unresolved.contains(task.job) { return .startJob(job: task.job, attempt: task.attempt) }
            return resolutions[task].map { .startAfter(job: task.job, attempt: task.attempt, resolution: $0) }
        case .decline(let task, let reason):
            return .declineJob(
                job: task.job, attempt: task.attempt, reason: DeclineReason(rawValue: reason) ?? .unsupported)
        case .stage(let task): return .stageJob(job: task.job, attempt: task.attempt)
        case .reportSlow(let task): return .reportSlow(job: task.job, attempt: task.attempt)
        case .heartbeat(let task): return .heartbeatJob(job: task.job, attempt: task.attempt)
        case .commit(let task):
            return opening(task).map {
                let masked = $0.masked(provider: address, job: task.job, attempt: task.attempt)
                return .commitResult(job: task.job, attempt: task.attempt, masked: masked)
            }
        case .open(let task):
            return opening(task).map { .openResult(job: task.job, attempt: task.attempt, opening: $0) }
        case .auditCommit(let task):
            return masked(task).map { .commitAudit(job: task.job, attempt: task.attempt, masked: $0) }
        case .auditReveal(let task):
            return result(task).map { .revealAudit(job: task.job, attempt: task.attempt, commitment: $0.0, salt: $0.1) }
        case .attest(let task, let holds): return .attestDelivery(job: task.job, attempt: task.attempt, holds: holds)
        case .post(let task):
            return outputs[task].map { .postOutput(job: task.job, attempt: task.attempt, output: $0) }
        }
    }
}
