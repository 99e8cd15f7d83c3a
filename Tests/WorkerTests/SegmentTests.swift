import Ledger
import Primitives
import Programs
import Runtime
import Testing
import Worker

/// Runs in parts, each a job that goes on from what the one before left.
@Suite struct SegmentTests {
    /// What all parts gave out, one after the other, and what the last has kept.
    private struct Row {
        var steps: [UInt64] = []
        var outputs: [[Digest]] = []
        var kept: [Digest] = []
        var commitments: [ResultCommitment] = []
    }

    private static func parent(_ number: Int) -> Digest { Digest.of(Domain("segment"), [UInt8(number)]) }

    /// The jobs of a row, each with what its provider is told of the one before. A part whose first step would come after the end is not run, as on chain.
    private static func run(_ job: TestJob, every steps: UInt64) throws -> Row {
        let whole = try job.program.specialise(job.spec.axes.map { ($0.name, $0.size) })
        var row = Row(steps: whole.scans.map { _ in 0 })
        for ranges in whole.segments(ofSteps: steps) {
            let part = try spec(job, whole, ranges, after: row.commitments.count)
            let results = row.commitments.last.map { [Self.parent(row.commitments.count): $0] } ?? [:]
            // Another machine each time.
            let runner = JobRunner(blobs: job.blobs, threads: 1, memory: 1 << 24, flipsBit: false)
            let order = WorkOrder(spec: try JobSpec(canonicalBytes: part.canonicalBytes), results: results)
            let (plain, resolution) = try runner.resolved(order)
            if let resolution {
                let roots = try resolution.roots(of: part, reading: results)
                #expect(roots == plain.roots)
                if resolution.flag?.isSet == true { break }
            }
            try runner.check(plain)
            let result = try runner.run(plain) { _ in }
            #expect(part.allows(steps: result.steps))
            row.commitments.append(result)
            row.outputs += try #require(job.blobs.lists[result.outputRoot])
            row.kept = try #require(job.blobs.lists[result.stateRoot])[0]
            for (scan, taken) in result.steps.enumerated() { row.steps[scan] += taken }
        }
        return row
    }

    /// One part's job.
    private static func spec(
        _ job: TestJob, _ whole: SpecialisedProgram, _ ranges: [StepRange], after number: Int
    ) throws -> JobSpec {
        let fixed = try whole.segment(ranges)
        var spec = job.spec
        spec.isSegment = true
        spec.scans = try JobScan.all(of: fixed)
        spec.computeUnits = try fixed.cost()
        spec.memory = 1 << 24
        if number > 0 {
            spec.stateOf = parent(number)
            spec.carried = []
            spec.initialState = .zero
            if let scan = ranges.firstIndex(where: { $0.count > 0 }), ranges[scan].first > 0 {
                spec.flag = whole.scans[scan].stop
            }
        }
        return spec
    }

    /// The parts of a run are the run: the same outputs, steps and state, wherever it is cut and whether a flag ends it or not.
    @Test(
        arguments: [(Int32(7), 5), (100, 9), (4, 2), (9, 7), (3, 1)] as [(Int32, Int)], [1, 2, 3, 4, 9, 20] as [UInt64])
    func partsOfACountAreTheWhole(_ end: (limit: Int32, steps: Int), _ every: UInt64) throws {
        let job = try JobRunnerTests.counter(from: 2, to: end.limit, seed: 5)
        let whole = try job.run()
        #expect(whole.steps == [UInt64(end.steps)])
        let row = try Self.run(job, every: every)
        #expect(row.steps == whole.steps)
        #expect(ResultRoots.outputRoot(row.outputs) == whole.outputRoot)
        #expect(ResultRoots.stateRoot([row.kept[1]]) == whole.stateRoot)
        #expect(row.commitments.count == (end.steps + Int(every) - 1) / Int(every))
    }

    /// AdamW with clipping and dropout: weights, moments, powers and the step's number go from part to part, and rows are gathered by the step's number.
    @Test(arguments: [1, 2, 4, 5] as [UInt64]) func partsOfATrainingAreTheWhole(_ every: UInt64) throws {
        let configuration = GPTConfiguration(vocabulary: 256, width: 8, layers: 1, heads: 2, context: 6)
        var settings = TrainingSettings()
        settings.batch = 2
        settings.clip = 1
        settings.dropout = 0.2
        settings.schedule = .cosine(warmup: 2, end: 5, least: 0.1)
        let text = (0..<120).map { (place: Int) -> UInt8 in
            let letter: Int = (place * place * 7 + place / 3) % 26
            return UInt8(letter + 97)
        }
        let program = try TrainingProgram(configuration, settings, text: text.count, steps: 5)
        let blobs = MemoryBlobs()
        let starts = try TrainingDraws.starts(
            steps: 5, batch: 2, text: text.count, context: configuration.context, seed: 3)
        let weights = TrainingDraws.weights(configuration, seed: 3)
        let scalars = [Tensor([Float(1)], shape: []), Tensor([Float(1)], shape: []), Tensor([Int32(0)], shape: [])]
        var carried: [String: Digest] = [:]
        // The moments between them begin as zeros.
        let declared = program.program.carried
        for (declaration, tensor) in zip(declared.prefix(weights.count) + declared.suffix(3), weights + scalars) {
            carried[declaration.name] = blobs.tensor(
                tensor.element, tensor.shape.map { UInt64($0) }, tensor.bytes)
        }
        let job = try TestJob(
            program.program, weights: [],
            inputs: [blobs.tensor(.u8, [UInt64(text.count)], text), blobs.tensor(starts, [5, 2])], carried: carried,
            seed: 11, in: blobs)
        let runner = JobRunner(blobs: blobs, threads: 1, memory: 1 << 24, flipsBit: false)
        let whole = try runner.run(job.spec) { _ in }
        let row = try Self.run(job, every: every)
        #expect(row.steps == [5] && ResultRoots.outputRoot(row.outputs) == whole.outputRoot)
        let kept = try #require(blobs.lists[whole.stateRoot])[0]
        #expect(program.program.kept.map { row.kept[Int($0)] } == kept)
    }

    /// Two scans over a cache: one that fills the first places, one that fills one place a step by what stands there, until a flag ends it.
    @Test(arguments: [1, 2, 3, 5] as [UInt64], [Int32(40), 100_000]) func partsOfTwoScansAreTheWhole(
        _ every: UInt64, _ limit: Int32
    ) throws {
        let job = try Self.scans(limit: limit)
        let runner = JobRunner(blobs: job.blobs, threads: 1, memory: 1 << 20, flipsBit: false)
        let whole = try runner.run(job.spec) { _ in }
        // The sum at least doubles with each step, and grows to at most 24 in two.
        #expect(whole.steps[0] == 2 && (limit == 40 ? 1...4 : 6...6).contains(whole.steps[1]))
        let row = try Self.run(job, every: every)
        #expect(row.steps == whole.steps && ResultRoots.outputRoot(row.outputs) == whole.outputRoot)
        #expect(ResultRoots.stateRoot([row.kept[0]]) == whole.stateRoot)
    }

    private static func scans(limit: Int32) throws -> TestJob {
        let blobs = MemoryBlobs()
        let cache = TensorType(.i32, [8])
        let input = [TensorDeclaration(name: "limit", type: TensorType(.i32, []))]
        let carried = [
            TensorDeclaration(name: "cache", type: cache), TensorDeclaration(name: "done", type: TensorType(.bool, [])),
        ]
        func scan(_ steps: Dimension, offset: Int64, stop: UInt16?) throws -> Scan {
            var graph = GraphBuilder(leading: (input + carried).map(\.type))
            let sum = graph.reduce(.sum, ValueID(1))
            let next = graph.map(.i32, [8], [ValueID(1), sum]) { e in
                let (old, total) = (e.input(0), e.input(1))
                let place = e.apply(.add, e.node(.step), e.node(.constant(.i64, bits: UInt64(offset))))
                let word = e.apply(
                    .and, e.apply(.toI32, e.node(.random(0))), e.node(.constant(.i32, bits: 7)))
                let more = e.apply(.add, e.apply(.add, total, word), e.node(.constant(.i32, bits: 1)))
                _ = e.apply(.select, e.apply(.equal, e.node(.index(0)), place), more, old)
            }
            let after = graph.reduce(.sum, next)
            let done = graph.map(.bool, [], [after, ValueID(0)]) { e in
                _ = e.apply(.lessOrEqual, e.input(1), e.input(0))
            }
            return Scan(
                steps: steps, operations: graph.operations, outputs: [after],
                carried: [next, stop == nil ? ValueID(2) : done],
                stop: stop)
        }
        let program = try Program(
            axes: [], parameters: [], inputs: input, carried: carried, kept: [0],
            scans: [try scan(2, offset: 0, stop: nil), try scan(6, offset: 2, stop: 1)])
        return try TestJob(program, weights: [], inputs: [blobs.tensor([limit], [])], seed: 2, in: blobs)
    }

    // MARK: What is refused

    @Test func aPartThatSaysWhatIsNotSoIsRefused() throws {
        let job = try JobRunnerTests.counter(from: 2, to: 100, seed: 5)
        let whole = try job.program.specialise([("steps", 9)])
        let parts = whole.segments(ofSteps: 4)
        #expect(
            parts == [
                [StepRange(first: 0, count: 4)], [StepRange(first: 4, count: 4)], [StepRange(first: 8, count: 1)],
            ])
        let runner = JobRunner(blobs: job.blobs, threads: 1, memory: 1 << 20, flipsBit: false)
        let first = try runner.run(try Self.spec(job, whole, parts[0], after: 0)) { _ in }
        let sound = try Self.spec(job, whole, parts[1], after: 1)
        func check(_ spec: JobSpec, _ result: ResultCommitment = first) throws {
            let (plain, _) = try runner.resolved(WorkOrder(spec: spec, results: [Self.parent(1): result]))
            try runner.check(plain)
        }
        try check(sound)
        let changes: [(inout JobSpec) -> Void] = [
            { $0.scans[0].first = 6 },
            { $0.scans[0].steps = 3 },
            { $0.flag = 1 },
            { $0.isSegment = false },
            { $0.computeUnits = job.spec.computeUnits },
        ]
        for (number, change) in changes.enumerated() {
            var spec = sound
            change(&spec)
            #expect(throws: WorkRefusal.self, "change \(number)") { try check(spec) }
        }
        // What it goes on from is not this program's state, or is not there.
        let other = ResultCommitment(steps: [1], outputRoot: .zero, stateRoot: try job.run().stateRoot)
        #expect(throws: WorkRefusal.self) { try check(sound, other) }
        #expect(throws: WorkRefusal.self) {
            try check(sound, ResultCommitment(steps: [1], outputRoot: .zero, stateRoot: .zero))
        }
        // A scan that has ended is not gone on with, where the state is given.
        var given = try Self.spec(job, whole, parts[1], after: 0)
        given.carried.append(JobInput(name: "done", root: job.blobs.tensor(.bool, [], [1])))
        given.initialState = whole.initialState([1: try #require(given.carried[0].root), 2: ShownFlag.root(true)])
        #expect(throws: WorkRefusal.malformed("the scan that the job goes on with has ended")) {
            try runner.check(given)
        }
    }

    // MARK: Disputes

    /// A lie in a part is found in it, by its own steps' numbers: random words are the whole run's.
    @Test func aLieInAPartIsConvicted() throws {
        let job = try JobRunnerTests.counter(from: 2, to: 100, steps: 40, seed: 5)
        let whole = try job.program.specialise([("steps", 40)])
        let parts = whole.segments(ofSteps: 16)
        let (honest, liar) = (
            JobRunner(blobs: job.blobs, threads: 1, memory: 1 << 20, flipsBit: false),
            JobRunner(blobs: job.blobs, threads: 1, memory: 1 << 20, flipsBit: true)
        )
        let first = try honest.run(try Self.spec(job, whole, parts[0], after: 0)) { _ in }
        let order = WorkOrder(spec: try Self.spec(job, whole, parts[1], after: 1), results: [Self.parent(1): first])
        let spec = try honest.resolved(order).spec
        let lie = try liar.run(spec) { _ in }
        let truth = try honest.run(spec) { _ in }
        #expect(truth.outputRoot != lie.outputRoot)
        #expect(try play(spec, lie, liar, honest).contains("element 0 of op 0 is wrong"))
    }

    /// Other random words than those of its own steps: to count the steps from 0 again is a lie too.
    @Test func countingFromZeroAgainIsConvicted() throws {
        let job = try JobRunnerTests.counter(from: 2, to: 100, steps: 40, seed: 5)
        let whole = try job.program.specialise([("steps", 40)])
        let spec = try Self.spec(job, whole, [StepRange(first: 16, count: 9)], after: 0)
        var restarted = spec
        restarted.scans[0].first = 0
        func runner() -> JobRunner { JobRunner(blobs: job.blobs, threads: 1, memory: 1 << 20, flipsBit: false) }
        let (truth, lie) = (try runner().run(spec) { _ in }, try runner().run(restarted) { _ in })
        #expect(truth.outputRoot != lie.outputRoot && truth.stateRoot == lie.stateRoot)
        #expect(try play(spec, lie, runner(), runner(), defends: restarted).contains("of op 2 is wrong"))
    }

    /// All carried tensors are kept, the program's own list notwithstanding: a lie in one of those that it does not keep.
    @Test func aLieInTheStateOfAPartIsConvicted() throws {
        let job = try JobRunnerTests.counter(from: 2, to: 100, steps: 40, seed: 5)
        let whole = try job.program.specialise([("steps", 40)])
        for count: UInt64 in [1, 9] {
            let spec = try Self.spec(job, whole, [StepRange(first: 16, count: count)], after: 0)
            func runner() -> JobRunner { JobRunner(blobs: job.blobs, threads: 1, memory: 1 << 20, flipsBit: false) }
            let truth = try runner().run(spec) { _ in }
            var kept = try #require(job.blobs.lists[truth.stateRoot])[0]
            #expect(kept.count == 3)
            kept[0] = job.blobs.tensor(.f32, [3], [UInt8](repeating: 1, count: 12))
            let lie = ResultCommitment(
                steps: truth.steps, outputRoot: truth.outputRoot, stateRoot: ResultRoots.stateRoot(kept))
            // It reveals the list that it has committed to, and the truth everywhere else.
            let reason = try play(spec, lie, runner(), runner(), kept: kept)
            #expect(reason.contains("entry 0 of the kept"))
        }
    }

    /// Lies and false accusations of all kinds, about stretches of the runs of small models and random programs.
    @Test func disputesAboutPartsAreDecidedByTheTruth() {
        let report = DisputeCampaign(seed: 11, ofParts: true).run(faults: 96, honest: 192, threads: 2)
        #expect(report.wrong == 0, "\(report.failures)")
        #expect(report.convicted > 30 && report.convicted + report.roundedAway == 96 && report.acquitted == 192)
    }

    private func play(
        _ spec: JobSpec, _ result: ResultCommitment, _ defender: JobRunner, _ challenger: JobRunner,
        defends: JobSpec? = nil, kept: [Digest]? = nil
    ) throws -> String {
        let roots = try #require(spec.roots)
        let subject = DisputeSubject(
            program: spec.program, axes: spec.axes.map(\.size), seed: spec.seed, parameters: spec.parameters,
            inputs: AgreedList(roots.inputs), initialState: roots.initialState, segment: spec.segment,
            steps: result.steps, outputRoot: result.outputRoot, stateRoot: result.stateRoot)
        func item(_ move: DisputeDuty.Move, _ walk: Walk?) -> DisputeItem {
            DisputeItem(duty: DisputeDuty(job: .zero, attempt: 1, move: move), subject: subject, walk: walk)
        }
        let anybody = try SecretKey(seed: [UInt8](repeating: 1, count: 32)).publicKey.address
        guard case .opening(let opening) = try challenger.play(item(.challenge, nil), spec) else {
            throw MemoryBlobs.Missing()
        }
        var walk = try Walk(subject, opening)
        var round: UInt32 = 0
        while let turn = walk.turn {
            if turn == .defender {
                let point = try #require(walk.point)
                if let kept, case .entries(_, .kept, _) = point {
                    try walk.reveal(.digests(kept), subject)
                    continue
                }
                let asked = item(.reveal(to: anybody, at: point), walk)
                guard case .reveal(let reveal) = try defender.play(asked, defends ?? spec)
                else { throw MemoryBlobs.Missing() }
                try walk.reveal(reveal, subject)
            } else {
                guard case .pick(let pick) = try challenger.play(item(.pick(round: round), walk), spec) else {
                    throw MemoryBlobs.Missing()
                }
                try walk.pick(pick, subject)
                round += 1
            }
        }
        guard case .convicted(let reason) = walk.outcome else {
            Issue.record("\(String(describing: walk.outcome))")
            return ""
        }
        return reason
    }
}
