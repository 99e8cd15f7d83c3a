import Ledger
import Primitives
import Testing

/// What a provider can lose is a multiple of what it is paid, or of what is usually asked where it asks less.
struct BondShareTests {
    private func ask(_ net: TestNet, _ provider: Int, _ price: String) throws {
        try net.act(net.providers[provider], .setOffer(net.offerTerms(try xpl(price))))
    }

    /// Until such an offer is active.
    private func settle(_ net: TestNet) throws { for _ in 0..<11 { try net.step() } }

    @Test func whoAsksATwentiethHasAsMuchToLoseAsTheOthers() throws {
        let net = try TestNet()
        try net.openMarket()
        try ask(net, 0, "0.5")
        try settle(net)
        let id = try net.submit(net.spec())
        try net.step()
        let assignment = try #require(try net.job(id).assignment)
        #expect(assignment.provider == net.address(net.providers[0]))
        // Its price is 0.05 of an XPL, the others' is 1.
        #expect(try assignment.price == xpl("0.05"))
        #expect(try assignment.share == xpl("2.4"))
        #expect(try net.provider(net.providers[0]).locked == xpl("2.4"))
    }

    @Test func whoAsksMoreThanUsualHasMoreToLose() throws {
        let net = try TestNet()
        try net.openMarket()
        for provider in 1..<4 { try ask(net, provider, "19") }
        try ask(net, 0, "20")
        try settle(net)
        let plan = try Matching.plan(net.spec(), in: net.store)
        let dearest = try #require(plan.eligible.first { $0.provider == net.address(net.providers[0]) })
        #expect(try plan.share(of: dearest, .audited) == xpl("4.8"))
        #expect(try plan.share(of: plan.eligible.first { $0 != dearest }!, .audited) == xpl("4.56"))
    }

    @Test func whoHasTooLittleForTheUsualShareIsNotDrawnAndToldWhy() throws {
        let net = try TestNet()
        try net.openMarket()
        try ask(net, 0, "0.5")
        try settle(net)
        // At a tenth of a hundredth audits are rare, and a share is 2400 times the price: the thousand of its bond would do for its own, 120.
        let rare = AuditPolicy.sampled(perMille: 1)
        let plan = try Matching.plan(net.spec(rare), in: net.store)
        let reason = plan.excluded.first { $0.provider == net.address(net.providers[0]) }?.reason
        #expect(reason == "1000 XPL of its bond are free, the job needs 2400")
        // The others have as little. What is usual is not what those say who are left.
        #expect(plan.eligible.isEmpty && plan.excluded.count == 4)
    }

    @Test func manyNamesWithSmallBondsDoNotLowerWhatIsUsual() throws {
        let net = try TestNet()
        try net.openMarket()
        try net.act(net.providers[3], .addBond(amount: .xpl(2500)))
        for provider in 0..<3 { try ask(net, provider, "0.5") }
        try settle(net)
        let plan = try Matching.plan(net.spec(), in: net.store)
        let cheap = try #require(plan.eligible.first { $0.provider == net.address(net.providers[0]) })
        #expect(try plan.share(of: cheap, .audited) == xpl("2.4"))
        // Where they have half of the bonds it is theirs to say.
        try net.act(net.providers[0], .addBond(amount: .xpl(501)))
        let other = try Matching.plan(net.spec(), in: net.store)
        #expect(try other.share(of: cheap, .audited) == xpl("0.12"))
    }
}
