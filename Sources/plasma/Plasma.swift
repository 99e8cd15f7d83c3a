import ArgumentParser

/// The one program: a node, and the tools around it.
@main
struct Plasma: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plasma",
        abstract: "An open AI-compute network: run a node, or a whole network on this machine.",
        version: "0.1.0",
        subcommands: [StartCommand.self, StatusCommand.self, DevnetCommand.self])
}
