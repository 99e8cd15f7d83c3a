import API
import Foundation
import Primitives
import Testing

/// A network put together by hand, as docs/operators.md tells it: a genesis from the template, a validator, a provider that joins.
@Suite(.serialized, .fewAtATime) struct ByHandTests {
    /// Homes, their nodes' processes, and what they said.
    final class Site {
        let folder: TemporaryFolder
        let base: Int
        let genesis: String
        let alice: String
        private var running: [(name: String, process: Process)] = []

        static let password = ["PLASMA_PASSWORD": "correct horse"]

        /// A network of one validator, v0, and an account, alice's, with XPL. `changes`: of the template's lines.
        init(chain: String, changes: [String: String] = [:]) async throws {
            folder = try TemporaryFolder()
            base = try TestDevnet.freePorts()
            let keys = try await Site.json(["keys", "create", "alice", "--home", folder.path + "/alice"])
            alice = keys["address"]?.string ?? ""
            let validator = try await Site.json([
                "init", "--home", folder.path + "/v0", "--validator", "--name", "v0", "--port", "\(base)",
                "--rpc-port", "\(base + 100)",
            ])
            var text = try String(contentsOfFile: Plasma.root + "/genesis/template.toml", encoding: .utf8)
            let filled = [
                "chain = \"my-network\"": "chain = \"\(chain)\"",
                "time_ms = 1790000000000": "time_ms = \(Int(Date().timeIntervalSince1970 * 1000))",
                "consensus_key = \"64 hexadecimal digits\"":
                    "consensus_key = \"\(validator["consensusKey"]?.string ?? "")\"",
                "vrf_key = \"64 hexadecimal digits\"": "vrf_key = \"\(validator["vrfKey"]?.string ?? "")\"",
                "operator = \"xpl1…\"": "operator = \"\(validator["operator"]?.string ?? "")\"",
                "address = \"xpl1…\"": "address = \"\(alice)\"",
                "heartbeat_ms = 2000": "heartbeat_ms = 500",
                // A device is measured in a tenth of a second, and may be as late as a busy machine makes it.
                "device_challenge_time = 10000": "device_challenge_time = 100",
                "device_challenge_allowance = 5000": "device_challenge_allowance = 20000",
            ]
            for (old, new) in filled.merging(changes, uniquingKeysWith: { _, new in new }) {
                text = text.replacingOccurrences(of: old, with: new)
            }
            genesis = try folder.write(text, to: "genesis.toml")
            try FileManager.default.copyItem(atPath: genesis, toPath: folder.path + "/v0/genesis.toml")
        }

        /// A test that failed leaves nothing running.
        deinit {
            for (_, process) in running where process.isRunning { Foundation.kill(process.processIdentifier, SIGKILL) }
        }

        static func json(_ arguments: [String]) async throws -> JSONValue {
            let outcome = try await Plasma.run(arguments + ["-o", "json"], environment: password)
            guard outcome.code == 0, let json = outcome.json else {
                throw Plasma.Missing(description: "\(arguments.joined(separator: " ")): \(outcome.errors)")
            }
            return json
        }

        func home(_ name: String) -> String { folder.path + "/" + name }

        func join(_ name: String, _ place: Int, genesis: String? = nil, _ more: [String] = []) async throws -> JSONValue
        {
            try await Site.json(
                [
                    "init", "--home", home(name), "--name", name, "--genesis", genesis ?? self.genesis, "--port",
                    "\(base + place)", "--rpc-port", "\(base + 100 + place)", "--bootstrap", "127.0.0.1:\(base)",
                ] + more)
        }

        func start(_ name: String) throws {
            let process = try Plasma.start(
                ["start", "--home", home(name)], environment: Site.password, output: home(name) + ".out",
                errors: home(name) + ".log")
            running.append((name, process))
        }

        func log(_ name: String) -> String {
            ["out", "log"].map { (try? String(contentsOfFile: home(name) + ".\($0)", encoding: .utf8)) ?? "" }.joined()
        }

        /// SIGTERM to one, and until it is gone.
        func stop(_ name: String) async throws {
            guard let place = running.lastIndex(where: { $0.name == name }) else { return }
            let process = running.remove(at: place).process
            process.terminate()
            try await eventually("\(name) has stopped") { !process.isRunning }
        }

        /// kill -9, and until it is gone.
        func kill(_ name: String) throws {
            guard let place = running.lastIndex(where: { $0.name == name }) else { return }
            let process = running.remove(at: place).process
            Foundation.kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
        }

        /// SIGTERM to each; their exit codes.
        func stop() async -> [Int32] {
            for (_, process) in running { process.terminate() }
            let deadline = Date().addingTimeInterval(30)
            while running.contains(where: { $0.process.isRunning }), Date() < deadline {
                try? await Task.sleep(nanoseconds: 50_000_000)
            }
            for (_, process) in running where process.isRunning { Foundation.kill(process.processIdentifier, SIGKILL) }
            for (_, process) in running { process.waitUntilExit() }
            return running.map(\.process.terminationStatus)
        }

        func call(_ place: Int, _ method: String, _ parameters: [String: JSONValue] = [:]) async throws -> JSONValue {
            let client = RPCClient(port: base + 100 + place, timeoutSeconds: 10)
            do {
                let answer = try await client.call(method, parameters)
                await client.close()
                return answer
            } catch {
                await client.close()
                throw error
            }
        }
    }

    @Test func aValidatorAndAProviderThatJoinsWithXPLOfAnothers() async throws {
        let site = try await Site(chain: "by-hand")
        try site.start("v0")
        try await eventually("the validator finalizes") {
            (try await site.call(0, "node.status")["height"]?.uint64 ?? 0) >= 2
        }
        let provider = try await site.join("p0", 1, ["--provider"])
        let address = try #require(provider["operator"]?.string)
        try site.start("p0")
        // Without XPL it says what is missing and where, once, and goes on trying.
        try await eventually("the provider says what it lacks") {
            site.log("p0").contains("more needed") && site.log("p0").contains(address)
        }
        try await Task.sleep(nanoseconds: 3_000_000_000)
        #expect(site.log("p0").components(separatedBy: "cannot join").count == 2)
        let transfer = try await Plasma.run(
            [
                "transfer", address, "2000", "--home", site.home("alice"), "--rpc",
                "http://127.0.0.1:\(site.base + 101)",
            ], environment: Site.password)
        #expect(transfer.code == 0, "\(transfer.errors)")
        try await eventually("its offer stands") {
            let providers = try await site.call(0, "provider.list")["providers"]?.array ?? []
            return providers.contains {
                $0["name"]?.string == "p0" && $0["operator"]?.string == address && $0["offers"]?.array?.count == 1
            }
        }
        let totals = try await site.call(1, "chain.totals")
        #expect(totals["bonded"]?.string == "1000")
        #expect(await site.stop() == [0, 0])
    }

    @Test func whatWaitsIsKeptOverARestart() async throws {
        let site = try await Site(chain: "patient")
        try site.start("v0")
        _ = try await site.join("friend", 1)
        try site.start("friend")
        try await eventually("the friend follows") {
            (try await site.call(1, "node.status")["height"]?.uint64 ?? 0) >= 2
        }
        try await site.stop("v0")
        // Nobody makes blocks now: the transfer waits, and its sender goes away.
        let bob = try await Site.json(["keys", "create", "bob", "--home", site.home("bob")])
        let address = try #require(bob["address"]?.string)
        let sender = try Plasma.start(
            [
                "transfer", address, "5", "--home", site.home("alice"), "--rpc", "http://127.0.0.1:\(site.base + 101)",
            ], environment: Site.password, output: site.home("out"), errors: site.home("err"))
        try await eventually("the transfer waits") {
            try await site.call(1, "node.status")["waitingTransactions"]?.uint64 == 1
        }
        // And whoever asks why is told whom everybody waits for.
        try await eventually("the view was given up") {
            (try await site.call(1, "node.why")["givenUp"]?.array ?? []).isEmpty == false
        }
        let why = try await site.call(1, "node.why")
        #expect(why["silent"]?.array?.compactMap { $0["index"]?.uint64 } == [0] && why["isIdle"]?.bool == false)
        let said = try await Plasma.run(["why", "--rpc", "http://127.0.0.1:\(site.base + 101)"])
        #expect(said.code == 0 && said.output.contains("validator 0") && said.output.contains("no proposal"))
        sender.terminate()
        try await site.stop("friend")
        let kept = site.home("friend") + "/data/mempool"
        #expect(FileManager.default.fileExists(atPath: kept))
        try site.start("friend")
        try site.start("v0")
        try await eventually("the transfer is final") {
            let account = try await site.call(0, "account.get", ["address": .string(address)])
            return account["balance"]?.string == "5"
        }
        #expect(!FileManager.default.fileExists(atPath: kept))
        #expect(await site.stop() == [0, 0])
    }

    @Test func aNodeOfAnotherNetworkIsTurnedAway() async throws {
        let site = try await Site(chain: "ours")
        try site.start("v0")
        let text = try String(contentsOfFile: site.genesis, encoding: .utf8)
        let other = try site.folder.write(
            text.replacingOccurrences(of: "\"ours\"", with: "\"theirs\""), to: "theirs.toml")
        _ = try await site.join("stranger", 1, genesis: other)
        _ = try await site.join("friend", 2)
        try site.start("stranger")
        try site.start("friend")
        try await eventually("the friend follows") {
            let status = try await site.call(2, "node.status")
            return (status["height"]?.uint64 ?? 0) >= 2
        }
        let peers = try await site.call(0, "node.peers")["peers"]?.array ?? []
        #expect(peers.count == 1)
        // It has first looked for somebody who offers a snapshot.
        try await eventually("the stranger answers") { try await site.call(1, "node.status")["height"] != nil }
        let stranger = try await site.call(1, "node.status")
        #expect(stranger["height"]?.uint64 == 0)
        #expect((try await site.call(1, "node.peers")["peers"]?.array ?? []).isEmpty)
        #expect(await site.stop() == [0, 0, 0])
    }
}
