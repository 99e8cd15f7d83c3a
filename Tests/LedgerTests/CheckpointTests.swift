import Ledger
import Primitives
import Programs
import Testing

/// What a segment leaves for the next, held by others than who has run it. `TestNet.step` counts all money after every block.
@Suite struct CheckpointTests {
    private static let state = [Digest.of(Domain("segment"), [2]), ShownFlag.root(false)]
    private static let result = ResultCommitment(
        steps: [2], outputRoot: Digest.of(Domain("segment"), [200]), stateRoot: ResultRoots.stateRoot(state))
    /// Of a segment at 0.5 XPL: a twentieth of the least deposit.
    private static let fee = Amount(baseUnits: 2_500_000)

    /// A network with a segment that has opened, and one after it.
    private struct Row {
        let net: TestNet
        let first: Digest
        let second: Digest?
        let provider: SecretKey

        init(providers: Int = 4, policy: AuditPolicy = .sampled(perMille: 5), isAwaited: Bool = true) throws {
            net = try TestNet()
            try net.openMarket(providers)
            first = try net.submit(CheckpointTests.spec(net, 0, policy))
            second = isAwaited ? try net.submit(CheckpointTests.spec(net, 2, policy, after: first)) : nil
            provider = try net.run(first, to: CheckpointTests.result)
            let auditors = try net.commitAudits(first, CheckpointTests.result)
            try net.open(first, provider, CheckpointTests.result)
            for auditor in auditors { try net.revealAudit(first, auditor, CheckpointTests.result) }
        }

        var job: Job { get throws { try net.job(first) } }
        var claim: DeliveryClaim { get throws { try #require(try job.claim) } }

        func draw() throws { for _ in 0..<2 { try net.step() } }

        func hear(_ words: [Bool?]) throws {
            for (witness, word) in zip(try claim.witnesses, words) {
                guard let word else { continue }
                try net.act(
                    try net.key(witness.provider), .attestDelivery(job: first, attempt: 1, holds: word))
            }
        }

        /// Until the segment is over, at most a minute.
        func settle() throws { for _ in 0..<60 where try job.state != .settled { try net.pass(1000) } }
    }

    private static func spec(
        _ net: TestNet, _ first: UInt64, _ policy: AuditPolicy, after parent: Digest? = nil
    ) -> JobSpec {
        var spec = net.spec(policy, queue: 600_000)
        spec.isSegment = true
        spec.scans = [JobScan(first: first, steps: 2, weightedOperations: 25_000_000_000)]
        spec.computeUnits = ComputeUnits(weightedOperations: 50_000_000_000)
        spec.stateOf = parent
        spec.flag = parent == nil ? nil : 1
        return spec
    }

    @Test func aSegmentSettlesOnceOthersHoldWhatItLeaves() throws {
        let row = try Row()
        try row.draw()
        #expect(try row.claim.subject == .checkpoint && row.claim.deposit == .zero)
        #expect(try row.claim.witnesses.count == 3)
        let witnesses = try row.claim.witnesses.map { try row.net.key($0.provider) }
        #expect(!witnesses.contains { $0.publicKey == row.provider.publicKey })
        let worth = try witnesses.map { try row.net.worth($0) }
        // Its window of 3 s and twice its time is over.
        try row.net.pass(14_000)
        #expect(try row.job.state == .opened && row.net.job(#require(row.second)).state == .waiting)
        try row.hear([true, nil, true])
        #expect(try row.claim.state == .delivered)
        try row.net.step()
        try row.net.step()
        #expect(try row.job.state == .settled && row.job.stagingPaid == Self.fee.multiplied(by: 2))
        #expect(try row.net.job(#require(row.second)).state != .waiting)
        let gains = try zip(witnesses, worth).map { try row.net.worth($0).subtracting($1) }
        #expect(gains == [Self.fee, .zero, Self.fee])
        // Who had not spoken when it was decided owes nothing.
        #expect(try row.net.provider(witnesses[1]).bond == .xpl(1000))
        #expect(try row.net.provider(row.provider).bond == .xpl(1000))
    }

    /// They have run it, so that they need to fetch nothing.
    @Test func auditorsAreAskedFirst() throws {
        let row = try Row(policy: .replicated(count: 2))
        try row.draw()
        let auditors = Set(try row.job.audits.map(\.auditor))
        #expect(auditors.count == 2)
        #expect(try Set(row.claim.witnesses.prefix(2).map(\.provider)) == auditors)
    }

    /// A network of three or two goes on as far as there are others.
    @Test(arguments: [(3, [nil, true]), (2, [true]), (3, [true, nil])]) func whereFewAreThereHalfOfThemAreEnough(
        _ providers: Int, _ words: [Bool?]
    ) throws {
        let row = try Row(providers: providers)
        try row.draw()
        #expect(try row.claim.witnesses.count == words.count)
        try row.hear(words)
        #expect(try row.claim.state == .delivered)
        try row.settle()
        #expect(try row.job.state == .settled && row.job.stagingPaid == Self.fee)
    }

    @Test func whereNobodyElseIsThereItSettlesAsEver() throws {
        let row = try Row(providers: 1)
        try row.draw()
        #expect(try row.claim.state == .lapsed)
        try row.settle()
        #expect(try row.job.state == .settled && row.job.stagingPaid == .zero)
    }

    /// Words that cost nothing decide about no pay: else friends of the requester would have it run for nothing.
    @Test func wordsOfHoldersConvictNobody() throws {
        let row = try Row()
        try row.draw()
        try row.hear([false, false, false])
        let balance = try row.net.balance(row.provider)
        #expect(try row.job.isClaimed)
        try row.net.pass(22_000)
        try row.settle()
        #expect(try row.claim.state == .undelivered && row.job.state == .settled)
        #expect(try row.net.balance(row.provider) == balance.adding(Amount(parsing: "0.48")))
        #expect(try row.job.stagingPaid == .zero && row.net.provider(row.provider).convictions == 0)
    }

    @Test func holdersThatSayNothingPayAndHoldNobodyUpForLong() throws {
        let row = try Row()
        try row.draw()
        let deadline = try row.claim.deadline
        try row.settle()
        #expect(try row.job.state == .settled && row.claim.state == .lapsed)
        #expect(try Query.chain(in: row.net.store).clock < deadline + 3_000)
        for witness in try row.claim.witnesses {
            #expect(try row.net.provider(row.net.key(witness.provider)).bond == Amount.xpl(1000).subtracting(Self.fee))
        }
    }

    /// That its output is handed to nobody the requester claims as ever, with its deposit; whoever was asked to hold it is asked no more.
    @Test func itsOutputIsClaimedAllTheSame() throws {
        let row = try Row()
        try row.draw()
        let witness = try row.net.key(try row.claim.witnesses[0].provider)
        try row.net.act(row.net.requester, .claimUndelivered(job: row.first, attempt: 1, deposit: .xpl(1)))
        #expect(try row.claim.subject == .output && row.claim.deposit == .xpl(1) && row.claim.witnesses.isEmpty)
        try row.net.fail(witness, .attestDelivery(job: row.first, attempt: 1, holds: true), "no part in this job")
        try row.draw()
        try row.hear([false, false, false])
        try row.net.pass(22_000)
        try row.net.step()
        #expect(try row.job.attempt == 2 || row.job.state == .open)
        #expect(try row.net.provider(row.provider).convictions == 1)
        try row.net.fail(
            row.net.requester, .claimUndelivered(job: row.first, attempt: 1, deposit: .xpl(1)), "")
    }

    @Test func whatNobodyGoesOnFromIsHeldByNobodyElse() throws {
        let row = try Row(isAwaited: false)
        try row.draw()
        #expect(try row.job.claim == nil)
        let net = try TestNet()
        try net.openMarket()
        let id = try net.submit(net.spec(.sampled(perMille: 5)))
        var child = net.spec()
        child.inputs = [JobInput(name: "x", source: .result(ResultTensor(job: id, step: 0, index: 0, count: 1)))]
        _ = try net.submit(child)
        let provider = try net.runToDraw(id)
        _ = try net.commitAudits(id)
        try net.open(id, provider)
        #expect(try net.job(id).isAwaited && net.job(id).claim == nil)
    }

    @Test func theNumberOfHoldersIsBounded() {
        func problem(_ holders: UInt64) -> String? {
            var parameters = ChainParameters()
            parameters.checkpointHolders = holders
            return parameters.problem
        }
        #expect(problem(1) == nil && problem(5) == nil)
        #expect(problem(0) != nil && problem(6) != nil)
    }
}
