import API
import Foundation
import Primitives
import Synchronization

/// Seven real processes on free ports of 127.0.0.1, in a folder of their own. `end` must be called.
final class TestDevnet: Sendable {
    let folder: TemporaryFolder
    let basePort: Int

    var directory: String { folder.path + "/net" }
    var client: [String: String] { ["PLASMA_HOME": directory + "/client", "PLASMA_RPC": "\(rpcPort(0))"] }
    var genesis: String { directory + "/genesis.toml" }

    static let names = (0..<4).map { "validator-\($0)" } + (0..<3).map { "provider-\($0)" }

    init() throws {
        folder = try TemporaryFolder()
        basePort = try TestDevnet.freePorts()
    }

    /// Bases given out: suites run side by side, and what is free now may be promised to a network that is just being made.
    private static let given = Mutex<Set<Int>>([])

    /// A base from which all ports of a network are free now.
    static func freePorts() throws -> Int {
        for _ in 0..<100 {
            // Two hundred apart: the RPC ports lie a hundred above the others.
            let base = Int.random(in: 50...155) * 200
            guard given.withLock({ $0.insert(base).inserted }) else { continue }
            if (0..<7).allSatisfy({ isFree(base + $0) && isFree(base + 100 + $0) }) { return base }
        }
        throw Plasma.Missing(description: "no free ports were found")
    }

    private static func isFree(_ port: Int) -> Bool {
        let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(socket) }
        var yes: Int32 = 1
        setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }

    func rpcPort(_ index: Int) -> Int { basePort + 100 + index }

    func home(_ name: String) -> String { directory + "/" + name }

    private var options: [String] { ["--directory", directory, "--base-port", "\(basePort)"] }

    func devnet(_ command: String, _ more: [String] = []) async throws -> Plasma.Outcome {
        try await Plasma.run(["devnet", command] + more + options)
    }

    /// Starts what is not running; fails with what the program said. `set`: numbers of the genesis, where the network is made.
    func up(set: [String] = []) async throws {
        let outcome = try await devnet("up", set.flatMap { ["--set", $0] })
        if outcome.code != 0 { throw Plasma.Missing(description: "devnet up: \(outcome.errors)") }
    }

    func end() async { _ = try? await devnet("down") }

    /// A command of the client's.
    func plasma(_ arguments: String..., timeout: TimeInterval = 180) async throws -> Plasma.Outcome {
        try await Plasma.run(arguments, environment: client, timeout: timeout)
    }

    /// The same with JSON, which must succeed.
    func json(_ arguments: String...) async throws -> JSONValue {
        let outcome = try await Plasma.run(arguments + ["-o", "json"], environment: client)
        guard outcome.code == 0, let json = outcome.json else {
            throw Plasma.Missing(description: "plasma \(arguments.joined(separator: " ")): \(outcome.errors)")
        }
        return json
    }

    func pid(_ name: String) -> Int32? {
        guard let text = try? String(contentsOfFile: home(name) + "/pid", encoding: .utf8) else { return nil }
        return Int32(text.trimmingCharacters(in: .whitespacesAndNewlines))
    }

    /// kill -9, and until it is gone.
    func kill(_ name: String) async throws { try await signal(name, SIGKILL) }

    func stop(_ name: String) async throws { try await signal(name, SIGTERM) }

    private func signal(_ name: String, _ number: Int32) async throws {
        guard let pid = pid(name) else { throw Plasma.Missing(description: "\(name) has no pid") }
        _ = Foundation.kill(pid, number)
        try await eventually("\(name) has stopped") { !self.isRunning(name) }
    }

    func isRunning(_ name: String) -> Bool {
        guard let pid = pid(name), let line = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") else {
            return false
        }
        // A zombie has no command line.
        return String(decoding: line, as: UTF8.self).contains(home(name))
    }

    func call(_ index: Int, _ method: String, _ parameters: [String: JSONValue] = [:]) async throws -> JSONValue {
        let client = RPCClient(port: rpcPort(index), timeoutSeconds: 10)
        do {
            let answer = try await client.call(method, parameters)
            await client.close()
            return answer
        } catch {
            await client.close()
            throw error
        }
    }

    func balance(_ address: String) async throws -> Amount {
        try Amount(parsing: try await call(0, "account.get", ["address": .string(address)])["balance"]?.string ?? "")
    }

    /// The operators' addresses by their providers' names.
    func providers() async throws -> [String: String] {
        var found: [String: String] = [:]
        for provider in try await call(0, "provider.list")["providers"]?.array ?? [] {
            if let name = provider["name"]?.string { found[name] = provider["operator"]?.string }
        }
        return found
    }

    /// Until `count` offers can be matched.
    func waitForOffers(_ count: Int = 3) async throws {
        try await eventually("\(count) offers are active") {
            let height = try await self.call(0, "node.status")["executedHeight"]?.uint64 ?? 0
            let offers = (try await self.call(0, "provider.list")["providers"]?.array ?? []).flatMap {
                $0["offers"]?.array ?? []
            }
            return offers.filter { ($0["activeFrom"]?.uint64 ?? .max) <= height + 1 }.count >= count
        }
    }

    /// Imports and publishes the real model.
    func publish() async throws {
        let outcome = try await plasma("model", "publish", Plasma.modelFolder)
        if outcome.code != 0 { throw Plasma.Missing(description: "publish: \(outcome.errors)") }
    }

    func edit(_ name: String, _ change: (String) -> String) throws {
        let path = home(name) + "/config.toml"
        try change(try String(contentsOfFile: path, encoding: .utf8)).write(
            toFile: path, atomically: true, encoding: .utf8)
    }
}
