/// What toml++ (behind TOMLKit 0.6) does not survive: on some malformed files an assertion of its parser ends the process. Those are found
/// before it sees them; all else is left to it.
///
/// 1. A section's name that begins with something other than a letter, a digit, `_`, `-` or a quote (`parse_key`).
/// 2. An element of a list that begins with `}` (`parse_value`).
/// 3. A section below a list that is empty (`parse_table_header`).
/// 4. A control character (`parse_value_known_prefixes`).
enum TOMLGuard {
    struct Fault: Error {
        let line: Int
        let what: String
    }

    /// Looks at every character outside strings and comments once.
    static func check(_ text: String) throws(Fault) {
        let bytes = Array(text.utf8)
        var line = 1
        var place = 0
        /// Nothing but blanks since the line began.
        var isLineStart = true
        /// Open brackets of values.
        var depth = 0
        /// The last thing that counts, within a list.
        var last: UInt8 = 0
        var emptyLists: Set<Substring> = []
        var key = ""[...]
        func next(_ from: Int) -> UInt8 { from < bytes.count ? bytes[from] : 0 }

        while place < bytes.count {
            let byte = bytes[place]
            switch byte {
            case 0x0A:
                line += 1
                if depth == 0 { isLineStart = true }
            case 0x20, 0x09, 0x0D: break
            case 0..<0x20, 0x7F: throw Fault(line: line, what: "has a control character (number \(byte))")
            case UInt8(ascii: "#"): while place + 1 < bytes.count, bytes[place + 1] != 0x0A { place += 1 }
            case UInt8(ascii: "\""), UInt8(ascii: "'"):
                let isLong = next(place + 1) == byte && next(place + 2) == byte
                place += isLong ? 3 : 1
                while place < bytes.count {
                    if bytes[place] == 0x0A {
                        if !isLong { break }
                        line += 1
                    }
                    if bytes[place] == UInt8(ascii: "\\"), byte == UInt8(ascii: "\"") {
                        place += 1
                    } else if bytes[place] == byte, !isLong || (next(place + 1) == byte && next(place + 2) == byte) {
                        place += isLong ? 2 : 0
                        break
                    }
                    place += 1
                }
                if next(place) == 0x0A { continue }
                isLineStart = false
                last = byte
            case UInt8(ascii: "[") where isLineStart:
                isLineStart = false
                var start = place + 1
                if next(start) == UInt8(ascii: "[") { start += 1 }
                while next(start) == 0x20 || next(start) == 0x09 { start += 1 }
                let first = next(start)
                let isName =
                    first >= 0x30 && first <= 0x39 || first >= 0x41 && first <= 0x5A || first >= 0x61 && first <= 0x7A
                if !isName && start < bytes.count && !Array("_-\"']".utf8).contains(first) {
                    throw Fault(line: line, what: "a section's name begins with no letter, digit or quote")
                }
                while place + 1 < bytes.count, bytes[place + 1] != 0x0A { place += 1 }
                let header = String(decoding: bytes[min(start, place)...place], as: UTF8.self)
                for list in emptyLists where header.hasPrefix(list + ".") {
                    throw Fault(line: line, what: "a section is below \"\(list)\", which is an empty list")
                }
            case UInt8(ascii: "["), UInt8(ascii: "{"):
                depth += 1
                last = byte
            case UInt8(ascii: "]"), UInt8(ascii: "}"):
                if byte == UInt8(ascii: "}"), depth > 0, last == UInt8(ascii: "[") || last == UInt8(ascii: ",") {
                    throw Fault(line: line, what: "an element of a list begins with }")
                }
                if byte == UInt8(ascii: "]"), last == UInt8(ascii: "["), !key.isEmpty { emptyLists.insert(key) }
                depth = max(0, depth - 1)
                last = byte
            default:
                if isLineStart {
                    let end = bytes[place...].firstIndex { [0x20, 0x09, 0x0A, UInt8(ascii: "=")].contains($0) }
                    key = String(decoding: bytes[place..<(end ?? bytes.count)], as: UTF8.self)[...]
                }
                isLineStart = false
                last = byte
            }
            place += 1
        }
    }
}
