import Ledger
import Primitives
import Programs
import Testing
import Worker

/// In a box, so that an expectation can ask what a question changes.
private final class Machine {
    private var machine: ProviderMachine

    init(_ machine: ProviderMachine) { self.machine = machine }

    var progress: [WorkTask: WorkProgress] { machine.progress }

    func look(at view: ProviderView) -> [ProviderMachine.Output] { machine.look(at: view) }

    func finished(_ task: WorkTask, _ outcome: WorkProgress) -> Bool { machine.finished(task, outcome) }

    func retry(_ task: WorkTask) { machine.retry(task) }

    func finished(_ duty: DisputeDuty, _ outcome: DisputeProgress) -> Bool { machine.finished(duty, outcome) }

    func retry(_ duty: DisputeDuty) { machine.retry(duty) }

    var duties: Int { machine.duties.count }

    func ended(_ submission: ProviderMachine.Submission) { machine.ended(submission) }
}

@Suite struct ProviderMachineTests {
    let key: SecretKey
    let offer = OfferTerms(
        device: 0, pricePer1000CUf32: .xpl(1), pricePer1000CUi8: .xpl(1), memory: 1, capacity: 1, expiry: 1_000,
        measuredRate: 1)
    let registration: Payload
    let spec: JobSpec
    let task = WorkTask(job: Digest.of(Domain("test"), [1]), attempt: 1, role: .executor)
    let audit = WorkTask(job: Digest.of(Domain("test"), [1]), attempt: 1, role: .auditor)
    let gone = WorkProgress.refused(.unavailable("x"))

    init() throws {
        key = try SecretKey(seed: [UInt8](repeating: 1, count: 32))
        registration = .registerProvider(
            name: "p", node: key.publicKey, payout: key.publicKey.address, bond: .xpl(100))
        spec = JobSpec(
            program: .zero, manifest: .zero, axes: [], parameters: AgreedList([]), inputs: [],
            scans: [JobScan(steps: 1, weightedOperations: 1)], computeUnits: ComputeUnits(weightedOperations: 1),
            memory: 1, maximumPricePer1000CU: .xpl(1), policy: .audited, queueMilliseconds: 1, deadlineMilliseconds: 1,
            storageHint: key.publicKey)
    }

    private var machine: Machine { Machine(ProviderMachine(key: key, registration: registration, offer: offer)) }

    /// More than the chain lets wait were refused, and a refusal waits longer than the turn would have.
    @Test func noMoreMovesAreOnTheirWayThanMayWaitAndTheMostUrgentComeFirst() {
        let machine = machine
        var view = view()
        for number in UInt8(1)...9 {
            let task = WorkTask(job: Digest.of(Domain("test"), [number]), attempt: 1, role: .executor)
            view.jobs[task.job] = spec
            view.items.append(WorkItem(task: task, stage: .assigned(isLate: false)))
        }
        view.maximumMoves = DisputeDesk.maximumPlays + 3
        _ = machine.look(at: view)
        for item in view.items { _ = machine.finished(item.task, .fetched) }
        func moves() -> [WorkMove] {
            machine.look(at: view).compactMap { if case .submit(_, .move(let move)) = $0 { move } else { nil } }
        }
        let first = moves()
        #expect(first.count == 3)
        #expect(moves().isEmpty)
        // Two end, and one of the others may be committed: that comes first.
        machine.ended(.move(first[0]))
        machine.ended(.move(first[1]))
        let committing = view.items[8].task
        #expect(!first.contains(.start(committing)))
        view.items[8] = WorkItem(task: committing, stage: .running(heartbeatDue: true))
        view.draws[committing] = TrapTerms(beacon: .zero, isAudited: false)
        let result = ResultCommitment(steps: [1], outputRoot: .zero, stateRoot: .zero)
        _ = machine.finished(committing, .done(result))
        #expect(moves() == [.commit(committing), .heartbeat(committing)])
    }

    func view(_ stage: WorkItem.Stage? = nil, _ task: WorkTask? = nil) -> ProviderView {
        let task = task ?? self.task
        return ProviderView(
            registered: true, offer: offer, items: stage.map { [WorkItem(task: task, stage: $0)] } ?? [],
            jobs: [task.job: spec])
    }

    func submitted(_ outputs: [ProviderMachine.Output]) -> [Payload] {
        outputs.compactMap { if case .submit(let payload, _) = $0 { payload } else { nil } }
    }

    func fetches(_ outputs: [ProviderMachine.Output]) -> Int {
        outputs.count { if case .fetch = $0 { true } else { false } }
    }

    @Test func itRegistersThenOffersAndDoesEachOnce() {
        let machine = machine
        let stranger = ProviderView(registered: false, offer: nil, items: [], jobs: [:])
        #expect(submitted(machine.look(at: stranger)) == [registration])
        #expect(submitted(machine.look(at: stranger)) == [])
        machine.ended(.join)
        let silent = ProviderView(registered: true, offer: nil, items: [], jobs: [:])
        #expect(submitted(machine.look(at: silent)) == [.setOffer(offer)])
        machine.ended(.join)
        #expect(submitted(machine.look(at: view())) == [])
    }

    /// An offer that the chain has paused does not stand: without this the provider was out of the market for good.
    @Test func anOfferThatDoesNotStandIsSetAnew() {
        let machine = machine
        #expect(submitted(machine.look(at: view())) == [])
        let paused = ProviderView(registered: true, offer: nil, items: [], jobs: [:])
        #expect(submitted(machine.look(at: paused)) == [.setOffer(offer)])
    }

    @Test func whatCannotBeHadIsDeclinedBeforeTheStartAndTriedAgainAfterIt() {
        let machine = machine
        #expect(fetches(machine.look(at: view(.assigned(isLate: false)))) == 1)
        #expect(!machine.finished(task, gone))
        #expect(
            submitted(machine.look(at: view(.assigned(isLate: false))))
                == [.declineJob(job: task.job, attempt: 1, reason: .inputsUnavailable)])
        let started = self.machine
        #expect(fetches(started.look(at: view(.running(heartbeatDue: false)))) == 1)
        #expect(started.finished(task, gone))
        #expect(started.look(at: view(.running(heartbeatDue: false))).isEmpty)
        started.retry(task)
        #expect(fetches(started.look(at: view(.running(heartbeatDue: false)))) == 1)
    }

    @Test func anAuditorTriesAgain() {
        let machine = machine
        #expect(fetches(machine.look(at: view(.drawn, audit))) == 1)
        #expect(machine.finished(audit, gone))
        machine.retry(audit)
        #expect(fetches(machine.look(at: view(.drawn, audit))) == 1)
    }

    @Test func aMoveThatEndedIsMadeAgainIfTheStateStillAsksForIt() {
        let machine = machine
        _ = machine.look(at: view(.assigned(isLate: false)))
        _ = machine.finished(task, .fetched)
        let start = Payload.startJob(job: task.job, attempt: 1)
        #expect(submitted(machine.look(at: view(.assigned(isLate: false)))) == [start])
        #expect(submitted(machine.look(at: view(.assigned(isLate: false)))) == [])
        machine.ended(.move(.start(task)))
        #expect(submitted(machine.look(at: view(.assigned(isLate: false)))) == [start])
    }

    // MARK: Traps

    private static let result = ResultCommitment(
        steps: [3], outputRoot: Digest.of(Domain("test"), [2]), stateRoot: ResultRoots.stateRoot([]))

    private func view(
        _ stage: WorkItem.Stage, traps: UInt64, beacon: UInt8 = 5, isAudited: Bool = true
    ) -> ProviderView {
        var view = view(stage)
        view.draws[task] = TrapTerms(beacon: Digest.of(Domain("test"), [beacon]), isAudited: isAudited)
        view.trapPerMille = traps
        return view
    }

    /// A machine that has run, and has heard of nothing before.
    private func submits(
        _ stage: WorkItem.Stage, traps: UInt64, beacon: UInt8 = 5, isAudited: Bool = true
    ) -> [Payload] {
        let machine = machine
        _ = machine.look(at: view(.committed(mayOpen: false)))
        _ = machine.finished(task, .done(Self.result))
        return submitted(machine.look(at: view(stage, traps: traps, beacon: beacon, isAudited: isAudited)))
    }

    /// What was committed is what is opened, by a machine that has begun anew between the two.
    @Test(arguments: [0, 1000] as [UInt64]) func aTrapIsTheSameAfterARestart(_ traps: UInt64) throws {
        let commits = submits(.running(heartbeatDue: false), traps: traps)
        let opens = submits(.committed(mayOpen: true), traps: traps)
        guard case .commitResult(_, _, let masked)? = commits.first, case .openResult(_, _, let opening)? = opens.first
        else { return #expect(Bool(false), "\(commits), \(opens)") }
        #expect(commits.count == 1 && opens.count == 1)
        #expect(opening.masked(provider: key.publicKey.address, job: task.job, attempt: 1) == masked)
        #expect(opening.commitment == Self.result)
        #expect(opening.trap == TrapProof(job: task.job, beacon: Digest.of(Domain("test"), [5]), key: key))
        // The mask was made before the draw of auditors; the proof is for them.
        guard
            case .openResult(_, _, let other)? = submits(.committed(mayOpen: true), traps: traps, isAudited: false)
                .first
        else { return #expect(Bool(false)) }
        #expect(other.trap == nil && other.decoy == opening.decoy)
        #expect((opening.decoy == nil) == (traps == 0))
        #expect(submits(.committed(mayOpen: true), traps: traps) == opens)
    }

    /// A decoy looks like a result of the job, and is not the one that came out. State stays where there is some.
    @Test func aDecoyIsPlausible() throws {
        let decoy = ProviderAgent.decoy(key: key, task: task, beside: Self.result)
        #expect(decoy.steps == [3] && decoy.stateRoot == Self.result.stateRoot)
        #expect(decoy.outputRoot != Self.result.outputRoot)
        var trained = Self.result
        trained.stateRoot = Digest.of(Domain("test"), [8])
        let other = ProviderAgent.decoy(key: key, task: task, beside: trained)
        #expect(other.stateRoot != trained.stateRoot && other.stateRoot != Self.result.stateRoot)
        let next = WorkTask(job: task.job, attempt: 2, role: .executor)
        #expect(ProviderAgent.decoy(key: key, task: next, beside: Self.result) != decoy)
        let stranger = try SecretKey(seed: [UInt8](repeating: 2, count: 32))
        #expect(ProviderAgent.decoy(key: stranger, task: task, beside: Self.result) != decoy)
    }

    /// The draw is what the chain will say it is, beacon by beacon.
    @Test func someBeaconsSetATrapAndOthersNot() throws {
        var traps = 0
        for beacon in 0..<24 as Range<UInt8> {
            guard
                case .openResult(_, _, let opening)? = submits(.committed(mayOpen: true), traps: 500, beacon: beacon)
                    .first
            else { return #expect(Bool(false)) }
            let isSet = try #require(opening.trap).isSet(perMille: 500)
            #expect((opening.decoy != nil) == isSet)
            traps += isSet ? 1 : 0
        }
        #expect((1..<24).contains(traps))
    }

    @Test func nothingIsCommittedBeforeTheAssignmentsBeaconIsKnown() {
        let machine = machine
        _ = machine.look(at: view(.running(heartbeatDue: false)))
        _ = machine.finished(task, .done(Self.result))
        #expect(submitted(machine.look(at: view(.running(heartbeatDue: false)))) == [])
        #expect(submitted(machine.look(at: view(.running(heartbeatDue: false), traps: 1000))).count == 1)
    }

    // MARK: Disputes

    private func duty(_ move: DisputeDuty.Move = .challenge) -> DisputeDuty {
        DisputeDuty(job: task.job, attempt: 1, move: move)
    }

    private func asked(_ duties: DisputeDuty...) -> ProviderView {
        let subject = DisputeSubject(
            program: .zero, axes: [], seed: 0, parameters: AgreedList([]), inputs: AgreedList([]), initialState: .zero,
            steps: [1], outputRoot: .zero, stateRoot: .zero)
        return ProviderView(
            registered: true, offer: offer, items: [],
            disputes: duties.map { DisputeItem(duty: $0, subject: subject, walk: nil) }, jobs: [task.job: spec])
    }

    private func plays(_ outputs: [ProviderMachine.Output]) -> [DisputeDuty] {
        outputs.compactMap { if case .play(let item, _) = $0 { item.duty } else { nil } }
    }

    private var opening: DisputeOpening {
        get throws {
            DisputeOpening(
                try Program(
                    axes: [], parameters: [], inputs: [], scans: [Scan(steps: 1, operations: [], outputs: [])]))
        }
    }

    @Test func whatADisputeAsksForIsComputedOncePostedAndPostedAgainUntilTheStateHasIt() throws {
        let machine = machine
        #expect(plays(machine.look(at: asked(duty()))) == [duty()])
        #expect(machine.look(at: asked(duty())).isEmpty)
        let again = machine.finished(duty(), .done(.opening(try opening)))
        #expect(!again)
        let challenge = Payload.challenge(job: task.job, attempt: 1, opening: try opening, deposit: .zero)
        #expect(submitted(machine.look(at: asked(duty()))) == [challenge])
        #expect(machine.look(at: asked(duty())).isEmpty)
        machine.ended(.dispute(duty()))
        #expect(submitted(machine.look(at: asked(duty()))) == [challenge])
        // The state has it, and asks for the next.
        let pick = duty(.pick(round: 0))
        #expect(plays(machine.look(at: asked(pick))) == [pick])
        #expect(machine.duties == 1)
    }

    @Test func fewAreComputedAtATimeAndTheOthersAfterThem() throws {
        let machine = machine
        let duties = (0..<10).map { number in
            duty(.reveal(to: key.publicKey.address, at: .values(step: number, operation: 0, block: 0)))
        }
        let most = DisputeDesk.maximumPlays
        var view = asked()
        view.disputes = duties.map { DisputeItem(duty: $0, subject: asked($0).disputes[0].subject, walk: nil) }
        #expect(plays(machine.look(at: view)) == Array(duties[..<most]))
        let again = machine.finished(duties[1], .refused(.failed("x")))
        #expect(!again)
        #expect(plays(machine.look(at: view)) == [duties[most]])
    }

    @Test func aRevealGoesToWhoAskedForIt() throws {
        let machine = machine
        let point = RevealPoint.values(step: 0, operation: 3, block: 1)
        let reveal = duty(.reveal(to: key.publicKey.address, at: point))
        _ = machine.look(at: asked(reveal))
        let bytes = [UInt8](repeating: 1, count: TensorRoot.blockLength)
        _ = machine.finished(reveal, .done(.reveal(.values(bytes))))
        #expect(
            submitted(machine.look(at: asked(reveal))) == [
                .revealDispute(
                    job: task.job, attempt: 1, challenger: key.publicKey.address, point: point, reveal: .values(bytes))
            ])
    }

    @Test func anAnswerThatCannotBeHadIsLookedForAgainAndOneThatThereIsNotIsNot() throws {
        let machine = machine
        _ = machine.look(at: asked(duty()))
        let isTried = machine.finished(duty(), .refused(.unavailable("an input of the job")))
        #expect(isTried)
        #expect(machine.look(at: asked(duty())).isEmpty)
        machine.retry(duty())
        #expect(plays(machine.look(at: asked(duty()))) == [duty()])
        let isTriedAgain = machine.finished(duty(), .refused(.failed("the claim is what the own run gives")))
        #expect(!isTriedAgain)
        #expect(machine.look(at: asked(duty())).isEmpty)
        // Over, and told too late.
        #expect(machine.look(at: view()).isEmpty)
        let isLate = machine.finished(duty(), .done(.opening(try opening)))
        #expect(!isLate && machine.duties == 0)
    }

    @Test func whatIsOverIsForgottenAndComesTooLate() {
        let machine = machine
        _ = machine.look(at: view(.assigned(isLate: false)))
        #expect(machine.look(at: view()).count == 1)
        #expect(!machine.finished(task, .fetched))
        #expect(machine.progress.isEmpty)
    }
}
