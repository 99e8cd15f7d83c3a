import Ledger
import Primitives
import Programs
import Testing

/// A job of several scans, that a flag may end early: what is paid is what was run.
@Suite struct JobStepsTests {
    /// 10 operations for the reading, a first scan of one step of 50, a second of at most 4 steps of 10.
    private func spec(_ net: TestNet, _ policy: AuditPolicy = .audited) -> JobSpec {
        var spec = net.spec(policy)
        spec.scans = [
            JobScan(steps: 1, weightedOperations: 50_000_000_000),
            JobScan(steps: 4, weightedOperations: 10_000_000_000),
        ]
        return spec
    }

    private func result(_ steps: [UInt64]) -> ResultCommitment {
        ResultCommitment(steps: steps, outputRoot: TestNet.result.outputRoot, stateRoot: .zero)
    }

    private func commit(_ net: TestNet, _ spec: JobSpec, _ result: ResultCommitment) throws -> (Digest, SecretKey) {
        let id = try net.submit(spec)
        try net.step()
        let provider = try net.executor(id)
        try net.act(provider, .startJob(job: id, attempt: 1))
        try net.act(
            provider, .commitResult(job: id, attempt: 1, masked: try net.masked(provider, id, result)))
        try net.step()
        try net.step()
        return (id, provider)
    }

    /// The offers ask 1 XPL for all of it.
    @Test(arguments: [([1, 4], "1"), ([1, 3], "0.9"), ([1, 1], "0.7")] as [([UInt64], String)])
    func theStepsThatWereTakenArePaid(_ steps: [UInt64], _ price: String) throws {
        let net = try TestNet()
        try net.openMarket()
        let before = try net.balance(net.requester)
        let result = result(steps)
        let (id, provider) = try commit(net, spec(net), result)
        let auditor = try #require(try net.commitAudits(id, result).first)
        let balances = (try net.balance(provider), try net.balance(auditor))
        try net.act(
            provider, .openResult(job: id, attempt: 1, opening: try net.opening(id, provider, result)))
        try net.act(auditor, .revealAudit(job: id, attempt: 1, commitment: result, salt: net.salt(auditor)))
        try net.pass(30_000)
        let receipt = try #require(try Query.receipt(job: id, in: net.store))
        let amount = try Amount(parsing: price)
        #expect(receipt.amount == amount && receipt.auditFees == amount)
        #expect(receipt.computeUnits == net.spec().computeUnits.less(steps))
        let pay = try amount.scaled(96, over: 100)
        #expect(try net.balance(provider) == balances.0.adding(pay))
        #expect(try net.balance(auditor) == balances.1.adding(pay))
        // All else came back but the fees.
        let spent = try before.subtracting(try net.balance(net.requester)).subtracting(try amount.multiplied(by: 2))
        #expect(spent < (try Amount(parsing: "0.11")))
    }

    /// A price that does not divide is rounded up, and never above what was locked.
    @Test func whatDoesNotDivideIsRoundedUp() throws {
        let net = try TestNet()
        try net.openMarket()
        var spec = spec(net, .sampled(perMille: 5))
        spec.scans[1].steps = 3
        spec.scans[1].weightedOperations = 3_333_333_333
        let result = result([1, 2])
        let (id, provider) = try commit(net, spec, result)
        try net.act(
            provider, .openResult(job: id, attempt: 1, opening: try net.opening(id, provider, result)))
        try net.pass(30_000)
        // 1 XPL · 96,666,666,667 / 100,000,000,000.
        #expect(try Query.receipt(job: id, in: net.store)?.amount == Amount(baseUnits: 966_666_667))
    }

    @Test(arguments: [[], [1], [1, 5], [0, 4], [1, 0], [2, 4], [1, 4, 1], [.max, .max]] as [[UInt64]])
    func stepsThatNoRunTakesAreNoResult(_ steps: [UInt64]) throws {
        let net = try TestNet()
        try net.openMarket()
        let wrong = result(steps)
        let (id, provider) = try commit(net, spec(net), wrong)
        let auditor = try #require(try net.commitAudits(id, wrong).first)
        let open = Payload.openResult(job: id, attempt: 1, opening: try net.opening(id, provider, wrong))
        try net.fail(provider, open, "no run of this job")
        #expect(try net.job(id).state == .committed)
        // It stays what it committed to, so it loses as one who does not open.
        try net.pass(22_000)
        #expect(try Query.provider(net.address(provider), in: net.store)?.convictions == 1)
        #expect(try Query.provider(net.address(auditor), in: net.store)?.convictions == 0)
    }

    @Test func boundsHoldAtTheBoundAndOneBeyond() throws {
        let net = try TestNet()
        func isRead(_ change: (inout JobSpec) -> Void) -> Bool {
            var spec = spec(net)
            change(&spec)
            return (try? JobSpec(canonicalBytes: spec.canonicalBytes)) == spec
        }
        let cheap = JobScan(steps: 1, weightedOperations: 1)
        #expect(isRead { $0.scans = [JobScan](repeating: cheap, count: 16) })
        #expect(!isRead { $0.scans = [JobScan](repeating: cheap, count: 17) })
        #expect(!isRead { $0.scans = [] })
        #expect(!isRead { $0.scans[0].steps = 0 })
        #expect(isRead { $0.scans = [cheap, JobScan(steps: (1 << 20) - 1, weightedOperations: 1)] })
        #expect(!isRead { $0.scans = [cheap, JobScan(steps: 1 << 20, weightedOperations: 1)] })
        #expect(!isRead { $0.scans = [cheap, JobScan(steps: .max, weightedOperations: .max)] })
        #expect(isRead { $0.scans[0].weightedOperations += 10_000_000_000 })
        #expect(!isRead { $0.scans[0].weightedOperations += 10_000_000_001 })
    }
}

extension ComputeUnits {
    /// Of 100 units with 4 last steps of 10 each, what is left when fewer were taken.
    fileprivate func less(_ steps: [UInt64]) -> ComputeUnits {
        ComputeUnits(weightedOperations: weightedOperations - (4 - steps[1]) * 10_000_000_000)
    }
}
