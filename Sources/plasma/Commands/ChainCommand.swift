import API
import ArgumentParser

struct ChainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "chain", abstract: "Look at the chain.", subcommands: [HeaderCommand.self, Totals.self])

    struct HeaderCommand: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "header", abstract: "Show a finalized block's header; the newest by default.")

        @OptionGroup var options: ClientOptions

        @Argument(help: "A height.")
        var height: UInt64?

        func run() async throws {
            let header = try await options.withNode { node in
                try await node.call("chain.header", height.map { ["height": JSONValue($0)] } ?? [:])
            }
            options.show(header) { header in
                ["height", "digest", "time", "transactions"].map { key in
                    "\(key): \(header[key]?.string ?? header[key]?.text(pretty: false) ?? "")"
                }.joined(separator: "\n")
            }
        }
    }

    struct Totals: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show where all XPL are.")

        @OptionGroup var options: ClientOptions

        func run() async throws {
            let totals = try await options.withNode { try await $0.call("chain.totals") }
            options.show(totals) { totals in
                ["supply", "liquid", "staked", "bonded", "escrowed", "treasury", "stakersPool", "auditPool", "burned"]
                    .map { "\($0): \(totals[$0]?.string ?? "") XPL" }.joined(separator: "\n")
            }
        }
    }
}
