import Ledger
import Primitives
import Testing

/// Several moves of one provider under one signature.
@Suite struct MoveBundleTests {
    private func start(_ number: UInt64) -> Payload {
        .startJob(job: Digest.of(Domain("test.job"), number.canonicalBytes), attempt: 1)
    }

    // MARK: Encoding

    @Test func aBundleHasOneEncoding() throws {
        let payload = Payload.moves(try #require(MoveBundle((0..<32).map { start($0) })))
        #expect(try Payload(canonicalBytes: payload.canonicalBytes) == payload)
        // Too few, too many.
        #expect(MoveBundle([start(0)]) == nil && MoveBundle([]) == nil)
        #expect(MoveBundle((0..<33).map { start($0) }) == nil)
        for count in [0, 1, 33, 255] as [UInt8] {
            var writer = ByteWriter(capacity: 64)
            writer.write(UInt8(27))
            writer.write(count)
            for number in 0..<UInt64(count) { start(number).encode(into: &writer) }
            #expect(throws: DecodingFault.self) { try Payload(canonicalBytes: writer.bytes) }
        }
    }

    @Test func onlyMovesOfJobsTravelTogether() throws {
        let inner = Payload.moves(try #require(MoveBundle([start(0), start(1)])))
        let others: [Payload] = [
            inner, .transfer(to: TestNet.key(1).publicKey.address, amount: .xpl(1), memo: []), .withdrawProvider,
            .cancelJob(job: .zero),
            .addBond(amount: .xpl(1)),
        ]
        for other in others {
            #expect(MoveBundle([start(0), other]) == nil)
            var writer = ByteWriter(capacity: 64)
            writer.write(UInt8(27))
            writer.write(UInt8(2))
            start(0).encode(into: &writer)
            other.encode(into: &writer)
            #expect(throws: DecodingFault.self) { try Payload(canonicalBytes: writer.bytes) }
        }
    }

    /// A bundle in a bundle in a bundle, as deep as a frame is long: refused at the first, not at the last.
    @Test func bundlesAreNotNested() {
        let bytes: [UInt8] = [27] + (0..<500_000).flatMap { _ in [2, 27] as [UInt8] }
        #expect(throws: DecodingFault.self) { try Payload(canonicalBytes: bytes) }
    }

    @Test func neighboursAreBundledInTheirOrder() {
        let moves = (0..<70).map { start($0) }
        let bundles = Payload.bundles(of: moves)
        #expect(bundles.map(\.places) == [0..<32, 32..<64, 64..<70])
        #expect(bundles.flatMap(\.payload.moves) == moves)
        // What cannot travel so stands alone, and parts its neighbours.
        let mixed = [start(0), .withdrawProvider, start(1), start(2)]
        let parts = Payload.bundles(of: mixed)
        #expect(parts.map(\.places) == [0..<1, 1..<2, 2..<4])
        #expect(parts[0].payload == start(0) && parts[1].payload == .withdrawProvider)
        #expect(Payload.bundles(of: []).isEmpty)
    }

    /// Large openings fill a transaction before there are 32 of them.
    @Test func aBundleFitsIntoATransaction() {
        let steps = [UInt64](repeating: 1, count: ResultCommitment.maximumScans)
        let large = (0..<200).map { number in
            Payload.revealAudit(
                job: Digest.of(Domain("test.job"), UInt64(number).canonicalBytes), attempt: 1,
                commitment: ResultCommitment(steps: steps, outputRoot: .zero, stateRoot: .zero), salt: .zero)
        }
        let bundles = Payload.bundles(of: large)
        #expect(bundles.flatMap(\.payload.moves) == large)
        for bundle in bundles { #expect(bundle.payload.canonicalBytes.count < Transaction.maximumBytes - 512) }
    }

    // MARK: Effects

    /// Three jobs of one provider: started, and committed, under one signature each.
    @Test func eachMoveHasItsEffectAndIsPaidByItsOwnJob() throws {
        let net = try TestNet()
        try net.openMarket(1)
        let jobs = try (0..<3).map { _ in try net.submit(net.spec()) }
        try net.pass(200)
        for job in jobs { #expect(try net.job(job).state == .assigned) }
        let provider = net.providers[0]
        let before = try jobs.map { try net.job($0).allowance }
        let balance = try net.balance(provider)
        let payload = Payload.moves(try #require(MoveBundle(jobs.map { .startJob(job: $0, attempt: 1) })))
        let transaction = net.transaction(provider, payload)
        let result = try net.step([transaction])
        #expect(result.receipts[0].succeeded && result.receipts[0].failures.isEmpty)
        var paid = Amount.zero
        for (job, allowance) in zip(jobs, before) {
            #expect(try net.job(job).state == .running)
            paid = try paid.adding(try allowance.subtracting(try net.job(job).allowance))
        }
        #expect(paid == result.receipts[0].fee && paid > .zero)
        #expect(try net.balance(provider) == balance)
        // Together the parts weigh what the transaction does, and less than three transactions.
        let weight = Fees.weight(transaction.transaction, net.genesis.parameters)
        #expect(result.receipts[0].weight == weight)
        let alone = Fees.weight(
            net.transaction(provider, .startJob(job: jobs[0], attempt: 1)).transaction, net.genesis.parameters)
        #expect(weight < 3 * alone && weight > alone)
    }

    /// One that fails takes nothing from the others: its mover pays for it.
    @Test func aMoveThatFailsFailsAlone() throws {
        let net = try TestNet()
        try net.openMarket(2)
        let job = try net.submit(net.spec())
        try net.pass(200)
        let provider = try net.executor(job)
        let balance = try net.balance(provider)
        let allowance = try net.job(job).allowance
        let unknown = Digest.of(Domain("test.job"), [1])
        let bundle = try #require(
            MoveBundle([
                .startJob(job: unknown, attempt: 1), .startJob(job: job, attempt: 1),
                // It runs already.
                .startJob(job: job, attempt: 1),
            ]))
        let transaction = net.transaction(provider, .moves(bundle))
        let receipt = try net.step([transaction]).receipts[0]
        #expect(!receipt.succeeded && receipt.failures.map(\.place) == [0, 2])
        #expect(receipt.reason.contains("2 of 3 moves failed"))
        #expect(receipt.failures[0].reason.contains("no part in this job"))
        #expect(try net.job(job).state == .running)
        let weights = bundle.weights(of: transaction.transaction, net.genesis.parameters)
        let fees = try weights.map { try Fees.fee(weight: $0, baseFee: net.parent.baseFee, tip: .zero) }
        let left = try balance.subtracting(fees[0]).subtracting(fees[2])
        #expect(try net.balance(provider) == left)
        let rest = try allowance.subtracting(fees[1])
        #expect(try net.job(job).allowance == rest)
        let all = try fees.reduce(Amount.zero) { try $0.adding($1) }
        #expect(receipt.fee == all)
    }

    @Test func whoIsNoProviderMovesNothing() throws {
        let net = try TestNet()
        try net.openMarket(1)
        let bundle = try #require(MoveBundle([start(0), start(1)]))
        #expect(throws: ValidityFault.transaction(index: 0, .notAProvider)) {
            try net.step([net.transaction(net.people[3], .moves(bundle))])
        }
    }

    /// As many moves as a provider may have waiting are counted one by one.
    @Test func aBundleCountsAsItsMoves() throws {
        let net = try TestNet()
        try net.openMarket(1)
        let limit = Int(net.genesis.parameters.maximumPendingMoves)
        let full = try #require(MoveBundle((0..<32).map { start($0) }))
        let count = limit / 32 + 1
        let transactions = (0..<count).map { _ in net.transaction(net.providers[0], .moves(full)) }
        #expect(throws: ValidityFault.transaction(index: count - 1, .tooManyMoves(limit: UInt64(limit)))) {
            try net.step(transactions)
        }
    }

    /// A proof of a trap is the provider's own, in a bundle too.
    @Test func proofsOfTrapsAreChecked() throws {
        let (key, other) = (TestNet.key(7), TestNet.key(8))
        let job = Digest.of(Domain("test.job"), [3])
        func transaction(_ prover: SecretKey) throws -> SignedTransaction {
            let opening = ResultOpening(
                commitment: TestNet.result, decoy: nil, salt: .zero,
                trap: TrapProof(job: job, beacon: .zero, key: prover))
            let bundle = try #require(
                MoveBundle([.openResult(job: job, attempt: 1, opening: opening), start(1)]))
            return Transaction(
                network: .zero, sender: key.publicKey, nonce: 0, maximumFee: .xpl(1), payload: .moves(bundle)
            ).signed(by: key)
        }
        #expect(try transaction(key).isSigned)
        let isForged = try !transaction(other).isSigned
        #expect(isForged)
    }
}
