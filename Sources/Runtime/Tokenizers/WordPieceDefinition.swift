/// Everything that a tokenizer's files say, before tables are built from it.
struct WordPieceDefinition: Sendable {
    /// A token recognised in the text, and whether in the cleaned text.
    struct Added: Sendable {
        var token: AddedTokens.Token
        var isNormalized: Bool
    }

    var vocabulary: [(piece: String, id: Int32)]
    var unknown: Int32
    var prefix = "##"
    var longestWord = 100
    var normalizer = BertNormalizer()
    var added: [Added] = []
    /// Ids put before and after every text.
    var before: [Int32]
    var after: [Int32]
}

/// Why a tokenizer is refused.
public enum TokenizerFault: Error, Equatable, Sendable {
    case file(FileFault)
    case json(file: String, JSONFault)
    /// A part that no tokenizer here has: its name and what the file asks for.
    case unsupported(String, found: String)
    case missing(file: String, String)
    case vocabulary(String)
    case limit(Int, special: Int)
}

extension TokenizerFault: CustomStringConvertible {
    public var description: String {
        switch self {
        case .file(let fault): fault.description
        case .json(let file, let fault): "\(file) \(fault): download the model again."
        case .unsupported(let part, let found):
            "The tokenizer's \(part) is \(found.prefix(60)), which is not supported: use a model with a BPE or WordPiece tokenizer."
        case .missing(let file, let what): "\(file) lacks \(what.prefix(120)): download the model again."
        case .vocabulary(let what): "The tokenizer's vocabulary \(what): download the model again."
        case .limit(let limit, let special):
            "A limit of \(limit) tokens leaves no room beside \(special) special ones: raise max_seq_length."
        }
    }
}
