import API
import Foundation
import Testing

/// Validators killed with -9 and started again, one after the other, while transfers flow. `scripts/chaos.sh --restarts 1000` is the long form.
@Suite(.serialized, .fewAtATime) struct RestartTests {
    @Test func whatWasReportedFinalOutlivesTenKills() async throws {
        let net = try TestDevnet()
        var load: Process?
        do { try await killTenTimes(net, &load) } catch {
            if let load, load.isRunning { kill(load.processIdentifier, SIGKILL) }
            await net.end()
            throw error
        }
        await net.end()
    }

    private func killTenTimes(_ net: TestDevnet, _ load: inout Process?) async throws {
        try await net.up()
        let record = net.folder.path + "/final"
        let nodes = (0..<4).map { "http://127.0.0.1:\(net.rpcPort($0))" }
        let running = try Plasma.start(
            ["bench", "load"] + nodes + [
                "--rate", "20", "--senders", "60", "--seconds", "600", "--record", record, "--home",
                net.directory + "/client",
            ], output: record + ".json", errors: record + ".errors")
        load = running
        func reported() -> Int {
            ((try? String(contentsOfFile: record, encoding: .utf8)) ?? "").split(separator: "\n").count
        }
        for round in 0..<10 {
            let before = reported()
            try await eventually("transfers are reported final before kill \(round)") { reported() > before }
            try await net.kill("validator-\(round * 3 % 4)")
            // Until all are ready again.
            try await net.up()
        }
        running.terminate()
        try await eventually("the load has ended") { !running.isRunning }
        #expect(
            running.terminationStatus == 0,
            "\((try? String(contentsOfFile: record + ".errors", encoding: .utf8)) ?? "")")
        let count = reported()
        #expect(count >= 10)
        for name in TestDevnet.names { try await net.stop(name) }

        let homes = TestDevnet.names.map { net.home($0) }
        let audit = try await Plasma.run(["devnet", "audit"] + homes + ["--reported", record, "-o", "json"])
        #expect(audit.code == 0, "\(audit.output) \(audit.errors)")
        #expect(audit.json?["clean"]?.bool == true)
        #expect(audit.json?["reported"]?.uint64 == UInt64(count))
        #expect(audit.json?["transactions"]?.uint64 ?? 0 >= UInt64(count))

        // The audit finds what is not there, what is elsewhere, and a chain that is another's.
        let lines = try String(contentsOfFile: record, encoding: .utf8).split(separator: "\n")
        let absent = String(repeating: "ab", count: 32)
        let first = try #require(lines.first?.split(separator: " ").map(String.init))
        let wrong = try net.folder.write("1 \(absent) 5\n1 \(first[1]) 1000000\n", to: "wrong")
        let refused = try await Plasma.run(["devnet", "audit"] + homes + ["--reported", wrong, "-o", "json"])
        #expect(refused.code == 1)
        let findings = (refused.json?["findings"]?.array ?? []).compactMap(\.string)
        #expect(findings.count == 2, "\(findings)")
        #expect(findings.first?.contains("\(absent) was reported final and is not in the chain") == true)
        #expect(findings.last?.contains("was reported at height 1000000 and is at \(first[2])") == true)
        let other = try TestDevnet()
        try await other.up()
        for name in TestDevnet.names { try await other.stop(name) }
        let mixed = try await Plasma.run(["devnet", "audit", homes[0], other.home("validator-0"), "-o", "json"])
        await other.end()
        #expect(mixed.code == 1)
        #expect(
            (mixed.json?["findings"]?.array ?? []).contains { $0.string?.contains("two blocks are final") == true },
            "\(mixed.output)")
    }
}
