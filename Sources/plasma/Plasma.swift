import ArgumentParser

/// The one program: a node, and the tools around it.
@main
struct Plasma: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plasma",
        abstract: "An open AI-compute network: run a node, rent out a machine, or run a model on others'.",
        discussion: "A whole network on this machine, and a job on it: plasma devnet demo", version: "0.1.0",
        groupedSubcommands: [
            CommandGroup(
                name: "Run a node",
                subcommands: [InitCommand.self, StartCommand.self, StakeCommand.self, GenesisCommand.self]),
            CommandGroup(
                name: "Look",
                subcommands: [
                    StatusCommand.self, WhyCommand.self, PeersCommand.self, ChainCommand.self, LightCommand.self,
                ]
            ),
            CommandGroup(
                name: "Accounts",
                subcommands: [KeysCommand.self, BalanceCommand.self, TransferCommand.self, TransactionCommand.self]),
            CommandGroup(
                name: "Models and jobs",
                subcommands: [
                    ModelCommand.self, TrainCommand.self, JobCommand.self, ProviderCommand.self, ChallengerCommand.self,
                ]),
            CommandGroup(
                name: "Development", subcommands: [DevnetCommand.self, SimulateCommand.self, BenchCommand.self]),
        ])
}
