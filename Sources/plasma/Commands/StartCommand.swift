import ArgumentParser
import Foundation
import Logging
import Node

struct StartCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "start", abstract: "Run a node until SIGTERM or Ctrl-C.",
        discussion:
            "The password of the node's keys is read from PLASMA_PASSWORD.\n\nExample: plasma start --home ~/.plasma")

    @Option(help: "The node's home: config.toml, genesis.toml, keys/ and data/.")
    var home: String

    func run() async throws {
        let password = ProcessInfo.processInfo.environment["PLASMA_PASSWORD"] ?? ""
        do {
            let configuration = try NodeConfiguration.load(home: home)
            var logger = Logger(label: "plasma")
            logger.logLevel = Logger.Level(rawValue: configuration.logLevel) ?? .info
            try await PlasmaNode(configuration: configuration, password: password, logger: logger).run()
        } catch {
            throw Failure(describing: error)
        }
    }
}
