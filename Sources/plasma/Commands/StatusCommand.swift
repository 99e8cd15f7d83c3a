import API
import ArgumentParser

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show what a node is doing.", discussion: "Example: plasma status -o json")

    @OptionGroup var options: ClientOptions

    func run() async throws {
        let status = try await options.withNode { try await $0.call("node.status") }
        options.show(status) { status in
            ["name", "chain", "network", "nodeId", "height", "view", "peers", "ready", "reason", "waitingFor"]
                .compactMap { key in
                    guard let value = status[key], value.string != "" else { return nil }
                    return "\(key): \(value.string ?? value.text(pretty: false))"
                }.joined(separator: "\n")
        }
    }
}

struct PeersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "peers", abstract: "List the peers that a node is connected to.")

    @OptionGroup var options: ClientOptions

    func run() async throws {
        let answer = try await options.withNode { try await $0.call("node.peers") }
        options.show(answer) { answer in
            let peers = answer["peers"]?.array ?? []
            if peers.isEmpty { return "no peers yet: check bootstrap in config.toml" }
            return peers.map { peer in
                let roles = (peer["roles"]?.array ?? []).compactMap(\.string).joined(separator: "+")
                return [
                    String(peer["id"]?.string?.prefix(16) ?? ""), peer["address"]?.string ?? "",
                    peer["direction"]?.string ?? "", roles, "height \(peer["height"]?.uint64 ?? 0)",
                ].joined(separator: "  ")
            }.joined(separator: "\n")
        }
    }
}
