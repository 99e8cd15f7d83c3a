/// BERT's tokenizer: cleaning, words and punctuation, then the longest known pieces of each word.
///
/// Gives exactly the ids of Hugging Face's `BertTokenizerFast`; `WordPieceTests` holds it to frozen cases.
public struct WordPieceTokenizer: Sendable {
    /// The ids of one text.
    public struct Encoding: Sendable, Equatable {
        public let ids: [Int32]
        /// Whether the text was longer than the model takes and lost its end.
        public let isTruncated: Bool
    }

    /// The most ids a text may have, special ones included.
    public let limit: Int
    /// The greatest id that can come out.
    public let greatestID: Int32

    let definition: WordPieceDefinition
    private let unicode = BertUnicode()
    private let initial: VocabularyTable
    private let continuing: VocabularyTable
    private let rawTokens: AddedTokens
    private let normalizedTokens: AddedTokens

    /// A tokenizer that cuts texts to `limit` ids.
    init(_ definition: WordPieceDefinition, limit: Int) throws(TokenizerFault) {
        let special = definition.before.count + definition.after.count
        if limit <= special { throw .limit(limit, special: special) }
        self.definition = definition
        self.limit = limit
        var initial = VocabularyTable(capacity: definition.vocabulary.count)
        var continuing = VocabularyTable(capacity: definition.vocabulary.count)
        let prefix = Array(definition.prefix.utf8)
        var greatest: Int32 = definition.unknown
        for (piece, id) in definition.vocabulary {
            initial.insert(piece.utf8, id: id)
            if piece.utf8.starts(with: prefix) { continuing.insert(piece.utf8.dropFirst(prefix.count), id: id) }
            greatest = max(greatest, id)
        }
        for token in definition.added { greatest = max(greatest, token.token.id) }
        for id in definition.before + definition.after { greatest = max(greatest, id) }
        self.initial = initial
        self.continuing = continuing
        greatestID = greatest
        rawTokens = try AddedTokens(definition.added.filter { !$0.isNormalized }.map(\.token))
        let unicode = unicode
        normalizedTokens = try AddedTokens(
            definition.added.filter(\.isNormalized).map {
                var token = $0.token
                token.content = definition.normalizer.normalize(token.content, unicode)
                return token
            })
    }

    /// The ids of a text, cut to the limit.
    public func encode(_ text: String) -> Encoding {
        let room = limit - definition.before.count - definition.after.count
        var ids: [Int32] = []
        let scalars = text.unicodeScalars.map(\.value)
        scan: for piece in rawTokens.split(scalars[...], unicode) {
            switch piece {
            case .token(let id): ids.append(id)
            case .text(let stretch):
                let normalized = definition.normalizer.normalize(Array(stretch), unicode)
                for part in normalizedTokens.split(normalized[...], unicode) {
                    switch part {
                    case .token(let id): ids.append(id)
                    case .text(let words): appendWords(words, room: room, to: &ids)
                    }
                    if ids.count > room { break scan }
                }
            }
            if ids.count > room { break }
        }
        let isTruncated = ids.count > room
        if isTruncated { ids.removeLast(ids.count - room) }
        return Encoding(ids: definition.before + ids + definition.after, isTruncated: isTruncated)
    }

    /// Cuts at spaces and punctuation; stops once there are more than `room` ids.
    private func appendWords(_ text: ArraySlice<UInt32>, room: Int, to ids: inout [Int32]) {
        var start = text.startIndex
        var position = text.startIndex
        while position < text.endIndex {
            let scalar = text[position]
            let ends = unicode.endsWord(scalar)
            if ends || unicode.isPunctuation(scalar) {
                if start < position { appendPieces(text[start..<position], to: &ids) }
                if !ends { appendPieces(text[position...position], to: &ids) }
                start = position + 1
                if ids.count > room { return }
            }
            position += 1
        }
        if start < position { appendPieces(text[start..<position], to: &ids) }
    }

    /// The longest known pieces of a word from its left, or the unknown token for all of it.
    private func appendPieces(_ word: ArraySlice<UInt32>, to ids: inout [Int32]) {
        if word.count > definition.longestWord {
            ids.append(definition.unknown)
            return
        }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(word.count * 4)
        // Where each scalar starts, and the end.
        var starts: [Int] = []
        starts.reserveCapacity(word.count + 1)
        for value in word {
            starts.append(bytes.count)
            // Every value came from a String or from the tables, so it is a scalar.
            bytes.append(
                contentsOf: UTF8.encode(Unicode.Scalar(value) ?? "\u{FFFD}") ?? UTF8.encodedReplacementCharacter)
        }
        starts.append(bytes.count)
        let before = ids.count
        var first = 0
        bytes.withUnsafeBufferPointer { buffer in
            while first < word.count {
                let table = first == 0 ? initial : continuing
                var last = word.count
                var found: Int32?
                while last > first {
                    if starts[last] - starts[first] <= table.longest {
                        found = table.id(UnsafeBufferPointer(rebasing: buffer[starts[first]..<starts[last]]))
                        if found != nil { break }
                    }
                    last -= 1
                }
                guard let id = found else {
                    ids.removeLast(ids.count - before)
                    ids.append(definition.unknown)
                    return
                }
                ids.append(id)
                first = last
            }
        }
    }
}
