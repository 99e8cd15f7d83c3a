import API
import ArgumentParser
import Foundation
import Ledger
import Node
import Primitives

struct AuditCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit",
        abstract: "Hold the stored chains of stopped nodes against each other and against what was reported final.",
        discussion: """
            It executes the chain again from genesis. Exit code 0 only where there is one chain, everything reported is in it once and at the \
            height that was reported, the supply is conserved, and every node's state is that of its chain.

            Example: plasma devnet audit devnet/validator-0 devnet/validator-1
            """)

    @Argument(help: "The nodes' homes.")
    var homes: [String]

    @Option(help: "The network's genesis.toml. Default: that of the first home.")
    var genesis: String?

    @Option(help: "Lines of a time, an id and a height, as plasma bench load writes them.")
    var reported: String?

    @Option(name: .shortAndLong, help: "text or json")
    var output: OutputFormat = .text

    func validate() throws {
        if homes.isEmpty { throw ValidationError("name at least one home") }
    }

    func run() throws {
        let result: ChainAudit.Result
        let reports: [(id: Digest, height: UInt64)]
        do {
            reports = try reported.map { try ChainAudit.reports(from: $0) } ?? []
            let audit = ChainAudit(
                genesis: try GenesisFile.load(genesis ?? homes[0] + "/genesis.toml"), homes: homes, reported: reports)
            result = try audit.run()
        } catch { throw Failure(describing: error) }
        if output == .json {
            let json: JSONValue = [
                "clean": .bool(result.isClean), "blocks": JSONValue(result.blocks),
                "transactions": JSONValue(result.transactions), "reported": JSONValue(reports.count),
                "supply": .string(result.totals?.supply.description ?? ""),
                "tips": .array(
                    result.tips.map { ["home": .string($0.home), "height": JSONValue($0.height)] }),
                "findings": .array(result.findings.map { .string($0) }),
            ]
            print(json.text(pretty: true))
        } else {
            for finding in result.findings { print("FOUND: \(finding)") }
            let heights = result.tips.map { "\($0.height)" }.joined(separator: ", ")
            print(
                "\(result.isClean ? "one chain" : "not one sound chain"): \(result.blocks) blocks (at heights \(heights)), "
                    + "\(result.transactions) transactions, \(reports.count) reported final")
        }
        if !result.isClean { throw ExitCode(1) }
    }
}
