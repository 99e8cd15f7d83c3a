import API
import ArgumentParser
import Foundation
import Primitives
import Simulation

/// What is simulated.
enum SimulationScope: String, ExpressibleByArgument, CaseIterable {
    case consensus, node
}

/// `plasma simulate --scope node`: whole nodes, seed after seed.
struct NodeScope {
    let seed: UInt64
    let seeds: Int
    let nodes: Int
    let profile: String
    let views: UInt64
    let limit: Int64?
    let output: OutputFormat

    func run() throws {
        var failed: [UInt64] = []
        for number in 0..<seeds {
            let seed = seed &+ UInt64(number)
            guard var trouble = NodeProfile.named(profile, nodes: nodes, seed: seed) else {
                let names = NodeProfile.names.map { "\($0.name), \($0.what)" }.joined(separator: "; ")
                throw Failure("there is no profile \"\(profile)\" of whole nodes: take one of these: \(names)")
            }
            trouble.views = views
            trouble.healsAt = .seconds(limit ?? Int64(clamping: min(views, 1 << 32)) * 5)
            let began = Date()
            var simulation: NodeSimulation
            do { simulation = try NodeSimulation(seed: seed, profile: trouble) } catch {
                throw Failure(describing: error)
            }
            let report = simulation.run()
            if !report.violations.isEmpty || !report.reached { failed.append(seed) }
            tell(report, Date().timeIntervalSince(began))
        }
        if !failed.isEmpty {
            let list = failed.prefix(20).map { "\($0)" }.joined(separator: ", ")
            throw Failure(
                "\(failed.count) of \(seeds) seeds failed: \(list). Replay one with: plasma simulate --scope node --seed \(failed[0]) "
                    + "--nodes \(nodes) --profile \(profile) --views \(views)")
        }
    }

    private func tell(_ report: NodeSimulationReport, _ seconds: Double) {
        let virtual = Double(report.elapsed.milliseconds) / 1000
        let lowest = report.finalized.map(\.value).min() ?? 0
        if output == .json {
            let json: [String: JSONValue] = [
                "scope": .string("node"), "seed": JSONValue(report.seed), "profile": .string(profile),
                "nodes": JSONValue(nodes), "digest": .string(report.digest.hex),
                "finalized": .array(report.finalized.map { JSONValue($0.value) }), "reached": .bool(report.reached),
                "violations": .array(report.violations.map { .string($0) }), "events": JSONValue(report.events),
                "epochs": JSONValue(report.epochs), "crashes": JSONValue(report.crashes),
                "wipes": JSONValue(report.wipes),
                "fullDisks": JSONValue(report.fullDisks), "tornRecords": JSONValue(report.tornRecords),
                "accusations": JSONValue(report.accusations), "transactions": JSONValue(report.transactions),
                "jobs": JSONValue(report.jobs), "settled": JSONValue(report.settled),
                "convicted": JSONValue(report.convicted), "acquitted": JSONValue(report.acquitted),
                "expired": JSONValue(report.expired), "cancelled": JSONValue(report.cancelled),
                "failedJobs": JSONValue(report.failed), "deceived": JSONValue(report.deceived),
                "traps": JSONValue(report.traps), "trapped": JSONValue(report.trapped),
                "jackpots": JSONValue(report.jackpots),
                "ganged": JSONValue(report.ganged), "children": JSONValue(report.children),
                "claims": JSONValue(report.claims), "undelivered": JSONValue(report.undelivered),
                "unavailable": JSONValue(report.unavailable), "slow": JSONValue(report.slow),
                "checkpointsHeld": JSONValue(report.held), "balancesExact": .bool(report.isExact),
                "sessions": JSONValue(report.sessions), "datagrams": JSONValue(report.datagrams),
                "providerRestarts": JSONValue(report.providerRestarts),
                "settledByTranscript": JSONValue(report.settledByTranscript),
                "contradictions": JSONValue(report.contradictions),
                "blocks": JSONValue(report.blocks), "simulatedSeconds": .number(virtual),
                "seconds": .number((seconds * 1000).rounded() / 1000),
                "viewsPerSecond": .number((Double(lowest) / seconds).rounded()),
            ]
            print(JSONValue.object(json).text(pretty: seeds == 1))
            return
        }
        print(
            String(
                format:
                    "seed %llu: %llu views, %llu blocks, %d transactions in %.1f virtual s, %.2f s (%.0f times as fast); %d crashes, "
                    + "%d torn records, %d full disks, %d wipes, %d accusations; digest %@",
                report.seed, lowest, report.blocks, report.transactions, virtual, seconds, virtual / seconds,
                report.crashes, report.tornRecords, report.fullDisks, report.wipes, report.accusations,
                String(report.digest.hex.prefix(16))))
        if report.jobs > 0 {
            print(
                "  \(report.jobs) jobs: \(report.settled) settled, \(report.expired) expired, "
                    + "\(report.cancelled) cancelled, \(report.failed) failed; \(report.convicted) liars convicted, \(report.settledByTranscript) of them with one transaction, \(report.acquitted) acquittals; \(report.providerRestarts) providers began anew"
            )
        }
        if !report.reached { print("  NOT REACHED: finalized \(report.finalized.map(\.value)), asked for \(views)") }
        for violation in report.violations { print("  VIOLATION: \(violation)") }
        if !report.reached || !report.violations.isEmpty { for line in report.waiting { print("  \(line)") } }
    }
}
