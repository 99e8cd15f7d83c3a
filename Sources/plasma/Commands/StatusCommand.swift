import API
import ArgumentParser

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show what a node is doing.",
        discussion: "Example: plasma status --rpc-port 27700 -o json")

    @Option(help: "The RPC port of the node on this machine.")
    var rpcPort = 27700

    @Option(name: .shortAndLong, help: "text or json")
    var output = "text"

    func run() async throws {
        let client = RPCClient(port: rpcPort)
        let status: JSONValue
        do { status = try await client.call("node.status") } catch {
            await client.close()
            throw Failure("\(error)")
        }
        await client.close()
        if output == "json" { return print(status.text(pretty: true)) }
        for key in ["name", "chain", "height", "view", "peers", "ready", "reason", "waitingFor"] {
            if let value = status[key], value.string != "" {
                print("\(key): \(value.string ?? value.text(pretty: false))")
            }
        }
    }
}
