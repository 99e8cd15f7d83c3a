import API
import Foundation
import Primitives
import Testing

/// Runs that are posted as rows of segments.
@Suite(.serialized, .fewAtATime) struct SegmentRowTests {
    /// A round of one worker, of some seconds, in four segments.
    private static func config(_ folder: String) -> String {
        """
        [model]
        width = 64
        layers = 2
        heads = 2
        context = 64
        [data]
        text = "text"
        [training]
        steps = 30
        batch = 8
        [rounds]
        workers = 1
        steps = 30
        [output]
        folder = "\(folder)"
        """
    }

    /// The executor of a later segment is killed in the middle of it: another provider goes on from the checkpoint, to the same bits, and each step is paid
    /// once.
    @Test func aKilledExecutorCostsOneSegment() async throws {
        let net = try TestDevnet()
        do { try await train(net) } catch {
            await net.end()
            throw error
        }
        await net.end()
    }

    private func train(_ net: TestDevnet) async throws {
        try await net.up()
        try await net.waitForOffers()
        let folder = net.folder.path + "/training"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try FileManager.default.copyItem(atPath: Plasma.root + "/README.md", toPath: folder + "/text")
        for name in ["here", "there"] {
            try Self.config(name).write(toFile: folder + "/\(name).toml", atomically: true, encoding: .utf8)
        }
        let here = try await net.plasma("train", folder + "/here.toml", "-o", "json")
        #expect(here.code == 0, "\(here.errors)")
        let alice = try #require(try await net.json("keys", "list")["keys"]?[0]?["address"]?.string)
        let before = try await net.balance(alice)
        async let training = net.plasma(
            "train", folder + "/there.toml", "--providers", "1", "--checkpoint-every", "8", "--policy", "sampled:5",
            "--genesis", net.genesis, timeout: 500)
        let names = try await net.providers()
        var victim: (job: String, name: String)?
        try await eventually("a segment runs that goes on from another", within: 200) {
            for job in try await net.call(0, "job.list")["jobs"]?.array ?? []
            where job["history"]?.array?.first?["state"]?.string == "waiting" && job["state"]?.string == "running" {
                guard let id = job["job"]?.string,
                    let name = names.first(where: { $0.value == job["provider"]?.string })?.key
                else { continue }
                victim = (id, name)
            }
            return victim != nil
        }
        let (killed, name) = try #require(victim)
        try await net.kill(name)
        let there = try await training
        #expect(there.code == 0, "\(there.errors)\n\(there.output)")

        // To the bit what one run gives.
        let checkpoints = ["here", "there"].map {
            FileManager.default.contents(atPath: folder + "/\($0)/checkpoint.safetensors")
        }
        #expect(checkpoints[0] != nil && checkpoints[0] == checkpoints[1])
        // Four segments and the outer step, all settled; the one that was begun twice by somebody else.
        let jobs = try await net.json("job", "list")["jobs"]?.array ?? []
        #expect(jobs.count == 5 && jobs.allSatisfy { $0["state"]?.string == "settled" })
        let lost = try #require(jobs.first { $0["job"]?.string == killed })
        #expect((lost["attempt"]?.uint64 ?? 0) >= 2 && lost["provider"]?.string != names[name])
        // On a busy machine another may have been declined before, or its start missed: nobody ran it twice.
        for job in jobs where job["job"]?.string != killed {
            let runs = (job["history"]?.array ?? []).count { $0["state"]?.string == "running" }
            #expect(runs == 1, "\(job)")
        }
        // Each was paid once; what is left are fees, less a tenth of a segment's price for the lost time. Whoever was drawn for an audit got as much again, at
        // most.
        let paid = try before.subtracting(try await net.balance(alice))
        let prices = try jobs.map { try Amount(parsing: try #require($0["price"]?.string)) }
        let due = try prices.reduce(Amount.zero) { try $0.adding($1) }
        let lostPrice = try Amount(parsing: try #require(lost["price"]?.string))
        let audits = try jobs.reduce(Amount.zero) { sum, job in
            guard let price = job["price"]?.string, job["auditors"]?.array?.isEmpty == false else { return sum }
            return try sum.adding(try Amount(parsing: price))
        }
        #expect(
            try paid >= due.subtracting(lostPrice.scaled(100, over: 1000)), "\(paid) XPL were paid, \(due) were due")
        // And those who hold what each segment leaves.
        let held = jobs.filter { $0["claim"]?["subject"]?.string == "checkpoint" }
        #expect(held.count { $0["claim"]?["state"]?.string == "delivered" } >= 2, "\(held)")
        let fees = try jobs.reduce(Amount.zero) {
            try $0.adding(Amount(parsing: try #require($1["staging"]?["paid"]?.string)))
        }
        #expect(fees > .zero)
        #expect(
            try paid < due.adding(audits).adding(fees).adding(Amount(parsing: "0.05")),
            "\(paid) XPL were paid, \(due) were due")
    }
}
