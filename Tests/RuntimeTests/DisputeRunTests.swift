import Foundation
import Primitives
import Programs
import Runtime
import Testing

/// The two players of a dispute, each by its own run.
@Suite struct DisputeRunTests {
    /// Ten steps that add what they draw to a state of two blocks; a counter ends the run after so many.
    static func program(ending: UInt64 = 10) throws -> Program {
        let vector = TensorType(.f32, [300])
        var graph = GraphBuilder(leading: [vector, vector, TensorType(.i64, []), TensorType(.bool, [])])
        let drawn = graph.map(.f32, [300], [ValueID(0), ValueID(1)]) { e in
            let (x, s) = (e.input(0), e.input(1))
            let word = e.apply(.toF32, e.node(.random(0)))
            _ = e.apply(.fma, e.apply(.multiply, word, e.constant(bits: Float(0x1p-32).bitPattern)), x, s)
        }
        let sum = graph.reduce(.sum, drawn)
        let count = graph.map(.i64, [], [ValueID(2)]) { e in
            let x = e.input(0)
            _ = e.apply(.add, x, e.node(.constant(.i64, bits: 1)))
        }
        let isOver = graph.map(.bool, [], [count]) { e in
            let x = e.input(0)
            _ = e.apply(.lessOrEqual, e.node(.constant(.i64, bits: ending)), x)
        }
        return try Program(
            axes: [], parameters: [], inputs: [TensorDeclaration(name: "x", type: vector)],
            carried: [
                TensorDeclaration(name: "s", type: vector), TensorDeclaration(name: "n", type: TensorType(.i64, [])),
                TensorDeclaration(name: "stop", type: TensorType(.bool, [])),
            ], kept: [0],
            scans: [
                Scan(
                    steps: 40, operations: graph.operations, outputs: [sum], carried: [drawn, count, isOver], stop: 2)
            ])
    }

    static func run(
        _ program: Program, input: Float = 1, seed: UInt64 = 3, memory: DisputeMemory = DisputeMemory()
    ) throws -> DisputeRun {
        let inputs = [Tensor((0..<300).map { Float($0) / 8 + input }, shape: [300])]
        return try ExecutorTests.withPointers(inputs) {
            try DisputeRun(program, axes: [], parameters: [], inputs: $0, seed: seed, memory: memory)
        }
    }

    /// A defender's run of other steps than it is asked about is not needed here: both play to the end.
    static func play(
        _ subject: DisputeSubject, _ program: Program, defender: DisputeRun, challenger: DisputeRun
    ) throws -> Walk {
        var walk = try Walk(subject, DisputeOpening(program))
        while walk.outcome == nil {
            if let point = walk.point {
                try walk.reveal(try defender.reveal(at: point), subject)
            } else {
                try walk.pick(try challenger.pick(for: walk, subject), subject)
            }
        }
        return walk
    }

    @Test func theCommitmentIsThatOfAnyExecutor() throws {
        let program = try Self.program()
        let fixed = try program.specialise([])
        let inputs = [Tensor((0..<300).map { Float($0) / 8 + 1 }, shape: [300])]
        try ExecutorTests.withPointers(inputs) { inputs in
            let result = try GraphExecutor(program: fixed, parameters: [], threads: 2).run(inputs: inputs, seed: 3)
            let own = try Self.run(program).commitment()
            #expect(own.steps == [10] && own.steps == result.steps)
            #expect(own.outputRoot == result.outputRoot && own.stateRoot == result.stateRoot(of: fixed))
        }
    }

    @Test func anotherInputIsConvicted() throws {
        let program = try Self.program()
        let (honest, other) = (try Self.run(program), try Self.run(program, input: 1.5))
        // Both agree about the job; the liar read something else.
        let subject = honest.subject(claiming: try other.commitment())
        let walk = try Self.play(subject, program, defender: other, challenger: honest)
        guard case .convicted = walk.outcome else {
            Issue.record("\(String(describing: walk.outcome))")
            return
        }
        // And the other way round, who is right is not.
        let truth = honest.subject(claiming: try honest.commitment())
        #expect(throws: DisputeRunFault.otherSubject) { try other.pick(for: try Walk(truth, .init(program)), truth) }
    }

    @Test func aResultThatIsRightIsNotDisputed() throws {
        let program = try Self.program()
        let honest = try Self.run(program)
        let subject = honest.subject(claiming: try honest.commitment())
        #expect(throws: DisputeRunFault.agrees) {
            try Self.play(subject, program, defender: honest, challenger: honest)
        }
        let walk = try Walk(subject, DisputeOpening(program))
        #expect(throws: DisputeRunFault.notYourTurn) { try honest.pick(for: walk, subject) }
    }

    /// A machine whose flag comes too early or too late: the claimed numbers of steps differ, and the walk ends at the op that made the flag.
    @Test(arguments: [7, 9, 11, 16, 17, 40]) func anotherNumberOfStepsIsConvicted(ending: UInt64) throws {
        let honest = try Self.run(try Self.program())
        // The same ops but for the count at which they end: what the liar's machine ran.
        let other = try Self.run(try Self.program(ending: ending))
        let subject = honest.subject(claiming: try other.commitment())
        let walk = try Self.play(subject, honest.program, defender: other, challenger: honest)
        guard case .convicted = walk.outcome else {
            Issue.record("\(ending): \(String(describing: walk.outcome))")
            return
        }
    }

    /// After a restart, and with no memory for positions, the same is said.
    @Test func whatIsSaidDependsOnTheRunAlone() throws {
        let program = try Self.program(ending: 37)
        var least = DisputeMemory()
        least.positions = 0
        let (one, two) = (try Self.run(program), try Self.run(program, memory: least))
        #expect(try one.commitment() == two.commitment())
        var points: [RevealPoint] = TreeNode(topOf: 37).children(levels: 4, of: 37).map { .steps($0) }
        points.append(.steps(TreeNode(topOf: 37)))
        for step in [36, 0, 20, 3] as [UInt64] {
            points.append(.operations(step: step, TreeNode(topOf: 4)))
            points.append(.entries(step: step, .carried, TreeNode(topOf: 3)))
            points.append(.blocks(step: step, operation: 0, TreeNode(topOf: 2)))
            points.append(.values(step: step, operation: 0, block: 1))
            points.append(.totals(step: step, operation: 1, element: 0, from: 0, to: 0))
            points.append(.totals(step: step, operation: 1, element: 0, from: 1, to: 2))
        }
        for point in points.reversed() { #expect(try one.reveal(at: point) == two.reveal(at: point), "\(point)") }
        for point in points { #expect(try one.reveal(at: point) == two.reveal(at: point), "\(point)") }
    }

    @Test func whatIsNotThereIsRefused() throws {
        let run = try Self.run(try Self.program())
        for point in [
            RevealPoint.operations(step: 10, TreeNode(topOf: 4)), .operations(step: .max, TreeNode(topOf: 4)),
            .operations(step: 0, TreeNode(height: 63, index: 0)), .values(step: 0, operation: 4, block: 0),
            .values(step: 0, operation: 0, block: 2), .values(step: 0, operation: 0, block: .max),
            .totals(step: 0, operation: 1, element: 1, from: 0, to: 0),
            .totals(step: 0, operation: 1, element: 0, from: 0, to: 3),
            .totals(step: 0, operation: 1, element: 0, from: 2, to: 2), .steps(TreeNode(height: 2, index: 4)),
            .blocks(step: 0, operation: .max, TreeNode(topOf: 2)),
        ] { #expect(throws: DisputeRunFault.self, "\(point)") { try run.reveal(at: point) } }
    }

    /// The root of a weight with another NaN names what no op ever sees.
    @Test func aJobWhoseTensorsHaveAnotherFormIsDeclined() throws {
        let program = try Self.program()
        let inputs = [Tensor([Float](repeating: Float(bitPattern: 0xFFC0_0000), count: 300), shape: [300])]
        #expect(throws: DisputeRunFault.form) {
            try ExecutorTests.withPointers(inputs) {
                try DisputeRun(program, axes: [], parameters: [], inputs: $0, seed: 3)
            }
        }
    }

    @Test func aRunThatCannotBeWalkedIsRefused() throws {
        func program(_ steps: UInt64) throws -> Program {
            let type = TensorType(.f32, [1])
            return try Program(
                axes: [], parameters: [], inputs: [], carried: [TensorDeclaration(name: "s", type: type)],
                scans: [Scan(steps: Dimension(steps), operations: [], outputs: [], carried: [ValueID(0)])])
        }
        let limit = DisputeSubject.maximumSteps
        _ = try DisputeRun(try program(limit), axes: [], parameters: [], inputs: [], seed: 0)
        #expect(throws: DisputeRunFault.tooLong(steps: limit + 1)) {
            try DisputeRun(try program(limit + 1), axes: [], parameters: [], inputs: [], seed: 0)
        }
        var memory = DisputeMemory()
        memory.trace = 1_000
        let small = try Self.run(try Self.program(), memory: memory)
        #expect(throws: DisputeRunFault.self) { try small.reveal(at: .operations(step: 0, TreeNode(topOf: 4))) }
        #expect(try small.commitment().steps == [10])
    }

    // MARK: The campaign

    /// Twelve jobs, so that each kind is among them. `PLASMA_FAULTS`, `PLASMA_HONEST` and `PLASMA_DISPUTE_SEED` ask for more; `PLASMA_DISPUTE_FIRST` names the first case.
    @Test func everyLieIsConvictedAndNoTruthIs() throws {
        let faults = SoftfloatTests.count("PLASMA_FAULTS", otherwise: 288)
        let honest = SoftfloatTests.count("PLASMA_HONEST", otherwise: 400)
        let seed = SoftfloatTests.count("PLASMA_DISPUTE_SEED", otherwise: 1)
        let first = SoftfloatTests.count("PLASMA_DISPUTE_FIRST", otherwise: 0)
        let report = DisputeCampaign(seed: UInt64(seed)).run(faults: faults, honest: honest, first: first, threads: 2)
        #expect(report.wrong == 0, "\(report.failures.joined(separator: "\n"))")
        #expect(report.faults == faults && report.convicted + report.roundedAway == faults)
        #expect(report.honest == honest && report.acquitted == honest)
        if faults >= 288 { #expect(report.convicted > faults / 2) }
        #expect(report.evidence.most <= DisputeBound.maximumBytes)
        #expect(report.rounds.most <= DisputeBound.maximumRounds)
        if ProcessInfo.processInfo.environment["PLASMA_DISPUTE_REPORT"] != nil { print(report) }
    }

    /// Its changed bit is an index outside its row, for which there are no running totals: the liar has nothing to reveal, and the campaign took that for its own fault.
    @Test func aLiarThatCannotRevealItsOwnLieIsConvictedByItsSilence() throws {
        let report = DisputeCampaign(seed: 1).run(faults: 1, honest: 0, first: 2136, threads: 1)
        #expect(report.wrong == 0, "\(report.failures.joined(separator: "\n"))")
        #expect(report.convicted == 1)
    }

    /// Of a full list of steps a liar made one entry more, which no validator can read: the campaign took it for a fault of the court.
    @Test func aRevealThatNobodyCanReadIsSilence() {
        let report = DisputeCampaign(seed: 9).run(faults: 1, honest: 0, first: 2536, threads: 1)
        #expect(report.wrong == 0 && report.endings == ["silence": 1], "\(report.failures)")
    }

    /// Every kind of lie that a job has a place for; the large ones run with `plasma simulate disputes --job`.
    @Test(arguments: DisputeDemonstration.Job.allCases)
    func whatIsShownOfLargeJobsHoldsOfSmallOnes(_ job: DisputeDemonstration.Job) throws {
        let shown = try DisputeDemonstration(job, isSmall: true, seed: 3)
        let endings = try shown.run(each: 4)
        for ending in endings {
            if case .wrong(let what) = ending.outcome { Issue.record("\(ending.lie) at \(ending.place): \(what)") }
            #expect(ending.rounds <= shown.size.bound.rounds && ending.bytes <= shown.size.bound.bytes)
        }
        let expected: Set<DisputeDemonstration.Lie> =
            switch job {
            case .miniLM, .miniLMInHalves: [.weight, .activation, .skippedOperation]
            case .gpt2: [.weight, .activation, .cache, .randomWord, .skippedOperation, .swappedStep]
            case .adam: [.activation, .trainedWeight, .moment, .skippedOperation, .swappedStep]
            }
        #expect(Set(endings.map(\.lie)) == expected)
        let convicted = Set(
            endings.filter { if case .convicted = $0.outcome { true } else { false } }.map(\.lie))
        // What these change always stands in the result.
        let plain: Set<DisputeDemonstration.Lie> =
            switch job {
            case .miniLM, .miniLMInHalves: [.weight]
            case .gpt2: [.randomWord, .swappedStep]
            case .adam: [.trainedWeight, .moment]
            }
        #expect(convicted.isSuperset(of: plain))
    }

    /// What a campaign never meets it never tries.
    @Test func randomProgramsHaveEveryPrimitiveInEveryForm() throws {
        var kinds: Set<String> = []
        for seed in UInt64(1)...400 {
            let made = try RandomProgram(seed: seed)
            let fixed = try made.program.specialise([])
            for scan in fixed.scans {
                let types = fixed.types(of: scan)
                for record in scan.operations {
                    kinds.insert(
                        LeafTests.kind(record.operation, record.operation.operands.map { types[Int($0.index)] }))
                    guard case .map(let expression, _) = record.operation else { continue }
                    for node in expression.nodes {
                        if case .operation(let operation, _) = node { kinds.insert("\(operation)") }
                    }
                }
            }
        }
        #expect(kinds.isSuperset(of: LeafTests.allKinds), "missing: \(LeafTests.allKinds.subtracting(kinds))")
    }
}
