/// Cuts a text into the words that BPE merges within: the regular expressions of the known families, each written as a scanner.
///
/// A pattern that is none of these is refused by name. The scanners give what the expressions give, alternative by alternative,
/// in time linear in the text.
enum TextCut: Sendable, Equatable {
    /// GPT-2, also RoBERTa.
    case gpt2
    /// Llama 3 (numbers of up to three digits) and Qwen 2 (single digits).
    case llama3(digits: Int)

    /// The patterns as tokenizer.json has them.
    static let patterns: [(pattern: String, cut: TextCut)] = [
        (#"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#, .gpt2),
        (
            #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#,
            .llama3(digits: 3)
        ),
        (
            #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#,
            .llama3(digits: 1)
        ),
    ]

    init?(pattern: String) {
        guard let found = TextCut.patterns.first(where: { $0.pattern.utf8.elementsEqual(pattern.utf8) }) else {
            return nil
        }
        self = found.cut
    }

    /// The ends of the words, each after the one before; the last is the text's.
    func ends(_ text: ArraySlice<UInt32>, _ classes: TextClasses) -> [Int] {
        var ends: [Int] = []
        var position = text.startIndex
        while position < text.endIndex {
            switch self {
            case .gpt2: position = TextCut.gpt2(text, position, classes)
            case .llama3(let digits): position = TextCut.llama3(text, position, classes, digits)
            }
            ends.append(position)
        }
        return ends
    }

    /// The end of the run of one class.
    private static func run(
        _ text: ArraySlice<UInt32>, _ start: Int, _ classes: TextClasses, _ kind: TextClasses.Class
    ) -> Int {
        var end = start
        while end < text.endIndex, classes.of(text[end]) == kind { end += 1 }
        return end
    }

    private static func gpt2(_ text: ArraySlice<UInt32>, _ start: Int, _ classes: TextClasses) -> Int {
        // 's|'t|'re|'ve|'m|'ll|'d
        if let end = contraction(text, start, ignoringCase: false) { return end }
        //  ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+
        let word = text[start] == 0x20 && start + 1 < text.endIndex ? start + 1 : start
        let kind = classes.of(text[word])
        if kind != .space { return run(text, word, classes, kind) }
        return spaces(text, start, classes)
    }

    private static func llama3(
        _ text: ArraySlice<UInt32>, _ start: Int, _ classes: TextClasses, _ digits: Int
    ) -> Int {
        // (?i:'s|'t|'re|'ve|'m|'ll|'d)
        if let end = contraction(text, start, ignoringCase: true) { return end }
        let first = text[start]
        let kind = classes.of(first)
        let isNewline = first == 0xA || first == 0xD
        let next = start + 1 < text.endIndex ? classes.of(text[start + 1]) : nil
        // [^\r\n\p{L}\p{N}]?\p{L}+
        if kind == .letter { return run(text, start, classes, .letter) }
        if kind != .number && !isNewline && next == .letter { return run(text, start + 1, classes, .letter) }
        // \p{N}{1,3} or \p{N}
        if kind == .number {
            return run(text.prefix(upTo: min(start + digits, text.endIndex)), start, classes, .number)
        }
        //  ?[^\s\p{L}\p{N}]+[\r\n]*
        if kind == .other || (first == 0x20 && next == .other) {
            var end = run(text, kind == .other ? start : start + 1, classes, .other)
            while end < text.endIndex, text[end] == 0xA || text[end] == 0xD { end += 1 }
            return end
        }
        // \s*[\r\n]+: all up to the last line's end of the run.
        let end = run(text, start, classes, .space)
        if let newline = text[start..<end].lastIndex(where: { $0 == 0xA || $0 == 0xD }) { return newline + 1 }
        return spaces(text, start, classes)
    }

    /// \s+(?!\S)|\s+: all the spaces before a word but the last, where there are several.
    private static func spaces(_ text: ArraySlice<UInt32>, _ start: Int, _ classes: TextClasses) -> Int {
        let end = run(text, start, classes, .space)
        return end < text.endIndex && end - start > 1 ? end - 1 : end
    }

    /// An apostrophe and s, t, re, ve, m, ll or d. U+017F is a small s where case is ignored.
    private static func contraction(_ text: ArraySlice<UInt32>, _ start: Int, ignoringCase: Bool) -> Int? {
        if text[start] != 0x27 || start + 1 >= text.endIndex { return nil }
        func folded(_ scalar: UInt32) -> UInt32 {
            if !ignoringCase { return scalar }
            if scalar == 0x17F { return 0x73 }
            return scalar >= 0x41 && scalar <= 0x5A ? scalar + 0x20 : scalar
        }
        let second = start + 2 < text.endIndex ? folded(text[start + 2]) : 0
        switch folded(text[start + 1]) {
        case 0x73, 0x74, 0x6D, 0x64: return start + 2
        case 0x72 where second == 0x65, 0x76 where second == 0x65, 0x6C where second == 0x6C: return start + 3
        default: return nil
        }
    }
}
