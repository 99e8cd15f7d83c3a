import Ledger
import Primitives
import Testing

/// The staging deposit of a requester: 0.1 XPL for a job at 1 XPL.
@Suite struct StagingTests {
    private let net: TestNet
    private static let deposit = Amount(baseUnits: 100_000_000)

    init() throws {
        net = try TestNet()
        try net.openMarket()
    }

    private func assigned(_ spec: JobSpec? = nil) throws -> (id: Digest, provider: SecretKey) {
        let id = try net.submit(spec ?? net.spec())
        try net.step()
        return (id, try net.executor(id))
    }

    private func stage(_ id: Digest, attempt: UInt32 = 1) -> Payload { .stageJob(job: id, attempt: attempt) }

    /// By the highest price that the job allows, 2 XPL: run, audit and deposit; and the allowance.
    @Test func theEscrowHasTheDepositInIt() throws {
        let id = try net.submit(net.spec())
        #expect(try net.job(id).escrow == Amount(parsing: "4.3") && net.job(id).allowance == Self.deposit)
        let plan = try Matching.plan(net.spec(), in: net.store)
        #expect(try plan.escrowAndPosting == Amount(parsing: "4.301"))
    }

    @Test func cancellingBeforeAnythingIsStagedCostsThePostingFee() throws {
        let before = try net.worth(net.requester)
        let (id, provider) = try assigned()
        let worth = try net.worth(provider)
        try net.act(net.requester, .cancelJob(job: id))
        #expect(try net.job(id).state == .cancelled && net.job(id).stagingPaid == .zero)
        #expect(try net.worth(net.requester) == before.subtracting(net.genesis.parameters.postingFee))
        #expect(try net.worth(provider) == worth)
        #expect(try net.provider(provider).locked == .zero)
    }

    /// A part of the locked price, 1 XPL, not of the ceiling.
    @Test func cancellingAfterTheInputsWereStagedPaysTheProvider() throws {
        let before = try net.worth(net.requester)
        let (id, provider) = try assigned()
        let worth = try net.worth(provider)
        try net.act(provider, stage(id))
        let fee = try #require(net.lastResult).receipts[0].fee
        #expect(try net.job(id).state == .assigned && net.job(id).assignment?.isStaged == true)
        try net.act(net.requester, .cancelJob(job: id))
        let job = try net.job(id)
        #expect(job.state == .cancelled && job.escrow == .zero && job.stagingPaid == Self.deposit)
        #expect(job.reason == "its inputs were staged already")
        #expect(try net.worth(provider) == worth.adding(Self.deposit))
        let paid = try net.genesis.parameters.postingFee.adding(Self.deposit).adding(fee)
        #expect(try net.worth(net.requester) == before.subtracting(paid))
        #expect(try net.provider(provider).locked == .zero)
    }

    @Test func theDepositHasALeast() throws {
        // At 0.0001 XPL.
        var spec = net.spec()
        spec.scans = [.init(steps: 1, weightedOperations: 10_000_000)]
        spec.computeUnits = ComputeUnits(weightedOperations: 10_000_000)
        let (id, provider) = try assigned(spec)
        let worth = try net.worth(provider)
        try net.act(provider, stage(id))
        try net.act(net.requester, .cancelJob(job: id))
        #expect(try net.worth(provider) == worth.adding(net.genesis.parameters.minimumStaging))
        #expect(net.genesis.parameters.minimumStaging == Amount(baseUnits: 50_000_000))
    }

    @Test func aStagedJobThatIsRunCostsNoDeposit() throws {
        let before = try net.worth(net.requester)
        let (id, provider) = try assigned(net.spec(.sampled(perMille: 5)))
        try net.act(provider, stage(id))
        var fees = try #require(net.lastResult).receipts[0].fee
        func count(_ payload: Payload) throws {
            try net.act(provider, payload)
            fees = try fees.adding(try #require(net.lastResult).receipts[0].fee)
        }
        try count(.startJob(job: id, attempt: 1))
        try count(.commitResult(job: id, attempt: 1, masked: try net.masked(provider, id)))
        try net.step()
        try net.step()
        try #require(try net.job(id).audits.isEmpty)
        try count(.openResult(job: id, attempt: 1, opening: try net.opening(id, provider)))
        try net.pass(30_000)
        #expect(try net.job(id).state == .settled && net.job(id).stagingPaid == .zero)
        let paid = try Amount.xpl(1).adding(net.genesis.parameters.postingFee).adding(fees)
        #expect(try net.worth(net.requester) == before.subtracting(paid))
    }

    /// Whoever says that it has what it has not is bound to a start: what else it does costs a thousandth of its bond, and none is free.
    @Test func whoHasStagedIsBoundToStart() throws {
        let (id, provider) = try assigned(net.spec(queue: 60_000))
        try net.act(provider, stage(id))
        // Not even as a report: it has said that it has them.
        try net.act(provider, .declineJob(job: id, attempt: 1, reason: .inputsUnavailable))
        #expect(try net.job(id).state == .open && net.job(id).claim == nil)
        #expect(try net.provider(provider).bond == .xpl(999) && net.provider(provider).declines == 0)
        try net.step()
        let second = try net.executor(id)
        try net.act(second, stage(id, attempt: 2))
        try net.pass(21_000)
        #expect(try net.provider(second).bond == .xpl(999) && net.job(id).attempt == 3)
        // A new attempt has staged nothing.
        #expect(try net.job(id).assignment?.isStaged == false)
    }

    @Test func onlyWhoHasTheJobStagesItAndOnce() throws {
        let open = try net.submit(net.spec(ceiling: .xpl(1)))
        try net.fail(net.providers[0], stage(open), "no part in this job")
        let (id, provider) = try assigned()
        let other = try #require(net.providers.first { $0.publicKey != provider.publicKey })
        try net.fail(other, stage(id), "no part in this job")
        try net.fail(provider, stage(id, attempt: 2), "at attempt 1, not 2")
        try net.act(provider, stage(id))
        try net.fail(provider, stage(id), "staged before")
        try net.act(provider, .startJob(job: id, attempt: 1))
        try net.fail(provider, stage(id), "the job is running")
        try net.fail(net.requester, .cancelJob(job: id), "only before its start")
    }

    @Test func stagingIsInTimeToTheBlock() throws {
        let (id, provider) = try assigned()
        let due = try #require(try net.job(id).timer)
        let clock = try Query.chain(in: net.store).clock
        try net.pass(due - clock - 1)
        let result = try net.step([net.transaction(provider, stage(id))], after: 1)
        #expect(result.receipts[0].succeeded)
        try net.fail(provider, stage(id), "")
        #expect(try net.job(id).assignment?.provider != net.address(provider))
    }

    /// Whoever is both gives itself its own money.
    @Test func beingRequesterAndProviderBringsNothing() throws {
        let owner = net.providers[0]
        for provider in net.providers[1...] { try net.act(provider, .pauseOffer(device: 0)) }
        let before = try net.worth(owner)
        let signed = net.transaction(owner, .submitJob(net.spec()))
        try net.step([signed])
        try net.step()
        #expect(try net.executor(signed.id).publicKey == owner.publicKey)
        try net.act(owner, stage(signed.id))
        let fee = try #require(net.lastResult).receipts[0].fee
        try net.act(owner, .cancelJob(job: signed.id))
        #expect(try net.worth(owner) == before.subtracting(net.genesis.parameters.postingFee.adding(fee)))
        #expect(try net.provider(owner).reputation == Reputation())
    }

    @Test func theParametersAreBounded() {
        func problem(_ change: (inout ChainParameters) -> Void) -> String? {
            var parameters = ChainParameters()
            change(&parameters)
            return parameters.problem
        }
        #expect(problem { $0.stagingPerMille = 1000 } == nil)
        #expect(problem { $0.stagingPerMille = 1001 } != nil)
        #expect(problem { $0.minimumStaging = Amount(baseUnits: .max) } != nil)
    }
}
