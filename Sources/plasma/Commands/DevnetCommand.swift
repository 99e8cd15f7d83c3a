import API
import ArgumentParser
import Foundation
import Ledger

struct DevnetOptions: ParsableArguments {
    @Option(help: "The folder of the network.")
    var directory = "devnet"

    @Option(help: "The first port; RPC is 100 above.")
    var basePort = 27600

    var layout: DevnetLayout {
        let path = directory.hasPrefix("/") ? directory : FileManager.default.currentDirectoryPath + "/" + directory
        return DevnetLayout(directory: path, basePort: basePort)
    }
}

struct DevnetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "devnet", abstract: "A network of 4 validators and 3 providers on this machine.",
        subcommands: [DemoCommand.self, Up.self, Down.self, Status.self, Logs.self, AuditCommand.self])

    struct DemoCommand: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "demo",
            abstract: "Start the network, embed a file's sentences on it, check the result, and show who paid whom.",
            discussion: "It also writes demo.json and embeddings.npy into the network's folder.")

        @OptionGroup var options: DevnetOptions

        @Argument(help: "A text file with one sentence a line.")
        var file = "examples/sentences.txt"

        @Option(help: "The model, a Hugging Face folder.")
        var model = ".cache/all-MiniLM-L6-v2"

        @Flag(help: "One provider lies in one bit: shows how it is found and who pays. A fresh network is made for it.")
        var lie = false

        @Flag(help: "Leave the network up at the end.")
        var keep = false

        @Option(name: .shortAndLong, help: "text or json")
        var output: OutputFormat = .text

        func run() async throws {
            var layout = options.layout
            if lie { layout.liar = "provider-1" }
            let demo = Demo(layout: layout, modelFolder: model, sentenceFile: file, isJSON: output == .json)
            do { try demo.check() } catch { throw Failure(describing: error) }
            let processes = DevnetProcesses(layout: layout)
            let wasUp = layout.names.contains { processes.pid($0) != nil }
            if lie && wasUp {
                throw Failure("a network runs in \(layout.directory): stop it first with plasma devnet down")
            }
            if !wasUp { try? FileManager.default.removeItem(atPath: layout.directory + "/demo.json") }
            let interrupted = Interruption { await processes.stop() }
            defer { interrupted.end() }
            do {
                if !wasUp {
                    try layout.create()
                    if output == .text { print("Starting 4 validators and 3 providers on 127.0.0.1 …") }
                }
                try await processes.up()
                let json = try await demo.run()
                if output == .json { print(json.text(pretty: true)) }
            } catch {
                if !wasUp && !keep { await processes.stop() }
                throw Failure(describing: error)
            }
            if keep || wasUp {
                if output == .text {
                    print("\nThe network stays up: RPC at http://127.0.0.1:\(layout.rpcPort(0)); stop it with ")
                    print("  plasma devnet down --directory \(layout.directory)")
                }
            } else {
                await processes.stop()
            }
        }
    }

    struct Up: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Start the network, making it where there is none.", discussion: "Example: plasma devnet up")

        @OptionGroup var options: DevnetOptions

        @Option(help: "Heights of an epoch, where the network is made: 8 or more.")
        var epochLength: UInt64?

        @Option(
            help: ArgumentHelp(
                "A number of the genesis, where the network is made, by its name there. May be given more than once.",
                valueName: "name=value"))
        var set: [String] = []

        @Option(name: .shortAndLong, help: "text or json")
        var output: OutputFormat = .text

        func run() async throws {
            var layout = options.layout
            if layout.exists && (epochLength != nil || !set.isEmpty) {
                throw Failure(
                    "\(layout.directory) has a network already, with its own genesis: remove it, or leave --epoch-length and --set out"
                )
            }
            if let epochLength {
                layout.parameters.epochLength = epochLength
                layout.parameters.epochMargin = min(layout.parameters.epochMargin, max(4, epochLength / 4))
            }
            for setting in set {
                let parts = setting.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                guard parts.count == 2 else { throw Failure("--set \(setting): give it as name=value") }
                if let problem = layout.parameters.set(String(parts[0]), to: String(parts[1])) {
                    throw Failure("--set \(setting): \(problem)")
                }
            }
            if let problem = layout.parameters.problem { throw Failure("the genesis would not hold: \(problem)") }
            let began = Date()
            do { try await DevnetProcesses(layout: layout).up() } catch { throw Failure("\(error)") }
            let seconds = (Date().timeIntervalSince(began) * 10).rounded() / 10
            let rpc = "http://127.0.0.1:\(layout.rpcPort(0))"
            let json: JSONValue = [
                "nodes": JSONValue(layout.names.count), "seconds": .number(seconds), "rpc": .string(rpc),
                "directory": .string(layout.directory),
            ]
            print(
                output == .json
                    ? json.text(pretty: true)
                    : "\(layout.names.count) nodes are ready after \(seconds) s; RPC at \(rpc)")
        }
    }

    struct Down: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Stop the network; its data stays.")

        @OptionGroup var options: DevnetOptions

        @Option(name: .shortAndLong, help: "text or json")
        var output: OutputFormat = .text

        func run() async throws {
            let processes = DevnetProcesses(layout: options.layout)
            let count = options.layout.names.count { processes.pid($0) != nil }
            await processes.stop()
            let json: JSONValue = ["stopped": JSONValue(count)]
            print(
                output == .json
                    ? json.text(pretty: true)
                    : count == 0
                        ? "nothing runs in \(options.layout.directory)" : "\(count) nodes stopped; their data stays")
        }
    }

    struct Status: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "One line a node.")

        @OptionGroup var options: DevnetOptions

        @Option(name: .shortAndLong, help: "text or json")
        var output: OutputFormat = .text

        func run() async throws {
            let layout = options.layout
            var nodes: [JSONValue] = []
            for (index, name) in layout.names.enumerated() {
                let client = RPCClient(port: layout.rpcPort(index), timeoutSeconds: 2)
                let status = try? await client.call("node.status")
                await client.close()
                nodes.append(["name": .string(name), "running": .bool(status != nil), "status": status ?? .null])
                if output == .json { continue }
                guard let status else {
                    print("\(name)\tnot running")
                    continue
                }
                let state = status["ready"]?.bool == true ? "ready" : status["reason"]?.string ?? ""
                let height = status["height"]?.uint64 ?? 0
                print("\(name)\theight \(height)\tpeers \(status["peers"]?.uint64 ?? 0)\t\(state)")
            }
            if output == .json { print(JSONValue.object(["nodes": .array(nodes)]).text(pretty: true)) }
        }
    }

    struct Logs: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print a node's log.", discussion: "Example: plasma devnet logs provider-0")

        @OptionGroup var options: DevnetOptions

        @Argument(help: "validator-0 … provider-2")
        var node: String

        func run() throws {
            let path = options.layout.home(node) + "/log.txt"
            guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
                throw Failure("there is no log at \(path): start the network with plasma devnet up")
            }
            print(text, terminator: "")
        }
    }
}
