import API
import ArgumentParser
import Foundation

struct ConsensusBenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "consensus",
        abstract:
            "Time the core: transfers, finality, a killed validator, catch-up, a long history, execution. One JSON.",
        discussion:
            "scripts/bench.sh consensus prints it beside the goals. Example: plasma bench consensus --part execution")

    @OptionGroup var options: DevnetOptions

    @Option(parsing: .upToNextOption, help: "What to time; everything by default.")
    var part: [ConsensusBench.Part] = ConsensusBench.Part.allCases

    @Option(help: "Transfers for the throughput, and for the node that catches up.")
    var transfers = 30_000

    @Option(help: "Seconds of steady load for each finality.")
    var seconds = 15.0

    @Option(help: "Blocks of the long history.")
    var history = 100_000

    @Option(help: "Accounts that transfers are executed between.")
    var accounts = 1_000_000

    func validate() throws {
        if !(32...1_000_000).contains(transfers) { throw ValidationError("--transfers is from 32 to 1000000") }
        if !(1...3_600).contains(seconds) { throw ValidationError("--seconds is from 1 to 3600") }
        if !(1...10_000_000).contains(history) { throw ValidationError("--history is from 1 to 10000000") }
        if !(2...4_000_000).contains(accounts) { throw ValidationError("--accounts is from 2 to 4000000") }
    }

    func run() async throws {
        let bench = ConsensusBench(
            layout: options.layout, transfers: transfers, seconds: seconds, history: history, accounts: accounts)
        do { print(try await bench.run(part).text(pretty: true)) } catch { throw Failure(describing: error) }
    }
}
