import ArgumentParser
import Foundation
import Logging
import Node
import Primitives

struct StartCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "start", abstract: "Run a node until SIGTERM or Ctrl-C.",
        discussion:
            "The password of the node's keys is read from PLASMA_PASSWORD.\n\nExample: plasma start --home ~/.plasma")

    @Option(help: "The node's home: config.toml, genesis.toml, keys/ and data/.")
    var home: String

    @Option(
        help: ArgumentHelp(
            "For a home without blocks: snapshot fetches a proven state from peers, full executes every block (default: snapshot where peers offer one).",
            valueName: "snapshot|full"),
        transform: { text in
            guard let mode = SyncMode(rawValue: text) else { throw ValidationError("it is snapshot or full") }
            return mode
        })
    var sync: SyncMode?

    @Option(help: "The digest of an epoch's record that you were told by others: a snapshot's proof must pass it.")
    var checkpoint: String?

    func run() async throws {
        let trusted = try checkpoint.map {
            guard let digest = Digest(hex: $0) else {
                throw Failure("\"\($0)\" is no digest: it has 64 hexadecimal digits")
            }
            return digest
        }
        let password = ProcessInfo.processInfo.environment["PLASMA_PASSWORD"] ?? ""
        do {
            let configuration = try NodeConfiguration.load(home: home)
            var logger = Logger(label: "plasma")
            logger.logLevel = Logger.Level(rawValue: configuration.logLevel) ?? .info
            try await PlasmaNode.synchronize(
                configuration: configuration, password: password, mode: sync, checkpoint: trusted, logger: logger)
            try await PlasmaNode(configuration: configuration, password: password, logger: logger).run()
        } catch {
            throw Failure(describing: error)
        }
    }
}
