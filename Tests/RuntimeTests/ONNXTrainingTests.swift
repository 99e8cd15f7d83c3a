import Foundation
import Programs
import Runtime
import Testing

/// Trainings of ONNX files: against PyTorch's losses, to a file that is a model again, and what is refused.
@Suite struct ONNXTrainingTests {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("Fixtures/training/onnx").path

    /// What scripts/fixtures/training_onnx.py made.
    struct Fixture {
        let model: ONNXModel
        let arrays: [String: NumpyArray]
        let target: NumpyArray
        let settings: TrainingSettings
        let losses: [Float]

        init(_ name: String) throws {
            let graph = try LocalGraph(path: "\(ONNXTrainingTests.folder)/\(name).onnx")
            model = graph.model
            arrays = try graph.arrays(
                arguments: model.inputs.map { "\($0.name)=\(ONNXTrainingTests.folder)/\(name).\($0.name).npy" })
            target = try LocalGraph.array(path: "\(ONNXTrainingTests.folder)/\(name).target.npy")
            let path = URL(fileURLWithPath: ONNXTrainingTests.folder + "/losses.json")
            let json = try JSONReader.read(Array(Data(contentsOf: path)))
            var settings = TrainingSettings()
            settings.batch = try #require(json["batch"]?.integer)
            settings.rate = Float(try #require(json["rate"]?.double))
            self.settings = settings
            losses = try #require(json["losses"]?[name]?.array).map { Float(try #require($0.double)) }
        }

        var wanted: ONNXTraining.Target { target.type == .f32 ? .values(target) : .classes(target) }

        func training(_ selection: WeightSelection = WeightSelection()) throws -> ONNXTraining {
            try ONNXTraining(model, arrays: arrays, target: wanted, settings, selection: selection)
        }

        func trainer(_ training: ONNXTraining, steps: Int? = nil, threads: Int = 1) throws -> Trainer {
            // Examples are rows that take nothing after them.
            let rows = try TrainingDraws.starts(
                steps: steps ?? losses.count, batch: settings.batch, text: training.examples + 1, context: 0, seed: 0)
            return try Trainer(
                training.objective, settings, data: training.data, starts: rows, weights: training.weights(),
                frozen: training.frozen, threads: threads)
        }
    }

    @Test(arguments: ["convolution", "encoder", "values"]) func lossesAreThoseOfPyTorch(_ name: String) throws {
        let fixture = try Fixture(name)
        let trainer = try fixture.trainer(fixture.training(), threads: 2)
        var found: [Float] = []
        try trainer.run(steps: fixture.losses.count) { found.append($0) }
        #expect(found.count == 24)
        for (step, (x, y)) in zip(found, fixture.losses).enumerated() {
            #expect(abs(x - y) < 1e-5 * max(1, abs(y)), "\(name), step \(step + 1): \(x), PyTorch \(y)")
        }
    }

    /// The file at the end, run on all examples, gives the loss that the training came to, and what was not trained is as it was.
    @Test func theFileAtTheEndIsTheModelThatWasTrained() throws {
        let fixture = try Fixture("values")
        let training = try fixture.training(WeightSelection(frozen: ["2.bias"]))
        let trainer = try fixture.trainer(training)
        try trainer.run(steps: 24)
        let folder = try TemporaryFolder()
        try training.write(trainer, to: folder.path + "/model")
        let written = try LocalGraph(path: folder.path + "/model/values.onnx")
        let before = try Data(contentsOf: URL(fileURLWithPath: Self.folder + "/values.onnx"))
        let after = try Data(contentsOf: URL(fileURLWithPath: folder.path + "/model/values.onnx"))
        #expect(before.count == after.count && before != after)
        // The weights of the file are the training's state, one after another.
        let changed = try Fixture("values")
        let again = try ONNXTraining(
            written.model, arrays: changed.arrays, target: changed.wanted, changed.settings,
            selection: WeightSelection(frozen: ["2.bias"]))
        #expect(again.weights().count == 3 && again.weights() == Array(trainer.state[..<3]))
        #expect(again.frozen.map(\.tensor) == training.frozen.map(\.tensor))
        // A mean square by hand over the run's output.
        let run = try GraphRun(written, changed.arrays, threads: 1)
        let (y, t) = (try #require(run.outputs[0].array.floats), try #require(changed.target.floats))
        let loss = zip(y, t).reduce(0.0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) } / Double(y.count)
        let first = try GraphRun(LocalGraph(path: Self.folder + "/values.onnx"), changed.arrays, threads: 1)
        let z = try #require(first.outputs[0].array.floats)
        let start = zip(z, t).reduce(0.0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) } / Double(z.count)
        #expect(loss < start)
    }

    /// y = x·W + b with a second layer like the first: both biases are zeros and both weights are equal, as they may be before a training.
    private static func twins(external: Bool = false, places: [Int] = [0, 16, 24, 40]) -> [UInt8] {
        let weights: [Float] = [0.5, -0.25, 0.125, 1]
        func stored(_ name: String, _ dimensions: [Int], _ values: [Float], at offset: Int) -> [UInt8] {
            if !external { return ONNXBuilder.floats(name, dimensions, values) }
            func entry(_ key: String, _ value: String) -> [UInt8] {
                ONNXBuilder.block(13, ONNXBuilder.text(1, key) + ONNXBuilder.text(2, value))
            }
            return dimensions.flatMap { ONNXBuilder.number(1, $0) } + ONNXBuilder.number(2, 1)
                + ONNXBuilder.text(8, name) + entry("location", "parts/weights.bin") + entry("offset", "\(offset)")
                + entry("length", "\(4 * values.count)") + ONNXBuilder.number(14, 1)
        }
        return ONNXBuilder.model(
            ONNXBuilder.graph(
                nodes: [
                    ONNXBuilder.node("Gemm", ["x", "w1", "b1"], ["h"]),
                    ONNXBuilder.node("Tanh", ["h"], ["t"]),
                    ONNXBuilder.node("Gemm", ["t", "w2", "b2"], ["y"]),
                ],
                initializers: [
                    stored("w1", [2, 2], weights, at: places[0]), stored("b1", [2], [0, 0], at: places[1]),
                    stored("w2", [2, 2], weights, at: places[2]), stored("b2", [2], [0, 0], at: places[3]),
                ], inputs: [ONNXBuilder.value("x", [-1, 2])], outputs: ["y"]))
    }

    private static func points() throws -> (x: NumpyArray, y: NumpyArray) {
        let x = (0..<32).map { Float($0 % 7) / 4 - Float($0 % 3) }
        return (try NumpyArray(x, shape: [16, 2]), try NumpyArray(x.map { 1 - $0 }, shape: [16, 2]))
    }

    /// Equal constants are one parameter of a program that is run; two weights that are equal at the start are two.
    @Test func equalWeightsAreMovedEachForItself() throws {
        let points = try Self.points()
        var settings = TrainingSettings()
        settings.batch = 4
        settings.rate = 0.01
        let training = try ONNXTraining(
            ONNXModel(Self.twins()), arrays: ["x": points.x], target: .values(points.y), settings)
        #expect(training.objective.weights.map(\.name) == ["w1", "b1", "w2", "b2"])
        let trainer = try Trainer(
            training.objective, settings, data: training.data,
            starts: TrainingDraws.starts(steps: 20, batch: 4, text: 17, context: 0, seed: 1),
            weights: training.weights(), frozen: training.frozen, threads: 1)
        var losses: [Float] = []
        try trainer.run(steps: 20) { losses.append($0) }
        let state = trainer.state
        #expect(state[0] != state[2] && state[1] != state[3])
        #expect((losses.last ?? 9) < (losses.first ?? 0))
    }

    /// The file of the twins, with its weights in parts/weights.bin.
    private static func prepareTwins(places: [Int] = [0, 16, 24, 40]) throws -> (folder: TemporaryFolder, bytes: Data) {
        let folder = try TemporaryFolder()
        try FileManager.default.createDirectory(atPath: folder.path + "/parts", withIntermediateDirectories: true)
        let values: [Float] = [0.5, -0.25, 0.125, 1, 0, 0, 0.5, -0.25, 0.125, 1, 0, 0]
        let bytes = Data(values.withUnsafeBytes { Array($0) } + [7, 7, 7])
        try bytes.write(to: URL(fileURLWithPath: folder.path + "/parts/weights.bin"))
        try Data(twins(external: true, places: places)).write(to: URL(fileURLWithPath: folder.path + "/twins.onnx"))
        return (folder, bytes)
    }

    private static func training(_ folder: TemporaryFolder, _ selection: WeightSelection) throws -> ONNXTraining {
        let points = try Self.points()
        var settings = TrainingSettings()
        settings.batch = 4
        return try ONNXTraining(
            ONNXModel(path: folder.path + "/twins.onnx"), arrays: ["x": points.x], target: .values(points.y), settings,
            selection: selection)
    }

    /// Weights in a file beside the model's are changed there, and the first files stay as they are, also where they are reached over links.
    @Test(arguments: [false, true]) func weightsInAnotherFileAreWrittenThere(overALink: Bool) throws {
        let (folder, bytes) = try Self.prepareTwins()
        if overALink {
            let manager = FileManager.default
            try manager.moveItem(atPath: folder.path + "/parts/weights.bin", toPath: folder.path + "/first.bin")
            try manager.createSymbolicLink(
                atPath: folder.path + "/parts/weights.bin", withDestinationPath: folder.path + "/first.bin")
        }
        let training = try Self.training(folder, WeightSelection(only: ["b*"]))
        #expect(training.objective.weights.map(\.name) == ["b1", "b2"])
        // Twice, the second time over the first.
        for first: Float in [1, 3] {
            let moved = [Tensor([first, 4], shape: [2]), Tensor([Float(5), 6], shape: [2])]
            try training.write(moved, to: folder.path + "/out")
            #expect(try Data(contentsOf: URL(fileURLWithPath: folder.path + "/parts/weights.bin")) == bytes)
            let written = try Data(contentsOf: URL(fileURLWithPath: folder.path + "/out/parts/weights.bin"))
            let expected: [Float] = [0.5, -0.25, 0.125, 1, first, 4, 0.5, -0.25, 0.125, 1, 5, 6]
            #expect(Array(written) == expected.withUnsafeBytes { Array($0) } + [7, 7, 7])
        }
        #expect(try ONNXModel(path: folder.path + "/out/twins.onnx").inputs.map(\.name) == ["x"])
        let left = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
        #expect(left == (overALink ? ["first.bin"] : []) + ["out", "parts", "twins.onnx"])
    }

    /// The file would have one place for two weights that a training moves apart.
    @Test func weightsThatShareBytesAreNotTrained() throws {
        let (folder, _) = try Self.prepareTwins(places: [0, 16, 8, 40])
        #expect {
            try Self.training(folder, WeightSelection(only: ["w1"]))
        } throws: { "\($0)".contains("w2 lies in the same bytes of the file as w1") }
        let training = try Self.training(folder, WeightSelection(only: ["b2"]))
        #expect(training.objective.weights.map(\.name) == ["b2"])
    }

    @Test func whatCannotBeTrainedIsRefused() throws {
        let fixture = try Fixture("convolution")
        func refused(
            arrays: [String: NumpyArray]? = nil, target: ONNXTraining.Target? = nil, output: String? = nil,
            selection: WeightSelection = WeightSelection(), batch: Int = 8
        ) throws -> String {
            var settings = fixture.settings
            settings.batch = batch
            do throws(TrainingFault) {
                let training = try ONNXTraining(
                    fixture.model, arrays: arrays ?? fixture.arrays, target: target ?? fixture.wanted, output: output,
                    settings, selection: selection)
                try training.objective.check(settings, steps: 4, memory: 1 << 30)
                return "nothing"
            } catch { return "\(error)" }
        }
        #expect(try refused() == "nothing")
        #expect(try refused(arrays: [:]).contains("image=FILE.npy"))
        #expect(try refused(batch: 65).contains("there are 64 examples"))
        #expect(try refused(output: "z").contains("it has y"))
        #expect(try refused(selection: WeightSelection(frozen: ["*"])).contains("no weight to be trained"))
        #expect(try refused(selection: WeightSelection(only: ["q*"])).contains("names no weight"))
        let high = try NumpyArray(type: .i32, shape: [64], bytes: [4, 0, 0, 0] + [UInt8](repeating: 0, count: 252))
        #expect(try refused(target: .classes(high)).contains("the class 4"))
        #expect(try refused(target: .values(fixture.target)).contains("float32 [64, 4]"))
        let short = try NumpyArray(type: .i32, shape: [63], bytes: [UInt8](repeating: 0, count: 252))
        #expect(try refused(target: .classes(short)).contains("63 examples"))
    }
}
