import API

/// A job's audits as a person reads them.
enum AuditText {
    /// The trap where there was one, and a line an auditor.
    static func lines(_ job: JSONValue, names: [String: String]) -> [String] {
        var lines: [String] = []
        if let decoy = job["decoyRoot"]?.string, let root = job["outputRoot"]?.string {
            lines.append("a trap: the mask held \(decoy) beside the result \(root)")
        }
        for audit in job["audits"]?.array ?? [] {
            let auditor = audit["auditor"]?.string ?? ""
            let jackpot = audit["jackpot"]?.string ?? "0"
            lines.append(
                "auditor \(names[auditor] ?? auditor): \(audit["stand"]?.string ?? "")"
                    + (jackpot == "0" ? "" : ", jackpot \(jackpot) XPL"))
        }
        return lines
    }
}
