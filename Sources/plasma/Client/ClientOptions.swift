import API
import ArgumentParser
import Foundation

/// How a command prints its answer.
enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
    case text
    case json
}

/// Which node is asked, and how the answer is printed. The same for every command that talks to a node.
struct ClientOptions: ParsableArguments {
    @Option(help: "The node's RPC address, such as http://127.0.0.1:27700. Default: $PLASMA_RPC, else that.")
    var rpc: String?

    @Option(name: .shortAndLong, help: "text or json")
    var output: OutputFormat = .text

    var isJSON: Bool { output == .json }

    /// A client of the node; it connects with its first call.
    func client(timeoutSeconds: Double = 60) throws -> NodeClient {
        let text = rpc ?? ProcessInfo.processInfo.environment["PLASMA_RPC"] ?? "http://127.0.0.1:27700"
        let (host, port) = try ClientOptions.address(text)
        return NodeClient(RPCClient(host: host, port: port, timeoutSeconds: timeoutSeconds))
    }

    /// Reads `http://host:port`, `host:port` or a port alone.
    static func address(_ text: String) throws -> (host: String, port: Int) {
        var rest = text[...]
        if rest.hasPrefix("http://") { rest = rest.dropFirst(7) }
        while rest.hasSuffix("/") { rest = rest.dropLast() }
        if let port = Int(rest), (1...65_535).contains(port) { return ("127.0.0.1", port) }
        guard let colon = rest.lastIndex(of: ":"), let port = Int(rest[rest.index(after: colon)...]),
            (1...65_535).contains(port)
        else { throw Failure("\"\(text)\" is no RPC address: write it as http://127.0.0.1:27700") }
        let host = rest[..<colon].trimmingCharacters(in: CharacterSet(charactersIn: "[]"))
        return (host.isEmpty ? "127.0.0.1" : host, port)
    }

    /// Runs `body` with a client and closes it; a failure becomes one sentence.
    func withNode<T>(_ body: (NodeClient) async throws -> T) async throws -> T {
        let node = try client()
        do {
            let result = try await body(node)
            await node.close()
            return result
        } catch {
            await node.close()
            throw Failure(describing: error)
        }
    }

    /// Prints the JSON, or what `text` makes of it.
    func show(_ value: JSONValue, _ text: (JSONValue) -> String) {
        print(isJSON ? value.text(pretty: true) : text(value))
    }
}
