import Foundation
import Primitives
import Programs
import Runtime
import Testing

/// Trainings of imported decoders: against PyTorch's losses, over checkpoints, and to a folder that is a model again.
struct FineTuningTests {
    /// What scripts/fixtures/training.py gave PyTorch, and got.
    struct Expected {
        let tokens: [Int32]
        let starts: [Int32]
        let context: Int
        let settings: TrainingSettings
        let losses: [String: [Float]]

        init() throws {
            let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
                .appendingPathComponent("Fixtures/training/losses.json")
            let json = try JSONReader.read(Array(Data(contentsOf: path)))
            func numbers(_ value: JSONValue?) throws -> [Int32] {
                try #require(value?.array).map { Int32(try #require($0.integer)) }
            }
            tokens = try numbers(json["tokens"])
            let rows = try #require(json["starts"]?.array).map { try numbers($0) }
            starts = rows.flatMap { $0 }
            context = try #require(json["context"]?.integer)
            var settings = TrainingSettings()
            settings.batch = rows[0].count
            settings.rate = Float(try #require(json["rate"]?.double))
            self.settings = settings
            var losses: [String: [Float]] = [:]
            for member in try #require(json["losses"]?.object).members {
                losses[member.name] = try #require(member.value.array).map { Float(try #require($0.double)) }
            }
            self.losses = losses
        }
    }

    static func training(
        _ name: String, selection: WeightSelection = WeightSelection(),
        change: (inout TrainingSettings) -> Void = { _ in }
    ) throws -> (FolderTraining, Expected, TrainingSettings) {
        let expected = try Expected()
        var settings = expected.settings
        change(&settings)
        let folder = try TransformerFixture(name).folder
        let training = try FolderTraining(
            folder: folder, tokens: expected.tokens, settings, context: expected.context, selection: selection)
        return (training, expected, settings)
    }

    static func trainer(
        _ training: FolderTraining, _ expected: Expected, _ settings: TrainingSettings, threads: Int = 1,
        seed: UInt64 = 0
    ) throws -> Trainer {
        try Trainer(
            training.objective, settings, data: training.data, starts: expected.starts, weights: training.weights(),
            frozen: training.frozen, threads: threads, seed: seed)
    }

    static let some = WeightSelection(only: ["*layers.1.*", "*head*"], frozen: [])

    @Test(arguments: TransformerFixture.decoders + ["llama, some"]) func lossesAreThoseOfPyTorch(_ name: String) throws
    {
        let isPart = name.hasSuffix(", some")
        let (training, expected, settings) = try Self.training(
            isPart ? "llama" : name, selection: isPart ? Self.some : WeightSelection())
        let trainer = try Self.trainer(training, expected, settings, threads: 2)
        var found: [Float] = []
        try trainer.run(steps: 20) { found.append($0) }
        let losses = try #require(expected.losses[name])
        #expect(found.count == 20 && losses.count == 20)
        for (step, (x, y)) in zip(found, losses).enumerated() {
            #expect(abs(x - y) < 1e-4, "\(name), step \(step + 1): \(x), PyTorch \(y)")
        }
    }

    /// Frozen weights are parameters: they have no moments, and what they were at the beginning they are at the end.
    @Test func whatIsFrozenIsNotState() throws {
        let (training, expected, settings) = try Self.training("llama", selection: Self.some)
        let trainer = try Self.trainer(training, expected, settings)
        let moved = training.objective.weights.map(\.name)
        #expect(moved.count == 10 && moved.allSatisfy { $0.contains("layers.1.") || $0 == "lm_head.weight" })
        #expect(trainer.program.program.carried.count == 3 * moved.count + 3)
        let all = try Self.training("llama").0
        #expect(all.objective.frozen.map(\.name) == ["rotary.frequencies"])
        #expect(training.objective.frozen.count == all.objective.weights.count + 1 - moved.count)
        let whole = try Self.trainer(all, expected, settings)
        #expect(trainer.peakMemory < whole.peakMemory)
        // Nothing flows to what lies below the first weight that is moved.
        #expect(
            trainer.program.program.scans[0].operations.count < whole.program.program.scans[0].operations.count * 2 / 3)
    }

    @Test func aTrainingThatGoesOnHasTheBitsOfOneThatWasNeverLeft() throws {
        let (training, expected, settings) = try Self.training("gpt2") {
            $0.clip = 1
            $0.dropout = 0.1
            $0.schedule = .cosine(warmup: 2, end: 20, least: 0.1)
        }
        let whole = try Self.trainer(training, expected, settings, seed: 5)
        try whole.run(steps: 6)
        let folder = try TemporaryFolder()
        let part = try Self.trainer(training, expected, settings, threads: 3, seed: 5)
        try part.run(steps: 4)
        try Checkpoint.write(part, to: folder.path + "/checkpoint.safetensors")
        let later = try Self.trainer(training, expected, settings, threads: 2, seed: 5)
        try later.restore(folder.path + "/checkpoint.safetensors")
        #expect(later.step == 4)
        try later.run(steps: 2)
        #expect(later.state == whole.state)
        // Dropout has its place in the graph: another seed leaves out others.
        let other = try Self.trainer(training, expected, settings, seed: 6)
        try other.run(steps: 6)
        #expect(other.state != whole.state)
        // A checkpoint of the whole is none of a part.
        let (some, _, plain) = try Self.training("llama", selection: Self.some)
        let narrow = try Self.trainer(some, expected, plain)
        #expect(throws: TrainingFault.self) { try narrow.restore(folder.path + "/checkpoint.safetensors") }
    }

    @Test(arguments: ["gpt2", "llama3"]) func aStepHasTheBitsOfTheReference(_ name: String) throws {
        let (training, expected, settings) = try Self.training(name) { $0.batch = 1 }
        let fixed = try TrainingProgram(training.objective, settings, steps: 1).program.specialise([])
        let trainer = try Trainer(
            training.objective, settings, data: training.data, starts: [expected.starts[0]],
            weights: training.weights(), frozen: training.frozen, threads: 2)
        let before = trainer.state
        try trainer.run(steps: 1)
        let inputs = training.data + [Tensor([expected.starts[0]], shape: [1, 1])]
        try ExecutorTests.withPointers(before) { state in
            try ExecutorTests.withPointers(inputs) { inputs in
                try ExecutorTests.withPointers(training.frozen.map(\.tensor)) { parameters in
                    let reference = try ReferenceExecutor(fixed).run(
                        parameters: parameters, inputs: inputs,
                        carried: Dictionary(uniqueKeysWithValues: zip(state.indices, state)))
                    #expect(reference.carried == trainer.state)
                }
            }
        }
    }

    /// Every op of a step can be disputed: sampled elements are what the leaf gives.
    @Test func sampledElementsOfAStepAreWhatTheLeafGives() throws {
        let (training, expected, settings) = try Self.training("llama") {
            $0.batch = 2
            $0.clip = 1
        }
        let starts = Array(expected.starts[..<4])
        let program = try TrainingProgram(training.objective, settings, steps: 2).program.specialise([])
        let trainer = try Trainer(
            training.objective, settings, data: training.data, starts: starts, weights: training.weights(),
            frozen: training.frozen, threads: 1)
        let state = trainer.state
        try trainer.run(steps: 2)
        let (held, carried) = try LeafTests.hold(
            program, firstSteps: 2, parameters: training.frozen.map(\.tensor),
            inputs: training.data + [Tensor(starts, shape: [2, 2])], carried: state, seed: 0)
        #expect(carried == trainer.state.map(\.root))
        #expect(held > 1_500)
    }

    // MARK: The folder at the end

    /// Weights under their own names, in f32 where they were trained and as they were where not; the folder is read and runs.
    @Test(arguments: ["gpt2", "llama3", "mistral"]) func whatComesOutIsAModel(_ name: String) throws {
        let selection = name == "mistral" ? WeightSelection(frozen: ["*embed*", "*.0.*"]) : WeightSelection()
        let (training, expected, settings) = try Self.training(name, selection: selection)
        let trainer = try Self.trainer(training, expected, settings)
        try trainer.run(steps: 20)
        let folder = try TemporaryFolder()
        let path = folder.path + "/model"
        try training.write(trainer, to: path)
        let model = try ModelImporter.importTransformer(path)
        let before = training.model.parameters
        #expect(model.parameters.map(\.name) == before.map(\.name))
        let moved = training.objective.weights.map(\.name)
        for (found, start) in zip(model.parameters, before) {
            if let place = moved.firstIndex(of: found.name) {
                #expect(found.tensor == trainer.state[place])
            } else {
                #expect(found.tensor == start.tensor)
            }
        }
        // Others round weights to the type that the settings name.
        let settingsText = try String(contentsOfFile: path + "/config.json", encoding: .utf8)
        #expect(!settingsText.contains("\"bfloat16\"") && !settingsText.contains("\"float16\""))
        let generator = try Generator(model, threads: 1)
        var wanted = GenerationSettings()
        wanted.maximumTokens = 4
        let row = try generator.generate([Array(expected.tokens[..<12])], wanted).rows[0]
        #expect(row.count == 4)
        // The same folder is trained further.
        let again = try FolderTraining(folder: path, tokens: expected.tokens, settings, context: expected.context)
        var losses: [Float] = []
        try Self.trainer(again, expected, settings).run(steps: 1) { losses.append($0) }
        let first = try #require(expected.losses[name]?.first)
        #expect(losses[0] < first - 0.5, "\(losses[0]) after a training from \(first)")
    }

    @Test func aTextIsCutByTheFoldersTokenizer() throws {
        let small = try TextGeneratorTests.folder(template: nil)
        var settings = TrainingSettings()
        settings.batch = 2
        let text = String(repeating: "abc de fgh ", count: 30)
        let training = try FolderTraining(folder: small.path, text: text, settings, context: 8)
        #expect(Array(training.tokens.prefix(7)) == [2, 3, 4, 1, 5, 6, 1] && training.tokens.count == 330)
        let starts = try TrainingDraws.starts(steps: 12, batch: 2, text: 330, context: 8, seed: 1)
        let trainer = try Trainer(
            training.objective, settings, data: training.data, starts: starts, weights: training.weights(),
            frozen: training.frozen, threads: 1)
        var losses: [Float] = []
        try trainer.run(steps: 12) { losses.append($0) }
        #expect(losses[11] < losses[0])
        let out = try TemporaryFolder()
        try training.write(trainer, to: out.path + "/model")
        let generator = try TextGenerator(folder: out.path + "/model", threads: 1)
        #expect(generator.ids(prompt: "abc de") == [2, 3, 4, 1, 5, 6])
    }

    // MARK: In rounds

    /// One worker, an outer rate of 1 and no momentum: the round is the training itself, with frozen weights among its parameters.
    @Test func aRoundOfAFoldersModelIsATraining() throws {
        let (training, expected, settings) = try Self.training("llama", selection: Self.some)
        var rounds = RoundTrainingTests.settings(workers: 1, steps: 3)
        rounds.outerRate = 1
        rounds.outerMomentum = 0
        let rows = try RoundRows(
            rounds, rounds: 1, batch: settings.batch, text: expected.tokens.count, context: expected.context, seed: 3)
        let trainer = try RoundTrainer(
            training.objective, settings, rounds, data: training.data, rows: rows, weights: training.weights(),
            frozen: training.frozen, threads: 1)
        var found: [Float] = []
        try trainer.run { _, loss in found.append(loss) }
        let starts = rows.rows(worker: 0, round: 0).bytes.withUnsafeBytes { Array($0.bindMemory(to: Int32.self)) }
        let whole = try Trainer(
            training.objective, settings, data: training.data, starts: starts, weights: training.weights(),
            frozen: training.frozen, threads: 1)
        var losses: [Float] = []
        try whole.run(steps: 3) { losses.append($0) }
        #expect(found == losses)
        for (a, b) in zip(trainer.weights, whole.state) {
            #expect(zip(a.floats, b.floats).allSatisfy { abs($0 - $1) <= 1e-6 * max(1, abs($1)) })
        }
    }

    // MARK: Examples

    /// A classifier on images: the same program from another forward pass and another loss.
    @Test func aClassifierLearnsItsExamples() throws {
        let fixture = try TransformerFixture("vit")
        let model = try fixture.model()
        let logits = try #require(model.outputNames.firstIndex(of: "logits"))
        let forward = try ForwardGraph(try model.program().specialise([("batch", 2)]), output: logits)
        var settings = TrainingSettings()
        settings.batch = 2
        settings.accumulate = 2
        let names = model.parameters.map(\.name)
        let objective = ImportedObjective(
            forward, target: .classes(examples: 6),
            isTrained: try WeightSelection(frozen: ["*embeddings*"]).isTrained(names))
        let images = (0..<1728).map { (place: Int) -> Float in
            let draw: UInt64 = TrainingTests.splitmix64(UInt64(place)) >> 40
            return Float(draw) * 0x1p-23 - 1
        }
        let classes: [Int32] = [0, 1, 2, 3, 4, 0]
        let weights = zip(model.parameters, objective.isTrained).filter(\.1).map(\.0.tensor)
        let trainer = try Trainer(
            objective, settings,
            data: [Tensor(images, shape: [6, 3, 12, 8]), Tensor(classes, shape: [6])],
            starts: (0..<120).map { (row: Int) -> Int32 in Int32(row % 6) }, weights: weights,
            frozen: zip(model.parameters, objective.isTrained).filter { !$0.1 }.map(\.0), threads: 2)
        var losses: [Float] = []
        try trainer.run(steps: 30) { losses.append($0) }
        #expect(losses[0] > 1 && losses[29] < 0.1, "\(losses)")
    }

    // MARK: Refusals

    @Test func whatCannotBeTrainedIsRefusedByName() throws {
        let expected = try Expected()
        let llama = try TransformerFixture("llama").folder
        func refusal(
            _ folder: String, tokens: [Int32]? = nil, context: Int = 16, selection: WeightSelection = WeightSelection()
        ) -> String? {
            do throws(TrainingFault) {
                _ = try FolderTraining(
                    folder: folder, tokens: tokens ?? expected.tokens, expected.settings, context: context,
                    selection: selection)
                return nil
            } catch { return error.description }
        }
        #expect(refusal(llama) == nil)
        #expect(refusal(llama, context: 65) == "context is 65, and llama takes rows of 1 to 64 tokens.")
        #expect(
            refusal(llama, tokens: [3, 4, 5])
                == "context is 16, and the text has 3 tokens: give a longer text or a shorter context.")
        #expect(refusal(llama, tokens: [Int32](repeating: 96, count: 40))?.contains("the token 96") == true)
        #expect(refusal(llama, selection: WeightSelection(only: ["*layers.9*"]))?.contains("layers.9") == true)
        #expect(
            refusal(llama, selection: WeightSelection(frozen: ["*"]))
                == "freeze leaves no weight to be trained: take a pattern of it or of train_only away.")
        #expect(refusal(try TransformerFixture("vit").folder)?.contains("is no decoder") == true)
        #expect(refusal("/nowhere")?.contains("/nowhere") == true)
        // Memory is told with numbers, before there is a state.
        let (training, _, settings) = try Self.training("llama")
        let count = UInt64(training.objective.weightCount)
        #expect(throws: TrainingFault.memory(needed: 24 * count + 16, available: 1 << 18)) {
            try training.objective.check(settings, steps: 20, memory: 1 << 18)
        }
        let planned = try Self.trainer(training, expected, settings).peakMemory
        #expect(throws: TrainingFault.memory(needed: planned, available: planned - 1)) {
            _ = try Trainer(
                training.objective, settings, data: training.data, starts: expected.starts,
                weights: training.weights(), frozen: training.frozen, threads: 1, memory: planned - 1)
        }
        // Dropout needs a place in the graph.
        var thinned = settings
        thinned.dropout = 0.1
        #expect(throws: TrainingFault.setting("dropout", "has no place in the model's graph: leave it out")) {
            try training.objective.check(thinned, steps: 20, memory: .max)
        }
    }

    @Test(arguments: [
        ("*", "anything", true), ("", "", true), ("", "a", false), ("a", "a", true), ("a", "ab", false),
        ("*.weight", "h.0.ln_1.weight", true), ("*.weight", "h.0.ln_1.bias", false), ("h.1.*", "h.11.ln", false),
        ("h.*.attn.*", "h.0.attn.c_attn.bias", true), ("*a*b*", "xxaxxbxx", true), ("*a*b*", "xxbxxaxx", false),
        ("**", "", true), ("a*a", "a", false), ("*ab", "aab", true),
    ]) func aStarStandsForAnyLetters(_ pattern: String, _ name: String, _ expected: Bool) throws {
        let found: Bool
        do throws(TrainingFault) {
            found = try WeightSelection(only: [pattern]).isTrained([name, pattern.isEmpty ? "" : "zzz"])[0]
        } catch { found = false }
        #expect(found == expected)
    }
}

/// A folder that is gone with its owner.
final class TemporaryFolder {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}
