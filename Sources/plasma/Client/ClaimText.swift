import API

/// A claim that a job's output is handed to nobody, as a person reads it.
enum ClaimText {
    /// What became of it, and a line a witness.
    static func lines(_ job: JSONValue, names: [String: String]) -> [String] {
        guard let claim = job["claim"], let state = claim["state"]?.string else { return [] }
        let attempt = claim["attempt"]?.uint64 ?? 0
        var lines = [
            "attempt \(attempt)'s output was claimed with \(claim["deposit"]?.string ?? "") XPL: \(outcome(state))"
        ]
        for witness in claim["witnesses"]?.array ?? [] {
            let provider = witness["provider"]?.string ?? ""
            let word: String
            switch witness["holds"]?.bool {
            case true: word = "holds it"
            case false: word = "could not have it"
            default: word = "has said nothing"
            }
            lines.append("witness \(names[provider] ?? provider): \(word)")
        }
        return lines
    }

    static func outcome(_ state: String) -> String {
        switch state {
        case "open": "its witnesses are drawn and asked"
        case "delivered": "its witnesses hold it and hand it out; the deposit is lost"
        case "posted": "the provider has shown its bytes to the chain, and nodes hand them out; the deposit is lost"
        case "undelivered":
            "nobody could have it; the deposit is back, and the provider is convicted once the window is over"
        case "lapsed": "no witness has answered; the deposit is back"
        case "moot": "the attempt was decided otherwise; the deposit is back"
        default: state
        }
    }
}
