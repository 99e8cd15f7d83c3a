import API
import Foundation
import Testing

/// A new node that takes the state from its peers instead of executing every block.
@Suite(.serialized, .fewAtATime) struct SnapshotTests {
    @Test func aFollowerStartsFromASnapshot() async throws {
        let net = try TestDevnet()
        var running: [Process] = []
        do { try await follow(net, &running) } catch {
            for process in running where process.isRunning { kill(process.processIdentifier, SIGKILL) }
            await net.end()
            throw error
        }
        for process in running where process.isRunning { kill(process.processIdentifier, SIGKILL) }
        await net.end()
    }

    private func follow(_ net: TestDevnet, _ running: inout [Process]) async throws {
        let up = try await net.devnet("up", ["--epoch-length", "20"])
        #expect(up.code == 0, "\(up.errors)")
        // Accounts for more than one chunk: each takes some fifty bytes of it, and a hundred of the client's million XPL.
        for senders in ["4000", "4000", "1500"] {
            let accounts = try await Plasma.run([
                "bench", "load", "http://127.0.0.1:\(net.rpcPort(0))", "--rate", "1", "--senders", senders, "--seconds",
                "1", "--home", net.directory + "/client",
            ])
            #expect(accounts.code == 0, "\(accounts.errors)")
        }
        let load = try Plasma.start(
            [
                "bench", "load", "http://127.0.0.1:\(net.rpcPort(0))", "--rate", "20", "--senders", "40", "--seconds",
                "600", "--home", net.directory + "/client",
            ], output: net.folder.path + "/load.json", errors: net.folder.path + "/load.errors")
        running.append(load)
        try await eventually("two epochs have passed and a snapshot is offered") {
            let status = try await net.call(0, "node.status")
            return (status["epoch"]?.uint64 ?? 0) >= 3 && !(status["snapshots"]?.array ?? []).isEmpty
        }
        let said = try await net.plasma("status")
        #expect(said.output.contains("snapshots: ["))

        let home = net.folder.path + "/follower"
        let port = net.basePort + 7
        let made = try await Plasma.run(
            [
                "init", "--home", home, "--validator", "--genesis", net.genesis, "--port", "\(port)", "--rpc-port",
                "\(port + 100)",
                "--bootstrap", "127.0.0.1:\(net.basePort)", "--bootstrap", "127.0.0.1:\(net.basePort + 1)",
            ], environment: ["PLASMA_PASSWORD": ""])
        #expect(made.code == 0, "\(made.errors)")
        func start(_ number: Int, _ more: [String] = []) throws -> Process {
            let process = try Plasma.start(
                ["start", "--home", home, "--sync", "snapshot"] + more, environment: ["PLASMA_PASSWORD": ""],
                output: home + "/out-\(number)", errors: home + "/errors-\(number)")
            running.append(process)
            return process
        }
        func log(_ number: Int) -> String {
            ["out", "errors"].map { (try? String(contentsOfFile: home + "/\($0)-\(number)", encoding: .utf8)) ?? "" }
                .joined()
        }
        // A chain that nobody told of is refused, and nothing is left of it.
        let wrong = try start(100, ["--checkpoint", String(repeating: "ab", count: 32)])
        try await eventually("the wrong checkpoint is refused") { !wrong.isRunning }
        #expect(wrong.terminationStatus == 1 && log(100).contains("has the digest"), "\(log(100))")
        #expect(!FileManager.default.fileExists(atPath: home + "/data/blocks"))

        // Killed as soon as each of these is there; whatever was installed by then is whole.
        for (number, trace) in ["snapshot-download", "snapshot-download/manifest", "snapshot-install", "state"]
            .enumerated()
        {
            let process = try start(number)
            let traces = [trace, "blocks"].map { home + "/data/" + $0 }
            while process.isRunning, !traces.contains(where: { FileManager.default.fileExists(atPath: $0) }) {
                try await Task.sleep(nanoseconds: 200_000)
            }
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
            if let fault = log(number).split(separator: "\n").first(where: { $0.hasPrefix("Error:") }) {
                Issue.record("start \(number): \(fault)")
            }
        }
        let process = try start(10)
        let client = RPCClient(port: port + 100, timeoutSeconds: 10)
        try await eventually("the follower is ready") {
            let status = try await client.call("node.status")
            return status["ready"]?.bool == true
        }
        load.terminate()
        try await eventually("the load has ended") { !load.isRunning }
        let logs = ([0, 1, 2, 3, 10] as [Int]).map(log).joined()
        let chunks = logs.matches(of: /snapshot: the state after height \d+, (\d+) chunks/).compactMap { Int($0.1) }
        #expect(chunks.max() ?? 0 > 1, "\(logs)")

        // It has no blocks below the snapshot, and the chain from there on.
        var first: UInt64 = 0
        for height in 1...10_000 as ClosedRange<UInt64> {
            if (try? await client.call("chain.header", ["height": JSONValue(height)])) != nil {
                first = height
                break
            }
        }
        // The devnet's epochs of 20 heights end 5 behind their snapshots.
        #expect(first >= 15, "\(first)")
        let own = try await client.call("chain.header", ["height": JSONValue(first)])
        let others = try await net.call(0, "chain.header", ["height": JSONValue(first)])
        #expect(own["header"]?.string != nil && own["header"] == others["header"])

        // Its key has no stake: it cannot have voted, and need not be silent when it has.
        #expect(!logs.contains("this key's journal is missing"))
        #expect(!FileManager.default.fileExists(atPath: home + "/data/journal-lost"))

        // A path in its own tree to the root that the validators signed: its state is theirs.
        let address = try #require(try await net.providers()["provider-0"])
        let light = try await Plasma.run(
            [
                "light", "balance", address, "--genesis", net.genesis, "--rpc", "http://127.0.0.1:\(port + 100)", "-o",
                "json",
            ])
        #expect(light.code == 0, "\(light.errors)")
        let balance = try await net.call(0, "account.get", ["address": .string(address)])["balance"]?.string
        #expect(balance != nil && light.json?["balance"]?.string == balance)
        try await eventually("the totals agree") {
            let own = try await client.call("chain.totals")
            let others = try await net.call(0, "chain.totals")
            return own == others
        }

        // It goes on from its own data, and offers the next snapshot itself.
        process.terminate()
        try await eventually("it stops") { !process.isRunning }
        _ = try start(11)
        try await eventually("the follower is ready again") {
            let status = try await client.call("node.status")
            return status["ready"]?.bool == true
        }
        #expect(log(11).contains("has blocks already"))
        try await eventually("it offers a snapshot") {
            let status = try await client.call("node.status")
            return !(status["snapshots"]?.array ?? []).isEmpty
        }
        await client.close()
    }
}
