import API
import Foundation
import Primitives
import Testing

/// A provider that changes one bit of one number.
@Suite(.serialized) struct LiarTests {
    @Test func oneFlippedBitIsNoticedAndNotPaid() async throws {
        let net = try TestDevnet()
        do { try await lie(net) } catch {
            await net.end()
            throw error
        }
        await net.end()
    }

    private func lie(_ net: TestDevnet) async throws {
        try await net.up()
        try await net.publish()
        try await net.waitForOffers()
        // The liar is cheap, so that the job is its.
        try await net.stop("provider-1")
        try net.edit("provider-1") {
            $0.replacingOccurrences(of: "price = \"100\"", with: "price = \"50\"") + "fault = \"flip-bit\"\n"
        }
        try await net.up()
        let file = Plasma.root + "/examples/sentences.txt"
        let liar = try #require(try await net.providers()["provider-1"])
        try await eventually("the liar's offer is the only one in the draw") {
            let plan = try await net.json("job", "plan", file)
            let drawn = (plan["eligible"]?.array ?? []).filter { $0["inDraw"]?.bool == true }
            return drawn.count == 1 && drawn[0]["provider"]?.string == liar
        }
        let before = try await net.balance(liar)
        let escrowedBefore = try await net.json("chain", "totals")["escrowed"]?.string
        #expect(escrowedBefore == "0")
        let outcome = try await net.plasma("job", "submit", file, "-o", "json")
        #expect(outcome.code == 1)
        let job = try #require(outcome.json)
        #expect(job["state"]?.string == "disputed", "\(outcome.output)")
        #expect(job["provider"]?.string == liar)
        #expect(outcome.errors.contains("disputed"))

        // All of the job's money stays where it is; nobody was paid.
        #expect(try await net.balance(liar) == before)
        #expect(try await net.json("chain", "totals")["escrowed"]?.string != "0")
        let id = try #require(job["job"]?.string)
        let result = try await net.plasma(
            "job", "result", id, "--genesis", net.genesis, "--out", net.folder.path + "/x")
        #expect(result.code == 1)
        #expect(result.errors.contains("has no receipt"))
    }
}
