/// Why a model cannot be imported. The description is one sentence with the next step.
public enum ImportFault: Error, Equatable, Sendable {
    case file(FileFault)
    case notAFolder(String)
    /// A file of the folder is not the JSON it should be.
    case json(file: String, JSONFault)
    /// A setting is missing or has a value that cannot be: file, key, what is wrong.
    case setting(file: String, key: String, String)
    /// The model is of a kind that has no importer.
    case architecture(found: String)
    /// A setting asks for what the importer does not have.
    case unsupported(String, found: String)
    /// There is no model.safetensors; the weights that are there instead.
    case noWeights(folder: String, found: String?)
    case safetensors(file: String, SafetensorsFault)
    case missingWeight(String)
    case weightShape(String, found: [Int], expected: [Int])
    case weightType(String, found: SafetensorsType)
    case weightNotFinite(String, element: Int)
    case noTokenizer(folder: String)
    case tokenizer(TokenizerFault)
    /// A token id that has no row in the embedding table.
    case vocabulary(greatestID: Int, rows: Int)
    /// The step graph could not be built from these settings.
    case program(String)
}

extension ImportFault: CustomStringConvertible {
    public var description: String {
        switch self {
        case .file(let fault): return fault.description
        case .notAFolder(let path):
            return "\(path) is not a folder: give the folder that holds config.json and model.safetensors."
        case .json(let file, let fault): return "\(file) \(fault): download the model again."
        case .setting(let file, let key, let what):
            return "\(file): \(key) \(what): correct it or download the model again."
        case .architecture(let found):
            return "The model's architecture is \(found.prefix(60)), which cannot be imported: "
                + "choose one of bert, \(TransformerModel.types.joined(separator: ", "))."
        case .unsupported(let part, let found):
            return "The model's \(part) is \(found.prefix(60)), which is not supported: choose another model."
        case .noWeights(let folder, let found):
            if let found {
                return "\(folder) holds \(found) but no model.safetensors: save the model in the safetensors format."
            }
            return "\(folder) holds no model.safetensors: download the model's weights into it."
        case .safetensors(let file, let fault): return "\(file): \(fault)"
        case .missingWeight(let name):
            return "The folder lacks the weight \(name): download it again or check that config.json is its own."
        case .weightShape(let name, let found, let expected):
            return "The weight \(name) has the shape \(found) where config.json needs \(expected): "
                + "check that both files are of one model."
        case .weightType(let name, let found):
            return "The weight \(name) has the type \(found.rawValue): save the model as F32, F16 or BF16."
        case .weightNotFinite(let name, let element):
            return "The weight \(name) is not a finite number at element \(element): download the file again."
        case .noTokenizer(let folder):
            return "\(folder) holds neither tokenizer.json nor vocab.txt: download the model's tokenizer into it."
        case .tokenizer(let fault): return fault.description
        case .vocabulary(let greatest, let rows):
            return "The tokenizer gives ids up to \(greatest) but the model has \(rows) embeddings: "
                + "check that both are of one model."
        case .program(let what): return "The model cannot be expressed as a program (\(what)): choose a smaller model."
        }
    }
}
