import Ledger
import Primitives
import Testing

/// An auditor is paid what it asks, not what the executor is content with.
@Suite struct AuditFeeTests {
    /// One provider at a hundredth of what the three others ask.
    private func market(ceiling: Amount = .xpl(20)) throws -> (TestNet, Digest) {
        let net = try TestNet()
        try net.openMarket()
        let cheap = net.offerTerms(Amount(baseUnits: Amount.unitsPerXPL / 10))
        try net.act(net.providers[0], .setOffer(cheap))
        try net.step()
        return (net, try net.submit(net.spec(.audited, ceiling: ceiling)))
    }

    @Test func anAuditorGetsItsOwnAsk() throws {
        let (net, id) = try market()
        let provider = try net.runToDraw(id)
        #expect(provider.publicKey == net.providers[0].publicKey)
        let audit = try #require(try net.job(id).audits.first)
        #expect(audit.price == .xpl(1) && audit.share == .xpl(2))
        let auditor = try #require(try net.commitAudits(id).first)
        try net.open(id, provider)
        try net.revealAudit(id, auditor)
        let (before, own) = (try net.worth(auditor), try net.worth(provider))
        try net.pass(60_000)
        #expect(try net.job(id).state == .settled)
        let receipt = try #require(try Query.receipt(job: id, in: net.store))
        #expect(receipt.amount == Amount(baseUnits: 10_000_000) && receipt.auditFees == .xpl(1))
        // 96 in a hundred of 1 XPL and of 0.01 XPL.
        #expect(try net.worth(auditor).subtracting(before) == Amount(baseUnits: 960_000_000))
        #expect(try net.worth(provider).subtracting(own) == Amount(baseUnits: 9_600_000))
    }

    /// Its silence costs it a tenth of what it would have got.
    @Test func itsOutagePriceIsOfItsOwnAsk() throws {
        let (net, id) = try market()
        _ = try net.runToDraw(id)
        let auditor = try net.key(try #require(try net.job(id).audits.first).auditor)
        let before = try net.provider(auditor).bond
        try net.pass(100_000)
        #expect(try before.subtracting(net.provider(auditor).bond) == Amount(baseUnits: 100_000_000))
    }

    /// Nobody is made to run for less than it asks: a requester that pays nobody's ask has nobody look.
    @Test func whoAsksMoreThanTheRequesterPaysIsNotDrawn() throws {
        let (net, id) = try market(ceiling: .xpl(1))
        let provider = try net.runToDraw(id)
        #expect(provider.publicKey == net.providers[0].publicKey)
        #expect(try net.job(id).audits.isEmpty && net.job(id).stage == .opening)
    }
}
