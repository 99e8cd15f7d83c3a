/// Builds the text that Prometheus reads (exposition format 0.0.4).
public struct PrometheusText: Sendable {
    public private(set) var text = ""
    private var described: Set<String> = []

    public init() {}

    /// A value that only grows.
    public mutating func counter(_ name: String, _ help: String, _ value: UInt64, labels: [(String, String)] = []) {
        add(name, "counter", help, String(value), labels)
    }

    /// A value that goes up and down. Not a number prints as `NaN`.
    public mutating func gauge(_ name: String, _ help: String, _ value: Double, labels: [(String, String)] = []) {
        let text = value.isNaN ? "NaN" : value.isInfinite ? (value < 0 ? "-Inf" : "+Inf") : "\(value)"
        add(name, "gauge", help, text, labels)
    }

    private mutating func add(
        _ name: String, _ kind: String, _ help: String, _ value: String, _ labels: [(String, String)]
    ) {
        if described.insert(name).inserted {
            text += "# HELP \(name) \(PrometheusText.escape(help, quotes: false))\n# TYPE \(name) \(kind)\n"
        }
        text += name
        if !labels.isEmpty {
            let pairs = labels.map { "\($0.0)=\"\(PrometheusText.escape($0.1, quotes: true))\"" }
            text += "{" + pairs.joined(separator: ",") + "}"
        }
        text += " \(value)\n"
    }

    private static func escape(_ text: String, quotes: Bool) -> String {
        var out = ""
        for character in text {
            switch character {
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\"" where quotes: out += "\\\""
            default: out.append(character)
            }
        }
        return out
    }
}
