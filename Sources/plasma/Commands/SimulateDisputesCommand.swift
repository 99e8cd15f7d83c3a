import API
import ArgumentParser
import Foundation
import Runtime

struct SimulateDisputesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "disputes",
        abstract: "Lies about results, and false accusations of right ones, before the machine that judges disputes.",
        discussion: """
            Jobs are a small encoder, a small GPT-2 that draws tokens with a cache, AdamW steps of a small GPT, and random programs of every primitive,
            all made from the seed. Each fault is one lie: a bit of a weight, an activation, the state, another random word, a skipped op, steps in
            another order, another number of them, a wrong root, a forged move, silence. A fault that changes the result must be convicted; one
            that rounds away is counted apart. Against honest providers stand challengers that pick at random, with a plan, or by a faulty machine.
            The exit code is 0 only if nothing went wrong.

            With --job, whole disputes about one job of full size instead: MiniLM, GPT-2 drawing 64 tokens, fifty AdamW steps of a small GPT, with
            each single lie that it has a place for, and what it takes to convict it.

            Examples: plasma simulate disputes --faults 300 --honest 600 --seed 1
                      plasma simulate disputes --job adam-50 --each 3
            """)

    @Option(
        help: "Disputes about one job of full size: minilm, minilm-fx15, gpt2-64 or adam-50.",
        transform: SimulateDisputesCommand.job)
    var job: DisputeDemonstration.Job?

    @Option(help: "With --job: how often each lie is told, in other places.")
    var each = 2

    @Flag(help: "With --job: a small one of the same kind.")
    var small = false

    @Option(help: "Lies to try.")
    var faults = 1_000

    @Option(help: "Disputes against honest providers.")
    var honest = 10_000

    @Option(help: "All chance comes from it.")
    var seed: UInt64 = 1

    @Option(help: "The number of the first case, to replay one.")
    var first = 0

    @Flag(help: "Make each job a part of a run, which goes on from what the steps before left.")
    var parts = false

    @Option(help: "Threads.")
    var threads = ProcessInfo.processInfo.activeProcessorCount

    @Option(name: .shortAndLong, help: "text or json")
    var output: OutputFormat = .text

    func run() throws {
        guard faults >= 0, honest >= 0, first >= 0, threads >= 1 else {
            throw ValidationError("there are at least no disputes, and one thread for them")
        }
        guard each >= 1 else {
            throw ValidationError("--each is at least 1")
        }
        if let job { return try show(job) }
        let began = Date()
        let report = DisputeCampaign(seed: seed, ofParts: parts).run(
            faults: faults, honest: honest, first: first, threads: threads)
        let seconds = Date().timeIntervalSince(began)
        if output == .json { tellJSON(report, seconds) } else { tell(report, seconds) }
        if report.wrong > 0 {
            throw Failure(
                "\(report.wrong) of \(faults + honest) went wrong. Replay one by its number: plasma simulate disputes --seed \(seed) "
                    + "--faults 1 --honest 1 --first NUMBER\(parts ? " --parts" : "")")
        }
    }

    private func tellJSON(_ report: DisputeReport, _ seconds: Double) {
        func measure(_ measure: DisputeReport.Measure) -> JSONValue {
            ["max": JSONValue(measure.most), "mean": .number((measure.mean * 10).rounded() / 10)]
        }
        func counts(_ counts: [String: Int]) -> JSONValue { .object(counts.mapValues { JSONValue($0) }) }
        let json: [String: JSONValue] = [
            "seed": JSONValue(seed), "faults": JSONValue(report.faults), "honest": JSONValue(report.honest),
            "convicted": JSONValue(report.convicted), "roundedAway": JSONValue(report.roundedAway),
            "acquitted": JSONValue(report.acquitted), "wrong": JSONValue(report.wrong),
            "rounds": measure(report.rounds), "evidenceBytes": measure(report.evidence),
            "honestRounds": measure(report.honestRounds), "honestEvidenceBytes": measure(report.honestEvidence),
            "kinds": .object(
                report.kinds.mapValues {
                    ["convicted": JSONValue($0.convicted), "roundedAway": JSONValue($0.roundedAway)]
                }), "jobs": counts(report.jobs), "challengers": counts(report.plans),
            "endings": counts(report.endings), "failures": .array(report.failures.map { .string($0) }),
            "seconds": .number((seconds * 10).rounded() / 10),
        ]
        print(JSONValue.object(json).text(pretty: true))
    }

    private func tell(_ report: DisputeReport, _ seconds: Double) {
        func measure(_ measure: DisputeReport.Measure, _ unit: String) -> String {
            String(format: "at most %d %@, %.1f on average", measure.most, unit, measure.mean)
        }
        print(
            String(
                format:
                    "seed %llu: %d faults, %d convicted, %d rounded away; %d honest, %d acquitted; %d wrong; %.1f s",
                seed, report.faults, report.convicted, report.roundedAway, report.honest, report.acquitted,
                report.wrong,
                seconds))
        print("  convictions: \(measure(report.rounds, "rounds")); \(measure(report.evidence, "bytes"))")
        print("  acquittals: \(measure(report.honestRounds, "rounds")); \(measure(report.honestEvidence, "bytes"))")
        for (name, kind) in report.kinds.sorted(by: { $0.key < $1.key }) {
            print("  \(name): \(kind.convicted) convicted, \(kind.roundedAway) rounded away")
        }
        for failure in report.failures { print("  WRONG: \(failure)") }
    }
}
