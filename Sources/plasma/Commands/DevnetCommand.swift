import API
import ArgumentParser
import Foundation

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
        subcommands: [DemoCommand.self, Up.self, Down.self, Status.self, Logs.self])

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

        @Flag(help: "Leave the network up at the end.")
        var keep = false

        @Option(name: .shortAndLong, help: "text or json")
        var output: OutputFormat = .text

        func run() async throws {
            let layout = options.layout
            let demo = Demo(layout: layout, modelFolder: model, sentenceFile: file, isJSON: output == .json)
            do { try demo.check() } catch { throw Failure(describing: error) }
            let processes = DevnetProcesses(layout: layout)
            let wasUp = layout.names.contains { processes.pid($0) != nil }
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

        func run() async throws {
            let began = Date()
            do { try await DevnetProcesses(layout: options.layout).up() } catch { throw Failure("\(error)") }
            print(
                String(
                    format: "7 nodes are ready after %.1f s; RPC at http://127.0.0.1:%d",
                    Date().timeIntervalSince(began), options.layout.rpcPort(0)))
        }
    }

    struct Down: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Stop the network; its data stays.")

        @OptionGroup var options: DevnetOptions

        func run() async throws { await DevnetProcesses(layout: options.layout).stop() }
    }

    struct Status: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "One line a node.")

        @OptionGroup var options: DevnetOptions

        func run() async throws {
            let layout = options.layout
            for (index, name) in layout.names.enumerated() {
                let client = RPCClient(port: layout.rpcPort(index), timeoutSeconds: 2)
                if let status = try? await client.call("node.status") {
                    let height = status["height"]?.uint64 ?? 0
                    let peers = status["peers"]?.uint64 ?? 0
                    let state = status["ready"]?.bool == true ? "ready" : status["reason"]?.string ?? ""
                    print("\(name)\theight \(height)\tpeers \(peers)\t\(state)")
                } else {
                    print("\(name)\tnot running")
                }
                await client.close()
            }
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
