import API
import ArgumentParser
import Foundation
import Primitives
import Synchronization

struct LoadCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "load", abstract: "Send transfers to nodes at a rate, and record what they report final.",
        discussion: """
            Ends after --seconds, or earlier by SIGTERM or Ctrl-C, waits for what is under way, and prints the latencies from a transfer's time \
            by the rate to its report.

            Example: plasma bench load http://127.0.0.1:27700 --home devnet/client --rate 50 --seconds 10
            """)

    @OptionGroup var keys: KeyOptions

    @Argument(help: "The nodes' RPC addresses.")
    var nodes: [String]

    @Option(help: "Transfers a second.")
    var rate = 50.0

    @Option(help: "For so long.")
    var seconds = 10.0

    @Option(help: "Accounts that send, one transfer under way each.")
    var senders = 64

    @Option(help: "Seconds that the rest is waited for at the end.")
    var drain = 60.0

    @Option(
        help:
            "A file that gets a line for each transfer as soon as it is reported final: unix milliseconds, id, height.")
    var record: String?

    func validate() throws {
        if nodes.isEmpty { throw ValidationError("name at least one node") }
        if !(rate > 0 && rate <= 100_000) { throw ValidationError("--rate is from above 0 to 100000") }
        if !(1...4_000).contains(senders) { throw ValidationError("--senders is from 1 to 4000") }
        if !(seconds > 0 && seconds <= 1_000_000) { throw ValidationError("--seconds is from above 0 to 1000000") }
    }

    func run() async throws {
        do {
            let payer = try keys.open()
            let clients = try nodes.map { text in
                let (host, port) = try ClientOptions.address(text)
                return NodeClient(RPCClient(host: host, port: port, timeoutSeconds: TransferLoad.patience + 2))
            }
            let file = try record.map(SharedFile.init)
            let load = try await TransferLoad.funded(senders, by: payer, on: clients) { final in
                file?.write("\(final.at) \(final.id.hex) \(final.height)\n")
            }
            var sources: [any DispatchSourceSignal] = []
            for number in [SIGINT, SIGTERM] {
                signal(number, SIG_IGN)
                let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
                source.setEventHandler { load.stop() }
                source.resume()
                sources.append(source)
            }
            let report = await load.run(rate: rate, seconds: seconds, drain: drain)
            withExtendedLifetime(sources) {}
            for client in clients { await client.close() }
            print(report.json.text(pretty: true))
        } catch { throw Failure(describing: error) }
    }
}

/// Lines from many tasks, one after the other.
private final class SharedFile: Sendable {
    private let handle: Mutex<FileHandle>

    init(_ path: String) throws {
        guard FileManager.default.createFile(atPath: path, contents: nil),
            let handle = FileHandle(forWritingAtPath: path)
        else { throw Failure("\(path) cannot be written") }
        self.handle = Mutex(handle)
    }

    func write(_ line: String) { handle.withLock { $0.write(Data(line.utf8)) } }
}
