internal import Foundation
internal import TOMLKit

/// What `plasma train` is told: a TOML file with the sections model, data, training, rounds and output.
public struct TrainingFile: Sendable, Equatable {
    public var vocabulary = 256
    public var width = 128
    public var layers = 4
    public var heads = 4
    public var context = 128
    /// The folder of a decoder that is trained further; nil for a small one from nothing.
    public var model: String?
    /// The ONNX file that is trained further; nil for another model.
    public var graph: String?
    /// What of its outputs the loss is of; nil for the first.
    public var graphOutput: String?
    /// Of an ONNX file's examples: NAME=FILE.npy for each of its inputs.
    public var inputs: [String] = []
    /// The examples' classes, or else what the output should be.
    public var classes: String?
    public var values: String?
    /// Patterns of the names of the weights that are trained, all where there is none, and of those that are not.
    public var trainOnly: [String] = []
    public var freeze: [String] = []
    /// The text's path, taken from the file's folder where it is relative.
    public var text = ""
    public var steps = 200
    public var batch = 16
    public var rate = 1e-3
    public var isCosine = false
    public var warmup = 0
    /// The share of the rate at the end of a cosine.
    public var least = 0.1
    public var firstDecay = 0.9
    public var secondDecay = 0.95
    public var epsilon = 1e-8
    public var weightDecay = 0.01
    public var clip: Double?
    /// The share of elements that are left out in a step.
    public var dropout = 0.0
    /// Batches whose gradients are averaged in a step.
    public var accumulate = 1
    public var seed = 0
    /// The folder of checkpoints and curve.
    public var folder = ""
    public var checkpointEvery = 50
    /// Workers of a training in rounds; nil where there are none.
    public var workers: Int?
    /// Steps that a worker takes in a round.
    public var roundSteps = 20
    public var outerRate = 0.7
    public var outerMomentum = 0.9
    /// Workers that a round needs; nil for all.
    public var quorum: Int?
    /// Seconds that a round waits for the other workers once it has a quorum.
    public var patience = 60

    /// Rounds of the whole training.
    public var rounds: Int { steps / roundSteps }

    private init() {}

    /// Reads and checks a file. Throws `ConfigurationFault` with the file, the line and the key.
    public static func load(_ path: String) throws -> TrainingFile {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            throw ConfigurationFault(path, "there is no such file: docs/training.md shows one")
        }
        return try parse(text, path: path)
    }

    /// The same from text; `path` is for messages and for what is relative to it.
    public static func parse(_ source: String, path: String) throws -> TrainingFile {
        if source.utf8.count > 1 << 20 {
            throw ConfigurationFault(path, "it is larger than 1 MiB: this is no training")
        }
        let file = try TOMLSection.parse(path, source)
        var out = TrainingFile()
        let sizes = 1...1 << 24
        if let model = try file.section("model") {
            try out.read(model: model, of: path)
        }
        try out.read(data: file, of: path)
        if let training = try file.section("training") {
            out.steps = try training.integer("steps", 1...1_000_000) ?? out.steps
            out.batch = try training.integer("batch", 1...4096) ?? out.batch
            out.rate = try training.number("rate", 0...1000) ?? out.rate
            switch try training.string("schedule") {
            case nil, "constant": break
            case "cosine": out.isCosine = true
            default: throw training.fault("schedule", "must be \"constant\" or \"cosine\"")
            }
            out.warmup = try training.integer("warmup", 0...1 << 24) ?? out.warmup
            out.least = try training.number("least", 0...1) ?? out.least
            out.firstDecay = try training.number("beta1", 0...0.9999) ?? out.firstDecay
            out.secondDecay = try training.number("beta2", 0...0.999999) ?? out.secondDecay
            out.epsilon = try training.number("epsilon", 0...1) ?? out.epsilon
            out.weightDecay = try training.number("weight_decay", 0...1) ?? out.weightDecay
            out.clip = try training.number("clip", 1e-6...1e6)
            out.dropout = try training.number("dropout", 0...0.99) ?? out.dropout
            out.accumulate = try training.integer("accumulate", 1...64) ?? out.accumulate
            out.seed = try training.integer("seed", 0...Int.max) ?? out.seed
            out.trainOnly = try training.strings("train_only") ?? []
            out.freeze = try training.strings("freeze") ?? []
            for (key, patterns) in [("train_only", out.trainOnly), ("freeze", out.freeze)] where !patterns.isEmpty {
                if out.model == nil && out.graph == nil {
                    throw training.fault(key, "is of a model with a folder or a file under [model]")
                }
            }
            try training.finish()
        }
        if let rounds = try file.section("rounds") {
            out.workers = try rounds.integer("workers", 1...64) ?? 3
            out.roundSteps = try rounds.integer("steps", 1...1_000_000) ?? out.roundSteps
            out.outerRate = try rounds.number("outer_rate", 0...10) ?? out.outerRate
            out.outerMomentum = try rounds.number("outer_momentum", 0...0.9999) ?? out.outerMomentum
            out.quorum = try rounds.integer("quorum", 1...(out.workers ?? 1))
            out.patience = try rounds.integer("patience", 0...86_400) ?? out.patience
            if out.steps % out.roundSteps != 0 {
                throw rounds.fault("steps", "must divide training.steps, which is \(out.steps)")
            }
            if out.isCosine {
                throw rounds.fault("workers", "take the schedule \"constant\" alone: each round begins anew")
            }
            if out.dropout != 0 || out.accumulate != 1 {
                throw rounds.fault("workers", "take neither dropout nor accumulate: leave them out of [training]")
            }
            try rounds.finish()
        }
        guard let output = try file.section("output"), let name = try output.string("folder") else {
            throw file.missing("output.folder")
        }
        out.folder = TrainingFile.path(name, of: path)
        out.checkpointEvery = try output.integer("checkpoint_every", sizes) ?? out.checkpointEvery
        try output.finish()
        try file.finish()
        return out
    }

    /// A path as the file at `file` means it.
    public static func path(_ name: String, of file: String) -> String {
        URL(fileURLWithPath: name, relativeTo: URL(fileURLWithPath: file).deletingLastPathComponent()).path
    }

    /// The section data: a text, or the examples of an ONNX file.
    private mutating func read(data file: TOMLSection, of path: String) throws {
        guard let data = try file.section("data") else {
            throw file.missing(graph == nil ? "data.text" : "data.inputs")
        }
        let text = try data.string("text")
        inputs = try data.strings("inputs") ?? []
        classes = try data.string("classes").map { TrainingFile.path($0, of: path) }
        values = try data.string("values").map { TrainingFile.path($0, of: path) }
        if graph == nil {
            for (key, isGiven) in [("inputs", !inputs.isEmpty), ("classes", classes != nil), ("values", values != nil)]
            where isGiven { throw data.fault(key, "is of an ONNX file: name one as file under [model]") }
            guard let text else { throw file.missing("data.text") }
            self.text = TrainingFile.path(text, of: path)
        } else {
            if text != nil {
                throw data.fault("text", "is of a decoder: an ONNX file takes inputs, and classes or values")
            }
            if inputs.isEmpty { throw file.missing("data.inputs") }
            if (classes == nil) == (values == nil) {
                throw data.fault("classes", "or \"data.values\" must be there, one of them")
            }
        }
        try data.finish()
    }

    /// The section model: a folder's model has its own sizes.
    private mutating func read(model: TOMLSection, of path: String) throws {
        let length = try model.integer("context", 1...65536)
        context = length ?? context
        graphOutput = try model.string("output")
        let sizes = [
            ("vocabulary", try model.integer("vocabulary", 256...1 << 20)),
            ("width", try model.integer("width", 1...65536)), ("layers", try model.integer("layers", 1...1024)),
            ("heads", try model.integer("heads", 1...1024)),
        ]
        if let name = try model.string("folder") {
            if let other = sizes.first(where: { $0.1 != nil })?.0 {
                throw model.fault(other, "is the folder's own: leave it out, or the folder")
            }
            self.model = TrainingFile.path(name, of: path)
        }
        if let name = try model.string("file") {
            let others = sizes + [("context", length)]
            if let other = others.first(where: { $0.1 != nil })?.0 {
                throw model.fault(other, "is the file's own: leave it out, or the file")
            }
            if self.model != nil { throw model.fault("file", "is a model, and so is the folder: leave one out") }
            graph = TrainingFile.path(name, of: path)
        } else if graphOutput != nil {
            throw model.fault("output", "is of an ONNX file: name one as file")
        }
        vocabulary = sizes[0].1 ?? vocabulary
        width = sizes[1].1 ?? width
        layers = sizes[2].1 ?? layers
        heads = sizes[3].1 ?? heads
        try model.finish()
    }
}
