/// What is done to a text before it is cut into words, as tokenizer.json describes it.
enum TextNormalizer: Sendable, Equatable {
    /// Put before a text that is not empty.
    case prepend([UInt32])
    case replace([UInt32], with: [UInt32])
    /// Canonical composition.
    case nfc

    /// The most steps that a file may name.
    static let limit = 64
    /// The longest text that a step may look for or put, in scalars: a search takes as many comparisons a place.
    static let scalarLimit = 256
    /// How many times as long all steps together may make a text. Each may be modest, and sixty-four doublings are not.
    static let growthLimit = 64

    /// Reads `normalizer`; nil and null are nothing to do.
    static func read(_ value: JSONValue?, file: String) throws(TokenizerFault) -> [TextNormalizer] {
        guard let value, value != .null else { return [] }
        var steps: [TextNormalizer] = []
        for entry in try entries(value, "normalizers", file: file) {
            switch entry["type"]?.string {
            case "Prepend":
                guard let text = entry["prepend"]?.string else { throw .missing(file: file, "what a Prepend puts") }
                if text.unicodeScalars.count > scalarLimit { throw .unsupported("Prepend", found: "a long text") }
                steps.append(.prepend(text.unicodeScalars.map(\.value)))
            case "Replace": steps.append(try replacement(entry, "normalizer", file: file))
            case "NFC": steps.append(.nfc)
            case let other: throw .unsupported("normalizer", found: other ?? "of no known type")
            }
        }
        try checkGrowth(steps, "normalizer")
        return steps
    }

    /// Refuses steps that together make a text too long.
    static func checkGrowth(_ steps: [TextNormalizer], _ part: String) throws(TokenizerFault) {
        var growth = 1
        for case .replace(let pattern, let content) in steps {
            growth *= max(1, (content.count + pattern.count - 1) / pattern.count)
            if growth > growthLimit {
                throw .unsupported(part, found: "steps that make a text more than \(growthLimit) times as long")
            }
        }
    }

    /// The members of a `Sequence`, or the one entry that there is.
    static func entries(_ value: JSONValue, _ key: String, file: String) throws(TokenizerFault) -> [JSONValue] {
        if value["type"]?.string != "Sequence" { return [value] }
        guard let entries = value[key]?.array, entries.count <= limit else {
            throw .missing(file: file, "the \(key) of a Sequence")
        }
        return entries
    }

    static func replacement(
        _ entry: JSONValue, _ part: String, file: String
    ) throws(TokenizerFault) -> TextNormalizer {
        guard let content = entry["content"]?.string else { throw .missing(file: file, "what a Replace puts") }
        guard let pattern = entry["pattern"]?["String"]?.string, !pattern.isEmpty else {
            throw .unsupported(part, found: "Replace of the pattern \(entry["pattern"]?["Regex"]?.string ?? "none")")
        }
        if max(pattern.unicodeScalars.count, content.unicodeScalars.count) > scalarLimit {
            throw .unsupported(part, found: "a Replace of more than \(scalarLimit) letters")
        }
        return .replace(pattern.unicodeScalars.map(\.value), with: content.unicodeScalars.map(\.value))
    }

    func normalize(_ text: [UInt32], _ unicode: BertUnicode, _ classes: TextClasses) -> [UInt32] {
        switch self {
        case .prepend(let prefix): text.isEmpty ? text : prefix + text
        case .replace(let pattern, let content): TextNormalizer.replaced(text, pattern, content)
        case .nfc: classes.composed(text, unicode)
        }
    }

    /// Every occurrence from the left, none of which overlaps another.
    static func replaced(_ text: [UInt32], _ pattern: [UInt32], _ content: [UInt32]) -> [UInt32] {
        var output: [UInt32] = []
        output.reserveCapacity(text.count)
        var position = 0
        while position < text.count {
            if text[position] == pattern[0], text[position...].starts(with: pattern) {
                output += content
                position += pattern.count
            } else {
                output.append(text[position])
                position += 1
            }
        }
        return output
    }
}
