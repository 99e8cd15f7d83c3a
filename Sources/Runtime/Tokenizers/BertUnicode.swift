/// BERT's view of Unicode: classes, canonical decomposition and lower case of every scalar.
///
/// Built once per tokenizer from `BertUnicodeTables` (about a millisecond), then constant-time for the Latin block and a
/// binary search elsewhere. The tables, not the standard library, decide, so token ids do not change with a toolchain.
struct BertUnicode: Sendable {
    private let removed: [ClosedRange<UInt32>]
    private let spaces: [ClosedRange<UInt32>]
    private let marks: [ClosedRange<UInt32>]
    private let punctuation: [ClosedRange<UInt32>]
    private let wordCharacters: [ClosedRange<UInt32>]
    private let combining: [CombiningRange]
    private let cases: [CaseRange]
    private let decompositions: [UInt32: [UInt32]]

    private struct CombiningRange: Sendable {
        let range: ClosedRange<UInt32>
        let value: UInt8
    }

    private struct CaseRange: Sendable {
        let range: ClosedRange<UInt32>
        let stride: UInt32
        let distance: Int64
        let expansion: [UInt32]
    }

    init() {
        removed = BertUnicode.words(BertUnicodeTables.removed).map { BertUnicode.range($0) }
        spaces = BertUnicode.words(BertUnicodeTables.spaces).map { BertUnicode.range($0) }
        marks = BertUnicode.words(BertUnicodeTables.marks).map { BertUnicode.range($0) }
        punctuation = BertUnicode.words(BertUnicodeTables.punctuation).map { BertUnicode.range($0) }
        wordCharacters = BertUnicode.words(BertUnicodeTables.wordCharacters).map { BertUnicode.range($0) }
        combining = BertUnicode.combiningRanges()
        cases = BertUnicode.words(BertUnicodeTables.lowercase).map { BertUnicode.caseRange($0) }
        decompositions = BertUnicode.decompositionTable()
    }

    /// Whether cleaning drops the scalar (control, format, private use, U+FFFD).
    func isRemoved(_ scalar: UInt32) -> Bool {
        if scalar >= 0x20 && scalar < 0x7F { return false }
        return BertUnicode.contains(removed, scalar)
    }

    /// Whether cleaning turns the scalar into one space.
    func isSpace(_ scalar: UInt32) -> Bool {
        if scalar < 0x80 { return scalar == 0x20 || scalar == 0x9 || scalar == 0xA || scalar == 0xD }
        return BertUnicode.contains(spaces, scalar)
    }

    /// Whether words end at the scalar: the Unicode property White_Space.
    func endsWord(_ scalar: UInt32) -> Bool {
        isSpace(scalar) || scalar == 0xB || scalar == 0xC || scalar == 0x85
    }

    /// Whether the scalar is a non-spacing mark.
    func isMark(_ scalar: UInt32) -> Bool { scalar >= 0x300 && BertUnicode.contains(marks, scalar) }

    /// Whether the scalar is a token of its own.
    func isPunctuation(_ scalar: UInt32) -> Bool {
        if scalar < 0x80 {
            return (scalar >= 0x21 && scalar <= 0x2F) || (scalar >= 0x3A && scalar <= 0x40)
                || (scalar >= 0x5B && scalar <= 0x60) || (scalar >= 0x7B && scalar <= 0x7E)
        }
        return BertUnicode.contains(punctuation, scalar)
    }

    /// Whether the scalar is part of a word for added tokens (`\w` of Unicode's regular expressions, UTS 18).
    func isWordCharacter(_ scalar: UInt32) -> Bool { BertUnicode.contains(wordCharacters, scalar) }

    /// Whether the scalar is an ideograph that gets spaces on both sides (the blocks that the BERT paper's code lists).
    func isIdeograph(_ scalar: UInt32) -> Bool {
        switch scalar {
        case 0x4E00...0x9FFF, 0x3400...0x4DBF, 0x20000...0x2A6DF, 0x2A700...0x2B73F, 0x2B740...0x2B81F,
            0x2B920...0x2CEAF, 0xF900...0xFAFF, 0x2F800...0x2FA1F:
            return true
        default: return false
        }
    }

    /// Appends the lower case of one scalar, without regard to its neighbours.
    func appendLowercase(_ scalar: UInt32, to output: inout [UInt32]) {
        if scalar < 0x80 {
            output.append(scalar >= 0x41 && scalar <= 0x5A ? scalar + 0x20 : scalar)
            return
        }
        var low = 0
        var high = cases.count
        while low < high {
            let middle = (low + high) / 2
            let entry = cases[middle]
            if scalar < entry.range.lowerBound {
                high = middle
            } else if scalar > entry.range.upperBound {
                low = middle + 1
            } else {
                if (scalar - entry.range.lowerBound) % entry.stride != 0 { break }
                if entry.expansion.isEmpty {
                    output.append(UInt32(truncatingIfNeeded: Int64(scalar) + entry.distance))
                } else {
                    output.append(contentsOf: entry.expansion)
                }
                return
            }
        }
        output.append(scalar)
    }

    /// The canonical decomposition (NFD) of a text.
    func decomposed(_ text: [UInt32]) -> [UInt32] {
        var output: [UInt32] = []
        output.reserveCapacity(text.count + 16)
        // Marks after the last starter, kept apart until they can be put in canonical order.
        var pending: [(scalar: UInt32, value: UInt8)] = []
        func flush() {
            if pending.isEmpty { return }
            // A stable order: equal classes keep their places.
            let sorted = pending.enumerated().sorted {
                ($0.element.value, $0.offset) < ($1.element.value, $1.offset)
            }
            output.append(contentsOf: sorted.map(\.element.scalar))
            pending.removeAll(keepingCapacity: true)
        }
        func push(_ scalar: UInt32) {
            let value = combiningClass(scalar)
            if value == 0 {
                flush()
                output.append(scalar)
            } else {
                pending.append((scalar, value))
            }
        }
        for scalar in text {
            if scalar < 0xC0 {
                flush()
                output.append(scalar)
            } else if scalar >= 0xAC00 && scalar <= 0xD7A3 {
                // Hangul syllables decompose by arithmetic (Unicode §3.12).
                let index = scalar - 0xAC00
                push(0x1100 + index / 588)
                push(0x1161 + index % 588 / 28)
                if index % 28 != 0 { push(0x11A7 + index % 28) }
            } else if let parts = decompositions[scalar] {
                for part in parts { push(part) }
            } else {
                push(scalar)
            }
        }
        flush()
        return output
    }

    func combiningClass(_ scalar: UInt32) -> UInt8 {
        if scalar < 0x300 { return 0 }
        var low = 0
        var high = combining.count
        while low < high {
            let middle = (low + high) / 2
            let entry = combining[middle]
            if scalar < entry.range.lowerBound {
                high = middle
            } else if scalar > entry.range.upperBound {
                low = middle + 1
            } else {
                return entry.value
            }
        }
        return 0
    }

    private static func contains(_ ranges: [ClosedRange<UInt32>], _ scalar: UInt32) -> Bool {
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if scalar < ranges[middle].lowerBound {
                high = middle
            } else if scalar > ranges[middle].upperBound {
                low = middle + 1
            } else {
                return true
            }
        }
        return false
    }
}

// Reading the tables. They are part of the program, so a malformed one is a programmer's error.
extension BertUnicode {
    private static func words(_ table: String) -> [Substring] { table.split(separator: " ") }

    private static func scalar(_ word: Substring) -> UInt32 {
        guard let value = UInt32(word, radix: 16) else {
            preconditionFailure("the Unicode table holds \(word), which is not hexadecimal")
        }
        return value
    }

    private static func range(_ word: Substring) -> ClosedRange<UInt32> {
        let ends = word.split(separator: "-")
        return scalar(ends[0])...scalar(ends[ends.count - 1])
    }

    private static func combiningRanges() -> [CombiningRange] {
        var output: [CombiningRange] = []
        var value: UInt8 = 0
        for word in words(BertUnicodeTables.combiningClasses) {
            let parts = word.split(separator: ":")
            if parts.count == 2 { value = UInt8(parts[0]) ?? 0 }
            output.append(CombiningRange(range: range(parts[parts.count - 1]), value: value))
        }
        return output.sorted { $0.range.lowerBound < $1.range.lowerBound }
    }

    private static func caseRange(_ word: Substring) -> CaseRange {
        if let equals = word.firstIndex(of: "=") {
            let expansion = word[word.index(after: equals)...].split(separator: "+").map { scalar($0) }
            return CaseRange(range: range(word[..<equals]), stride: 1, distance: 0, expansion: expansion)
        }
        // `41-5A+32`, `100-12E/2+1`, `178-121`: the distance follows the last sign; it is decimal.
        guard let sign = word.lastIndex(where: { $0 == "+" || $0 == "-" }), let distance = Int64(word[sign...]) else {
            preconditionFailure("the case table holds \(word), which has no distance")
        }
        let span = word[..<sign].split(separator: "/")
        return CaseRange(range: range(span[0]), stride: span.count == 2 ? 2 : 1, distance: distance, expansion: [])
    }

    private static func decompositionTable() -> [UInt32: [UInt32]] {
        var output: [UInt32: [UInt32]] = [:]
        var next: UInt32 = 0
        for word in words(BertUnicodeTables.decompositions) {
            let parts = word.split(separator: ":")
            if parts.count == 2 { next = scalar(parts[0]) }
            output[next] = parts[parts.count - 1].split(separator: "+").map { scalar($0) }
            next += 1
        }
        return output
    }
}
