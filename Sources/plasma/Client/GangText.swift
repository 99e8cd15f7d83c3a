import API
import Ledger
import Primitives

/// What `job.get` says of a job's gang.
enum GangText {
    /// In a word or two; nil where there is none.
    static func place(_ job: JSONValue) -> String? {
        guard let gang = job["gang"], let member = gang["member"]?.uint64, let name = gang["gang"]?.string else {
            return nil
        }
        return "\(member) of \(gang["jobs"]?.array?.count ?? 0) in gang \(name.prefix(16))"
    }

    /// With all members.
    static func lines(_ job: JSONValue) -> [String] {
        guard let place = place(job), let gang = job["gang"] else { return [] }
        let isBound = gang["isBound"]?.bool == true
        return ["  " + place + (isBound ? ", to be placed all at once" : ", which has been placed")]
            + (gang["jobs"]?.array ?? []).compactMap(\.string).map { "    " + $0 }
    }

    /// How to take back a gang that binds its members; nil where none does.
    static func cancel(_ gang: JSONValue?) -> Payload? {
        guard let gang, gang["isBound"]?.bool == true, let name = gang["gang"]?.string.flatMap(Digest.init(hex:)),
            let count = gang["jobs"]?.array.flatMap({ UInt8(exactly: $0.count) })
        else { return nil }
        return .cancelGang(gang: name, count: count)
    }
}
