import Ledger
import Primitives
import Replica
import Testing

/// The pool of waiting transactions, beside a list that is simple enough to be right.
struct MempoolTests {
    typealias Pool = Mempool

    static let parameters = ChainParameters.devnet

    static func sender(_ index: Int) throws -> PublicKey {
        try SecretKey(seed: Digest.of(Domain("test.key"), [UInt8(index)]).bytes).publicKey
    }

    /// The pool asks nobody whether a signature is right: that was looked at before.
    static let signature = try? Signature(bytes: [UInt8](repeating: 0, count: 64))

    static func transaction(_ sender: PublicKey, nonce: UInt64, tip: UInt64 = 0) throws -> SignedTransaction {
        try SignedTransaction(
            transaction: Transaction(
                network: .zero, sender: sender, nonce: Nonce(nonce),
                tip: Amount(baseUnits: UInt128(tip)), maximumFee: .xpl(1),
                payload: .transfer(to: sender.address, amount: Amount(baseUnits: 1), memo: [])),
            signature: #require(signature))
    }

    /// Each sender's transactions in a plain array from its next nonce on.
    struct Model {
        var next: [UInt64]
        var waiting: [[SignedTransaction]]

        var count: Int { waiting.map(\.count).reduce(0, +) }
    }

    @Test(arguments: 0..<20) func doesWhatTheSimpleListDoes(_ round: Int) throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SplitMix64(seed: seed)
        let senders = try (0..<4).map { try Self.sender($0) }
        var pool = Pool(parameters: Self.parameters)
        var model = Model(next: [0, 0, 0, 0], waiting: [[], [], [], []])
        for step in 0..<400 {
            let who = Int.random(in: 0..<4, using: &random)
            let head = model.next[who]
            let row = model.waiting[who]
            let tip = UInt64.random(in: 0...100, using: &random)
            switch Int.random(in: 0..<10, using: &random) {
            case 0...4:
                let signed = try Self.transaction(senders[who], nonce: head + UInt64(row.count), tip: tip)
                try pool.insert(signed, next: Nonce(head))
                model.waiting[who].append(signed)
                #expect(throws: Pool.Refusal.known) { try pool.insert(signed, next: Nonce(head)) }
            case 5 where !row.isEmpty:
                let place = Int.random(in: 0..<row.count, using: &random)
                let held = row[place].transaction.tip.baseUnits
                let signed = try Self.transaction(senders[who], nonce: head + UInt64(place), tip: tip)
                if signed.id == row[place].id {
                    #expect(throws: Pool.Refusal.known) { try pool.insert(signed, next: Nonce(head)) }
                } else if UInt128(tip) * 8 > held * 8 + held - held % 8 {
                    try pool.insert(signed, next: Nonce(head))
                    model.waiting[who][place] = signed
                } else {
                    #expect(throws: Pool.Refusal.replacementTooCheap, "seed \(seed), step \(step)") {
                        try pool.insert(signed, next: Nonce(head))
                    }
                }
            case 6 where head > 0:
                let stale = try Self.transaction(senders[who], nonce: head - 1, tip: 1_000)
                #expect(throws: Pool.Refusal.staleNonce(found: Nonce(head - 1), next: Nonce(head))) {
                    try pool.insert(stale, next: Nonce(head))
                }
            case 7, 8:
                // A block took the first few of some senders.
                var final: [SignedTransaction] = []
                for other in senders.indices where Bool.random(using: &random) {
                    let taken = Int.random(in: 0...model.waiting[other].count, using: &random)
                    final += model.waiting[other].prefix(taken)
                    model.waiting[other].removeFirst(taken)
                    model.next[other] += UInt64(taken)
                }
                pool.remove(finalized: final)
            case 9 where !row.isEmpty:
                let place = Int.random(in: 0..<row.count, using: &random)
                pool.drop(from: row[place])
                model.waiting[who].removeSubrange(place...)
            default: break
            }
            compare(pool, model, senders, &random, "seed \(seed), step \(step)")
        }
    }

    private func compare(
        _ pool: Pool, _ model: Model, _ senders: [PublicKey], _ random: inout SplitMix64, _ at: Comment
    ) {
        #expect(pool.count == model.count && pool.isEmpty == (model.count == 0), at)
        for (who, sender) in senders.enumerated() {
            let row = model.waiting[who]
            #expect(pool.pending(of: sender) == row, at)
            #expect(row.allSatisfy { pool.contains($0.id) }, at)
            let next = Nonce(model.next[who])
            #expect(pool.nextNonce(of: sender, after: next) == Nonce(next.value + UInt64(row.count)), at)
        }
        #expect(pool.first(7).count == min(7, model.count), at)
        // A block is built: where one is not taken, its sender's rest is passed over.
        let refused = UInt64.random(in: 0...20, using: &random)
        var expected: [SignedTransaction] = []
        let heads = senders.indices.filter { !model.waiting[$0].isEmpty }.sorted { a, b in
            let (x, y) = (model.waiting[a][0].transaction.tip, model.waiting[b][0].transaction.tip)
            return x != y ? x > y : senders[a] < senders[b]
        }
        for who in heads { expected += model.waiting[who].prefix { $0.transaction.nonce.value % 21 != refused } }
        var taken: [SignedTransaction] = []
        pool.select(next: { key in senders.firstIndex(of: key).map { Nonce(model.next[$0]) } ?? 0 }) { signed in
            if signed.transaction.nonce.value % 21 == refused { return false }
            taken.append(signed)
            return true
        }
        #expect(taken == expected, at)
    }

    @Test func anAccountIsBoundedAndWhatIsFinalMakesRoom() throws {
        var pool = Pool(parameters: Self.parameters)
        let sender = try Self.sender(1)
        for nonce in 0..<UInt64(Pool.maximumPerAccount) {
            try pool.insert(Self.transaction(sender, nonce: nonce), next: 0)
        }
        let beyond = try Self.transaction(sender, nonce: UInt64(Pool.maximumPerAccount))
        #expect(throws: Pool.Refusal.accountFull(limit: Pool.maximumPerAccount)) { try pool.insert(beyond, next: 0) }
        try pool.remove(finalized: [Self.transaction(sender, nonce: 0)])
        try pool.insert(beyond, next: 1)
        #expect(pool.count == Pool.maximumPerAccount)
    }

    @Test func thePoolIsBounded() throws {
        var pool = Pool(parameters: Self.parameters)
        let perSender = 2_500
        for index in 0..<Pool.maximumTransactions / perSender {
            let sender = try Self.sender(index)
            for nonce in 0..<UInt64(perSender) { try pool.insert(Self.transaction(sender, nonce: nonce), next: 0) }
        }
        let late = try Self.sender(200)
        #expect(throws: Pool.Refusal.full(limit: Pool.maximumTransactions)) {
            try pool.insert(Self.transaction(late, nonce: 0), next: 0)
        }
        // A replacement takes no new place.
        try pool.insert(Self.transaction(Self.sender(3), nonce: 5, tip: 9), next: 0)
        #expect(pool.count == Pool.maximumTransactions)
    }

    @Test func bytesAreBounded() throws {
        var pool = Pool(parameters: Self.parameters)
        func long(_ sender: PublicKey, _ nonce: UInt64) throws -> SignedTransaction {
            try SignedTransaction(
                transaction: Transaction(
                    network: .zero, sender: sender, nonce: Nonce(nonce), maximumFee: .xpl(1),
                    payload: .publishModel(
                        name: String(repeating: "n", count: 64), manifest: .zero, program: .zero, royaltyBasisPoints: 0)
                ),
                signature: #require(Self.signature))
        }
        let size = try long(Self.sender(0), 0).canonicalBytes.count
        for index in 0..<3 {
            for nonce in 0..<UInt64(100) { try pool.insert(long(Self.sender(index), nonce), next: 0) }
        }
        #expect(pool.bytes == 300 * size)
        try pool.remove(finalized: [long(Self.sender(1), 49)])
        #expect(pool.bytes == 250 * size)
        try pool.drop(from: long(Self.sender(0), 10))
        #expect(pool.bytes == 160 * size && pool.count == 160)
        try pool.insert(Self.transaction(Self.sender(2), nonce: 7, tip: 5), next: 0)
        #expect(pool.bytes < 160 * size && pool.count == 160)
    }

    @Test func whatNoBlockTakesIsForgottenWithWhatDependsOnIt() throws {
        var pool = Pool(parameters: Self.parameters)
        let (early, late) = (try Self.sender(1), try Self.sender(2))
        func at(_ milliseconds: UInt64) -> Timestamp { Timestamp(milliseconds: 1_000_000 + milliseconds) }
        try pool.insert(Self.transaction(early, nonce: 0), next: 0, at: at(0))
        try pool.insert(Self.transaction(early, nonce: 1), next: 0, at: at(400_000))
        try pool.insert(Self.transaction(late, nonce: 0), next: 0, at: at(300_000))
        try pool.insert(Self.transaction(late, nonce: 1), next: 0, at: at(0))
        pool.expire(at: at(Pool.lifetime - 1))
        #expect(pool.count == 4)
        // It looks once a minute, and no more often.
        pool.expire(at: at(Pool.lifetime))
        #expect(pool.count == 4)
        pool.expire(at: at(Pool.lifetime + 60_000))
        #expect(pool.pending(of: early).isEmpty)
        #expect(pool.pending(of: late).map(\.transaction.nonce) == [0])
        // Given again it waits again.
        try pool.insert(Self.transaction(early, nonce: 0), next: 0, at: at(700_000))
        #expect(pool.count == 2)
    }

    /// A block may hold a waiting transaction under another signature: nobody has looked at that one.
    @Test func aWaitingTransactionAnswersForNoOtherSignature() throws {
        var pool = Pool(parameters: Self.parameters)
        let signed = try Self.transaction(Self.sender(1), nonce: 0)
        try pool.insert(signed, next: 0)
        let other = try Signature(bytes: [UInt8](repeating: 1, count: 64))
        #expect(pool.contains(signed.id, signature: signed.signature))
        #expect(pool.contains(signed.id) && !pool.contains(signed.id, signature: other))
        pool.drop(from: signed)
        #expect(!pool.contains(signed.id, signature: signed.signature))
    }
}
