import API

/// A claim that a job's output, or what it reads, is handed to nobody, as a person reads it.
enum ClaimText {
    /// What became of it, and a line a witness.
    static func lines(_ job: JSONValue, names: [String: String]) -> [String] {
        guard let claim = job["claim"], let state = claim["state"]?.string else { return [] }
        let attempt = claim["attempt"]?.uint64 ?? 0
        let deposit = claim["deposit"]?.string ?? ""
        let subject = claim["subject"]?.string ?? "output"
        let isAboutInputs = subject == "inputs"
        var lines: [String]
        switch subject {
        case "checkpoint": lines = ["what attempt \(attempt) leaves for the next segment: \(holding(state))"]
        case "inputs":
            lines = [
                "attempt \(attempt)'s provider says that nobody can run it, with \(deposit) XPL of its deposit at stake: "
                    + answer(state)
            ]
        default: lines = ["attempt \(attempt)'s output was claimed with \(deposit) XPL: \(outcome(state))"]
        }
        for witness in claim["witnesses"]?.array ?? [] {
            let provider = witness["provider"]?.string ?? ""
            let word: String
            switch witness["holds"]?.bool {
            case true: word = isAboutInputs ? "has its inputs" : "holds it"
            case false: word = isAboutInputs ? "could not have its inputs, or finds them wrong" : "could not have it"
            default: word = "has said nothing"
            }
            lines.append("witness \(names[provider] ?? provider): \(word)")
        }
        return lines
    }

    /// Of a checkpoint.
    static func holding(_ state: String) -> String {
        switch state {
        case "open": "others are drawn and asked to hold it"
        case "delivered", "posted": "others hold it"
        case "undelivered": "others could not have it"
        case "lapsed": "nobody else holds it"
        case "moot": "its output was claimed, or the attempt is over"
        default: state
        }
    }

    /// Of a question about inputs.
    static func answer(_ state: String) -> String {
        switch state {
        case "open": "witnesses are drawn and asked"
        case "delivered": "witnesses have its inputs and hand them out; the provider starts, or pays"
        case "undelivered": "they say the same; the deposit went to those who looked"
        case "lapsed": "no witness has answered, and the job went elsewhere"
        default: state
        }
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
