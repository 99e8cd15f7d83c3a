/// The ids that are put around every text, as tokenizer.json describes them.
struct PostProcessor: Sendable, Equatable {
    private(set) var before: [Int32] = []
    private(set) var after: [Int32] = []

    /// The most ids on either side.
    static let limit = 256

    /// Reads `post_processor`; nil and null put nothing.
    init(_ value: JSONValue?, file: String) throws(TokenizerFault) {
        guard let value, value != .null else { return }
        for entry in try TextNormalizer.entries(value, "processors", file: file) {
            switch entry["type"]?.string {
            // It moves offsets, not ids.
            case "ByteLevel": break
            case "RobertaProcessing", "BertProcessing":
                guard let first = entry["cls"]?.array, first.count == 2, let last = entry["sep"]?.array,
                    last.count == 2
                else { throw .missing(file: file, "the special tokens of its post_processor") }
                before.insert(try PostProcessor.id(first[1]), at: 0)
                after.append(try PostProcessor.id(last[1]))
            case "TemplateProcessing": try addTemplate(entry, file: file)
            case let other: throw .unsupported("post_processor", found: other ?? "of no known type")
            }
            if max(before.count, after.count) > PostProcessor.limit {
                throw .unsupported("post_processor", found: "more than \(PostProcessor.limit) tokens around a text")
            }
        }
    }

    private mutating func addTemplate(_ entry: JSONValue, file: String) throws(TokenizerFault) {
        guard let parts = entry["single"]?.array, parts.count <= PostProcessor.limit else {
            throw .missing(file: file, "the single template of its post_processor")
        }
        var first: [Int32] = []
        var last: [Int32] = []
        var seen = false
        for part in parts {
            if part["Sequence"] != nil {
                if seen { throw .unsupported("post_processor", found: "a template with the text twice") }
                seen = true
                continue
            }
            guard let name = part["SpecialToken"]?["id"]?.string,
                let ids = entry["special_tokens"]?[name]?["ids"]?.array, ids.count <= PostProcessor.limit
            else { throw .missing(file: file, "the special tokens of its post_processor") }
            for id in ids {
                if seen {
                    last.append(try PostProcessor.id(id))
                } else {
                    first.append(try PostProcessor.id(id))
                }
            }
        }
        if !seen { throw .unsupported("post_processor", found: "a template without the text") }
        before = first + before
        after += last
    }

    static func id(_ value: JSONValue?) throws(TokenizerFault) -> Int32 {
        guard let id = value?.integer, id >= 0, id < WordPieceTokenizer.idLimit else {
            throw .vocabulary("has an id that is not usable")
        }
        return Int32(id)
    }
}
