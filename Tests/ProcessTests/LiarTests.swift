import API
import Foundation
import Primitives
import Testing

/// A provider that changes one bit of one number.
@Suite(.serialized, .fewAtATime) struct LiarTests {
    @Test func oneFlippedBitIsConvictedAndTheJobRunsElsewhere() async throws {
        let net = try TestDevnet()
        do { try await lie(net) } catch {
            await net.end()
            throw error
        }
        await net.end()
    }

    private func lie(_ net: TestDevnet) async throws {
        let file = Plasma.root + "/examples/sentences.txt"
        let liar = try await makeLiar(net, file)
        let before = try await net.balance(liar)
        let outcome = try await net.plasma("job", "submit", file, "-o", "json")
        #expect(outcome.code == 0, "\(outcome.errors)")
        let job = try #require(outcome.json)
        #expect(job["state"]?.string == "settled" && job["attempt"]?.uint64 == 2, "\(outcome.output)")
        #expect(job["provider"]?.string != liar)

        // What decided: the arithmetic of one number, shown by the auditor.
        let disputes = job["disputes"]?.array ?? []
        #expect(disputes.count == 1)
        let dispute = try #require(disputes.first)
        #expect(dispute["state"]?.string == "convicted" && dispute["defender"]?.string == liar, "\(dispute)")
        #expect(dispute["reason"]?.string?.contains("is wrong") == true)
        // Both walked between themselves, and one transaction showed it all.
        #expect(dispute["atOnce"]?.bool == true && dispute["rounds"]?.uint64 ?? 0 > 1)
        #expect(dispute["number"]?["bits"]?.string != nil)
        let levels = (dispute["trail"]?.array ?? []).compactMap { $0["level"]?.string }
        #expect(levels.first == "ops" && levels.contains("blocks") && levels.contains("values"))

        // The liar was not paid, and its bond is smaller; nothing is held for anybody. A move that comes too late costs it a fee.
        let after = try await net.balance(liar)
        #expect(after <= before)
        #expect(try before.subtracting(after) < Amount(parsing: "0.05"), "\(before) and then \(after)")
        let bonds = (try await net.call(0, "provider.list")["providers"]?.array ?? []).filter {
            $0["operator"]?.string == liar
        }
        #expect(try Amount(parsing: bonds.first?["bond"]?.string ?? "") < .xpl(1_000))
        #expect(try await net.json("chain", "totals")["escrowed"]?.string == "0")
        let id = try #require(job["job"]?.string)
        let shown = try await net.plasma("job", "show", id)
        #expect(shown.output.contains("challenges the result of provider-1, and both have walked alone"))
        #expect(shown.output.contains("the provider is convicted"))
        let result = try await net.plasma(
            "job", "result", id, "--genesis", net.genesis, "--out", net.folder.path + "/x.npy")
        #expect(result.code == 0, "\(result.errors)")
    }

    /// Lets provider-1 lie, and be the one that is drawn. Gives its address.
    private func makeLiar(
        _ net: TestDevnet, _ file: String, fault: String = "flip-bit", set: [String] = []
    ) async throws -> String {
        // A busy machine, too, takes a whole walk in that: who is out of time goes on chain, which is another test.
        // And no challenge of its device takes a fee from a balance that is looked at.
        try await net.up(set: ["challenge_window=90000", "device_challenge_interval=0"] + set)
        try await net.publish()
        try await net.waitForOffers()
        // The liar is cheap, so that the job is its.
        try await net.stop("provider-1")
        try net.edit("provider-1") {
            $0.replacingOccurrences(of: "price = \"100\"", with: "price = \"50\"") + "fault = \"\(fault)\"\n"
        }
        try await net.up()
        let liar = try #require(try await net.providers()["provider-1"])
        try await eventually("the liar's offer is the only one in the draw") {
            let plan = try await net.json("job", "plan", file)
            let drawn = (plan["eligible"]?.array ?? []).filter { $0["inDraw"]?.bool == true }
            return drawn.count == 1 && drawn[0]["provider"]?.string == liar
        }
        return liar
    }

    /// No auditor was drawn. A node that runs others' jobs again finds the lie, challenges with a deposit, and gets the bounty.
    @Test func anUnauditedLieIsConvictedByWhoeverLooks() async throws {
        let net = try TestDevnet()
        do { try await lookAfter(net) } catch {
            await net.end()
            throw error
        }
        await net.end()
    }

    private func lookAfter(_ net: TestDevnet) async throws {
        let file = Plasma.root + "/examples/sentences.txt"
        let liar = try await makeLiar(net, file, set: ["settle_base=12000"])
        try await net.stop("validator-0")
        try net.edit("validator-0") { $0 + "\n[challenger]\ndeposit_limit = \"2000\"\n" }
        try await net.up()
        let status = try await net.json("challenger")
        let account = try #require(status["account"]?.string)
        let before = try await net.balance(account)
        var job: JSONValue = [:]
        // Two in a hundred are drawn all the same.
        for _ in 0..<5 {
            let outcome = try await net.plasma("job", "submit", file, "--policy", "sampled:20", "-o", "json")
            #expect(outcome.code == 0, "\(outcome.errors)")
            job = try #require(outcome.json)
            let dispute = try #require(job["disputes"]?.array?.first)
            if dispute["isAuditor"]?.bool == false { break }
        }
        #expect(job["state"]?.string == "settled" && job["provider"]?.string != liar)
        let dispute = try #require(job["disputes"]?.array?.first)
        #expect(dispute["challenger"]?.string == account && dispute["isAuditor"]?.bool == false)
        #expect(dispute["state"]?.string == "convicted" && dispute["defender"]?.string == liar, "\(dispute)")
        #expect(dispute["reason"]?.string?.contains("is wrong") == true)
        // The bounty is a part of the liar's bond, far above a fee; no deposit is left behind.
        #expect(try await net.balance(account) > before)
        #expect(try await net.json("chain", "totals")["escrowed"]?.string == "0")
        let found = try await net.json("challenger")
        #expect(found["differed"]?.uint64 ?? 0 >= 1)
        #expect(found["disputes"]?.array?.contains { $0["state"]?.string == "convicted" } == true)
        // An honest result is what comes out here too.
        try await eventually("the job that ran elsewhere agrees") {
            try await net.json("challenger")["agreed"]?.uint64 ?? 0 >= 1
        }
        let others = try await net.plasma("challenger", "--rpc", "http://127.0.0.1:\(net.rpcPort(1))")
        #expect(others.code != 0 && others.errors.contains("[challenger]"))
    }

    /// A liar that answers nobody is challenged on chain. There both sides are killed in the middle: they go on from what the chain says, and the arithmetic
    /// decides.
    @Test func aDisputeOutlivesBothItsSides() async throws {
        let net = try TestDevnet()
        do { try await killInTheDispute(net) } catch {
            await net.end()
            throw error
        }
        await net.end()
    }

    private func killInTheDispute(_ net: TestDevnet) async throws {
        let file = Plasma.root + "/examples/sentences.txt"
        let liar = try await makeLiar(net, file, fault: "flip-bit-silent")
        let names = try await net.providers()
        async let submission = net.plasma("job", "submit", file, "-o", "json", timeout: 300)
        var moves = 0
        try await eventually("a dispute has begun") {
            let job = try await net.call(0, "job.list")["jobs"]?.array?.first?["job"]?.string
            guard let job else { return false }
            let disputes = try await net.call(0, "job.get", ["job": .string(job)])["disputes"]?.array ?? []
            guard let dispute = disputes.first else { return false }
            #expect(dispute["state"]?.string == "open")
            moves = dispute["trail"]?.array?.count ?? 0
            let challenger = names.first { $0.value == dispute["challenger"]?.string }?.key
            for name in ["provider-1", try #require(challenger)] { try await net.kill(name) }
            return true
        }
        try await net.up()
        let outcome = try await submission
        #expect(outcome.code == 0, "\(outcome.errors)")
        let job = try #require(outcome.json)
        #expect(job["state"]?.string == "settled" && job["provider"]?.string != liar)
        let dispute = try #require(job["disputes"]?.array?.first)
        #expect(dispute["state"]?.string == "convicted" && dispute["defender"]?.string == liar, "\(dispute)")
        #expect(dispute["atOnce"]?.bool == false)
        // Nobody was late: it went on to the end.
        #expect(dispute["reason"]?.string?.contains("is wrong") == true, "\(dispute)")
        #expect(dispute["trail"]?.array?.count ?? 0 > moves)
    }

    /// The same as a person sees it.
    @Test func theDemoOfALieShowsTheNumberAndWhoPaid() async throws {
        let net = try TestDevnet()
        let demo = try await net.devnet(
            "demo",
            [Plasma.root + "/examples/sentences.txt", "--model", Plasma.modelFolder, "--lie", "-o", "json"])
        await net.end()
        #expect(demo.code == 0, "\(demo.errors)")
        let json = try #require(demo.json)
        #expect(json["state"]?.string == "settled" && json["providerName"]?.string != "provider-1")
        let truth = try #require(json["truths"]?.array?.first)
        let told = try #require(truth["toldBits"]?.string.flatMap { UInt64($0, radix: 16) })
        let real = try #require(truth["truthBits"]?.string.flatMap { UInt64($0, radix: 16) })
        // One bit, the lowest.
        #expect(told ^ real == 1)
        let bonds = try #require(json["bonds"])
        let before = try Amount(parsing: bonds["before"]?["provider-1"]?.string ?? "")
        let after = try Amount(parsing: bonds["after"]?["provider-1"]?.string ?? "")
        #expect(before == .xpl(1_000) && after < before)
        let others = ["provider-0", "provider-2"].allSatisfy { bonds["before"]?[$0] == bonds["after"]?[$0] }
        #expect(others)
    }
}
