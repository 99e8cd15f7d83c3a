import API
import Foundation
import Programs

/// A dispute as a person reads it, level by level.
enum DisputeText {
    /// All of it, a line a move, deeper from level to level.
    static func lines(_ dispute: JSONValue, names: [String: String]) -> [String] {
        func name(_ key: String) -> String {
            dispute[key]?.string.map { names[$0] ?? $0 } ?? "somebody"
        }
        let how = dispute["atOnce"]?.bool == true ? ", and both have walked alone: one transaction shows it" : ""
        var lines = ["dispute: \(name("challenger")) challenges the result of \(name("defender"))\(how)"]
        lines += (dispute["trail"]?.array ?? []).enumerated().map { place, mark in
            line(mark, depth: place / 2, name(mark["by"]?.string == "provider" ? "defender" : "challenger"))
        }
        if let end = end(dispute) { lines.append(end) }
        return lines
    }

    /// One move.
    static func line(_ mark: JSONValue, depth: Int, _ who: String) -> String {
        String(repeating: "  ", count: depth + 1) + (mark["by"]?.string == "provider" ? "└ " : "  ✗ ")
            + "\(who) \(mark["text"]?.string ?? "")"
    }

    /// How it ended; nil while it goes on.
    static func end(_ dispute: JSONValue) -> String? {
        switch dispute["state"]?.string {
        case "convicted": "  the provider is convicted: \(dispute["reason"]?.string ?? "")"
        case "acquitted": "  the challenger loses: \(dispute["reason"]?.string ?? "")"
        case "moot": "  over: \(dispute["reason"]?.string ?? "")"
        default: nil
        }
    }

    /// Stored bits as the number that they are.
    static func number(_ type: ElementType, _ bits: UInt64) -> String {
        switch type {
        case .f32: "\(Float(bitPattern: UInt32(truncatingIfNeeded: bits)))"
        case .i32: "\(Int32(truncatingIfNeeded: bits))"
        case .i64: "\(Int64(bitPattern: bits))"
        case .i8: "\(Int8(truncatingIfNeeded: bits))"
        default: "\(bits)"
        }
    }
}
