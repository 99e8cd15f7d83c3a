import API
import Foundation
import Ledger
import Primitives
import Testing

/// Transactions as callers of the RPC follow them.
@Suite(.serialized, .fewAtATime) struct TransactionTests {
    /// A caller that keeps its own key, nonces and counsel.
    private struct Caller {
        let key: SecretKey
        let network: Digest

        func sign(_ nonce: UInt64, _ payload: Payload) -> SignedTransaction {
            Transaction(
                network: network, sender: key.publicKey, nonce: Nonce(nonce), maximumFee: .xpl(1), payload: payload
            ).signed(by: key)
        }
    }

    private func submit(_ signed: SignedTransaction, to place: Int, _ site: ByHandTests.Site, wait: Bool) async throws
        -> JSONValue
    {
        try await site.call(
            place, "tx.submit",
            ["transaction": .string(Hexadecimal.encode(signed.canonicalBytes)), "wait": .bool(wait)])
    }

    private func status(_ signed: SignedTransaction, _ place: Int, _ site: ByHandTests.Site) async throws -> JSONValue {
        try await site.call(place, "tx.status", ["id": .string(signed.id.hex)])
    }

    @Test func whatComesTooEarlyWaitsAndOutcomesOutliveAKill() async throws {
        let site = try await ByHandTests.Site(chain: "ahead")
        try site.start("v0")
        _ = try await site.join("friend", 1)
        try site.start("friend")
        try await eventually("the friend follows") {
            (try await site.call(1, "node.status")["height"]?.uint64 ?? 0) >= 2
        }
        let key = try SecretKey(seed: (0..<32).map { _ in UInt8.random(in: 0...255) })
        let network = try #require(Digest(hex: try await site.call(0, "node.status")["network"]?.string ?? ""))
        let caller = Caller(key: key, network: network)
        let funded = try await Plasma.run(
            [
                "transfer", "\(key.publicKey.address)", "100", "--home", site.home("alice"), "--rpc",
                "http://127.0.0.1:\(site.base + 100)",
            ], environment: ByHandTests.Site.password)
        #expect(funded.code == 0, "\(funded.errors)")
        let target = try SecretKey(seed: [UInt8](repeating: 3, count: 32)).publicKey.address
        let first = caller.sign(0, .transfer(to: target, amount: .xpl(1), memo: []))
        // There is no such job: it fails, and has paid for trying.
        let failing = caller.sign(1, .cancelJob(job: .zero))
        let last = caller.sign(2, .transfer(to: target, amount: .xpl(2), memo: []))

        try await eventually("the friend knows of the account's money") {
            try await site.call(1, "account.get", ["address": .string("\(key.publicKey.address)")])["balance"]?.string
                == "100"
        }
        let early = try await submit(last, to: 1, site, wait: false)
        #expect(early["status"]?.string == "pending")
        try await eventually("it waits") {
            try await site.call(1, "node.status")["earlyTransactions"]?.uint64 == 1
        }
        #expect(try await site.call(1, "node.status")["waitingTransactions"]?.uint64 == 0)
        // It is kept over a clean stop.
        try await site.stop("friend")
        try site.start("friend")
        try await eventually("it waits again") {
            try await site.call(1, "node.status")["earlyTransactions"]?.uint64 == 1
        }
        let waiting = try await status(last, 1, site)
        #expect(waiting["status"]?.string == "pending" && waiting["missingNonce"]?.uint64 == 0)
        #expect(waiting["reason"]?.string == "waiting for nonce 0 of its sender")
        let said = try await Plasma.run(
            ["tx", "status", last.id.hex, "--rpc", "http://127.0.0.1:\(site.base + 101)"])
        #expect(said.output == "pending: waiting for nonce 0 of its sender\n")
        let far = caller.sign(40, .transfer(to: target, amount: .xpl(1), memo: []))
        await #expect(throws: (any Error).self) { _ = try await submit(far, to: 1, site, wait: false) }

        // Its predecessors go to the other node; it follows them.
        let done = try await submit(first, to: 0, site, wait: true)
        #expect(done["status"]?.string == "final" && done["succeeded"]?.bool == true)
        let failed = try await submit(failing, to: 0, site, wait: true)
        #expect(failed["status"]?.string == "final" && failed["succeeded"]?.bool == false)
        try await eventually("it has followed") { try await status(last, 1, site)["status"]?.string == "final" }
        let followed = try await status(last, 1, site)
        let height = try #require(followed["height"]?.uint64)
        // Eight blocks later the state was flushed for certain. What comes then may not be.
        try await eventually("more blocks are final") {
            try await site.call(1, "node.status")["executedHeight"]?.uint64 ?? 0 >= height + 10
        }
        let newest = caller.sign(3, .transfer(to: target, amount: .xpl(3), memo: []))
        let final = try await submit(newest, to: 1, site, wait: true)
        #expect(final["status"]?.string == "final")
        try site.kill("v0")
        try site.kill("friend")
        try site.start("v0")
        try site.start("friend")
        for place in 0..<2 {
            try await eventually("node \(place) is ready") {
                try await site.call(place, "node.status")["ready"]?.bool == true
            }
            for (signed, known) in [(first, done), (failing, failed), (last, followed), (newest, final)] {
                let found = try await status(signed, place, site)
                #expect(found == known, "node \(place), nonce \(signed.transaction.nonce)")
            }
            #expect(try await status(far, place, site)["status"]?.string == "unknown")
        }
        let balance = try await site.call(1, "account.get", ["address": .string("\(target)")])["balance"]?.string
        #expect(balance == "6")
        #expect(await site.stop() == [0, 0])
    }
}
