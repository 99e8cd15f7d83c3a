extension WordPieceTokenizer {
    /// The most entries a vocabulary may have.
    public static let vocabularyLimit = 1 << 20
    /// The greatest id a token may have.
    public static let idLimit = 1 << 24

    /// Reads `tokenizer.json`. Its own truncation and padding are ignored: `limit` decides.
    public init(tokenizerJSON bytes: UnsafeRawBufferPointer, limit: Int) throws(TokenizerFault) {
        let file = "tokenizer.json"
        let root: JSONValue
        do throws(JSONFault) { root = try JSONReader.read(bytes) } catch { throw .json(file: file, error) }
        guard let model = root["model"] else { throw .missing(file: file, "its model") }
        // Old files leave the type out; only WordPiece has this key.
        let isWordPiece = model["type"].map { $0.string == "WordPiece" } ?? (model["max_input_chars_per_word"] != nil)
        if !isWordPiece { throw .unsupported("model", found: model["type"]?.string ?? "of no known type") }
        guard let entries = model["vocab"]?.object?.members else { throw .missing(file: file, "its vocabulary") }
        if entries.count > WordPieceTokenizer.vocabularyLimit { throw .vocabulary("has \(entries.count) entries") }
        var vocabulary: [(piece: String, id: Int32)] = []
        vocabulary.reserveCapacity(entries.count)
        for entry in entries { vocabulary.append((entry.name, try Self.id(entry.value))) }
        guard let unknownPiece = model["unk_token"]?.string,
            let unknown = vocabulary.first(where: { $0.piece.utf8.elementsEqual(unknownPiece.utf8) })?.id
        else { throw .missing(file: file, "the unknown token") }
        let (before, after) = try Self.template(root["post_processor"], file: file)
        var definition = WordPieceDefinition(vocabulary: vocabulary, unknown: unknown, before: before, after: after)
        if let prefix = model["continuing_subword_prefix"] {
            guard let text = prefix.string else {
                throw .missing(file: file, "a continuing_subword_prefix that is text")
            }
            definition.prefix = text
        }
        if let longest = model["max_input_chars_per_word"] {
            guard let count = longest.integer, count >= 0, count <= 1_000 else {
                throw .missing(file: file, "a usable max_input_chars_per_word")
            }
            definition.longestWord = count
        }
        definition.normalizer = try Self.normalizer(root["normalizer"])
        guard root["pre_tokenizer"]?["type"]?.string == "BertPreTokenizer" else {
            throw .unsupported("pre_tokenizer", found: root["pre_tokenizer"]?["type"]?.string ?? "missing")
        }
        definition.added = try Self.added(root["added_tokens"], file: file)
        try self.init(definition, limit: limit)
    }

    /// Reads `vocab.txt`, one piece a line, and what `tokenizer_config.json` says of it.
    public init(
        vocabularyText bytes: UnsafeRawBufferPointer, configuration: JSONValue?, limit: Int
    ) throws(TokenizerFault) {
        let file = "vocab.txt"
        guard let text = String(validating: bytes.bindMemory(to: UInt8.self), as: UTF8.self) else {
            throw .vocabulary("is not UTF-8")
        }
        var vocabulary: [(piece: String, id: Int32)] = []
        var lines = text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        if lines.last?.isEmpty == true { lines.removeLast() }
        if lines.count > WordPieceTokenizer.vocabularyLimit { throw .vocabulary("has \(lines.count) lines") }
        for (index, line) in lines.enumerated() {
            let piece = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
            vocabulary.append((String(Substring(piece)), Int32(index)))
        }
        func special(_ key: String, _ usual: String) throws(TokenizerFault) -> AddedTokens.Token {
            // Newer files write a token as an object with its content.
            let entry = configuration?[key]
            let name = entry?.string ?? entry?["content"]?.string ?? usual
            guard let id = vocabulary.last(where: { $0.piece.utf8.elementsEqual(name.utf8) })?.id else {
                throw .missing(file: file, "the token \(name)")
            }
            return AddedTokens.Token(id: id, content: name.unicodeScalars.map(\.value))
        }
        let unknown = try special("unk_token", "[UNK]")
        let first = try special("cls_token", "[CLS]")
        let last = try special("sep_token", "[SEP]")
        var definition = WordPieceDefinition(
            vocabulary: vocabulary, unknown: unknown.id, before: [first.id], after: [last.id])
        for token in [unknown, first, last, try special("pad_token", "[PAD]"), try special("mask_token", "[MASK]")] {
            definition.added.append(WordPieceDefinition.Added(token: token, isNormalized: false))
        }
        let lowercases = configuration?["do_lower_case"]?.bool ?? true
        definition.normalizer = BertNormalizer(
            cleansText: true, separatesIdeographs: configuration?["tokenize_chinese_chars"]?.bool ?? true,
            stripsAccents: configuration?["strip_accents"]?.bool ?? lowercases, lowercases: lowercases)
        try self.init(definition, limit: limit)
    }

    private static func id(_ value: JSONValue?) throws(TokenizerFault) -> Int32 {
        guard let id = value?.integer, id >= 0, id < idLimit else { throw .vocabulary("has an id that is not usable") }
        return Int32(id)
    }

    private static func normalizer(_ value: JSONValue?) throws(TokenizerFault) -> BertNormalizer {
        guard let type = value?["type"]?.string, type == "BertNormalizer" else {
            throw .unsupported("normalizer", found: value?["type"]?.string ?? "missing")
        }
        let lowercases = value?["lowercase"]?.bool ?? true
        return BertNormalizer(
            cleansText: value?["clean_text"]?.bool ?? true,
            separatesIdeographs: value?["handle_chinese_chars"]?.bool ?? true,
            stripsAccents: value?["strip_accents"]?.bool ?? lowercases, lowercases: lowercases)
    }

    static func added(
        _ value: JSONValue?, file: String
    ) throws(TokenizerFault) -> [WordPieceDefinition.Added] {
        var output: [WordPieceDefinition.Added] = []
        guard let value, value != .null else { return [] }
        guard let entries = value.array else { throw .missing(file: file, "a list of added tokens") }
        if entries.count > vocabularyLimit { throw .vocabulary("has \(entries.count) added tokens") }
        for entry in entries {
            guard let content = entry["content"]?.string else { throw .missing(file: file, "an added token's content") }
            let isSpecial = entry["special"]?.bool ?? false
            let token = AddedTokens.Token(
                id: try id(entry["id"]), content: content.unicodeScalars.map(\.value),
                isSingleWord: entry["single_word"]?.bool ?? false, stripsLeft: entry["lstrip"]?.bool ?? false,
                stripsRight: entry["rstrip"]?.bool ?? false)
            let isNormalized = entry["normalized"]?.bool ?? !isSpecial
            output.append(WordPieceDefinition.Added(token: token, isNormalized: isNormalized))
        }
        return output
    }

    /// The ids around a single text.
    private static func template(
        _ value: JSONValue?, file: String
    ) throws(TokenizerFault) -> (before: [Int32], after: [Int32]) {
        guard let value, value != .null else { return ([], []) }
        switch value["type"]?.string {
        case "BertProcessing":
            guard let first = value["cls"]?.array, first.count == 2, let last = value["sep"]?.array, last.count == 2
            else {
                throw .missing(file: file, "the special tokens of its post_processor")
            }
            return ([try id(first[1])], [try id(last[1])])
        case "TemplateProcessing":
            var before: [Int32] = []
            var after: [Int32] = []
            var seen = false
            guard let parts = value["single"]?.array, parts.count <= 64 else {
                throw .missing(file: file, "the single template of its post_processor")
            }
            for part in parts {
                if let sequence = part["Sequence"] {
                    if seen || sequence["type_id"]?.integer ?? 0 != 0 {
                        throw .unsupported("post_processor", found: "a template of several segments")
                    }
                    seen = true
                } else {
                    guard let special = part["SpecialToken"], special["type_id"]?.integer ?? 0 == 0,
                        let name = special["id"]?.string, let ids = value["special_tokens"]?[name]?["ids"]?.array,
                        ids.count <= 64
                    else { throw .missing(file: file, "the special tokens of its post_processor") }
                    for entry in ids {
                        if seen { after.append(try id(entry)) } else { before.append(try id(entry)) }
                    }
                }
            }
            if !seen { throw .unsupported("post_processor", found: "a template without the text") }
            return (before, after)
        case let other: throw .unsupported("post_processor", found: other ?? "missing")
        }
    }
}
