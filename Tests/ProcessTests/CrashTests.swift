import API
import Foundation
import Primitives
import Testing

/// Processes that die at the worst moment. Nothing that was acknowledged is lost, and the job goes on.
@Suite(.serialized, .fewAtATime) struct CrashTests {
    /// Many sentences, so that the job runs for seconds.
    static func longFile(_ net: TestDevnet) throws -> String {
        let lines = (0..<1_500).map { "Sentence number \($0) is about the price of bread in town \($0 % 17)." }
        return try net.folder.write(lines.joined(separator: "\n"), to: "many.txt")
    }

    @Test func aJobOutlivesItsProviderAndAValidator() async throws {
        let net = try TestDevnet()
        do { try await killDuringTheJob(net) } catch {
            await net.end()
            throw error
        }
        await net.end()
    }

    private func killDuringTheJob(_ net: TestDevnet) async throws {
        try await net.up()
        try await net.publish()
        try await net.waitForOffers()
        let providers = try await net.providers()
        let alice = try #require(try await net.json("keys", "list")["keys"]?[0]?["address"]?.string)
        let before = try await net.balance(alice)
        let submitted = try await net.json("job", "submit", try Self.longFile(net), "--no-watch")
        let id = try #require(submitted["job"]?.string)
        func job() async throws -> JSONValue { try await net.call(0, "job.get", ["job": .string(id)]) }
        try await eventually("the job runs") { try await job()["state"]?.string == "running" }
        let first = try #require(try await job()["provider"]?.string)
        let victim = try #require(providers.first { $0.value == first }?.key)
        try await net.kill(victim)
        try await net.kill("validator-3")
        let killedAt = try #require(try await net.call(0, "node.status")["height"]?.uint64)
        #expect(try await job()["state"]?.string == "running", "it died while it ran")

        // Three of four go on: the silence is noticed, another provider runs the job.
        try await eventually("the job settles elsewhere", within: 240) { try await job()["state"]?.string == "settled" }
        let end = try await job()
        // One that cannot have the inputs in time, on a machine that is busy, declines, and another gets the job.
        let attempts = try #require(end["attempt"]?.uint64)
        #expect(attempts >= 2)
        #expect(end["provider"]?.string != first)
        let states = (end["history"]?.array ?? []).compactMap { $0["state"]?.string }
        #expect(states.filter { $0 == "running" }.count == 2, "\(states)")
        #expect(states.filter { $0 == "open" }.count == attempts, "\(states)")
        let out = net.folder.path + "/out.npy"
        let result = try await net.json("job", "result", id, "--genesis", net.genesis, "--out", out)
        #expect(try MainJobTests.rows(out).count == 1_500)
        let price = try Amount(parsing: try #require(result["paid"]?.string))
        let audit = try Amount(parsing: try #require(result["auditFees"]?.string))
        let paid = try before.subtracting(try await net.balance(alice))
        // Once: and less what the silent provider's bond paid it for the lost time, a tenth of the price.
        let due = try price.adding(audit).subtracting(try price.scaled(100, over: 1000))
        #expect(paid >= due, "\(paid) XPL were paid, \(due) were due")
        #expect(try paid.subtracting(due) < Amount(parsing: "0.01"), "the rest is fees")

        // Both come back; the validator catches up, and without it there would be no quorum now.
        try await net.up()
        try await eventually("validator-3 has caught up") {
            let status = try await net.call(3, "node.status")
            return status["ready"]?.bool == true && status["height"]?.uint64 ?? 0 > killedAt
        }
        try await net.kill("validator-1")
        let tip = try #require(try await net.call(0, "node.status")["height"]?.uint64)
        try await eventually("blocks are final with the restarted validator's votes") {
            try await net.call(0, "node.status")["height"]?.uint64 ?? 0 >= tip + 5
        }
    }

    /// The same consensus key on two machines: as soon as one hears the other it votes no more, and says so.
    @Test func twoMachinesWithOneKeyFallSilent() async throws {
        let net = try TestDevnet()
        var twin: Process?
        do { try await runTwice(net, &twin) } catch {
            if let twin { kill(twin.processIdentifier, SIGKILL) }
            await net.end()
            throw error
        }
        await net.end()
    }

    private func runTwice(_ net: TestDevnet, _ twin: inout Process?) async throws {
        try await net.up()
        let home = net.folder.path + "/twin"
        let made = try await Plasma.run(
            [
                "init", "--home", home, "--name", "twin", "--genesis", net.genesis, "--port", "\(net.basePort + 50)",
                "--rpc-port", "\(net.basePort + 150)", "--bootstrap", "127.0.0.1:\(net.basePort)",
            ], environment: ["PLASMA_PASSWORD": ""])
        #expect(made.code == 0, "\(made.errors)")
        // The mistake: the key of validator-3, and its journal as it was, on a second machine.
        try await net.stop("validator-3")
        let files = FileManager.default
        for file in try files.contentsOfDirectory(atPath: net.home("validator-3") + "/keys")
        where file.hasPrefix("consensus") || file.hasPrefix("vrf") {
            try files.copyItem(atPath: net.home("validator-3") + "/keys/" + file, toPath: home + "/keys/" + file)
        }
        try files.copyItem(atPath: net.home("validator-3") + "/data", toPath: home + "/data")
        let config = try String(contentsOfFile: home + "/config.toml", encoding: .utf8)
        try config.replacingOccurrences(of: "validator = false", with: "validator = true")
            .write(toFile: home + "/config.toml", atomically: true, encoding: .utf8)
        twin = try Plasma.start(
            ["start", "--home", home], environment: ["PLASMA_PASSWORD": ""], output: home + ".out",
            errors: home + ".log")
        // It may be the one that falls silent, and then it never gets ready.
        _ = try await net.devnet("up")
        try await eventually("one of the two has fallen silent") {
            for port in [net.basePort + 103, net.basePort + 150] {
                let client = RPCClient(port: port, timeoutSeconds: 5)
                let status = try? await client.call("node.status")
                await client.close()
                if status?["reason"]?.string?.contains("another machine votes") == true { return true }
            }
            return false
        }
        // The other three carry the network.
        let height = try #require(try await net.call(0, "node.status")["height"]?.uint64)
        try await eventually("blocks go on") {
            try await net.call(0, "node.status")["height"]?.uint64 ?? 0 > height + 3
        }
        let evidence = TestDevnet.names.contains { name in
            let log = (try? String(contentsOfFile: net.home(name) + "/log.txt", encoding: .utf8)) ?? ""
            return log.contains("another machine votes")
        }
        let said = (try? String(contentsOfFile: home + ".out", encoding: .utf8)) ?? ""
        let logged = (try? String(contentsOfFile: home + ".log", encoding: .utf8)) ?? ""
        #expect(evidence || (said + logged).contains("another machine votes"))
        twin?.terminate()
        twin?.waitUntilExit()
        twin = nil
    }

    @Test func aPowerCutLosesNothingAcknowledged() async throws {
        let net = try TestDevnet()
        do { try await cutPower(net) } catch {
            await net.end()
            throw error
        }
        await net.end()
    }

    private func cutPower(_ net: TestDevnet) async throws {
        try await net.up()
        let bob = try await Plasma.run(
            ["keys", "create", "bob", "--home", net.folder.path + "/bob", "-o", "json"],
            environment: ["PLASMA_PASSWORD": ""])
        let address = try #require(bob.json?["address"]?.string)
        var acknowledged = Amount.zero
        for round in 0..<3 {
            // Transfers are on their way all the time; the cut comes between any two.
            let sender = Task {
                var sum: UInt64 = 0
                while !Task.isCancelled {
                    guard let done = try? await net.plasma("transfer", address, "1"), done.code == 0 else { break }
                    sum += 1
                }
                return sum
            }
            try await Task.sleep(nanoseconds: 1_500_000_000 + UInt64(round) * 370_000_000)
            for name in TestDevnet.names.shuffled() {
                if let pid = net.pid(name) { _ = Foundation.kill(pid, SIGKILL) }
            }
            sender.cancel()
            let sent = await sender.value
            #expect(sent > 0)
            acknowledged = try acknowledged.adding(.xpl(sent))
            for name in TestDevnet.names { try await eventually("\(name) is gone") { !net.isRunning(name) } }
            try await net.up()
            let found = try await net.balance(address)
            #expect(found >= acknowledged, "round \(round): \(acknowledged) XPL were acknowledged, \(found) are there")
            // One more may have become final without an answer.
            acknowledged = found
        }
        // All nodes have one history.
        let height = try #require(try await net.call(0, "node.status")["height"]?.uint64)
        var digests: Set<String> = []
        for index in 0..<7 {
            try await eventually("node \(index) has height \(height)") {
                try await net.call(index, "node.status")["height"]?.uint64 ?? 0 >= height
            }
            let header = try await net.call(index, "chain.header", ["height": JSONValue(height)])
            digests.insert(try #require(header["digest"]?.string))
        }
        #expect(digests.count == 1)
    }
}
