public import Programs

/// A transformer taken from a folder to be run as it is: a decoder, a RoBERTa encoder or a vision transformer. Weights stay mapped, in the type
/// that their files have.
public struct TransformerModel: Sendable {
    public enum Kind: Sendable, Equatable {
        case decoder(DecoderConfiguration)
        case roberta(RobertaConfiguration)
        case vision(VisionConfiguration)
    }

    private enum Graph: Sendable {
        case decoder(DecoderGraph)
        case roberta(RobertaGraph)
        case vision(VisionGraph)
    }

    public let name: String
    public let kind: Kind
    /// The weights in the order in which the program names its parameters.
    public let parameters: [StoredParameter]
    /// Those that the settings give and no file holds.
    let derivedNames: Set<String>
    private let graph: Graph

    /// How many numbers the weights are.
    public var parameterCount: Int { parameters.reduce(0) { $0 + $1.elementCount } }

    /// How many weights are subnormal, in all.
    public var subnormalCount: Int { parameters.reduce(0) { $0 + $1.subnormalCount } }

    /// The names of the program's outputs, in its order.
    public var outputNames: [String] {
        switch graph {
        case .decoder: ["logits"]
        case .roberta: ["last_hidden_state"]
        case .vision(let graph): graph.outputNames
        }
    }

    /// The program of one pass. Two imports of one folder give the same program.
    public func program() throws(ProgramFault) -> Program {
        let declarations = parameters.map(\.declaration)
        switch graph {
        case .decoder(let graph): return try graph.program(declarations)
        case .roberta(let graph): return try graph.program(declarations)
        case .vision(let graph): return try graph.program(declarations)
        }
    }

    /// What writes the step graphs of a decoder; nil for other kinds.
    var decoder: DecoderGraph? {
        if case .decoder(let graph) = graph { return graph }
        return nil
    }

    /// The kinds of `model_type` that are taken.
    static let types = DecoderConfiguration.Family.allCases.map(\.rawValue) + ["roberta", "vit"]

    /// Reads a folder and checks its weights.
    init(_ folder: HuggingFaceFolder, settings: JSONValue) throws(ImportFault) {
        name = folder.name
        var list = ParameterList()
        switch settings["model_type"]?.string {
        case "roberta":
            let configuration = try RobertaConfiguration(settings)
            kind = .roberta(configuration)
            graph = .roberta(RobertaGraph(configuration, &list))
        case "vit":
            let configuration = try VisionConfiguration(settings)
            kind = .vision(configuration)
            graph = .vision(VisionGraph(configuration, &list))
        default:
            let configuration = try DecoderConfiguration(
                settings, generation: try folder.settings("generation_config.json"))
            kind = .decoder(configuration)
            let weights = DecoderWeights(configuration, &list)
            graph = .decoder(DecoderGraph(configuration: configuration, weights: weights))
        }
        derivedNames = list.derivedNames
        parameters = try list.load(try WeightFiles(folder))
    }
}

extension ModelImporter {
    /// The files of a decoder's folder that are read beside its weights.
    public static let decoderFiles = [
        "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja",
    ]

    /// Reads what a decoder is, without its weights.
    public static func decoderConfiguration(path: String) throws(ImportFault) -> DecoderConfiguration {
        let folder = try HuggingFaceFolder(path: path)
        guard let settings = try folder.settings("config.json") else {
            throw .file(.missing(folder.path(of: "config.json")))
        }
        return try DecoderConfiguration(settings, generation: try folder.settings("generation_config.json"))
    }

    /// Whether a folder's model is a transformer that is run as it is, rather than a sentence encoder.
    public static func isTransformer(path: String) throws(ImportFault) -> Bool {
        let folder = try HuggingFaceFolder(path: path)
        let type = try folder.settings("config.json")?["model_type"]?.string
        return type.map { TransformerModel.types.contains($0) } ?? false
    }

    /// Imports a Hugging Face folder that holds a decoder, a RoBERTa encoder or a vision transformer.
    public static func importTransformer(_ path: String) throws(ImportFault) -> TransformerModel {
        let folder = try HuggingFaceFolder(path: path)
        guard let settings = try folder.settings("config.json") else {
            throw .file(.missing(folder.path(of: "config.json")))
        }
        return try TransformerModel(folder, settings: settings)
    }
}
