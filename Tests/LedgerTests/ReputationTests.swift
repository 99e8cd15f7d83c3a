import Ledger
import Primitives
import Testing

/// What a provider is known for is counted in XPL, and what it is drawn by in verified XPL.
@Suite struct ReputationTests {
    private func settle(_ net: TestNet, _ spec: JobSpec) throws -> SecretKey {
        let id = try net.submit(spec)
        let provider = try net.runToDraw(id)
        let auditors = try net.commitAudits(id)
        try net.open(id, provider)
        for auditor in auditors { try net.revealAudit(id, auditor) }
        try net.pass(30_000)
        #expect(try net.job(id).state == .settled)
        return provider
    }

    @Test func aVerifiedJobCountsByItsPrice() throws {
        let net = try TestNet()
        try net.openMarket()
        let provider = try settle(net, net.spec(.audited))
        let reputation = try net.provider(provider).reputation
        #expect(reputation.settled == .xpl(1) && reputation.verified == .xpl(1) && reputation.lost == .zero)
        #expect(reputation.weight(at: .xpl(1), cap: 10) == 2)
        #expect(reputation.weight(at: .xpl(2), cap: 10) == 1)
        #expect(reputation.weight(at: Amount(baseUnits: 1), cap: 10) == 10)
    }

    @Test func aJobThatNobodyElseHasRunDrawsNothing() throws {
        let net = try TestNet()
        try net.openMarket()
        // Drawn in one of two hundred.
        let provider = try settle(net, net.spec(.sampled(perMille: 5)))
        let reputation = try net.provider(provider).reputation
        #expect(reputation.settled == .xpl(1) && reputation.verified == .zero)
        #expect(reputation.weight(at: .xpl(1), cap: 10) == 1)
    }

    /// Somebody who trades with itself for next to nothing is known for next to nothing.
    @Test func jobsForNextToNothingAreWorthNextToNothing() throws {
        let net = try TestNet()
        try net.openMarket(1)
        try net.act(net.providers[0], .setOffer(net.offerTerms(Amount(baseUnits: 10))))
        try net.step()
        for _ in 0..<12 { _ = try settle(net, net.spec(.sampled(perMille: 1), ceiling: Amount(baseUnits: 10))) }
        let reputation = try net.provider(net.providers[0]).reputation
        #expect(reputation.settled == Amount(baseUnits: 12))
        #expect(reputation.weight(at: .xpl(1), cap: 10) == 1)
        #expect(reputation.reliabilityPerMille(at: .xpl(1)) == 1000)
    }

    @Test func anAttemptLostCountsByItsPriceToo() throws {
        let net = try TestNet()
        try net.openMarket()
        let id = try net.submit(net.spec(.audited))
        try net.step()
        let provider = try net.executor(id)
        try net.act(provider, .startJob(job: id, attempt: 1))
        try net.pass(60_000)
        let reputation = try net.provider(provider).reputation
        #expect(reputation.lost == .xpl(1))
        // Ten of a price of 1 XPL are in everybody's favour: 10 of 11. What is lost on a small job tells little of a large one.
        #expect(reputation.reliabilityPerMille(at: .xpl(1)) == 909)
        #expect(reputation.reliabilityPerMille(at: .xpl(100)) == 999)
        #expect(reputation.reliabilityPerMille(at: Amount(baseUnits: 1)) == 1)
    }

    private static let day: UInt64 = 86_400_000

    @Test func whatWasEarnedAMonthAgoCountsForHalf() throws {
        var writer = ByteWriter()
        for amount in [Amount.xpl(800), .xpl(400), .xpl(40)] { writer.write(amount) }
        writer.write(UInt64(3))
        let then = try Reputation(canonicalBytes: writer.bytes)
        #expect(then.aged(to: 4 * Self.day - 1) == then && then.aged(to: 0) == then)
        let later = then.aged(to: 33 * Self.day)
        #expect(later.settled == .xpl(400) && later.verified == .xpl(200) && later.lost == .xpl(20) && later.day == 33)
        #expect(then.aged(to: 93 * Self.day).verified == .xpl(50))
        // After ten days the cube root of a half, 0.7937, is left.
        let tenth = then.aged(to: 13 * Self.day).settled
        #expect(tenth > .xpl(634) && tenth < .xpl(635))
        // However often somebody looks: day by day it is the same but for the rounding.
        var daily = then
        for day in 4...33 { daily = daily.aged(to: UInt64(day) * Self.day) }
        let difference = Int128(daily.settled.baseUnits) - Int128(later.settled.baseUnits)
        #expect(abs(difference) < Int128(Amount.xpl(1).baseUnits) / 1000, "\(difference)")
        #expect(then.aged(to: .max).settled == .zero)
    }

    /// With what it is drawn by it fades too what it was lost for.
    @Test func matchingSeesReputationAsItIsToday() throws {
        var parameters = TestNet.parameters
        // Blocks two hours apart.
        parameters.heartbeatMilliseconds = 3_600_000
        let net = try TestNet(parameters: parameters)
        try net.openMarket(1)
        let id = try net.submit(net.spec(.sampled(perMille: 5)))
        try net.step()
        let provider = try net.executor(id)
        try net.act(provider, .startJob(job: id, attempt: 1))
        try net.pass(60_000)
        func effective() throws -> Amount {
            try #require(Matching.plan(net.spec(), in: net.store).eligible.first).effectivePrice
        }
        #expect(try effective() == Amount.xpl(1).scaled(1000, over: 909))
        for _ in 0..<361 { try net.step(after: 7_200_000) }
        // 10 of 10.5.
        #expect(try effective() == Amount.xpl(1).scaled(1000, over: 952))
        #expect(try net.provider(provider).reputation.lost == .xpl(1))
    }

    @Test func reputationStopsGrowingBeforeItOverflows() throws {
        var writer = ByteWriter()
        for _ in 0..<3 { writer.write(Amount(baseUnits: .max)) }
        writer.write(UInt64(0))
        let reputation = try Reputation(canonicalBytes: writer.bytes)
        #expect(reputation.reliabilityPerMille(at: Amount(baseUnits: .max)) == 916)
        #expect(reputation.weight(at: Amount(baseUnits: 0), cap: 1000) == 1000)
        #expect(reputation.weight(at: Amount(baseUnits: .max), cap: 1000) == 2)
    }
}
