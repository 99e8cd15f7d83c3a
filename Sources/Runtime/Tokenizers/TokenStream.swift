/// Turns tokens into text as they come: what is given out is never taken back.
///
/// A token may end within a letter, which is then waited for. Only the tokens since the last text that was given, and those of that text, are
/// decoded again: a decoder may treat the first of its tokens otherwise.
public struct TokenStream: Sendable {
    private let tokenizer: BPETokenizer
    private var ids: [Int32] = []
    /// How many of `ids` have been given out.
    private var given = 0

    public init(_ tokenizer: BPETokenizer) { self.tokenizer = tokenizer }

    /// What the token adds to the text; empty where it ends within a letter.
    public mutating func append(_ id: Int32) -> String {
        ids.append(id)
        return take(isLast: false)
    }

    /// What is left at the end, where the last letter may be broken.
    public mutating func finish() -> String { take(isLast: true) }

    private mutating func take(isLast: Bool) -> String {
        let text = tokenizer.decode(ids).unicodeScalars
        if !isLast && text.last == "\u{FFFD}" { return "" }
        let new = text.dropFirst(tokenizer.decode(Array(ids.prefix(given))).unicodeScalars.count)
        if new.isEmpty { return "" }
        ids.removeFirst(given)
        given = ids.count
        return String(Substring.UnicodeScalarView(new))
    }
}
