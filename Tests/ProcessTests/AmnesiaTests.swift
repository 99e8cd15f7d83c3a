import API
import Foundation
import Testing

/// Validators that lost what they had signed.
@Suite(.serialized, .fewAtATime) struct AmnesiaTests {
    private func abstains(_ net: TestDevnet, _ index: Int) async throws -> Bool? {
        try await net.call(index, "node.why")["abstains"]?.bool
    }

    /// The journal that the first start made let the second one vote.
    @Test func aLostJournalIsRememberedOverRestarts() async throws {
        let net = try TestDevnet()
        do { try await loseTheJournal(net) } catch {
            await net.end()
            throw error
        }
        await net.end()
    }

    private func loseTheJournal(_ net: TestDevnet) async throws {
        try await net.up()
        try await eventually("blocks are final") { try await net.call(3, "node.status")["height"]?.uint64 ?? 0 >= 5 }
        for name in TestDevnet.names { try await net.stop(name) }
        let home = net.home("validator-3")
        try FileManager.default.removeItem(atPath: home + "/data/journal")
        let mark = home + "/data/journal-lost"
        // Alone, nothing can set it free.
        for number in 0..<2 {
            let process = try Plasma.start(
                ["start", "--home", home], environment: ["PLASMA_PASSWORD": ""], output: home + "/out-\(number)",
                errors: home + "/errors-\(number)")
            do {
                try await eventually("it keeps silent") { try await abstains(net, 3) == true }
            } catch {
                kill(process.processIdentifier, SIGKILL)
                throw error
            }
            #expect(
                FileManager.default.fileExists(atPath: mark)
                    && FileManager.default.fileExists(atPath: home + "/data/journal"))
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
        }
        try await net.up()
        try await eventually("it votes again") { try await abstains(net, 3) == false }
        try await eventually("the mark is gone") { !FileManager.default.fileExists(atPath: mark) }
    }

    /// Who starts anew from a snapshot that has its key among the voters may have voted.
    @Test func aValidatorThatLostEverythingKeepsSilentUntilItIsSafe() async throws {
        let net = try TestDevnet()
        var process: Process?
        do { try await loseEverything(net, &process) } catch {
            if let process, process.isRunning { kill(process.processIdentifier, SIGKILL) }
            await net.end()
            throw error
        }
        if let process, process.isRunning { kill(process.processIdentifier, SIGKILL) }
        await net.end()
    }

    private func loseEverything(_ net: TestDevnet, _ process: inout Process?) async throws {
        let up = try await net.devnet("up", ["--epoch-length", "20"])
        #expect(up.code == 0, "\(up.errors)")
        try await eventually("a snapshot is offered") {
            !(try await net.call(0, "node.status")["snapshots"]?.array ?? []).isEmpty
        }
        try await net.stop("validator-3")
        let home = net.home("validator-3")
        try FileManager.default.removeItem(atPath: home + "/data")
        process = try Plasma.start(
            ["start", "--home", home, "--sync", "snapshot"], environment: ["PLASMA_PASSWORD": ""],
            output: home + "/out", errors: home + "/errors")
        try await eventually("it votes again") {
            let status = try await net.call(3, "node.status")
            let why = try await abstains(net, 3)
            return status["ready"]?.bool == true && why == false
        }
        let said = ["out", "errors"].map { (try? String(contentsOfFile: home + "/\($0)", encoding: .utf8)) ?? "" }
            .joined()
        #expect(said.contains("snapshot: installed"), "\(said)")
        #expect(said.contains("this key's journal is missing"), "\(said)")
        try await eventually("the mark is gone") {
            !FileManager.default.fileExists(atPath: home + "/data/journal-lost")
        }
    }
}
