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

    /// The longest token, in scalars.
    static let lengthLimit = 512
    /// All tokens together, in scalars.
    static let scalarLimit = 1 << 20

    private let tokens: [Token]
    /// A tree of their letters: from a node (0 is the root) by a scalar to the next. So a place of the text costs no more than the longest token, however many
    /// there are.
    private let next: [UInt64: Int32]
    /// The token that ends at a node.
    private let ends: [Int32: Int]

    /// Of tokens with one content the first counts. Throws where there are more letters than the limits allow.
    init(_ tokens: [Token]) throws(TokenizerFault) {
        let usable = tokens.filter { !$0.content.isEmpty }
        if usable.contains(where: { $0.content.count > AddedTokens.lengthLimit })
            || usable.reduce(0, { $0 + $1.content.count }) > AddedTokens.scalarLimit
        {
            throw .vocabulary("has added tokens that are too long")
        }
        var next: [UInt64: Int32] = [:]
        var ends: [Int32: Int] = [:]
        for (index, token) in usable.enumerated() {
            var node: Int32 = 0
            for scalar in token.content {
                let key = AddedTokens.key(node, scalar)
                let known = next[key]
                node = known ?? Int32(next.count + 1)
                if known == nil { next[key] = node }
            }
            if ends[node] == nil { ends[node] = index }
        }
        self.tokens = usable
        self.next = next
        self.ends = ends
    }

    private static func key(_ node: Int32, _ scalar: UInt32) -> UInt64 { UInt64(UInt32(node)) << 32 | UInt64(scalar) }

    /// The longest token that starts at a place.
    private func longest(_ text: ArraySlice<UInt32>, _ start: Int) -> Int? {
        var node: Int32 = 0
        var found: Int?
        for scalar in text[start...] {
            guard let below = next[AddedTokens.key(node, scalar)] else { break }
            node = below
            if let token = ends[node] { found = token }
        }
        return found
    }

    /// Cuts a text at its tokens: leftmost first, the longest of those that start together.
    func split(_ text: ArraySlice<UInt32>, _ unicode: BertUnicode) -> [Piece] {
        if tokens.isEmpty { return text.isEmpty ? [] : [.text(text)] }
        var output: [Piece] = []
        var done = text.startIndex
        var position = text.startIndex
        while position < text.endIndex {
            guard let index = longest(text, position) else {
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
