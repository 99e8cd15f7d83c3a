import API
import Foundation
import Primitives
import Testing

/// A requester that names inputs that nobody has, and one that takes a job back for which they were fetched.
@Suite(.serialized, .fewAtATime) struct StagingTests {
    @Test func whatARequesterDoesNotStandByCostsItsDeposit() async throws {
        let net = try TestDevnet()
        do { try await play(net) } catch {
            await net.end()
            throw error
        }
        await net.end()
    }

    private func play(_ net: TestDevnet) async throws {
        // Challenges of devices would cost the providers their moves.
        try await net.up(set: ["delivery_base=12000", "delivery_rate=1073741824", "device_challenge_interval=0"])
        try await net.publish()
        try await net.waitForOffers()
        try await nameWhatNobodyHas(net)
        try await cancelWhatWasStaged(net)
    }

    private let sentences = Plasma.root + "/examples/sentences.txt"

    /// A file of the same sentences in another order, so many times: inputs that no node has seen.
    private func file(_ net: TestDevnet, _ name: String, times: Int) throws -> String {
        let lines = try String(contentsOfFile: sentences, encoding: .utf8).split(separator: "\n").reversed()
        let path = net.folder.path + "/" + name
        try Array(repeating: lines.joined(separator: "\n"), count: times).joined(separator: "\n")
            .write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }

    private func amount(_ job: JSONValue, _ name: String) throws -> Amount {
        try Amount(parsing: job["staging"]?[name]?.string ?? "")
    }

    /// Its provider reports, the others look and say the same: the job ends by itself, and all but the deposit is back.
    private func nameWhatNobodyHas(_ net: TestDevnet) async throws {
        let account = try #require(try await net.json("keys", "list")["keys"]?[0]?["address"]?.string)
        let plan = try await net.plasma("job", "plan", sentences)
        #expect(plan.output.contains("as a deposit for its inputs"), "\(plan.output)")
        let operators = Array(try await net.providers().values)
        var worth: [String: Amount] = [:]
        for provider in operators { worth[provider] = try await net.balance(provider) }
        let before = try await net.balance(account)
        let posted = try await net.json(
            "job", "submit", try file(net, "nowhere.txt", times: 1), "--no-upload", "--no-watch")
        let id = try #require(posted["job"]?.string)
        try await eventually("it is over") {
            try await net.call(0, "job.get", ["job": .string(id)])["state"]?.string == "failed"
        }
        let job = try await net.call(0, "job.get", ["job": .string(id)])
        #expect(job["claim"]?["subject"]?.string == "inputs" && job["claim"]?["state"]?.string == "undelivered")
        let words = job["claim"]?["witnesses"]?.array ?? []
        #expect(words.count == 2 && words.contains { $0["holds"]?.bool == false } && job["attempt"]?.uint64 == 1)
        let deposit = try Amount(parsing: job["claim"]?["deposit"]?.string ?? "")
        #expect(try deposit > .zero && amount(job, "paid") == deposit)
        // The deposit, the posting fee, that of the transaction, and what the moves have cost.
        let lost = try before.subtracting(try await net.balance(account)).subtracting(deposit)
        #expect(lost < Amount(baseUnits: 20_000_000), "\(lost)")
        var shared = Amount.zero
        for provider in operators {
            shared = try shared.adding(try await net.balance(provider).subtracting(worth[provider] ?? .zero))
        }
        #expect(shared == deposit)
        #expect(try await net.json("chain", "totals")["escrowed"]?.string == "0")
        let shown = try await net.plasma("job", "show", id)
        #expect(shown.output.contains("says that nobody can run it"), "\(shown.output)")
        #expect(shown.output.contains("\(deposit) XPL of its staging deposit went to providers"), "\(shown.output)")
    }

    /// A provider that has two places and runs one job: the other's inputs are there, and it waits for its turn.
    private func cancelWhatWasStaged(_ net: TestDevnet) async throws {
        try await net.stop("provider-1")
        try net.edit("provider-1") {
            $0.replacingOccurrences(of: "price = \"100\"", with: "price = \"50\"")
                .replacingOccurrences(of: "capacity = 1", with: "capacity = 2")
        }
        try await net.up()
        let provider = try #require(try await net.providers()["provider-1"])
        try await eventually("its offer is the only one in the draw") {
            let plan = try await net.json("job", "plan", sentences)
            let drawn = (plan["eligible"]?.array ?? []).filter { $0["inDraw"]?.bool == true }
            return drawn.count == 1 && drawn[0]["provider"]?.string == provider
        }
        let long = try await net.json(
            "job", "submit", try file(net, "long.txt", times: 40), "--policy", "sampled:300", "--no-watch")
        let first = try #require(long["job"]?.string)
        try await eventually("the first runs") {
            try await net.call(0, "job.get", ["job": .string(first)])["state"]?.string == "running"
        }
        let posted = try await net.json("job", "submit", sentences, "--policy", "sampled:5", "--no-watch")
        let id = try #require(posted["job"]?.string)
        try await eventually("its inputs are there") {
            try await net.call(0, "job.get", ["job": .string(id)])["staging"]?["staged"]?.bool == true
        }
        let balance = try await net.balance(provider)
        let cancelled = try await net.plasma("job", "cancel", id)
        #expect(cancelled.code == 0, "\(cancelled.errors)")
        let job = try await net.call(0, "job.get", ["job": .string(id)])
        #expect(job["state"]?.string == "cancelled" && job["provider"]?.string == provider, "\(job.text(pretty: true))")
        let paid = try amount(job, "paid")
        #expect(try paid > .zero && paid == amount(job, "deposit"))
        #expect(try await net.balance(provider) == balance.adding(paid))
        let outcome = try await net.plasma("job", "watch", first, "-o", "json", timeout: 300)
        #expect(outcome.json?["state"]?.string == "settled", "\(outcome.output)")
    }
}
