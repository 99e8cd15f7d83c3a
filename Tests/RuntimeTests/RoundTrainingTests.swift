import Foundation
import Primitives
import Programs
import Runtime
import Testing

/// Training in rounds: workers on rows of their own, then one step of the whole.
struct RoundTrainingTests {
    static let tiny = TrainingTests.tiny

    static func settings(workers: Int, steps: Int) -> RoundSettings {
        var settings = RoundSettings()
        settings.workers = workers
        settings.steps = steps
        return settings
    }

    static func trainer(_ rounds: RoundSettings, count: Int, threads: Int = 1) throws -> RoundTrainer {
        let training = TrainingTests.settings(clip: false)
        return try RoundTrainer(
            tiny, training, rounds, text: TrainingTests.text,
            rows: RoundRows(
                rounds, rounds: count, batch: training.batch, text: TrainingTests.text.count, context: tiny.context,
                seed: 3),
            weights: TrainingTests.weights(tiny), threads: threads)
    }

    /// One worker, an outer rate of 1 and no momentum: the round is the training itself, to within the rounding of w − (w − w₁).
    @Test func aRoundOfOneWorkerIsATraining() throws {
        var rounds = Self.settings(workers: 1, steps: 6)
        rounds.outerRate = 1
        rounds.outerMomentum = 0
        let trainer = try Self.trainer(rounds, count: 1)
        var found: [Float] = []
        try trainer.run { _, loss in found.append(loss) }
        let rows = trainer.rows.rows(worker: 0, round: 0)
        let starts = rows.bytes.withUnsafeBytes { Array($0.bindMemory(to: Int32.self)) }
        let whole = try Trainer(
            Self.tiny, TrainingTests.settings(clip: false), text: TrainingTests.text, starts: starts,
            weights: TrainingTests.weights(Self.tiny), threads: 1)
        var expected: [Float] = []
        try whole.run(steps: 6) { expected.append($0) }
        #expect(found == expected)
        for (a, b) in zip(trainer.weights, whole.state) {
            #expect(zip(a.floats, b.floats).allSatisfy { abs($0 - $1) <= 1e-6 * max(1, abs($1)) })
        }
    }

    /// The outer step in Double beside the program's.
    @Test func theOuterStepIsNesterovsOverTheMean() throws {
        var rounds = Self.settings(workers: 3, steps: 2)
        rounds.outerRate = 0.5
        rounds.outerMomentum = 0.75
        let trainer = try Self.trainer(rounds, count: 2)
        try trainer.run()
        let (before, momentum) = (trainer.weights, trainer.momentum)
        // The workers' parts again, by the worker's program alone.
        let fixed = try trainer.worker.specialise([])
        var sums = before.map { $0.floats.map { _ in 0.0 } }
        for worker in 0..<3 {
            let text = Tensor(element: .u8, shape: [TrainingTests.text.count], bytes: TrainingTests.text)
            let result = try ExecutorTests.withPointers(before) { weights in
                try ExecutorTests.withPointers([text, trainer.rows.rows(worker: worker, round: 1)]) { inputs in
                    try GraphExecutor(program: fixed, parameters: weights, threads: 2).run(inputs: inputs)
                }
            }
            #expect(result.steps == [1, 2, 1])
            // What it gives out at the end is what its weights are.
            let packed = try #require(result.outputs.last?.first)
            #expect(packed.floats == result.carried[..<before.count].flatMap(\.floats))
            for place in before.indices {
                for (index, value) in result.carried[place].floats.enumerated() { sums[place][index] += Double(value) }
            }
        }
        try trainer.run()
        for place in before.indices {
            for (index, weight) in before[place].floats.enumerated() {
                let difference = Double(weight) - sums[place][index] / 3
                let held = 0.75 * Double(momentum[place].floats[index]) + difference
                let next = Double(weight) - 0.5 * (0.75 * held + difference)
                #expect(abs(Double(trainer.momentum[place].floats[index]) - held) < 1e-6)
                #expect(abs(Double(trainer.weights[place].floats[index]) - next) < 1e-6)
            }
        }
    }

    @Test func roundsHaveTheSameBitsHoweverTheyAreRun() throws {
        let rounds = Self.settings(workers: 2, steps: 3)
        let whole = try Self.trainer(rounds, count: 2)
        try whole.run()
        let (weights, momentum) = (whole.weights, whole.momentum)
        try whole.run()
        let other = try Self.trainer(rounds, count: 2, threads: 3)
        other.resume(round: 1, weights: weights, momentum: momentum)
        // From here over a file.
        let path = NSTemporaryDirectory() + "plasma-rounds-\(UUID()).safetensors"
        defer { try? FileManager.default.removeItem(atPath: path) }
        try Checkpoint.write(other, to: path)
        other.resume(round: 0, weights: TrainingTests.weights(Self.tiny), momentum: momentum)
        try Checkpoint.restore(other, from: path, rounds: 2)
        #expect(other.round == 1 && other.weights == weights)
        #expect(throws: TrainingFault.checkpoint(path: path, "is at round 1 of a training of 0")) {
            try Checkpoint.restore(other, from: path, rounds: 0)
        }
        try other.run()
        #expect(other.weights == whole.weights && other.momentum == whole.momentum && other.round == 2)
    }

    /// The others are left out of the mean, and of nothing else.
    @Test func aRoundOfSomeWorkersIsTheMeanOfThese() throws {
        var rounds = Self.settings(workers: 3, steps: 2)
        rounds.outerRate = 1
        rounds.outerMomentum = 0
        let trainer = try Self.trainer(rounds, count: 1)
        var told: [Int] = []
        try trainer.run(workers: [0, 2]) { worker, _ in told.append(worker) }
        #expect(told == [0, 0, 2, 2])
        var means = trainer.weights.map { $0.floats.map { _ in Float(0) } }
        for worker in [0, 2] {
            let alone = try Self.trainer(rounds, count: 1)
            try alone.run(workers: [worker])
            for (place, weight) in alone.weights.enumerated() {
                for (index, value) in weight.floats.enumerated() { means[place][index] += value / 2 }
            }
        }
        for (weight, mean) in zip(trainer.weights, means) {
            #expect(zip(weight.floats, mean).allSatisfy { abs($0 - $1) < 1e-6 })
        }
        for wrong in [[], [3], [-1], [1, 0], [1, 1]] {
            #expect(throws: TrainingFault.self) { try trainer.run(workers: wrong) }
        }
    }

    /// More workers than the outer step's job can wait for: the same step, with what they left as parameters.
    @Test func aRoundOfManyWorkersIsTheMeanOfAll() throws {
        var rounds = Self.settings(workers: RoundSettings.maximumAwaited + 1, steps: 1)
        rounds.outerRate = 1
        rounds.outerMomentum = 0
        let trainer = try Self.trainer(rounds, count: 1)
        try trainer.run()
        var means = trainer.weights.map { $0.floats.map { _ in 0.0 } }
        for worker in 0..<rounds.workers {
            let alone = try Self.trainer(rounds, count: 1)
            try alone.run(workers: [worker])
            for (place, weight) in alone.weights.enumerated() {
                for (index, value) in weight.floats.enumerated() {
                    means[place][index] += Double(value) / Double(rounds.workers)
                }
            }
        }
        for (weight, mean) in zip(trainer.weights, means) {
            #expect(zip(weight.floats, mean).allSatisfy { abs(Double($0) - $1) < 1e-5 })
        }
    }

    /// Two workers learn as well as one that takes the same steps on the whole text: the mean loss of the last round is within a tenth.
    @Test func roundsLearn() throws {
        let rounds = Self.settings(workers: 2, steps: 8)
        let trainer = try Self.trainer(rounds, count: 6)
        var losses: [[Float]] = []
        for _ in 0..<6 {
            var round: [Float] = []
            try trainer.run { _, loss in round.append(loss) }
            losses.append(round)
        }
        func mean(_ values: [Float]) -> Float { values.reduce(0, +) / Float(values.count) }
        let starts = TrainingTests.starts(
            steps: 48, batch: 4, text: TrainingTests.text.count, context: Self.tiny.context)
        let alone = try Trainer(
            Self.tiny, TrainingTests.settings(clip: false), text: TrainingTests.text, starts: starts,
            weights: TrainingTests.weights(Self.tiny), threads: 1)
        var single: [Float] = []
        try alone.run(steps: 48) { single.append($0) }
        #expect(mean(losses[5]) < mean(losses[0]) - 0.4)
        #expect(mean(losses[5]) < mean(Array(single[40...])) * 1.1)
    }

    @Test func aDisputeAboutAnyOfItFits() throws {
        let configuration = GPTConfiguration(vocabulary: 256, width: 128, layers: 4, heads: 4, context: 128)
        let training = TrainingSettings()
        let worker = try RoundProgram.worker(configuration, training, text: 1 << 20, steps: 500)
        #expect(worker.disputeBound(try worker.specialise([])).isWithin)
        for workers in [8, RoundSettings.maximumAwaited, RoundSettings.maximumAwaited + 1, 64] {
            let aggregation = try RoundProgram.aggregation(configuration.weights, RoundSettings(), workers: workers)
            #expect(aggregation.disputeBound(try aggregation.specialise([])).isWithin)
            // One tensor a worker, which a job that waits for the workers' can name; of more than it can, by their roots.
            #expect(aggregation.inputs.count == (workers > RoundSettings.maximumAwaited ? 0 : workers))
            #expect(
                aggregation.parameters.count + aggregation.inputs.count == 2 * configuration.weights.count + workers)
        }
        let aggregation = try RoundProgram.aggregation(configuration.weights, RoundSettings(), workers: 3)
        #expect(try Program(canonicalBytes: worker.canonicalBytes) == worker)
        #expect(try Program(canonicalBytes: aggregation.canonicalBytes) == aggregation)
    }

    @Test func whatRoundsCannotHaveIsRefused() throws {
        var training = TrainingSettings()
        training.schedule = .cosine(warmup: 1, end: 10, least: 0)
        #expect(throws: TrainingFault.setting("schedule", "must be \"constant\" in rounds: each begins anew")) {
            try RoundProgram.worker(Self.tiny, training, text: 3000, steps: 5)
        }
        #expect(throws: TrainingFault.self) {
            try RoundProgram.aggregation(Self.tiny.weights, RoundSettings(), workers: 65)
        }
        // A stretch of the text must hold a row.
        #expect(throws: TrainingFault.text(bytes: 15, needed: 17)) {
            try RoundRows(Self.settings(workers: 200, steps: 1), rounds: 1, batch: 1, text: 3000, context: 16, seed: 1)
        }
    }
}
