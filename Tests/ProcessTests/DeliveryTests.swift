import API
import Foundation
import Primitives
import Testing

/// A provider that settles its jobs and hands their outputs to nobody; and one that is falsely said to.
@Suite(.serialized, .fewAtATime) struct DeliveryTests {
    @Test func whoWithholdsAnOutputIsConvictedAndTheJobRunsElsewhere() async throws {
        let net = try TestDevnet()
        do { try await claim(net) } catch {
            await net.end()
            throw error
        }
        await net.end()
    }

    private let file = Plasma.root + "/examples/sentences.txt"

    private func claim(_ net: TestDevnet) async throws {
        // Time to look at a result before it settles, on a busy machine too.
        try await net.up(set: ["settle_base=20000", "delivery_base=12000"])
        try await net.publish()
        try await net.waitForOffers()
        // Eight embeddings of 384 numbers are few enough for the chain, twenty-four are not.
        let lines = try String(contentsOfFile: file, encoding: .utf8).split(separator: "\n").map(String.init)
        try await claimFalsely(net, Array(lines.prefix(8)), "posted")
        try await claimFalsely(net, lines, "delivered")
        let withholder = try await makeWithholder(net)
        // The same sentences would give the same bytes, which nodes have from the job before.
        let id = try await opened(net, lines.reversed())
        #expect(try await net.call(0, "job.get", ["job": .string(id)])["provider"]?.string == withholder)
        let bond = try await bond(net, withholder)

        // The output is looked for, nobody has it, and the witnesses say the same.
        let claimed = try await net.plasma("job", "claim", id)
        #expect(claimed.code == 0, "\(claimed.errors)")
        #expect(claimed.output.contains("nobody could have it; the deposit is back"), "\(claimed.output)")
        #expect(claimed.output.contains("could not have it"))
        let outcome = try await net.plasma("job", "watch", id, "-o", "json")
        #expect(outcome.code == 0, "\(outcome.errors)")
        let job = try #require(outcome.json)
        #expect(job["state"]?.string == "settled" && job["attempt"]?.uint64 == 2, "\(outcome.output)")
        #expect(job["provider"]?.string != withholder)
        #expect(job["claim"]?["state"]?.string == "undelivered")
        #expect(try await self.bond(net, withholder) < bond)
        #expect(try await net.json("chain", "totals")["escrowed"]?.string == "0")
        let shown = try await net.plasma("job", "show", id)
        #expect(shown.output.contains("attempt 1's output was claimed"), "\(shown.output)")
        let result = try await net.plasma(
            "job", "result", id, "--genesis", net.genesis, "--out", net.folder.path + "/x.npy")
        #expect(result.code == 0, "\(result.errors)")
    }

    /// The output is there, and claimed all the same: the deposit is lost, and the job settles as it would have.
    private func claimFalsely(_ net: TestDevnet, _ lines: [String], _ end: String) async throws {
        let account = try #require(try await net.json("keys", "list")["keys"]?[0]?["address"]?.string)
        let before = try await net.balance(account)
        let id = try await opened(net, lines)
        // Who looks first is told that there is nothing to claim.
        let told = try await net.plasma("job", "claim", id, "--patience", "20")
        #expect(told.code != 0 && told.errors.contains("nothing was claimed"), "\(told.errors)")
        let waited = try await net.plasma("job", "claim", id, "--wait", "--patience", "20")
        #expect(waited.code == 0 && waited.output.contains("the output is here"), "\(waited.errors)")
        let claimed = try await net.plasma("job", "claim", id, "--patience", "0", "-o", "json")
        #expect(claimed.code == 0, "\(claimed.errors)")
        #expect(claimed.json?["claim"]?["state"]?.string == end, "\(claimed.output)")
        let outcome = try await net.plasma("job", "watch", id, "-o", "json")
        let job = try #require(outcome.json)
        #expect(job["state"]?.string == "settled" && job["attempt"]?.uint64 == 1, "\(outcome.output)")
        // The price, and once more as much.
        let price = try Amount(parsing: job["price"]?.string ?? "")
        #expect(try before.subtracting(try await net.balance(account)) > price.multiplied(by: 2))
        let again = try await net.plasma("job", "claim", id)
        #expect(again.code != 0 && again.errors.contains("before it settles"), "\(again.errors)")
    }

    /// The id of a job whose result is open and of which no auditor has the output: where one was drawn, another job takes its place, with the sentences in
    /// another order.
    private func opened(_ net: TestDevnet, _ lines: [String]) async throws -> String {
        for turn in 0..<4 {
            let path = net.folder.path + "/\(lines.count)-\(turn).txt"
            let turned = Array(lines.dropFirst(turn) + lines.prefix(turn))
            try turned.joined(separator: "\n").write(toFile: path, atomically: true, encoding: .utf8)
            // As seldom as any bond is large enough for.
            let posted = try await net.json("job", "submit", path, "--policy", "sampled:3", "--no-watch")
            let id = try #require(posted["job"]?.string)
            try await eventually("the result is open") {
                try await net.call(0, "job.get", ["job": .string(id)])["claimDeposit"]?.string != nil
            }
            let job = try await net.call(0, "job.get", ["job": .string(id)])
            if job["auditors"]?.array?.isEmpty == true { return id }
            _ = try await net.plasma("job", "watch", id, "-o", "json")
        }
        throw Plasma.Missing(description: "four jobs with a chance of 3 in 1,000 were all audited")
    }

    private func bond(_ net: TestDevnet, _ address: String) async throws -> Amount {
        let providers = try await net.call(0, "provider.list")["providers"]?.array ?? []
        return try Amount(parsing: providers.first { $0["operator"]?.string == address }?["bond"]?.string ?? "")
    }

    /// Lets provider-1 withhold outputs, and be the one that is drawn. Gives its address.
    private func makeWithholder(_ net: TestDevnet) async throws -> String {
        try await net.stop("provider-1")
        try net.edit("provider-1") {
            $0.replacingOccurrences(of: "price = \"100\"", with: "price = \"50\"") + "fault = \"withhold\"\n"
        }
        try await net.up()
        let withholder = try #require(try await net.providers()["provider-1"])
        try await eventually("its offer is the only one in the draw") {
            let plan = try await net.json("job", "plan", file)
            let drawn = (plan["eligible"]?.array ?? []).filter { $0["inDraw"]?.bool == true }
            return drawn.count == 1 && drawn[0]["provider"]?.string == withholder
        }
        return withholder
    }
}
