import Consensus
import Ledger
import Primitives
import Replica
import Testing

/// Transactions that come before their predecessors: first the pool by itself, then whole replicas.
struct EarlyTransactionTests {
    typealias Pool = Mempool

    private func sender(_ index: Int) throws -> PublicKey { try MempoolTests.sender(index) }

    private func transaction(_ sender: PublicKey, _ nonce: UInt64, tip: UInt64 = 0) throws -> SignedTransaction {
        try MempoolTests.transaction(sender, nonce: nonce, tip: tip)
    }

    private var pool: Pool { Pool(parameters: MempoolTests.parameters) }

    private func at(_ milliseconds: UInt64) -> Timestamp { Timestamp(milliseconds: 1_000_000 + milliseconds) }

    /// A transaction that carries so many bytes.
    private func opaque(_ sender: PublicKey, _ nonce: UInt64, bytes: Int) throws -> SignedTransaction {
        try SignedTransaction(
            transaction: Transaction(
                network: .zero, sender: sender, nonce: Nonce(nonce), maximumFee: .xpl(1),
                payload: .opaque(OpaqueBytes([UInt8](repeating: 0, count: bytes)))),
            signature: #require(MempoolTests.signature))
    }

    // MARK: The pool

    @Test func itWaitsBesideWhatBlocksCanTake() throws {
        var pool = pool
        let who = try sender(1)
        let signed = try transaction(who, 2)
        try pool.insert(signed, next: 0)
        #expect(pool.earlyCount == 1 && pool.count == 0 && pool.isEmpty && !pool.isReady(signed.id))
        // Its signature need not be checked again, and it is kept over a clean stop.
        #expect(pool.contains(signed.id, signature: signed.signature))
        #expect(pool.early(signed.id) == signed && pool.early(of: who) == [signed] && pool.all == [signed])
        // No block takes it, nobody is told of it, and its account's next nonce is the missing one.
        #expect(pool.pending(of: who).isEmpty && pool.first(10).isEmpty)
        pool.select(next: { _ in 0 }) { _ in
            Issue.record("an early transaction was offered to a block")
            return true
        }
        #expect(pool.nextNonce(of: who, after: 0) == 0)
        #expect(throws: Pool.Refusal.known) { try pool.insert(signed, next: 0) }
    }

    @Test func sixteenNoncesMayBeMissingAndNoMore() throws {
        var pool = pool
        let who = try sender(1)
        try pool.insert(transaction(who, 16), next: 0)
        let beyond = try transaction(who, 17)
        #expect(throws: Pool.Refusal.tooFarAhead(found: 17, next: 0, limit: 16)) { try pool.insert(beyond, next: 0) }
        try pool.insert(transaction(who, 0), next: 0)
        try pool.insert(beyond, next: 0)
        #expect(pool.earlyCount == 2)
    }

    @Test func anAccountKeepsSixteenEarly() throws {
        var pool = pool
        let who = try sender(1)
        for nonce in 0..<UInt64(40) { try pool.insert(transaction(who, nonce), next: 0) }
        for nonce in 41..<UInt64(57) { try pool.insert(transaction(who, nonce), next: 0) }
        #expect(pool.earlyCount == 16)
        // What they waited for is forgotten: others could come before them now.
        try pool.drop(from: transaction(who, 0))
        #expect(pool.count == 0 && pool.earlyCount == 16)
        #expect(throws: Pool.Refusal.tooManyEarly(limit: 16)) { try pool.insert(transaction(who, 5), next: 0) }
        // Another account has sixteen of its own.
        try pool.insert(transaction(sender(2), 5), next: 0)
    }

    @Test func anEighthMoreReplacesIt() throws {
        var pool = pool
        let who = try sender(1)
        let held = try transaction(who, 3, tip: 80)
        try pool.insert(held, next: 0)
        #expect(throws: Pool.Refusal.replacementTooCheap) { try pool.insert(transaction(who, 3, tip: 90), next: 0) }
        let better = try transaction(who, 3, tip: 91)
        try pool.insert(better, next: 0)
        #expect(pool.early(of: who) == [better] && !pool.contains(held.id))
        #expect(pool.bytes == better.canonicalBytes.count)
    }

    @Test func itGivesWayToWhatIsReady() throws {
        var pool = pool
        // Three that came early, the second of them first.
        for (index, since) in [(201, 20), (202, 10), (203, 30)] as [(Int, UInt64)] {
            try pool.insert(transaction(sender(index), 1), next: 0, at: at(since))
        }
        let perSender = 2_500
        for index in 0..<Pool.maximumTransactions / perSender {
            let who = try sender(index)
            for nonce in 0..<UInt64(perSender) {
                let room = Pool.maximumTransactions - pool.count - pool.earlyCount
                if room == 0, pool.earlyCount == 3 { #expect(pool.early(of: try sender(202)).count == 1) }
                try pool.insert(transaction(who, nonce), next: 0, at: at(100))
                if room == 0, pool.earlyCount == 2 { #expect(pool.early(of: try sender(202)).isEmpty) }
                if room == 0, pool.earlyCount == 1 { #expect(pool.early(of: try sender(203)).count == 1) }
            }
        }
        #expect(pool.count == Pool.maximumTransactions && pool.earlyCount == 0)
        // And there is none left for another early one.
        #expect(throws: Pool.Refusal.full(limit: Pool.maximumTransactions)) {
            try pool.insert(transaction(sender(204), 1), next: 0)
        }
    }

    @Test func allThatIsEarlyTogetherIsBounded() throws {
        var pool = pool
        let accounts = Pool.maximumEarly / Int(Pool.maximumAhead)
        for index in 0..<accounts {
            let who = try sender(index)
            for nonce in 1...Pool.maximumAhead {
                try pool.insert(transaction(who, nonce), next: 0, at: at(UInt64(accounts - index)))
            }
        }
        #expect(pool.earlyCount == Pool.maximumEarly)
        // One more: what has waited longest goes, of the last account the lowest nonce.
        try pool.insert(transaction(sender(200), 1), next: 0, at: at(1_000))
        #expect(pool.earlyCount == Pool.maximumEarly)
        #expect(pool.early(of: try sender(accounts - 1)).map(\.transaction.nonce) == (2...16).map { Nonce($0) })
        #expect(pool.early(of: try sender(200)).count == 1)
        #expect(pool.bytes == pool.all.reduce(0) { $0 + $1.canonicalBytes.count })
    }

    @Test func theirBytesAreBounded() throws {
        var pool = pool
        let size = 200 << 10
        let fitting = Pool.maximumEarlyBytes / (try opaque(sender(0), 1, bytes: size).canonicalBytes.count)
        for place in 0..<fitting {
            try pool.insert(
                opaque(sender(place / 16), UInt64(1 + place % 16), bytes: size), next: 0, at: at(UInt64(place)))
        }
        #expect(pool.earlyCount == fitting && pool.bytes <= Pool.maximumEarlyBytes)
        try pool.insert(opaque(sender(100), 1, bytes: size), next: 0, at: at(1_000))
        #expect(pool.earlyCount == fitting && pool.bytes <= Pool.maximumEarlyBytes)
        #expect(pool.early(of: try sender(0)).first?.transaction.nonce == 2)
        // What is ready has the whole room all the same.
        try pool.insert(opaque(sender(101), 0, bytes: size), next: 0, at: at(1_001))
        #expect(pool.count == 1 && pool.earlyCount == fitting)
    }

    @Test func itIsForgottenAfterItsTimeOrOnceItsNonceIsUsed() throws {
        var pool = pool
        let (early, late) = (try sender(1), try sender(2))
        try pool.insert(transaction(early, 3), next: 0, at: at(0))
        for nonce in 2...4 as ClosedRange<UInt64> {
            try pool.insert(transaction(late, nonce), next: 0, at: at(300_000))
        }
        pool.expire(at: at(Pool.lifetime - 1))
        #expect(pool.earlyCount == 4)
        pool.expire(at: at(Pool.lifetime + 60_000))
        #expect(pool.early(of: early).isEmpty && pool.earlyCount == 3)
        // Another's transactions with these nonces became final.
        try pool.remove(finalized: [transaction(late, 0), transaction(late, 1), transaction(late, 2)])
        #expect(pool.early(of: late).map(\.transaction.nonce) == [3, 4])
        try pool.remove(finalized: [transaction(late, 4)])
        #expect(pool.earlyCount == 0 && pool.bytes == 0)
    }

    // MARK: Replicas

    private func told(_ outputs: [ReplicaOutput]) -> [SignedTransaction] {
        var told: [SignedTransaction] = []
        for case .broadcastTransactions(let transactions) in outputs { told += transactions }
        return told
    }

    @Test func itFollowsItsPredecessorAtOnceAndOnlyThenIsTold() throws {
        let network = try ReplicaNetwork()
        try network.run(milliseconds: 2_000)
        let target = network.keys[1].publicKey.address
        let row = (0..<4).map { network.transfer(.xpl(1), nonce: UInt64($0), to: target) }
        let now = network.time
        #expect(told(network.nodes[0].replica.handle(.transactions([row[3], row[1]], local: true), at: now)).isEmpty)
        #expect(network.nodes[0].replica.mempool.earlyCount == 2)
        #expect(try network.nodes[0].replica.missingNonce(before: row[3].id) == 0)
        // The first lets the second follow; the fourth goes on waiting, for the third.
        #expect(
            told(network.nodes[0].replica.handle(.transactions([row[0]], local: true), at: now)) == row.dropLast(2))
        #expect(try network.nodes[0].replica.missingNonce(before: row[3].id) == 2)
        #expect(try network.nodes[0].replica.missingNonce(before: row[1].id) == nil)
        #expect(told(network.nodes[0].replica.handle(.transactions([row[2]], local: true), at: now)) == row.suffix(2))
        let pool = network.nodes[0].replica.mempool
        #expect(pool.pending(of: network.alice.publicKey) == row && pool.earlyCount == 0)
    }

    @Test func inWhateverOrderTheyComeAllBecomeFinal() throws {
        let network = try ReplicaNetwork(followers: 1)
        let target = network.keys[1].publicKey.address
        for (place, nonce) in [3, 1, 5, 0, 4, 2].enumerated() as EnumeratedSequence<[UInt64]> {
            let signed = network.transfer(.xpl(1), nonce: nonce, to: target)
            network.push(place % 5, .input(.transactions([signed], local: true)), after: 2_000 + Int64(place))
        }
        // No transaction is told again within this time: whoever had not kept what came early would lack it.
        try network.run(milliseconds: 4_500)
        for node in network.nodes.indices {
            let account = try Query.account(network.alice.publicKey.address, in: network.nodes[node].state)
            #expect(account.nonce == 6, "node \(node)")
            #expect(network.nodes[node].replica.mempool.earlyCount == 0)
        }
    }

    /// Its predecessor was never heard here: it came in a block of others.
    @Test func aBlockThatTakesThePredecessorLetsItFollow() throws {
        let network = try ReplicaNetwork(followers: 1)
        try network.run(milliseconds: 2_000)
        let target = network.keys[1].publicKey.address
        network.push(
            4, .input(.transactions([network.transfer(.xpl(1), nonce: 1, to: target)], local: true)), after: 1)
        // Admitted without a word to others.
        for node in 0..<4 {
            try network.nodes[node].replica.admit(network.transfer(.xpl(1), nonce: 0, to: target))
        }
        try network.run(milliseconds: 4_500)
        #expect(try Query.account(target, in: network.nodes[0].state).balance == .xpl(2))
    }

    @Test func itGivesAnIdleChainNothingToDo() throws {
        let network = try ReplicaNetwork()
        try network.run(milliseconds: 3_000)
        let target = network.keys[1].publicKey.address
        for node in 0..<4 {
            try network.nodes[node].replica.admit(network.transfer(.xpl(1), nonce: 1, to: target))
        }
        let before = network.nodes[0].replica.executed.height
        try network.run(milliseconds: 10_000)
        let after = network.nodes[0].replica.executed.height
        #expect(after.value - before.value >= 4 && after.value - before.value <= 8, "\(before) to \(after)")
    }

    @Test func whatAnAccountHasWaitingMustBePayableTogether() throws {
        let network = try ReplicaNetwork()
        let target = network.keys[1].publicKey.address
        let all = try Query.account(network.alice.publicKey.address, in: network.nodes[0].state).balance
        let most = try all.scaled(600, over: 1000)
        func admit(_ amount: Amount, _ nonce: UInt64) throws {
            try network.nodes[0].replica.admit(network.transfer(amount, nonce: nonce, to: target))
        }
        func isRefused(_ amount: Amount, _ nonce: UInt64) -> Bool {
            do {
                try admit(amount, nonce)
                return false
            } catch SubmissionFault.invalid(.notEnough) { return true } catch { return false }
        }
        try admit(most, 2)
        // Not with another early one, before it or behind it; a ready one has the money first.
        #expect(isRefused(most, 1) && isRefused(most, 3))
        try admit(most, 0)
        #expect(network.nodes[0].replica.mempool.earlyCount == 1)
        #expect(isRefused(.xpl(1), 3))
        // Its turn has come, and it cannot be paid any more.
        try admit(.xpl(1), 1)
        let pool = network.nodes[0].replica.mempool
        #expect(pool.earlyCount == 0 && pool.pending(of: network.alice.publicKey).count == 2)
        try network.run(milliseconds: 4_000)
        #expect(try Query.account(target, in: network.nodes[0].state).balance == most.adding(.xpl(1)))
    }
}
