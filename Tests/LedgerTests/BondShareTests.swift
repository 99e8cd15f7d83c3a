import Ledger
import Primitives
import Testing

/// What a provider can lose is a multiple of what it is paid, or of what is usually asked where it asks less.
struct BondShareTests {
    private func xpl(_ text: String) throws -> Amount { try Amount(parsing: text) }

    private func ask(_ net: TestNet, _ provider: Int, _ price: String) throws {
        try net.act(net.providers[provider], .setOffer(net.offerTerms(try xpl(price))))
    }

    /// Until such an offer is active.
    private func settle(_ net: TestNet) throws { for _ in 0..<11 { try net.step() } }

    private func place(_ net: TestNet) throws -> Assignment {
        let id = try net.submit(net.spec())
        try net.step()
        return try #require(try net.job(id).assignment)
    }

    @Test func whoAsksATwentiethHasAsMuchToLoseAsTheOthers() throws {
        let net = try TestNet()
        try net.openMarket()
        try ask(net, 0, "0.5")
        try settle(net)
        let assignment = try place(net)
        #expect(assignment.provider == net.address(net.providers[0]))
        // Its price is 0.05 XPL, the others' is 1.
        #expect(try assignment.price == xpl("0.05"))
        #expect(try assignment.share == xpl("2.4"))
        #expect(try net.provider(net.providers[0]).locked == xpl("2.4"))
    }

    @Test func whoAsksMoreThanUsualHasMoreToLose() throws {
        let net = try TestNet()
        try net.openMarket()
        try ask(net, 0, "10.9")
        try settle(net)
        // It is drawn one day: its ask lies within the band above the best.
        for _ in 0..<60 {
            let assignment = try place(net)
            let isDear = assignment.provider == net.address(net.providers[0])
            #expect(try assignment.share == xpl(isDear ? "2.616" : "2.4"))
            if isDear { return }
            try net.pass(600_000)
        }
        Issue.record("who asks 10.9 was never drawn")
    }

    @Test func whoHasTooLittleForTheUsualShareIsNotDrawnAndToldWhy() throws {
        let net = try TestNet()
        try net.openMarket()
        try ask(net, 0, "0.5")
        try settle(net)
        // Where one in a thousand is audited a share is 2400 times the price: its bond of 1000 would do for its own, 120.
        let plan = try Matching.plan(net.spec(.sampled(perMille: 1)), in: net.store)
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
        #expect(try place(net).share == xpl("2.4"))
        // Where they have half of the bonds it is theirs to say.
        try net.act(net.providers[0], .addBond(amount: .xpl(501)))
        #expect(try place(net).share == xpl("0.12"))
    }
}
