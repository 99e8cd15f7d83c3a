import Ledger
import Primitives
import Programs
import Runtime
import Testing
import Worker

/// A program with its weights and inputs as blobs, and a job of it that is sound.
struct TestJob {
    let program: Program
    let blobs: MemoryBlobs
    var spec: JobSpec

    /// `carried`: what is given of the state, by name.
    init(
        _ program: Program, axes: [UInt64] = [], weights: [Digest], inputs: [Digest], carried: [String: Digest] = [:],
        seed: UInt64 = 0, in blobs: MemoryBlobs
    ) throws {
        self.program = program
        self.blobs = blobs
        let named = zip(program.axes, axes).map { JobAxis(name: $0, size: $1) }
        let fixed = try program.specialise(named.map { ($0.name, $0.size) })
        let manifest = try ModelManifest(
            name: "test", programRoot: program.root, programFile: blobs.file(program.canonicalBytes),
            parameterRoots: weights, files: [])
        var given: [Int: Digest] = [:]
        for (place, declaration) in program.carried.enumerated() { given[place] = carried[declaration.name] }
        spec = JobSpec(
            program: program.root, manifest: blobs.file(manifest.canonicalBytes), axes: named,
            parameters: AgreedList(weights),
            inputs: zip(program.inputs, inputs).map { JobInput(name: $0.name, root: $1) },
            carried: program.carried.compactMap { declaration in
                carried[declaration.name].map { JobInput(name: declaration.name, root: $0) }
            }, initialState: fixed.initialState(given), seed: seed, scans: try JobScan.all(of: fixed),
            computeUnits: try fixed.cost(), memory: 1 << 20, maximumPricePer1000CU: .xpl(1), policy: .audited,
            queueMilliseconds: 1, deadlineMilliseconds: 1,
            storageHint: try SecretKey(seed: [UInt8](repeating: 1, count: 32)).publicKey)
    }

    func run(_ runner: JobRunner? = nil) throws -> ResultCommitment {
        let runner = runner ?? JobRunner(blobs: blobs, threads: 1, memory: 1 << 20, flipsBit: false)
        try runner.check(spec)
        return try runner.run(spec) { _ in }
    }
}

@Suite struct JobRunnerTests {
    /// y = x · w over rows of four.
    static func product() throws -> Program {
        let rows = Dimension(1, axis: 0)
        let width = Dimension(4)
        let parameters = [TensorDeclaration(name: "weight", type: TensorType(.i32, [width]))]
        let inputs = [TensorDeclaration(name: "x", type: TensorType(.i32, [rows, width]))]
        var graph = GraphBuilder(leading: (parameters + inputs).map(\.type))
        let result = graph.map(.i32, [rows, width], [ValueID(1), ValueID(0)]) { e in
            _ = e.apply(.multiply, e.input(1), e.input(0))
        }
        return try Program(
            axes: ["rows"], parameters: parameters, inputs: inputs,
            scans: [Scan(steps: 1, operations: graph.operations, outputs: [result])])
    }

    static func product(_ weight: [Int32], in blobs: MemoryBlobs = MemoryBlobs()) throws -> TestJob {
        try TestJob(
            product(), axes: [1], weights: [blobs.tensor(weight, [4])], inputs: [blobs.tensor([1, 2, 3, 4], [1, 4])],
            in: blobs)
    }

    /// Counts up from what it is given, at most `steps` times, until it is at the limit; draws a word at each step. The count is kept.
    static func counter() throws -> Program {
        let input = [TensorDeclaration(name: "limit", type: TensorType(.i32, []))]
        let carried = [
            TensorDeclaration(name: "unused", type: TensorType(.f32, [3])),
            TensorDeclaration(name: "count", type: TensorType(.i32, [])),
            TensorDeclaration(name: "done", type: TensorType(.bool, [])),
        ]
        var graph = GraphBuilder(leading: (input + carried).map(\.type))
        let next = graph.map(.i32, [], [ValueID(2)]) { e in
            _ = e.apply(.add, e.input(0), e.node(.constant(.i32, bits: 1)))
        }
        let done = graph.map(.bool, [], [next, ValueID(0)]) { e in
            _ = e.apply(.lessOrEqual, e.input(1), e.input(0))
        }
        let word = graph.map(.i64, [], []) { e in _ = e.node(.random(0)) }
        return try Program(
            axes: ["steps"], parameters: [], inputs: input, carried: carried, kept: [1],
            scans: [
                Scan(
                    steps: Dimension(1, axis: 0), operations: graph.operations, outputs: [next, word],
                    carried: [ValueID(1), next, done], stop: 2)
            ])
    }

    static func counter(from count: Int32?, to limit: Int32, steps: UInt64 = 9, seed: UInt64 = 0) throws -> TestJob {
        let blobs = MemoryBlobs()
        return try TestJob(
            counter(), axes: [steps], weights: [], inputs: [blobs.tensor([limit], [])],
            carried: count.map { ["count": blobs.tensor([$0], [])] } ?? [:], seed: seed, in: blobs)
    }

    /// Each hostile job names a model of its own; before, each stayed in memory for as long as the process lived.
    @Test func modelsThatAreOnlyNamedOnceDoNotStay() throws {
        let blobs = MemoryBlobs()
        let runner = JobRunner(blobs: blobs, threads: 1, memory: 1 << 20, flipsBit: false)
        for model in 1...Int32(JobRunner.maximumModels + 3) {
            let job = try Self.product([Int32](repeating: model, count: 4), in: blobs)
            let values = MemoryBlobs.bytes([1, 2, 3, 4].map { $0 * model })
            let root = ResultRoots.outputRoot([[TensorRoot.of(.i32, [1, 4], values)]])
            // The second time from what is kept.
            for _ in 0..<2 {
                let found = try job.run(runner).outputRoot
                #expect(found == root)
            }
            #expect(runner.preparedModels == min(Int(model), JobRunner.maximumModels))
        }
    }

    /// From what is given or from zero, to its end or to the last step: all that comes out is there under the roots of the commitment.
    @Test(arguments: [(Int32(3), Int32(7), 4), (nil, 7, 7), (3, 100, 9), (50, 7, 1)] as [(Int32?, Int32, Int)])
    func everyStepAndTheStateAreKept(_ count: Int32?, _ limit: Int32, _ steps: Int) throws {
        let job = try Self.counter(from: count, to: limit)
        let result = try job.run()
        #expect(result.steps == [UInt64(steps)])
        let lists = try #require(job.blobs.lists[result.outputRoot])
        let counts = lists.map { job.blobs.bytes(of: $0[0]) }
        #expect(counts == (1...steps).map { MemoryBlobs.bytes([(count ?? 0) + Int32($0)]) })
        #expect(lists.allSatisfy { $0.count == 2 && job.blobs.bytes(of: $0[1])?.count == 8 })
        let state = try #require(job.blobs.lists[result.stateRoot])
        #expect(state.count == 1 && state[0].count == 1)
        #expect(job.blobs.bytes(of: state[0][0]) == counts.last)
        #expect(job.spec.allows(steps: result.steps))
    }

    @Test func theSeedIsTheJobs() throws {
        let roots = try [0, 1, 1].map { try Self.counter(from: 1, to: 4, seed: $0).run().outputRoot }
        #expect(roots[0] != roots[1] && roots[1] == roots[2])
    }

    /// The program's own executor, which shares nothing with the runner but the blobs.
    @Test func whatComesOutIsWhatTheReferenceGives() throws {
        let job = try Self.counter(from: 2, to: 6, seed: 5)
        let fixed = try job.program.specialise([("steps", 9)])
        let result = try job.run()
        let limit = MemoryBlobs.bytes([6])
        let start = MemoryBlobs.bytes([2])
        let reference = try limit.withUnsafeBytes { limit in
            try start.withUnsafeBytes { start in
                try ReferenceExecutor(fixed).run(
                    parameters: [], inputs: [limit], carried: [1: start], seed: 5)
            }
        }
        #expect(reference.steps == result.steps)
        #expect(reference.outputRoot == result.outputRoot)
        #expect(ResultRoots.stateRoot([TensorRoot.of(.i32, [], reference.carried[1].bytes)]) == result.stateRoot)
    }

    @Test func aLiarGivesAnotherOutputAndTheSameSteps() throws {
        let job = try Self.counter(from: 2, to: 6)
        let liar = JobRunner(blobs: job.blobs, threads: 1, memory: 1 << 20, flipsBit: true)
        let (truth, lie) = (try job.run(), try job.run(liar))
        #expect(truth.outputRoot != lie.outputRoot && truth.steps == lie.steps && truth.stateRoot == lie.stateRoot)
    }

    /// What a dispute takes from the job's words, nobody has run that did not check it.
    @Test func aJobThatSaysWhatIsNotSoIsRefused() throws {
        let blobs = MemoryBlobs()
        let sound = try Self.product([1, 2, 3, 4], in: blobs)
        _ = try sound.run()
        let wrongShape = blobs.tensor([1, 2, 3, 4], [4, 1])
        let changes: [(JobSpec) -> JobSpec] = [
            {
                var s = $0; s.parameters = AgreedList([.zero]); return s
            },
            {
                var s = $0; s.program = .zero; return s
            },
            {
                var s = $0; s.axes = []; return s
            },
            {
                var s = $0; s.axes.append(JobAxis(name: "rows", size: 1)); return s
            },
            {
                var s = $0; s.axes[0].name = "lines"; return s
            },
            {
                var s = $0; s.inputs[0].name = "y"; return s
            },
            {
                var s = $0; s.inputs.append(s.inputs[0]); return s
            },
            {
                var s = $0; s.inputs[0].source = .root(wrongShape); return s
            },
            {
                var s = $0; s.carried = [JobInput(name: "count", root: wrongShape)]; return s
            },
            {
                var s = $0; s.initialState = wrongShape; return s
            },
            {
                var s = $0; s.scans[0].weightedOperations -= 1; return s
            },
            {
                var s = $0; s.scans[0].steps += 1; return s
            },
            {
                var s = $0; s.scans.append(JobScan(steps: 1, weightedOperations: 0)); return s
            },
            {
                var s = $0; s.computeUnits = ComputeUnits(weightedOperations: 1_000); return s
            },
        ]
        for (number, change) in changes.enumerated() {
            var job = sound
            job.spec = change(sound.spec)
            #expect(throws: WorkRefusal.self, "change \(number)") { try job.run() }
        }
        // A weight of another type than the program's, under its true root.
        let other = try TestJob(
            Self.product(), axes: [1], weights: [wrongShape], inputs: [blobs.tensor([1, 2, 3, 4], [1, 4])], in: blobs)
        #expect(throws: WorkRefusal.self) { try other.run() }
    }

    /// A job whose weights or inputs hold another NaN than a run leaves: an honest provider that took it could have been challenged, and no reveal would have
    /// combined.
    @Test func whatCouldNotBeDefendedIsNotBegun() throws {
        let type = TensorType(.f32, [2])
        var graph = GraphBuilder(leading: [type, type])
        let sum = graph.map(.f32, [2], [ValueID(0), ValueID(1)]) { e in _ = e.apply(.add, e.input(0), e.input(1)) }
        let program = try Program(
            axes: [], parameters: [TensorDeclaration(name: "w", type: type)],
            inputs: [TensorDeclaration(name: "x", type: type)],
            scans: [Scan(steps: 1, operations: graph.operations, outputs: [sum])])
        let blobs = MemoryBlobs()
        func tensor(_ words: [UInt32]) throws -> Digest {
            try blobs.storeTensor(
                type: ElementType.f32.rawValue, shape: [2],
                bytes: words.flatMap { word in withUnsafeBytes(of: word.littleEndian) { Array($0) } })
        }
        let sound = try tensor([0x7FC0_0000, 0xFF80_0000])
        for odd: UInt32 in [0x7FC0_0001, 0xFFC0_0000, 0x7F80_0001] {
            let other = try tensor([1, odd])
            _ = try TestJob(program, weights: [sound], inputs: [sound], in: blobs).run()
            for (weight, input) in [(other, sound), (sound, other)] {
                let job = try TestJob(program, weights: [weight], inputs: [input], in: blobs)
                #expect(throws: WorkRefusal.self) { try job.run() }
            }
        }
    }

    @Test func aStateThatIsGivenIsCheckedToo() throws {
        let sound = try Self.counter(from: 3, to: 7)
        var job = sound
        job.spec.initialState = try Self.counter(from: nil, to: 7).spec.initialState
        #expect(throws: WorkRefusal.self) { try job.run() }
        job = sound
        job.spec.carried[0].name = "unused"
        #expect(throws: WorkRefusal.self) { try job.run() }
        job = sound
        job.spec.carried = [sound.spec.carried[0], sound.spec.carried[0]]
        #expect(throws: WorkRefusal.self) { try job.run() }
    }

    @Test func whatCannotBeListedIsRefused() throws {
        let most = JobRunner.maximumOutputs / 2
        #expect(throws: WorkRefusal.self) { try Self.counter(from: 1, to: 3, steps: most + 1).run() }
        let result = try Self.counter(from: 1, to: 3, steps: most).run()
        #expect(result.steps == [2])
    }

    @Test func zerosHaveTheRootOfTheirBytes() {
        for count in [0, 1, 255, 256, 257, 511, 512, 513, 767, 769, 1_024, 1_025, 5_000] as [UInt64] {
            let bytes = [UInt8](repeating: 0, count: Int(count) * 4)
            #expect(TensorRoot.ofZeros(.f32, [count]) == TensorRoot.of(.f32, [count], bytes))
        }
    }
}
