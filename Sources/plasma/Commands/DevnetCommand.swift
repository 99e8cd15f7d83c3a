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
        subcommands: [Up.self, Down.self, Status.self, Logs.self])

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
