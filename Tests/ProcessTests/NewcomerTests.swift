import API
import Foundation
import Primitives
import Testing

/// A machine that joins with nothing, and whose bond its work fills.
@Suite(.serialized, .fewAtATime) struct NewcomerTests {
    @Test func aMachineWithoutXPLWorksUntilItsBondIsFullAndIsPaidThen() async throws {
        let site = try await ByHandTests.Site(
            chain: "newcomers",
            changes: [
                // Newcomers are drawn first, and two jobs fill a bond.
                "newcomer_share_per_mille = 100": "newcomer_share_per_mille = 1000",
                "minimum_bond = \"100\"": "minimum_bond = \"1\"",
                // Devices that nobody has measured are challenged every few seconds.
                "device_first_interval = 60000": "device_first_interval = 3000",
                "device_challenge_patience = 100000": "device_challenge_patience = 5000",
            ])
        func alice(_ arguments: String..., timeout: TimeInterval = 180) async throws -> Plasma.Outcome {
            let outcome = try await Plasma.run(
                arguments + ["--home", site.home("alice"), "--rpc", "http://127.0.0.1:\(site.base + 101)"],
                environment: ByHandTests.Site.password, timeout: timeout)
            if outcome.code != 0 { throw Plasma.Missing(description: "\(arguments[0]): \(outcome.errors)") }
            return outcome
        }
        func provider(_ address: String) async throws -> JSONValue? {
            try await site.call(0, "provider.list")["providers"]?.array?.first { $0["operator"]?.string == address }
        }
        func isActive(_ address: String) async throws -> Bool {
            let height = try await site.call(0, "node.status")["executedHeight"]?.uint64 ?? 0
            return try await provider(address)?["offers"]?.array?.contains {
                $0["activeFrom"]?.uint64 ?? .max <= height
            }
                ?? false
        }
        try site.start("v0")
        // One that is there already: it makes the price, and audits.
        let settled = try #require(try await site.join("p0", 1, ["--provider"])["operator"]?.string)
        try site.start("p0")
        try await eventually("p0 answers") { try await site.call(1, "node.status")["height"] != nil }
        _ = try await alice("transfer", settled, "2000")

        let newcomer = try #require(try await site.join("p1", 2, ["--provider", "--bond", "0"])["operator"]?.string)
        try site.start("p1")
        try await eventually("the newcomer says what to do") { site.log("p1").contains("plasma provider request") }
        let asked = try await Plasma.run(
            [
                "provider", "request", "--home", site.home("p1"), "--rpc", "http://127.0.0.1:\(site.base + 102)", "-o",
                "json",
            ],
            environment: ByHandTests.Site.password)
        #expect(asked.json?["operator"]?.string == newcomer, "\(asked.errors)")
        let request = try #require(asked.json?["request"]?.string)
        _ = try await alice("provider", "sponsor", request)
        try await eventually("both offers are active") {
            let both = [try await isActive(settled), try await isActive(newcomer)]
            return both == [true, true]
        }
        // Its first job comes after its device has shown what it can.
        func passed(_ address: String) async throws -> Bool? {
            try await provider(address)?["offers"]?.array?.first?["measure"]?["passed"]?.bool
        }
        try await eventually("both devices are measured") {
            let both = [try await passed(settled), try await passed(newcomer)]
            return both == [true, true]
        }
        #expect(try await provider(newcomer)?["bond"]?.string == "0")
        #expect(try await provider(newcomer)?["newcomer"]?["standing"]?.string == "5")
        #expect(try await provider(settled)?["newcomer"]?["standing"] == nil)

        let file = Plasma.root + "/examples/sentences.txt"
        _ = try await alice("model", "publish", Plasma.modelFolder)
        let first = try await alice("job", "submit", file, "-o", "json", timeout: 300)
        #expect(first.json?["provider"]?.string == newcomer, "\(first.output)")
        let held = try #require(try await provider(newcomer))
        let bond = try Amount(parsing: held["bond"]?.string ?? "")
        #expect(bond > .zero && bond < .xpl(1))
        #expect(held["newcomer"]?["withheld"]?.string == bond.description)
        let account = try await site.call(0, "account.get", ["address": .string(newcomer)])
        let before = try Amount(parsing: account["balance"]?.string ?? "")
        let shown = try await alice("provider", "show", newcomer)
        #expect(shown.output.contains("bond \(bond) of 1 XPL: its pay is held"), "\(shown.output)")

        let second = try await alice("job", "submit", file, "-o", "json", timeout: 300)
        #expect(second.json?["provider"]?.string == newcomer, "\(second.output)")
        #expect(try await provider(newcomer)?["bond"]?.string == "1")
        #expect(try await provider(newcomer)?["newcomer"]?["standing"] == nil)
        let paid = try await site.call(0, "account.get", ["address": .string(newcomer)])
        #expect(try Amount(parsing: paid["balance"]?.string ?? "") > before)
        #expect(try await alice("provider", "show", newcomer).output.contains("bond 1 XPL, full"))
        #expect(await site.stop() == [0, 0, 0])
    }
}
