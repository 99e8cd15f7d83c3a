import API
import ArgumentParser
import Foundation
import Programs
import Runtime

/// Whole disputes about one job of full size.
extension SimulateDisputesCommand {
    static func job(_ text: String) throws -> DisputeDemonstration.Job {
        guard let job = DisputeDemonstration.Job(rawValue: text) else {
            let names = DisputeDemonstration.Job.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("\"\(text)\" is none of \(names)")
        }
        return job
    }

    func show(_ job: DisputeDemonstration.Job) throws {
        let began = Date()
        let shown = try DisputeDemonstration(job, isSmall: small, seed: seed)
        let honest = Date().timeIntervalSince(began)
        let size = shown.size
        if output == .text {
            print(
                "\(job.rawValue): \(size.steps) steps, \(size.operations) ops, \(size.parameters) weights; made and run in "
                    + String(format: "%.1f s; ", honest)
                    + "no dispute about it takes more than \(size.bound.rounds) rounds and \(size.bound.bytes) bytes")
        }
        var last = Date()
        var rows: [JSONValue] = []
        let endings = try shown.run(each: each) { ending in
            let seconds = Date().timeIntervalSince(last)
            last = Date()
            if output == .text { return print("  \(line(ending)) " + String(format: "(%.1f s)", seconds)) }
            rows.append([
                "lie": .string(ending.lie.rawValue), "place": .string(ending.place),
                "outcome": .string(word(ending.outcome)), "rounds": JSONValue(ending.rounds),
                "bytes": JSONValue(ending.bytes), "seconds": .number((seconds * 10).rounded() / 10),
            ])
        }
        let wrong = endings.count { if case .wrong = $0.outcome { true } else { false } }
        if output == .json {
            let json: JSONValue = [
                "job": .string(job.rawValue), "seed": JSONValue(seed), "steps": JSONValue(size.steps),
                "operations": JSONValue(size.operations), "parameters": JSONValue(size.parameters),
                "bound": ["rounds": JSONValue(size.bound.rounds), "bytes": JSONValue(size.bound.bytes)],
                "honestSeconds": .number((honest * 10).rounded() / 10), "lies": .array(rows), "wrong": JSONValue(wrong),
            ]
            print(json.text(pretty: true))
        }
        if wrong > 0 { throw Failure("\(wrong) of \(endings.count) lies were not convicted within the bound") }
    }

    private func line(_ ending: DisputeDemonstration.Ending) -> String {
        let what = "\(ending.lie.rawValue), \(ending.place):"
        switch ending.outcome {
        case .convicted(let reason):
            return "\(what) convicted, \(ending.rounds) rounds, \(ending.bytes) bytes: \(reason)"
        case .roundedAway: return "\(what) rounds away, the result is the honest one"
        case .wrong(let reason): return "\(what) WRONG: \(reason)"
        }
    }

    private func word(_ outcome: DisputeDemonstration.Outcome) -> String {
        switch outcome {
        case .convicted(let reason): "convicted: \(reason)"
        case .roundedAway: "rounded away"
        case .wrong(let reason): "wrong: \(reason)"
        }
    }
}
