import API

/// What a requester answers for with its staging deposit, as a person reads it.
enum StagingText {
    /// The parts of what a job would lock.
    static func escrow(_ parts: JSONValue) -> String {
        func amount(_ name: String) -> String { "\(parts[name]?.string ?? "") XPL" }
        return
            "locked: \(amount("run")) for the run, \(amount("audits")) for audits, \(amount("staging")) as a deposit for "
            + "its inputs, \(amount("allowance")) for moves; burned at once: \(amount("posting"))"
    }

    /// What a job holds, and what became of its deposit.
    static func lines(_ job: JSONValue, names: [String: String]) -> [String] {
        var lines: [String] = []
        if let escrow = job["escrow"]?.string, escrow != "0" { lines.append("it holds \(escrow) XPL") }
        guard let staging = job["staging"] else { return lines }
        if staging["staged"]?.bool == true, job["state"]?.string == "assigned" {
            lines.append("its provider has the inputs: cancelling costs \(staging["deposit"]?.string ?? "") XPL")
        }
        if let paid = staging["paid"]?.string, paid != "0" {
            lines.append("\(paid) XPL of its staging deposit went to providers")
        }
        if let slow = staging["foundSlowBy"]?.string {
            lines.append("\(names[slow] ?? slow) finds its numbers far slower than others")
        }
        return lines
    }
}
