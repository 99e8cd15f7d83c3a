import API
import ArgumentParser
import Foundation
import Simulation

struct SimulateTwinsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "twins",
        abstract: "Validators that run twice, under every partition of three views (four nodes) or drawn ones (more).",
        discussion: """
            Without --cases, four validators run every scenario there is, those that differ by names alone once. More validators need --cases, and
            1 to f of them run twice. The exit code is 0 only if nothing was violated and every honest validator finalized again after the healing.

            Example: plasma simulate twins --nodes 4 --cases 10000 --seed 1
            Replay:  plasma simulate twins --scenario 4+1,0:00110,0:01200,1:00000 --seed 9
            """)

    @Option(help: "Validators, 4 to 12.")
    var nodes = 4

    @Option(help: "How many cases. Default with four validators: all.")
    var cases: Int?

    @Option(help: "From which cases and their delays are drawn; with --scenario, the seed that a failed case printed.")
    var seed: UInt64 = 1

    @Option(help: "One scenario, as a failed case printed it.")
    var scenario: String?

    @Option(name: .shortAndLong, help: "text or json")
    var output: OutputFormat = .text

    /// What cases came to together.
    private struct Tally: Sendable {
        var cases = 0
        var events = 0
        var finalizedBefore = 0
        var accused = 0
        var slowest: Int64 = 0
        var violations: [String] = []
        var failed = 0

        mutating func add(_ one: TwinCase, _ verdict: TwinVerdict) {
            cases += 1
            events += verdict.events
            if verdict.finalizedBefore { finalizedBefore += 1 }
            if verdict.accusations > 0 { accused += 1 }
            slowest = max(slowest, verdict.recovery)
            if verdict.violations.isEmpty { return }
            failed += 1
            if violations.count < 20 {
                violations.append(
                    verdict.violations.joined(separator: "; ")
                        + " (plasma simulate twins --scenario \(one.scenario) --seed \(one.seed))")
            }
        }

        mutating func add(_ other: Tally) {
            cases += other.cases
            events += other.events
            finalizedBefore += other.finalizedBefore
            accused += other.accused
            slowest = max(slowest, other.slowest)
            failed += other.failed
            violations = Array((violations + other.violations).prefix(20))
        }
    }

    func run() async throws {
        if let cases, cases < 1 { throw ValidationError("there is at least one case") }
        let began = Date()
        var tally = Tally()
        if let scenario {
            guard let parsed = TwinScenario(scenario) else {
                throw ValidationError("\"\(scenario)\" is no scenario: take one as a failed case prints it")
            }
            var setting = TwinSimulation.Setting(validators: parsed.validators)
            let one = TwinCase(scenario: parsed, seed: seed)
            var simulation = TwinSimulation(one, in: &setting)
            tally.add(one, simulation.run())
        } else {
            guard let list = TwinCases(validators: nodes, count: cases, seed: seed) else {
                throw ValidationError("there are 4 to 12 validators, and with more than four --cases says how many")
            }
            tally = await Self.runAll(list, validators: nodes)
        }
        tell(tally, Date().timeIntervalSince(began))
        if tally.failed > 0 {
            throw Failure("\(tally.failed) of \(tally.cases) cases failed; each is printed with its replay")
        }
    }

    /// Every core takes every so manyth case; what they come to together does not depend on how many there are.
    private static func runAll(_ list: TwinCases, validators: Int) async -> Tally {
        let workers = max(1, ProcessInfo.processInfo.activeProcessorCount)
        return await withTaskGroup(of: Tally.self) { group in
            for worker in 0..<workers {
                group.addTask {
                    var tally = Tally()
                    var setting = TwinSimulation.Setting(validators: validators)
                    for number in stride(from: worker, to: list.count, by: workers) {
                        let one = list[number]
                        var simulation = TwinSimulation(one, in: &setting)
                        tally.add(one, simulation.run())
                    }
                    return tally
                }
            }
            var total = Tally()
            for await tally in group { total.add(tally) }
            return total
        }
    }

    private func tell(_ tally: Tally, _ seconds: Double) {
        let rate = (Double(tally.cases) / seconds).rounded()
        if output == .json {
            let json: [String: JSONValue] = [
                "nodes": JSONValue(nodes), "seed": JSONValue(seed), "cases": JSONValue(tally.cases),
                "failed": JSONValue(tally.failed), "violations": .array(tally.violations.map { .string($0) }),
                "events": JSONValue(tally.events), "finalizedBeforeHealing": JSONValue(tally.finalizedBefore),
                "accused": JSONValue(tally.accused), "slowestRecoveryMs": JSONValue(Int(tally.slowest)),
                "seconds": .number((seconds * 1000).rounded() / 1000), "casesPerSecond": .number(rate),
            ]
            print(JSONValue.object(json).text(pretty: true))
        } else {
            print(
                "\(tally.cases) cases, \(tally.failed) failed, in \(String(format: "%.1f", seconds)) s (\(Int(rate)) a second); "
                    + "\(tally.finalizedBefore) finalized before the healing, in \(tally.accused) a twin was found out; "
                    + "slowest recovery \(tally.slowest) ms of virtual time")
            for violation in tally.violations { print("  VIOLATION: \(violation)") }
        }
    }
}
