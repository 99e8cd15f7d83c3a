import API
import Foundation
import Testing

/// Devices of real machines are measured by themselves, and known by what they have shown.
@Suite(.serialized, .fewAtATime) struct DeviceTests {
    @Test func devicesAreMeasuredAndWhoDeclaresTooMuchIsMatchedByWhatItIs() async throws {
        let net = try TestDevnet()
        do { try await measure(net) } catch {
            await net.end()
            throw error
        }
        await net.end()
    }

    private func offer(_ net: TestDevnet, _ name: String) async throws -> JSONValue? {
        try await net.call(0, "provider.list")["providers"]?.array?.first { $0["name"]?.string == name }?["offers"]?[0]
    }

    private func measure(_ net: TestDevnet) async throws {
        // What is claimed is a fifth of a core's second, and a busy machine has ten times that. All are challenged again when the minute of the first round is
        // over.
        try await net.up(set: [
            "device_challenge_interval=5000", "device_first_interval=2000", "device_challenge_time=200",
            "device_challenge_allowance=2000", "device_challenge_patience=60000",
        ])
        try await eventually("all three have passed a challenge") {
            var passed = 0
            for name in ["provider-0", "provider-1", "provider-2"] {
                if try await offer(net, name)?["measure"]?["passed"]?.bool == true { passed += 1 }
            }
            return passed == 3
        }
        let honest = try #require(try await offer(net, "provider-0"))
        #expect(honest["claimedRate"]?.uint64 == 40_000_000_000)
        #expect((honest["rate"]?.uint64 ?? 0) > 26_000_000_000)
        let shown = try await net.plasma("provider", "list")
        #expect(shown.output.contains("G/s measured"), "\(shown.output)")

        // One says to do three tera-operations a second on one thread: 600 G in the challenge's time, which no core does in 2.3 s.
        let before = try await offer(net, "provider-1")?["measure"]?["rate"]?.uint64
        try await net.stop("provider-1")
        try net.edit("provider-1") { $0.replacingOccurrences(of: "rate_gops = 40", with: "rate_gops = 3000") }
        try await net.up()
        try await eventually("its claim is measured", within: 400) {
            guard let offer = try await offer(net, "provider-1"), offer["claimedRate"]?.uint64 == 3_000_000_000_000
            else { return false }
            // What it has shown before stands until then.
            guard let rate = offer["measure"]?["rate"]?.uint64 else { return false }
            return rate != before
        }
        let liar = try #require(try await offer(net, "provider-1"))
        #expect(liar["measure"]?["passed"]?.bool == false)
        let rate = try #require(liar["rate"]?.uint64)
        #expect(rate < 1_000_000_000_000 && rate == liar["measure"]?["rate"]?.uint64, "\(rate)")
        let told = try await net.plasma("provider", "list")
        #expect(told.output.contains("of 3000 G/s claimed: not passed"), "\(told.output)")
    }
}
