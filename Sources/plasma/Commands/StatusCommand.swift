import API
import ArgumentParser

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show what a node is doing.", discussion: "Example: plasma status -o json")

    @OptionGroup var options: ClientOptions

    func run() async throws {
        let status = try await options.withNode { try await $0.call("node.status") }
        options.show(status) { status in
            [
                "name", "chain", "network", "nodeId", "height", "view", "peers", "ready", "reason", "waitingFor",
                "votingAfterMs",
                "snapshots",
            ]
            .compactMap { key in
                guard let value = status[key], value != .null, value.string != "", value.array?.isEmpty != true else {
                    return nil
                }
                return "\(key): \(value.string ?? value.text(pretty: false))"
            }.joined(separator: "\n")
        }
    }
}

struct WhyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "why",
        abstract: "Say what a node that stands still waits for: of which view, from whom, since when.",
        discussion: "Example: plasma why --rpc http://127.0.0.1:27702")

    @OptionGroup var options: ClientOptions

    func run() async throws {
        let answer = try await options.withNode { try await $0.call("node.why") }
        options.show(answer) { answer in
            func numbers(_ key: String) -> String {
                (answer[key]?.array ?? []).compactMap { $0.uint64.map { "\($0)" } }.joined(separator: ", ")
            }
            let seconds = Double(answer["sinceMs"]?.uint64 ?? 0) / 1000
            var lines = [
                "\(answer["waitingFor"]?.string ?? ""), for \((seconds * 10).rounded() / 10) s",
                "last finalized view: \(answer["lastFinalizedView"]?.uint64 ?? 0); connected validators: "
                    + "\(answer["validatorPeers"]?.uint64 ?? 0)",
            ]
            let silent = answer["silent"]?.array ?? []
            if answer["isIdle"]?.bool == true {
                lines.append("there is nothing to do: the next block comes with the heartbeat, or with work")
            } else if !silent.isEmpty {
                lines.append("nothing was heard in this view from:")
                for one in silent {
                    lines.append("  validator \(one["index"]?.uint64 ?? 0)  \(one["operator"]?.string ?? "")")
                }
            }
            if !numbers("missingViews").isEmpty {
                lines.append("lacks a certificate of view \(numbers("missingViews")): asked of everyone")
            }
            if !numbers("missingBlocks").isEmpty {
                lines.append("lacks the block that view \(numbers("missingBlocks")) notarized: asked of its peers")
            }
            let givenUp = (answer["givenUp"]?.array ?? []).suffix(5).map {
                "view \($0["view"]?.uint64 ?? 0) of leader \($0["leader"]?.uint64 ?? 0): \($0["reason"]?.string ?? "")"
            }
            if !givenUp.isEmpty { lines.append("given up lately: " + givenUp.joined(separator: "; ")) }
            let counts = (answer["missedVoteCounts"]?.object ?? [:]).sorted { $0.key < $1.key }.map {
                "\($0.key) \($0.value.uint64 ?? 0)"
            }
            if !counts.isEmpty {
                lines.append(
                    "own votes in final blocks since the start: \(answer["votesOnRecord"]?.uint64 ?? 0); missed: "
                        + counts.joined(separator: ", "))
                let last = (answer["missedVotes"]?.array ?? []).suffix(5).map {
                    "block \($0["height"]?.uint64 ?? 0) (view \($0["view"]?.uint64 ?? 0)): \($0["reason"]?.string ?? "")"
                }
                lines.append("the last missed: " + last.joined(separator: "; "))
            }
            return lines.joined(separator: "\n")
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
