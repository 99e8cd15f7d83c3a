import Foundation
import Node
import Programs
import Runtime

/// What a training file asks to be trained: the small decoder on a text's bytes, a folder's on its tokens, or an ONNX file's model on examples.
struct TrainingSubject {
    let objective: any TrainingObjective
    /// The data set.
    let data: [Tensor]
    /// Places in the text, of which rows are taken, and how many a row takes beside its first.
    let count: Int
    let context: Int
    /// What a step's rows are made of, and how many of these each is.
    let unit: (name: String, perRow: Int)
    /// What is read beside the weights.
    let frozen: [StoredParameter]
    /// The training of a model that somebody made; nil for the small decoder.
    let model: (any ModelTraining)?
    /// What takes the model at the end.
    let reader: String
    private let small: GPTConfiguration
    private let seed: UInt64

    /// Reads what is trained and refuses what does not fit `memory` before anything is made for it. `file` is the training file's own path.
    init(_ settings: TrainingFile, of file: String, memory: UInt64) throws {
        seed = UInt64(settings.seed)
        small = GPTConfiguration(
            vocabulary: settings.vocabulary, width: settings.width, layers: settings.layers, heads: settings.heads,
            context: settings.context)
        let selection = WeightSelection(only: settings.trainOnly, frozen: settings.freeze)
        var bytes: [UInt8] = []
        if let path = settings.graph {
            let training = try TrainingSubject.examples(settings, path, of: file, selection)
            model = training
            // A row is one example: it takes its own place and nothing after it.
            (count, context, unit) = (training.examples + 1, 0, ("examples", 1))
            reader = "plasma model run"
        } else if let path = settings.model {
            guard let letters = String(data: try TrainingSubject.text(settings.text), encoding: .utf8) else {
                throw Failure("\(settings.text) is not UTF-8: a model's tokenizer reads letters.")
            }
            let training = try FolderTraining(
                folder: path, text: letters, settings.settings, context: settings.context, selection: selection)
            model = training
            (count, context, unit) = (training.tokens.count, settings.context, ("tokens", settings.context))
            reader = "plasma model generate"
        } else {
            bytes = [UInt8](try TrainingSubject.text(settings.text))
            model = nil
            (count, context, unit) = (bytes.count, settings.context, ("bytes", settings.context))
            reader = ""
        }
        if let model {
            (objective, data, frozen) = (model.objective, model.data, model.frozen)
        } else {
            objective = ByteObjective(small, text: bytes.count)
            data = [Tensor(element: .u8, shape: [bytes.count], bytes: bytes)]
            frozen = []
        }
        try objective.check(settings.settings, steps: settings.steps, memory: memory)
    }

    private static func text(_ path: String) throws -> Data {
        guard let text = FileManager.default.contents(atPath: path) else {
            throw Failure("\(path) cannot be read: name a text under [data].")
        }
        return text
    }

    /// An ONNX file's model and its examples.
    private static func examples(
        _ settings: TrainingFile, _ path: String, of file: String, _ selection: WeightSelection
    ) throws -> ONNXTraining {
        let graph = try LocalGraph(path: path)
        let arrays = try graph.arrays(arguments: settings.inputs) { TrainingFile.path($0, of: file) }
        let target: ONNXTraining.Target
        if let classes = settings.classes {
            target = .classes(try LocalGraph.array(path: classes))
        } else {
            target = .values(try LocalGraph.array(path: settings.values ?? ""))
        }
        return try ONNXTraining(
            graph.model, arrays: arrays, target: target, output: settings.graphOutput, settings.settings,
            selection: selection)
    }

    /// What the weights start from.
    func weights() -> [Tensor] { model?.weights() ?? TrainingDraws.weights(small, seed: seed) }

    /// How many numbers are moved, and of how many.
    var parameterText: String {
        let moved = objective.weightCount
        let still = objective.frozen.reduce(0) { $0 + Int($1.type.count) }
        return model == nil ? "\(moved) parameters" : "\(moved + still) parameters, \(moved) trained"
    }
}
