/// Tokens that are recognised in the text itself, before it is cut into words: `[SEP]`, and whatever a model added.
struct AddedTokens: Sendable {
    /// One token and how it matches.
    struct Token: Sendable {
        var id: Int32
        var content: [UInt32]
        /// Matches only where no word character stands beside it.
        var isSingleWord = false
        /// Takes the spaces before it.
        var stripsLeft = false
        /// Takes the spaces after it.
        var stripsRight = false
    }

    /// A stretch of text, or a token in its place.
    enum Piece {
        case text(ArraySlice<UInt32>)
        case token(Int32)
    }

    private let tokens: [Token]
    private let byFirst: [UInt32: [Int]]

    init(_ tokens: [Token]) {
        let usable = tokens.filter { !$0.content.isEmpty }
        var byFirst: [UInt32: [Int]] = [:]
        for (index, token) in usable.enumerated() { byFirst[token.content[0], default: []].append(index) }
        // The longest first, so that the first match is the longest.
        for key in byFirst.keys { byFirst[key]?.sort { usable[$0].content.count > usable[$1].content.count } }
        self.tokens = usable
        self.byFirst = byFirst
    }

    /// Cuts a text at its tokens: leftmost first, the longest of those that start together.
    func split(_ text: ArraySlice<UInt32>, _ unicode: BertUnicode) -> [Piece] {
        if tokens.isEmpty { return text.isEmpty ? [] : [.text(text)] }
        var output: [Piece] = []
        var done = text.startIndex
        var position = text.startIndex
        while position < text.endIndex {
            guard let candidates = byFirst[text[position]],
                let index = candidates.first(where: { text[position...].starts(with: tokens[$0].content) })
            else {
                position += 1
                continue
            }
            let token = tokens[index]
            var start = position
            var end = position + token.content.count
            position = end
            if token.isSingleWord {
                if start > text.startIndex, unicode.isWordCharacter(text[start - 1]) { continue }
                if end < text.endIndex, unicode.isWordCharacter(text[end]) { continue }
            }
            if token.stripsLeft {
                while start > done, unicode.endsWord(text[start - 1]) { start -= 1 }
            }
            if token.stripsRight {
                while end < text.endIndex, unicode.endsWord(text[end]) { end += 1 }
            }
            if done < start { output.append(.text(text[done..<start])) }
            output.append(.token(token.id))
            done = end
            position = max(position, end)
        }
        if done < text.endIndex { output.append(.text(text[done...])) }
        return output
    }
}
