internal import Foundation
internal import Programs

/// The training of a folder's decoder on a text: what is moved starts from the folder's weights, and at the end there is a folder like it.
public struct FolderTraining: ModelTraining {
    public let model: TransformerModel
    /// The text as the model's tokens.
    public let tokens: [Int32]
    public let objective: ImportedObjective
    private let folder: HuggingFaceFolder

    /// Reads a folder and cuts the text by its tokenizer. Rows are of `context` tokens.
    public init(
        folder path: String, text: String, _ settings: TrainingSettings, context: Int,
        selection: WeightSelection = WeightSelection()
    ) throws(TrainingFault) {
        let tokenizer: BPETokenizer
        do throws(ImportFault) { tokenizer = try ModelImporter.textTokenizer(path: path) } catch {
            throw .model(error)
        }
        try self.init(
            folder: path, tokens: tokenizer.encode(text, addsSpecialTokens: false), settings, context: context,
            selection: selection)
    }

    /// The same on tokens.
    public init(
        folder path: String, tokens: [Int32], _ settings: TrainingSettings, context: Int,
        selection: WeightSelection = WeightSelection()
    ) throws(TrainingFault) {
        do throws(ImportFault) {
            folder = try HuggingFaceFolder(path: path)
            model = try ModelImporter.importTransformer(path)
        } catch { throw .model(error) }
        self.tokens = tokens
        guard let decoder = model.decoder else {
            throw .setting("model.folder", "is no decoder: GPT-2, Llama, Mistral and Qwen2 are trained")
        }
        let configuration = decoder.configuration
        if !(1...configuration.positions).contains(context) {
            throw .setting(
                "context", "is \(context), and \(model.name) takes rows of 1 to \(configuration.positions) tokens")
        }
        if tokens.count < context + 2 {
            throw .setting(
                "context",
                "is \(context), and the text has \(tokens.count) tokens: give a longer text or a shorter context")
        }
        if let other = tokens.first(where: { !(0..<configuration.vocabularySize).contains(Int($0)) }) {
            throw .setting(
                "data.text",
                "has the token \(other), and \(model.name) knows \(configuration.vocabularySize): its tokenizer is another model's"
            )
        }
        if !(1...1 << 24).contains(settings.batch) { throw .setting("batch", "must be from 1 to 2^24") }
        let (parameters, derived) = (model.parameters, model.derivedNames)
        var chosen = try selection.isTrained(parameters.map(\.name).filter { !derived.contains($0) })[...]
        objective = ImportedObjective(
            decoder.forward(
                parameters.map(\.declaration), batch: settings.batch, length: context, dropout: settings.thinning),
            target: .nextToken(tokens: tokens.count),
            isTrained: parameters.map { derived.contains($0.name) ? false : chosen.removeFirst() })
    }

    /// The tokens as the program reads them.
    public var data: [Tensor] { [Tensor(tokens, shape: [tokens.count])] }

    /// What the trained weights start from, in f32: bf16 and f16 exactly.
    public func weights() -> [Tensor] {
        zip(model.parameters, objective.isTrained).filter(\.1).map { $0.0.widened() }
    }

    /// The parameters that are not moved, as their files have them.
    public var frozen: [StoredParameter] {
        zip(model.parameters, objective.isTrained).filter { !$0.1 }.map(\.0)
    }

    // MARK: The folder at the end

    public func path(in folder: String) -> String { folder }

    /// Files of a folder that are copied as they are.
    private static let files =
        ModelImporter.decoderFiles.filter { $0 != "config.json" } + [
            "special_tokens_map.json", "added_tokens.json", "tokenizer.model", "vocab.json", "merges.txt",
            "chat_template.json",
        ]

    /// Writes a folder like the one that was read: trained weights in f32 and the others as they were, all under their own names.
    public func write(_ trainer: Trainer, to path: String) throws(TrainingFault) {
        try write(to: path) { place, declaration in
            SafetensorsWriter.Entry(declaration) { body in try trainer.withState(place, body) }
        }
    }

    /// The same with weights in the objective's order.
    public func write(_ weights: [Tensor], to path: String) throws(TrainingFault) {
        try write(to: path) { place, declaration in SafetensorsWriter.Entry(declaration.name, weights[place]) }
    }

    private func write(
        to path: String, _ trained: (Int, TensorDeclaration) -> SafetensorsWriter.Entry
    ) throws(TrainingFault) {
        let declared = objective.weights
        var next = 0
        var entries: [SafetensorsWriter.Entry] = []
        for (parameter, isTrained) in zip(model.parameters, objective.isTrained) {
            if isTrained {
                entries.append(trained(next, declared[next]))
                next += 1
            } else if !model.derivedNames.contains(parameter.name) {
                entries.append(SafetensorsWriter.Entry(parameter))
            }
        }
        do {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            for name in FolderTraining.files where folder.has(name) {
                try Data(contentsOf: URL(fileURLWithPath: folder.path(of: name))).write(
                    to: URL(fileURLWithPath: path + "/" + name), options: .atomic)
            }
            let settings = try String(contentsOfFile: folder.path(of: "config.json"), encoding: .utf8)
            try Data(FolderTraining.wide(settings).utf8).write(
                to: URL(fileURLWithPath: path + "/config.json"), options: .atomic)
        } catch { throw .folder(path: path, "cannot be written") }
        // Tools of others read the note.
        do throws(SafetensorsWriter.Fault) {
            try SafetensorsWriter.write(entries, metadata: [("format", "pt")], to: path + "/model.safetensors")
        } catch { throw .folder(path: path, "cannot be written") }
    }

    /// The settings with float32 where they name the type of the weights: others would round them to what stands there.
    static func wide(_ settings: String) -> String {
        var out = Substring(settings)
        var done = ""
        while let key = ["\"torch_dtype\"", "\"dtype\""].compactMap({ out.range(of: $0) }).min(by: {
            $0.lowerBound < $1.lowerBound
        }) {
            done += out[..<key.upperBound]
            out = out[key.upperBound...]
            let value = out.drop { $0.isWhitespace || $0 == ":" }
            for type in ["\"bfloat16\"", "\"float16\""] where value.hasPrefix(type) {
                done += ": \"float32\""
                out = value.dropFirst(type.count)
                break
            }
        }
        return done + out
    }
}
