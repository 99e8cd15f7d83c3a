/// Classes of code points as the regular expressions of byte-level BPE see them, and canonical composition.
///
/// Built once per tokenizer from `TextClassTables`; the tables, not the standard library, decide, so token ids do not change with a toolchain.
struct TextClasses: Sendable {
    enum Class: UInt8, Sendable {
        /// None of the others.
        case other
        /// `\p{L}`.
        case letter
        /// `\p{N}`.
        case number
        /// `\s`.
        case space
    }

    /// The class of each code point, one byte each.
    private let classes: [UInt8]
    private let compositions: [UInt64: UInt32]

    init() {
        var classes = [UInt8](repeating: Class.other.rawValue, count: 0x11_0000)
        func mark(_ table: String, _ kind: Class) {
            for word in table.split(separator: " ") {
                let ends = word.split(separator: "-").map { TextClasses.scalar($0) }
                for scalar in ends[0]...ends[ends.count - 1] { classes[Int(scalar)] = kind.rawValue }
            }
        }
        mark(TextClassTables.letters, .letter)
        mark(TextClassTables.numbers, .number)
        mark(TextClassTables.spaces, .space)
        self.classes = classes
        var compositions: [UInt64: UInt32] = [:]
        for word in TextClassTables.compositions.split(separator: " ") {
            let parts = word.split { $0 == "+" || $0 == "=" }.map { TextClasses.scalar($0) }
            compositions[UInt64(parts[0]) << 32 | UInt64(parts[1])] = parts[2]
        }
        self.compositions = compositions
    }

    /// The tables are part of the program, so a malformed one is a programmer's error.
    private static func scalar(_ word: Substring) -> UInt32 {
        guard let value = UInt32(word, radix: 16) else {
            preconditionFailure("the text table holds \(word), which is not hexadecimal")
        }
        return value
    }

    /// Every value is a scalar of a String or of the tables, so each has its class.
    func of(_ scalar: UInt32) -> Class { Class(rawValue: classes[Int(scalar)]) ?? .other }

    /// The canonical composition (NFC) of a text.
    func composed(_ text: [UInt32], _ unicode: BertUnicode) -> [UInt32] {
        // Below U+0300 nothing composes with what is before it.
        if text.allSatisfy({ $0 < 0x300 }) { return text }
        var output: [UInt32] = []
        var starter: Int?
        var last: UInt8 = 0
        for scalar in unicode.decomposed(text) {
            let value = unicode.combiningClass(scalar)
            // A mark of the same or a higher class between keeps it from the starter.
            if let place = starter, last < value || (last == 0 && place == output.count - 1),
                let one = composed(output[place], scalar)
            {
                output[place] = one
                continue
            }
            if value == 0 {
                starter = output.count
                last = 0
            } else {
                last = value
            }
            output.append(scalar)
        }
        return output
    }

    private func composed(_ first: UInt32, _ second: UInt32) -> UInt32? {
        // Hangul syllables compose by arithmetic (Unicode §3.12).
        if first >= 0x1100 && first < 0x1113 && second >= 0x1161 && second < 0x1176 {
            return 0xAC00 + ((first - 0x1100) * 21 + (second - 0x1161)) * 28
        }
        if first >= 0xAC00 && first <= 0xD7A3 && (first - 0xAC00) % 28 == 0 && second > 0x11A7 && second < 0x11C3 {
            return first + (second - 0x11A7)
        }
        return compositions[UInt64(first) << 32 | UInt64(second)]
    }
}
