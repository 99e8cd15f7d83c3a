import API
import ArgumentParser
import Foundation
import Ledger
import Simulation

struct SimulateMarketCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "market",
        abstract:
            "Honest and dishonest owners trade jobs on the real ledger: does any of them earn more than the honest?",
        discussion: """
            Strategies: \(MarketStrategy.allCases.map(\.rawValue).joined(separator: ", ")).

            Each market is a chain of its own from its genesis, with the rules of a genesis made today; agents read its state and submit transactions, and all
            chance comes from the seed. Profit is what a purse owns more at the end, less what its runs cost it, and with what it got for lies outside. A
            strategy is below honest if the 95% interval of its difference to honest purses of the same market lies below zero. The exit code is 0 only
            if every dishonest one is, but for those that docs/economics.md says are borne, and no money was lost or made.

            Example: plasma simulate market --jobs 10000 --seed 1 --plots docs/plots
            """)

    @Option(help: "Jobs of honest requesters, over all markets.")
    var jobs = 10_000

    @Option(help: "Markets, each begun anew: the interval comes of their differences.")
    var markets = 20

    @Option(help: "All chance comes from it.")
    var seed: UInt64 = 1

    @Option(help: "One strategy with a third of all bonds among honest ones, instead of everybody at once.")
    var alone: String?

    @Option(help: "Write the plots as SVG into this folder.")
    var plots: String?

    @Option(name: .shortAndLong, help: "text or json")
    var output: OutputFormat = .text

    func run() throws {
        guard markets >= 2, jobs >= markets else {
            throw ValidationError("an interval takes at least two markets, and each of them a job")
        }
        var settings = MarketSettings()
        settings.jobs = jobs
        settings.markets = markets
        settings.seed = seed
        if let alone {
            guard let strategy = MarketStrategy(rawValue: alone) else {
                let names = MarketStrategy.allCases.map(\.rawValue).joined(separator: ", ")
                throw Failure("there is no strategy \"\(alone)\": take one of \(names)")
            }
            settings.cast = MarketSettings.alone(strategy)
        }
        let began = Date()
        var told = began
        let report: MarketReport
        do {
            report = try MarketSimulation(settings).run { done in
                if Date().timeIntervalSince(told) < 5 { return }
                told = Date()
                FileHandle.standardError.write(Data("\(done) of \(markets) markets\n".utf8))
            }
        } catch { throw Failure(describing: error) }
        let seconds = Date().timeIntervalSince(began)
        if let plots { try write(MarketPlots(report), to: plots) }
        if output == .json { tellJSON(report, seconds) } else { tell(report, seconds) }
        if !report.isSound {
            let bad = report.rows.filter { $0.isUnsound }.map(\.strategy.rawValue)
            throw Failure(
                report.violations.isEmpty
                    ? "not below honest: \(bad.joined(separator: ", ")). More --jobs tell smaller differences apart"
                    : "money was lost or made: \(report.violations[0])")
        }
    }

    private func write(_ plots: MarketPlots, to folder: String) throws {
        do {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            for file in plots.files {
                try Data(file.text.utf8).write(to: URL(fileURLWithPath: folder).appendingPathComponent(file.name))
            }
        } catch { throw Failure("the plots cannot be written to \(folder): \(error.localizedDescription)") }
    }

    private func tellJSON(_ report: MarketReport, _ seconds: Double) {
        func estimate(_ estimate: MarketEstimate) -> JSONValue {
            ["mean": number(estimate.mean), "low": number(estimate.low), "high": number(estimate.high)]
        }
        let rows = report.rows.map { row in
            var json: [String: JSONValue] = [
                "strategy": .string(row.strategy.rawValue), "purses": JSONValue(row.purses),
                "profit": estimate(row.profit), "difference": estimate(row.difference), "cost": number(row.cost),
                "gain": number(row.gain),
                "counts": .object(
                    Dictionary(uniqueKeysWithValues: row.counts.map { ($0.name, JSONValue($0.count)) })),
            ]
            if let verdict = row.verdict { json["verdict"] = .string(verdict.rawValue) }
            if row.strategy.isBorne { json["borne"] = .bool(true) }
            if let gain = row.gainToPay { json["gainToPay"] = estimate(gain) }
            return JSONValue.object(json)
        }
        let lies = report.lies.map { lie -> JSONValue in
            [
                "strategy": .string(lie.strategy.rawValue), "policy": .string(lie.policy.name),
                "told": JSONValue(lie.told), "convicted": JSONValue(lie.convicted), "paid": JSONValue(lie.paid),
            ]
        }
        let json: [String: JSONValue] = [
            "seed": JSONValue(report.seed), "jobs": JSONValue(report.jobs), "markets": JSONValue(report.markets),
            "digest": .string(report.digest.hex), "sound": .bool(report.isSound), "strategies": .array(rows),
            "lies": .array(lies), "ended": .object(report.states.mapValues { JSONValue($0) }),
            "blocks": JSONValue(report.blocks), "transactions": JSONValue(report.transactions),
            "failedTransactions": .object(report.failures.mapValues { JSONValue($0) }),
            "violations": .array(report.violations.map { .string($0) }),
            "mostUncoveredBond": number(report.mostUncovered), "burned": number(report.burned),
            "seconds": .number((seconds * 10).rounded() / 10),
        ]
        print(JSONValue.object(json).text(pretty: true))
    }

    private func number(_ value: Double) -> JSONValue { .number((value * 1000).rounded() / 1000) }

    private func tell(_ report: MarketReport, _ seconds: Double) {
        print(
            String(
                format: "seed %llu: %d jobs over %d markets, %d blocks, %d transactions, %.1f s; digest %@",
                report.seed,
                report.jobs, report.markets, report.blocks, report.transactions, seconds,
                String(report.digest.hex.prefix(16))))
        print("profit: XPL a purse, of 1,000 jobs on its market, with 95% intervals over the markets")
        func padded(_ text: String, _ width: Int) -> String {
            text + String(repeating: " ", count: max(0, width - text.count))
        }
        print(padded("strategy", 23) + "purses     jobs    profit             less honest        verdict")
        for row in report.rows {
            let jobs = row.counts.first { $0.name == (row.strategy.isRequester ? "posted" : "assigned") }?.count ?? 0
            let interval = { (estimate: MarketEstimate) in
                padded(String(format: "%8.2f ± %.2f", estimate.mean, estimate.halfWidth), 19)
            }
            let verdict = row.verdict.map { $0.rawValue + (row.strategy.isBorne ? " (borne)" : "") } ?? ""
            print(
                padded(row.strategy.rawValue, 23) + String(format: "%6d %8d ", row.purses, jobs) + interval(row.profit)
                    + (row.strategy.isHonest ? padded("", 19) : interval(row.difference)) + verdict)
        }
        for row in report.rows {
            guard let gain = row.gainToPay else { continue }
            print(
                String(
                    format: "%@: a lie pays from %.2f ± %.2f prices from outside", row.strategy.rawValue, gain.mean,
                    gain.halfWidth))
        }
        for lie in report.lies {
            print(
                "\(lie.strategy.rawValue), \(lie.policy.name): \(lie.told) lies, \(lie.convicted) convicted, \(lie.paid) paid"
            )
        }
        for violation in report.violations { print("  VIOLATION: \(violation)") }
    }
}
