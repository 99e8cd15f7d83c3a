import Ledger
import Primitives
import Programs
import Testing
import Worker

/// A provider and a challenger over one job's blobs, each with its real machine and its real runner; nothing between them but what they say.
final class WalkPair {
    let job: TestJob
    let provider: SecretKey
    let challenger: SecretKey
    let id = Digest.of(Domain("test"), [7])
    let subject: DisputeSubject
    private let liar: JobRunner
    private let honest: JobRunner
    private(set) var desk: DisputeDesk
    var defence: WalkDefence
    /// What stands on chain.
    var revealed: [DisputeDesk.Attempt: [RevealPoint: Reveal]] = [:]
    private(set) var asks: [WalkAsk] = []
    private(set) var pauses: [Interval] = []
    private(set) var submitted: [Payload] = []
    var clock: UInt64 = 1_000
    static let until: UInt64 = 21_000
    static let deposit = Amount.xpl(2)

    /// `lies`: whether the provider's result has a false bit.
    init(lies: Bool = true) throws {
        job = try JobRunnerTests.counter(from: 3, to: 40, steps: 60, seed: 9)
        provider = try SecretKey(seed: [UInt8](repeating: 11, count: 32))
        challenger = try SecretKey(seed: [UInt8](repeating: 12, count: 32))
        liar = JobRunner(blobs: job.blobs, threads: 1, memory: 1 << 20, flipsBit: lies)
        honest = JobRunner(blobs: job.blobs, threads: 1, memory: 1 << 20, flipsBit: false)
        let result = try job.run(liar)
        subject = DisputeSubject(
            program: job.spec.program, axes: job.spec.axes.map(\.size), seed: job.spec.seed,
            parameters: job.spec.parameters, inputs: AgreedList(job.spec.inputs.compactMap(\.root)),
            initialState: job.spec.initialState, steps: result.steps, outputRoot: result.outputRoot,
            stateRoot: result.stateRoot)
        desk = DisputeDesk(key: challenger)
        defence = WalkDefence(key: provider)
    }

    var attempt: DisputeDesk.Attempt { DisputeDesk.Attempt(job: id, number: 1) }

    func permit(isAuditor: Bool = true) -> WalkPermit {
        WalkPermit(subject: subject, order: WorkOrder(spec: job.spec), isAuditor: isAuditor)
    }

    private var item: DisputeItem {
        DisputeItem(
            duty: DisputeDuty(job: id, attempt: 1, move: .challenge), subject: subject, walk: nil,
            terms: ChallengeTerms(
                defender: provider.publicKey.address, node: provider.publicKey, deposit: WalkPair.deposit,
                until: WalkPair.until))
    }

    /// The challenger's process begins anew.
    func restartChallenger() { desk = DisputeDesk(key: challenger) }

    func restartProvider() { defence = WalkDefence(key: provider) }

    /// The provider's whole answer: it is asked again until it has found it out.
    func answer(_ ask: WalkAsk, isAuditor: Bool = true) throws -> WalkAnswer {
        while true {
            let (answer, play) = defence.asked(ask, permit(isAuditor: isAuditor))
            guard let play else { return answer }
            #expect(answer == .computing)
            let again = defence.finished(play.duty, .done(try liar.play(play, job.spec)))
            #expect(again)
        }
    }

    /// One look of the challenger at the state. `says`: what it hears of the provider. Returns whether anything happened.
    @discardableResult
    func look(
        challenges: Bool = true, _ says: (WalkAsk) throws -> WalkAnswer?
    ) throws -> Bool {
        let outputs = desk.look(at: challenges ? [item] : [], revealed: revealed, clock: clock)
        for output in outputs {
            switch output {
            case .play(let item):
                let outcome: DisputeProgress
                do { outcome = .done(try honest.play(item, job.spec)) } catch {
                    outcome = .refused(error as? WorkRefusal ?? .failed("\(error)"))
                }
                let again = desk.finished(item.duty, outcome)
                #expect(!again)
            case .ask(let ask, let node, let pause):
                #expect(node == provider.publicKey)
                asks.append(ask)
                pauses.append(pause)
                desk.answered(ask, try says(ask))
            case .submit(let payload, _): submitted.append(payload)
            }
        }
        return !outputs.isEmpty
    }

    /// Until nothing happens any more, or something was submitted.
    func play(_ says: (WalkAsk) throws -> WalkAnswer?) throws {
        while submitted.isEmpty, try look(says) {}
    }

    /// The same with the provider's own answers.
    func play() throws { try play { try answer($0) } }

    func tell(_ ask: WalkAsk, _ answer: WalkAnswer?) { desk.answered(ask, answer) }

    /// The walk that was shown to the chain, which has checked the provider's signature as the chain does.
    func settled() throws -> Walk {
        try #require(submitted.count == 1)
        guard case .settleByTranscript(let id, let attempt, let transcript, let key, let signature) = submitted[0]
        else {
            Issue.record("\(submitted[0])")
            throw MemoryBlobs.Missing()
        }
        #expect(id == self.id && attempt == 1 && key == provider.publicKey)
        #expect(key.verify(signature, of: message(transcript)))
        #expect(submitted[0].canonicalBytes.count <= DisputeBound.maximumBytes)
        return try transcript.walk(subject)
    }

    func message(_ transcript: DisputeTranscript) -> [UInt8] {
        Dispute.transcriptMessage(
            job: id, attempt: 1, challenger: challenger.publicKey.address, subject, transcript)
    }

    /// An answer with another reveal, signed as it should be.
    func signed(_ reveal: Reveal, to ask: WalkAsk, by key: SecretKey? = nil) -> WalkAnswer {
        let transcript = DisputeTranscript(
            opening: ask.transcript.opening, moves: ask.transcript.moves + [.reveal(reveal)])
        let signer = key ?? provider
        return .reveal(reveal, key: signer.publicKey, signer.sign(message(transcript)))
    }
}
