import Ledger
import Primitives
import Programs
import Testing
import Worker

/// Somebody who runs others' jobs again: in a box, so that an expectation can ask what a question changes.
private final class Challenger {
    private var machine: ChallengerMachine

    init(_ key: SecretKey, _ rules: ChallengerRules) { machine = ChallengerMachine(key: key, rules: rules) }

    var findings: [ChallengerMachine.Finding] { machine.findings.sorted { $0.key < $1.key }.map(\.value) }
    var tally: ChallengerMachine.Tally { machine.tally }

    func look(at view: ChallengerView) -> [ChallengerMachine.Output] { machine.look(at: view) }

    func checked(_ attempt: DisputeDesk.Attempt, _ outcome: Result<ResultCommitment, WorkRefusal>) {
        machine.checked(attempt, outcome)
    }

    func finished(_ duty: DisputeDuty, _ outcome: DisputeProgress) { _ = machine.finished(duty, outcome) }

    func answered(_ ask: WalkAsk, _ answer: WalkAnswer?) { machine.answered(ask, answer) }
}

@Suite struct ChallengerMachineTests {
    private let pair: WalkPair
    private let runner: JobRunner

    init() throws {
        pair = try WalkPair()
        runner = JobRunner(blobs: pair.job.blobs, threads: 1, memory: 1 << 20, flipsBit: false)
    }

    private func challenger(share: UInt64 = 1_000, limit: Amount = .xpl(10), key: SecretKey? = nil) -> Challenger {
        Challenger(key ?? pair.challenger, ChallengerRules(sharePerMille: share, depositLimit: limit))
    }

    private func attempt(_ number: UInt8) -> DisputeDesk.Attempt {
        DisputeDesk.Attempt(job: Digest.of(Domain("test"), [number]), number: 1)
    }

    private var terms: ChallengeTerms {
        ChallengeTerms(
            defender: pair.provider.publicKey.address, node: pair.provider.publicKey, deposit: .xpl(2), until: 21_000)
    }

    private func result(_ attempt: DisputeDesk.Attempt, isOpen: Bool = true) -> ChallengerView.Result {
        ChallengerView.Result(
            attempt: attempt, order: WorkOrder(spec: pair.job.spec), subject: isOpen ? pair.subject : nil,
            terms: isOpen ? terms : nil)
    }

    private func view(
        _ results: [ChallengerView.Result], balance: Amount = .xpl(100), locked: Amount = .zero
    ) -> ChallengerView {
        ChallengerView(results: results, balance: balance, locked: locked, disputeClock: 1_000)
    }

    private func checks(_ outputs: [ChallengerMachine.Output]) -> [DisputeDesk.Attempt] {
        outputs.compactMap { if case .check(let attempt, _) = $0 { attempt } else { nil } }
    }

    private func challenges(_ outputs: [ChallengerMachine.Output]) -> [DisputeDuty] {
        outputs.compactMap { if case .play(let item, _) = $0 { item.duty } else { nil } }
    }

    private var lie: ResultCommitment {
        ResultCommitment(
            steps: pair.subject.steps, outputRoot: pair.subject.outputRoot, stateRoot: pair.subject.stateRoot)
    }

    /// From the first look to the transaction, with a provider that answers.
    @Test func aLieIsFoundAndConvictedWithOneTransaction() throws {
        let challenger = challenger()
        let own = DisputeDesk.Attempt(job: pair.id, number: 1)
        // Before it is open: the own result is there when the other is.
        #expect(checks(challenger.look(at: view([result(own, isOpen: false)]))) == [own])
        challenger.checked(own, .success(try runner.commitment(pair.id, pair.job.spec)))
        #expect(challenger.look(at: view([result(own, isOpen: false)])).isEmpty)
        var submitted: Payload?
        for _ in 0..<40 where submitted == nil {
            for output in challenger.look(at: view([result(own)])) {
                switch output {
                case .check: Issue.record("it is run once")
                case .play(let item, let order):
                    challenger.finished(item.duty, .done(try runner.play(item, order.spec)))
                case .ask(let ask, _, _): challenger.answered(ask, try pair.answer(ask, isAuditor: false))
                case .submit(let payload, _): submitted = payload
                }
            }
        }
        guard case .settleByTranscript(pair.id, 1, let transcript, let key, let signature)? = submitted else {
            Issue.record("\(String(describing: submitted))")
            return
        }
        #expect(key.verify(signature, of: pair.message(transcript)))
        let walk = try transcript.walk(pair.subject)
        #expect(walk.outcome == .convicted("element 0 of op 0 is wrong"))
        #expect(challenger.findings == [.differs])
        #expect(challenger.tally.checked == 1 && challenger.tally.differed == 1 && challenger.tally.agreed == 0)
    }

    /// What a run comes to without keeping anything is what one comes to that keeps its outputs.
    @Test func theOwnResultIsThatOfARun() throws {
        #expect(try runner.commitment(pair.id, pair.job.spec) == pair.job.run(runner))
        let small = JobRunner(blobs: pair.job.blobs, threads: 1, memory: 8, flipsBit: false)
        #expect(throws: WorkRefusal.self) { try small.commitment(pair.id, pair.job.spec) }
    }

    @Test func aResultThatIsTheOwnIsLeftAlone() {
        let challenger = challenger()
        _ = challenger.look(at: view([result(attempt(1))]))
        challenger.checked(attempt(1), .success(lie))
        #expect(challenger.look(at: view([result(attempt(1))])).isEmpty)
        #expect(challenger.findings == [.agrees] && challenger.tally.agreed == 1)
        // It is forgotten with the attempt.
        #expect(challenger.look(at: view([])).isEmpty && challenger.findings.isEmpty)
    }

    /// Of ten, two deposits of two fit under a limit of five.
    @Test func depositsAreNeverAboveTheLimit() throws {
        let truth = try runner.commitment(pair.id, pair.job.spec)
        func disputes(_ limit: Amount, balance: Amount = .xpl(100), locked: Amount = .zero) -> Int {
            let challenger = challenger(limit: limit)
            let results = (UInt8(1)...10).map { result(attempt($0)) }
            func look() -> [ChallengerMachine.Output] {
                challenger.look(at: view(results, balance: balance, locked: locked))
            }
            var due = Set<DisputeDuty>()
            for _ in 0..<12 {
                let outputs = look()
                for attempt in checks(outputs) { challenger.checked(attempt, .success(truth)) }
                due.formUnion(challenges(outputs))
            }
            #expect(challenger.findings.count { $0 == .differs } == due.count)
            #expect(challenger.findings.count { $0 == .differsBeyondLimit } == 10 - due.count)
            return due.count
        }
        #expect(disputes(.xpl(5)) == 2)
        #expect(disputes(.xpl(4)) == 2)
        #expect(disputes(.xpl(1)) == 0)
        #expect(disputes(.xpl(5), locked: .xpl(2)) == 1)
        #expect(disputes(.xpl(5), locked: .xpl(9)) == 0)
        #expect(disputes(.xpl(5), balance: .xpl(3)) == 1)
    }

    @Test func fewAreRunAtATime() {
        let challenger = challenger()
        let results = (UInt8(1)...5).map { result(attempt($0)) }
        let first = checks(challenger.look(at: view(results)))
        #expect(first == [attempt(1), attempt(2)])
        #expect(checks(challenger.look(at: view(results))).isEmpty)
        challenger.checked(attempt(2), .failure(.unavailable("x")))
        #expect(checks(challenger.look(at: view(results))) == [attempt(3)])
        #expect(challenger.tally.notRun == 1)
    }

    /// Nobody who does not have the key can tell which.
    @Test func aShareIsDrawnInSecret() throws {
        func drawn(_ key: SecretKey, _ share: UInt64) -> [DisputeDesk.Attempt] {
            let challenger = challenger(share: share, key: key)
            var found: [DisputeDesk.Attempt] = []
            let results = (UInt8(0)..<200).map { result(attempt($0)) }
            for _ in 0..<200 {
                let outputs = checks(challenger.look(at: view(results)))
                if outputs.isEmpty { break }
                found += outputs
                for attempt in outputs { challenger.checked(attempt, .success(lie)) }
            }
            #expect(challenger.tally.passed + challenger.tally.checked == 200)
            return found
        }
        let tenth = drawn(pair.challenger, 100)
        #expect((5...40).contains(tenth.count))
        #expect(drawn(pair.challenger, 100) == tenth && drawn(pair.provider, 100) != tenth)
        #expect(drawn(pair.challenger, 0).isEmpty && drawn(pair.challenger, 1_000).count == 200)
    }

    /// What cannot be fetched or run is no reason to challenge.
    @Test func withoutAnOwnResultNothingIsChallenged() {
        let challenger = challenger()
        _ = challenger.look(at: view([result(attempt(1))]))
        challenger.checked(attempt(1), .failure(.unavailable("an input")))
        #expect(challenger.look(at: view([result(attempt(1))])).isEmpty)
        // Told too late, of an attempt that is over.
        challenger.checked(attempt(9), .success(lie))
        #expect(challenger.findings == [.notRun(.unavailable("an input"))])
    }

    /// A dispute that is on chain already goes on after a restart, from the state alone.
    @Test func aDisputeOnChainIsPlayedOn() throws {
        let challenger = challenger()
        var walk = try Walk(pair.subject, DisputeOpening(pair.job.program))
        guard
            case .reveal(let reveal, _, _) = try pair.answer(
                WalkAsk(
                    job: pair.id, attempt: 1,
                    transcript: DisputeTranscript(opening: DisputeOpening(pair.job.program), moves: []), signed: nil,
                    by: pair.challenger))
        else { throw MemoryBlobs.Missing() }
        try walk.reveal(reveal, pair.subject)
        let duty = DisputeDuty(job: pair.id, attempt: 1, move: .pick(round: 0))
        var view = view([])
        view.disputes = [DisputeItem(duty: duty, subject: pair.subject, walk: walk)]
        view.orders = [pair.id: WorkOrder(spec: pair.job.spec)]
        #expect(challenges(challenger.look(at: view)) == [duty])
        challenger.finished(duty, .done(try runner.play(view.disputes[0], pair.job.spec)))
        let outputs = challenger.look(at: view)
        guard outputs.count == 1, case .submit(.pickDispute(pair.id, 1, round: 0, _), duty) = outputs[0] else {
            Issue.record("\(outputs)")
            return
        }
    }
}
