import API
import ArgumentParser
import Foundation
import Primitives
import Simulation

struct SimulateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate", abstract: "Try to break consensus: real engines in virtual time, judged by an oracle.",
        discussion: "Without a subcommand's name, seeds. Example: plasma simulate --seed 7 --nodes 7 --profile chaos",
        subcommands: [
            SimulateSeedsCommand.self, SimulateTwinsCommand.self, SimulateSearchCommand.self,
            SimulateDisputesCommand.self, SimulateMarketCommand.self,
        ],
        defaultSubcommand: SimulateSeedsCommand.self)
}

struct SimulateSeedsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "seeds", abstract: "Whole networks under a profile of trouble, one seed after the other.",
        discussion: """
            Profiles: \(SimulationProfile.names.map { "\($0.name), \($0.what)" }.joined(separator: "; ")).

            A seed replays to the same digest on every machine. The exit code is 0 only if nothing was violated and every honest node finalized the
            views asked for.

            Example: plasma simulate --seed 7 --nodes 7 --profile chaos --views 1000
            """)

    @Option(help: "consensus: engines alone; node: whole nodes with ledger, mempool, catch-up and disks.")
    var scope: SimulationScope = .consensus

    @Option(help: "The first seed.")
    var seed: UInt64 = 1

    @Option(help: "How many seeds to run, one after the other.")
    var seeds = 1

    @Option(help: "Validators, 1 to 100.")
    var nodes = 4

    @Option(help: "What goes wrong.")
    var profile = "chaos"

    @Option(help: "Views that every honest node is to finalize under trouble.")
    var views: UInt64 = 200

    @Option(help: "Virtual seconds after which the network heals whether or not it got there. Default: five a view.")
    var limit: Int64?

    @Option(name: .shortAndLong, help: "text or json")
    var output: OutputFormat = .text

    func run() throws {
        guard (1...100).contains(nodes) else { throw ValidationError("a network has 1 to 100 nodes, not \(nodes)") }
        guard seeds >= 1, views >= 1 else { throw ValidationError("there is at least one seed and one view") }
        if scope == .node {
            return try NodeScope(
                seed: seed, seeds: seeds, nodes: nodes, profile: profile, views: views, limit: limit, output: output
            )
            .run()
        }
        var failed: [UInt64] = []
        for number in 0..<seeds {
            let seed = seed &+ UInt64(number)
            guard var trouble = SimulationProfile.named(profile, nodes: nodes, seed: seed) else {
                let names = SimulationProfile.names.map(\.name).joined(separator: ", ")
                throw Failure("there is no profile \"\(profile)\" for \(nodes) nodes: take one of \(names)")
            }
            trouble.views = views
            trouble.healsAt = .seconds(limit ?? Int64(clamping: min(views, 1 << 32)) * 5)
            let began = Date()
            var simulation: ConsensusSimulation
            do { simulation = try ConsensusSimulation(seed: seed, profile: trouble) } catch {
                throw Failure(describing: error)
            }
            let report = simulation.run()
            let isGood = report.violations.isEmpty && report.reached
            if !isGood { failed.append(seed) }
            tell(report, Date().timeIntervalSince(began))
        }
        if !failed.isEmpty {
            let list = failed.prefix(20).map { "\($0)" }.joined(separator: ", ")
            throw Failure(
                "\(failed.count) of \(seeds) seeds failed: \(list). Replay one with: plasma simulate --seed \(failed[0]) --nodes \(nodes) "
                    + "--profile \(profile) --views \(views)")
        }
    }

    private func tell(_ report: SimulationReport, _ seconds: Double) {
        let virtual = Double(report.elapsed.milliseconds) / 1000
        let lowest = report.finalized.map(\.value).min() ?? 0
        if output == .json {
            var json: [String: JSONValue] = [
                "seed": JSONValue(report.seed), "profile": .string(profile), "nodes": JSONValue(nodes),
                "digest": .string(report.digest.hex), "finalized": .array(report.finalized.map { JSONValue($0.value) }),
                "reached": .bool(report.reached), "violations": .array(report.violations.map { .string($0) }),
                "events": JSONValue(report.events), "crashes": JSONValue(report.crashes),
                "pauses": JSONValue(report.pauses), "wipes": JSONValue(report.wipes),
                "accusations": JSONValue(report.accusations), "simulatedSeconds": .number(virtual),
                "seconds": .number((seconds * 1000).rounded() / 1000),
                "viewsPerSecond": .number((Double(lowest) / seconds).rounded()),
            ]
            if let finality = report.finality {
                json["finalityMs"] = JSONValue(Int(finality.milliseconds))
                json["quorumDelayMs"] = JSONValue(Int(report.quorumDelay.milliseconds))
            }
            print(JSONValue.object(json).text(pretty: seeds == 1))
        } else {
            print(
                String(
                    format:
                        "seed %llu: %llu views in %.1f virtual s, %.2f s (%.0f times as fast); %d events, %d crashes, %d accusations; digest %@",
                    report.seed, lowest, virtual, seconds, virtual / seconds, report.events, report.crashes,
                    report.accusations, String(report.digest.hex.prefix(16))))
            if let finality = report.finality, report.quorumDelay.milliseconds > 0 {
                print(
                    "  proposal to finality, median: \(finality.milliseconds) ms; the leaders' words reach a quorum in "
                        + "\(report.quorumDelay.milliseconds) ms")
            }
            if !report.reached {
                print("  NOT REACHED: finalized \(report.finalized.map(\.value)), asked for \(views)")
            }
            for violation in report.violations { print("  VIOLATION: \(violation)") }
        }
    }
}
