/// Byte pair encoding as tokenizer.json describes it: byte-level (GPT-2, RoBERTa, Llama 3, Qwen 2) and in the manner of
/// SentencePiece (Llama 2, Mistral). Gives exactly the ids, and from ids the texts, of Hugging Face's tokenizers.
public struct BPETokenizer: Sendable {
    /// The most merges that a file may have.
    public static let mergeLimit = 1 << 21

    /// A token that is recognised in the text.
    public struct AddedToken: Sendable, Equatable {
        public let id: Int32
        public let content: String
        /// Left out of texts that are made for people.
        public let isSpecial: Bool
    }

    /// The greatest id that can come out.
    public let greatestID: Int32
    public let addedTokens: [AddedToken]

    private let vocabulary: VocabularyTable
    /// The pieces by id, as scalars.
    private let pieces: [Int32: [UInt32]]
    private let special: Set<Int32>
    private let merges: BPEMerges
    private let normalizers: [TextNormalizer]
    private let preTokenizers: [PreTokenizer]
    private let decoders: [TokenDecoder]?
    private let postProcessor: PostProcessor
    private let rawTokens: AddedTokens
    private let normalizedTokens: AddedTokens
    private let unknown: Int32?
    private let fusesUnknown: Bool
    /// The ids of `<0x00>` to `<0xFF>`, where these stand in for unknown letters.
    private let byteIDs: [Int32?]?
    private let ignoresMerges: Bool
    // The same for all, and a megabyte.
    private static let unicode = BertUnicode()
    private static let classes = TextClasses()
    private static let alphabet = ByteAlphabet()
    private var unicode: BertUnicode { BPETokenizer.unicode }
    private var classes: TextClasses { BPETokenizer.classes }
    private var alphabet: ByteAlphabet { BPETokenizer.alphabet }

    /// Reads `tokenizer.json`. Its own truncation and padding are ignored.
    public init(tokenizerJSON bytes: UnsafeRawBufferPointer) throws(TokenizerFault) {
        let file = "tokenizer.json"
        let root: JSONValue
        do throws(JSONFault) { root = try JSONReader.read(bytes) } catch { throw .json(file: file, error) }
        guard let model = root["model"] else { throw .missing(file: file, "its model") }
        // Old files leave the type out; only BPE has merges.
        let isBPE = model["type"].map { $0.string == "BPE" } ?? (model["merges"] != nil)
        if !isBPE { throw .unsupported("model", found: model["type"]?.string ?? "of no known type") }
        for key in ["continuing_subword_prefix", "end_of_word_suffix"] {
            if let text = model[key]?.string, !text.isEmpty { throw .unsupported(key, found: text) }
        }
        guard let entries = model["vocab"]?.object?.members else { throw .missing(file: file, "its vocabulary") }
        if entries.count > WordPieceTokenizer.vocabularyLimit { throw .vocabulary("has \(entries.count) entries") }
        var vocabulary = VocabularyTable(capacity: entries.count)
        var pieces: [Int32: [UInt32]] = [:]
        pieces.reserveCapacity(entries.count)
        var greatest: Int32 = 0
        for entry in entries {
            let id = try PostProcessor.id(entry.value)
            vocabulary.insert(entry.name.utf8, id: id)
            pieces[id] = entry.name.unicodeScalars.map(\.value)
            greatest = max(greatest, id)
        }
        func find(_ piece: some Collection<UInt8>) -> Int32? {
            Array(piece).withUnsafeBufferPointer { vocabulary.id($0) }
        }
        merges = try BPETokenizer.merges(model["merges"], file: file) { find($0) }
        if let text = model["unk_token"]?.string {
            guard let id = find(text.utf8) else { throw .vocabulary("lacks its unknown token \(text.prefix(60))") }
            unknown = id
        } else {
            unknown = nil
        }
        fusesUnknown = model["fuse_unk"]?.bool ?? false
        ignoresMerges = model["ignore_merges"]?.bool ?? false
        if model["byte_fallback"]?.bool ?? false {
            byteIDs = (0..<256).map { find("<0x\(BPETokenizer.hexadecimal($0))>".utf8) }
        } else {
            byteIDs = nil
        }
        normalizers = try TextNormalizer.read(root["normalizer"], file: file)
        preTokenizers = try PreTokenizer.read(root["pre_tokenizer"], file: file)
        decoders = try TokenDecoder.read(root["decoder"], file: file)
        postProcessor = try PostProcessor(root["post_processor"], file: file)
        let added = try WordPieceTokenizer.added(root["added_tokens"], file: file)
        var listed: [AddedToken] = []
        for (entry, value) in zip(added, root["added_tokens"]?.array ?? []) {
            let id = entry.token.id
            pieces[id] = entry.token.content
            greatest = max(greatest, id)
            listed.append(
                AddedToken(
                    id: id, content: value["content"]?.string ?? "", isSpecial: value["special"]?.bool ?? false))
        }
        for id in postProcessor.before + postProcessor.after { greatest = max(greatest, id) }
        greatestID = greatest
        addedTokens = listed
        special = Set(listed.filter(\.isSpecial).map(\.id))
        self.vocabulary = vocabulary
        self.pieces = pieces
        rawTokens = try AddedTokens(added.filter { !$0.isNormalized }.map(\.token))
        let (normalizers, unicode, classes) = (normalizers, BPETokenizer.unicode, BPETokenizer.classes)
        normalizedTokens = try AddedTokens(
            added.filter(\.isNormalized).map {
                var token = $0.token
                for step in normalizers { token.content = step.normalize(token.content, unicode, classes) }
                return token
            })
    }

    private static func hexadecimal(_ byte: Int) -> String {
        let text = String(byte, radix: 16, uppercase: true)
        return text.count == 1 ? "0" + text : text
    }

    /// Merges are written as two pieces in a list, or with a blank between them.
    private static func merges(
        _ value: JSONValue?, file: String, _ find: ([UInt8]) -> Int32?
    ) throws(TokenizerFault) -> BPEMerges {
        guard let entries = value?.array else { throw .missing(file: file, "its merges") }
        if entries.count > mergeLimit { throw .vocabulary("has \(entries.count) merges") }
        var merges = BPEMerges(capacity: entries.count)
        for (rank, entry) in entries.enumerated() {
            let left: [UInt8]
            let right: [UInt8]
            if let parts = entry.array, parts.count == 2, let a = parts[0].string, let b = parts[1].string {
                (left, right) = (Array(a.utf8), Array(b.utf8))
            } else if let parts = entry.string?.utf8.split(separator: 0x20, omittingEmptySubsequences: false),
                parts.count == 2
            {
                (left, right) = (Array(parts[0]), Array(parts[1]))
            } else {
                throw .vocabulary("has a merge (\(rank)) that is not of two pieces")
            }
            guard let a = find(left), let b = find(right), let made = find(left + right) else {
                throw .vocabulary("lacks a piece of merge \(rank)")
            }
            merges.insert(a, b, rank: rank, makes: made)
        }
        return merges
    }

    /// The id of a token, added ones first.
    public func id(of token: String) -> Int32? {
        if let found = addedTokens.first(where: { $0.content.utf8.elementsEqual(token.utf8) }) { return found.id }
        return Array(token.utf8).withUnsafeBufferPointer { vocabulary.id($0) }
    }

    /// The ids of a text, with those that the file puts around every text where these are wanted.
    public func encode(_ text: String, addsSpecialTokens: Bool = true) -> [Int32] {
        var ids: [Int32] = addsSpecialTokens ? postProcessor.before : []
        let scalars = text.unicodeScalars.map(\.value)
        for piece in rawTokens.split(scalars[...], unicode) {
            switch piece {
            case .token(let id): ids.append(id)
            case .text(let stretch):
                var normalized = Array(stretch)
                for step in normalizers { normalized = step.normalize(normalized, unicode, classes) }
                for part in normalizedTokens.split(normalized[...], unicode) {
                    switch part {
                    case .token(let id): ids.append(id)
                    case .text(let words):
                        let isFirst = stretch.startIndex == 0 && words.startIndex == 0
                        append(PreTokenizer.Piece(text: Array(words), isFirst: isFirst), to: &ids)
                    }
                }
            }
        }
        if addsSpecialTokens { ids += postProcessor.after }
        return ids
    }

    private func append(_ text: PreTokenizer.Piece, to ids: inout [Int32]) {
        var pieces = [text]
        for step in preTokenizers { pieces = step.apply(pieces, classes, alphabet) }
        for piece in pieces where !piece.text.isEmpty { append(word: piece.text, to: &ids) }
    }

    private func append(word: [UInt32], to ids: inout [Int32]) {
        var bytes: [UInt8] = []
        if ignoresMerges {
            let whole = word.utf8.withUnsafeBufferPointer { vocabulary.id($0) }
            if let whole {
                ids.append(whole)
                return
            }
        }
        var symbols: [Int32] = []
        symbols.reserveCapacity(word.count)
        // An unknown letter waits for the next known one, so that several may become one token.
        var waiting: Int32?
        for scalar in word {
            bytes.removeAll(keepingCapacity: true)
            [UInt32].appendUTF8(scalar, to: &bytes)
            if let id = bytes.withUnsafeBufferPointer({ vocabulary.id($0) }) {
                if let unknown = waiting { symbols.append(unknown) }
                waiting = nil
                symbols.append(id)
                continue
            }
            if let byteIDs {
                let found = bytes.compactMap { byteIDs[Int($0)] }
                if found.count == bytes.count {
                    symbols += found
                    continue
                }
            }
            guard let unknown else { continue }
            if let held = waiting, !fusesUnknown { symbols.append(held) }
            waiting = unknown
        }
        if let unknown = waiting { symbols.append(unknown) }
        merges.append(symbols, to: &ids)
    }

    /// The text of ids; those that no token has are left out.
    public func decode(_ ids: [Int32], skipsSpecialTokens: Bool = true) -> String {
        var tokens: [[UInt32]] = []
        for id in ids where !(skipsSpecialTokens && special.contains(id)) {
            if let piece = pieces[id] { tokens.append(piece) }
        }
        guard let decoders else { return BPETokenizer.text(Array(tokens.joined(separator: [0x20]))) }
        for step in decoders { tokens = step.apply(tokens, alphabet) }
        return BPETokenizer.text(Array(tokens.joined()))
    }

    private static func text(_ scalars: [UInt32]) -> String { String(decoding: scalars.utf8, as: UTF8.self) }
}
