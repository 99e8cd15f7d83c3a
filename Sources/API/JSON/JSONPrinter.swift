extension JSONValue: CustomStringConvertible {
    /// JSON in one line, keys in the order of their Unicode scalars. A number that is not finite prints as null.
    public var description: String { text(pretty: false) }

    /// JSON text; with two spaces a level where `pretty`.
    public func text(pretty: Bool) -> String {
        var out = ""
        print(into: &out, pretty: pretty, level: 0)
        return out
    }

    public var bytes: [UInt8] { Array(description.utf8) }

    private func print(into out: inout String, pretty: Bool, level: Int) {
        switch self {
        case .null: out += "null"
        case .bool(let value): out += value ? "true" : "false"
        case .integer(let value): out += String(value)
        case .unsigned(let value): out += String(value)
        case .number(let value): out += value.isFinite ? "\(value)" : "null"
        case .string(let value): JSONValue.print(value, into: &out)
        case .array(let values):
            out += "["
            for (i, value) in values.enumerated() {
                if i > 0 { out += "," }
                if pretty { JSONValue.newLine(level + 1, &out) }
                value.print(into: &out, pretty: pretty, level: level + 1)
            }
            if pretty && !values.isEmpty { JSONValue.newLine(level, &out) }
            out += "]"
        case .object(let members):
            out += "{"
            for (i, key) in members.keys.sorted().enumerated() {
                if i > 0 { out += "," }
                if pretty { JSONValue.newLine(level + 1, &out) }
                JSONValue.print(key, into: &out)
                out += pretty ? ": " : ":"
                (members[key] ?? .null).print(into: &out, pretty: pretty, level: level + 1)
            }
            if pretty && !members.isEmpty { JSONValue.newLine(level, &out) }
            out += "}"
        }
    }

    private static func newLine(_ level: Int, _ out: inout String) {
        out += "\n" + String(repeating: "  ", count: level)
    }

    private static func print(_ text: String, into out: inout String) {
        out += "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\r": out += "\\r"
            case "\t": out += "\\t"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                out += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: out.unicodeScalars.append(scalar)
            }
        }
        out += "\""
    }
}
