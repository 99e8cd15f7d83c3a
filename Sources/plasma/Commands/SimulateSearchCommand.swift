import API
import ArgumentParser
import Foundation
import Simulation

struct SimulateSearchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "search",
        abstract:
            "Walk every order of events of four validators, one of them a liar, over two views of the real engine.",
        discussion: """
            Every order of deliveries, time-outs and answers of the application is an event; the liar may say any of a few things to anyone at any
            time. Each state met is kept and looked at for agreement. Without --leaders, all five kinds of leaders of two views are searched, one
            after the other: the liar in both, in one, in none. The exit code is 0 only if nothing was violated.

            Example: plasma simulate search --states 10000000 --seconds 3600
            """)

    @Option(help: "Distinct states at most, of all kinds of leaders together.")
    var states = 10_000_000

    @Option(help: "Seconds at most.")
    var seconds: Double = 3_600

    @Option(help: "Who leads views 1, 2, …, such as 0,1. Validator 0 lies.")
    var leaders: String?

    @Option(help: "depth: the newest state goes on first; breadth: the oldest does.")
    var order = "depth"

    @Option(help: "How many lie: with 2 the search must find what is wrong.")
    var byzantine = 1

    @Flag(help: "Keep apart states that differ only in evidence, in what is said again, and in times.")
    var full = false

    @Option(name: .shortAndLong, help: "text or json")
    var output: OutputFormat = .text

    /// Up to the names of the honest.
    private static let kinds = [[0, 0], [0, 1], [1, 0], [1, 1], [1, 2]]

    func run() throws {
        guard let order = EngineSearch.Order(rawValue: order) else {
            throw ValidationError("an order is depth or breadth, not \(order)")
        }
        guard states >= 1, seconds > 0 else { throw ValidationError("there is at least one state, and time for it") }
        var kinds = Self.kinds
        if let leaders {
            let given = leaders.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
            guard given.allSatisfy({ $0 != nil }) else { throw ValidationError("leaders are numbers, such as 0,1") }
            kinds = [given.compactMap { $0 }]
        }
        let began = Date()
        let deadline = began.addingTimeInterval(seconds)
        var rows: [[String: JSONValue]] = []
        var total = (states: 0, distinct: 0, depth: 0, frontier: 0, nodeStates: 0, steps: 0)
        var violations: [String] = []
        var complete = true
        for (place, kind) in kinds.enumerated() {
            // What is left is shared by the kinds that are left.
            let kindsLeft = kinds.count - place
            let share = max(1, (states - total.distinct) / kindsLeft)
            let start = Date()
            let until = start.addingTimeInterval(deadline.timeIntervalSince(start) / Double(kindsLeft))
            guard
                var search = EngineSearch(
                    leaders: kind, byzantine: byzantine, maximumDistinct: share, order: order, onlyDecisions: !full)
            else { throw ValidationError("one to three views with leaders 0 to 3, and one or two liars") }
            repeat { search.run(2_000) } while !search.isOver && Date() < until
            total.states += search.met
            total.distinct += search.distinct
            total.depth = max(total.depth, search.depth)
            total.frontier += search.frontier
            total.nodeStates += search.nodeStates
            total.steps += search.engineSteps
            violations += search.violations
            complete = complete && search.isComplete
            rows.append([
                "leaders": .array(kind.map { JSONValue($0) }), "states": JSONValue(search.met),
                "distinct": JSONValue(search.distinct), "depth": JSONValue(search.depth),
                "frontier": JSONValue(search.frontier), "nodeStates": JSONValue(search.nodeStates),
                "engineSteps": JSONValue(search.engineSteps), "complete": .bool(search.isComplete),
                "seconds": .number((Date().timeIntervalSince(start) * 1000).rounded() / 1000),
            ])
        }
        let spent = Date().timeIntervalSince(began)
        let summary: [String: JSONValue] = [
            "states": JSONValue(total.states), "distinct": JSONValue(total.distinct), "depth": JSONValue(total.depth),
            "frontier": JSONValue(total.frontier), "nodeStates": JSONValue(total.nodeStates),
            "engineSteps": JSONValue(total.steps), "violations": .array(violations.map { .string($0) }),
            "complete": .bool(complete), "full": .bool(full), "seconds": .number((spent * 1000).rounded() / 1000),
            "distinctPerSecond": .number((Double(total.distinct) / spent).rounded()),
            "kinds": .array(rows.map { .object($0) }),
        ]
        if output == .json {
            print(JSONValue.object(summary).text(pretty: true))
        } else {
            print(
                "\(total.distinct) distinct states (\(total.states) met) in \(String(format: "%.1f", spent)) s, depth \(total.depth), "
                    + "\(total.frontier) left to go on from, \(complete ? "complete" : "not complete"); "
                    + "\(total.nodeStates) states of single nodes from \(total.steps) steps of engines")
            for violation in violations { print("  VIOLATION: \(violation)") }
        }
        if !violations.isEmpty {
            throw Failure("\(violations.count) violations were found; each is printed with its events")
        }
    }
}
