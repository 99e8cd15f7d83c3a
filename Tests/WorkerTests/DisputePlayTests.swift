import Ledger
import Primitives
import Programs
import Testing
import Worker

/// Two runners play a dispute over the blobs that they have, as their providers would: a liar's and an honest one's.
@Suite struct DisputePlayTests {
    private let liar: JobRunner
    private let honest: JobRunner
    private let job: TestJob

    init() throws {
        job = try JobRunnerTests.counter(from: 3, to: 40, steps: 60, seed: 9)
        liar = JobRunner(blobs: job.blobs, threads: 1, memory: 1 << 20, flipsBit: true)
        honest = JobRunner(blobs: job.blobs, threads: 1, memory: 1 << 20, flipsBit: false)
    }

    private func subject(_ result: ResultCommitment) -> DisputeSubject {
        DisputeSubject(
            program: job.spec.program, axes: job.spec.axes.map(\.size), seed: job.spec.seed,
            parameters: job.spec.parameters, inputs: AgreedList(job.spec.inputs.compactMap(\.root)),
            initialState: job.spec.initialState, steps: result.steps, outputRoot: result.outputRoot,
            stateRoot: result.stateRoot)
    }

    private func item(_ move: DisputeDuty.Move, _ subject: DisputeSubject, _ walk: Walk?) -> DisputeItem {
        DisputeItem(duty: DisputeDuty(job: .zero, attempt: 1, move: move), subject: subject, walk: walk)
    }

    /// Where a challenger's runner leads a provider's. The runners are made anew before each move where `restarts`: nothing but the blobs is kept.
    private func play(_ provider: JobRunner, restarts: Bool = false) throws -> Walk {
        let subject = subject(try job.run(provider))
        let anybody = try SecretKey(seed: [UInt8](repeating: 1, count: 32)).publicKey.address
        guard case .opening(let opening) = try honest.play(item(.challenge, subject, nil), job.spec) else {
            throw MemoryBlobs.Missing()
        }
        var walk = try Walk(subject, opening)
        var round: UInt32 = 0
        while let turn = walk.turn {
            let isLiar = provider === liar
            let flips = turn == .defender && isLiar
            let runner =
                restarts
                ? JobRunner(blobs: job.blobs, threads: 1, memory: 1 << 20, flipsBit: flips)
                : turn == .defender ? provider : honest
            switch turn {
            case .defender:
                let point = try #require(walk.point)
                guard
                    case .reveal(let reveal) = try runner.play(
                        item(.reveal(to: anybody, at: point), subject, walk), job.spec)
                else { throw MemoryBlobs.Missing() }
                try walk.reveal(reveal, subject)
            case .challenger:
                guard case .pick(let pick) = try runner.play(item(.pick(round: round), subject, walk), job.spec) else {
                    throw MemoryBlobs.Missing()
                }
                try walk.pick(pick, subject)
                round += 1
            }
        }
        return walk
    }

    @Test(arguments: [false, true]) func aLieInOneBitIsConvicted(_ restarts: Bool) throws {
        let walk = try play(liar, restarts: restarts)
        guard case .convicted(let reason) = walk.outcome else {
            Issue.record("\(String(describing: walk.outcome))")
            return
        }
        #expect(reason.contains("element 0 of op 0 is wrong"))
        // 37 steps, three ops of one number.
        #expect(walk.rounds == 4)
    }

    /// Who agrees has nothing to point at.
    @Test func anHonestResultIsNotDisputed() throws {
        #expect(throws: WorkRefusal.self) { try play(honest) }
    }
}
