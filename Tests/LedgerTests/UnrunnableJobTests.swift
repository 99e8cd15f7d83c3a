import Ledger
import Primitives
import Testing

/// A job that nobody can run costs its requester, not those who were given it.
@Suite struct UnrunnableJobTests {
    private func decline(_ net: TestNet, _ id: Digest, _ reason: DeclineReason) throws -> SecretKey {
        try net.step()
        let provider = try net.executor(id)
        try net.act(provider, .declineJob(job: id, attempt: try net.job(id).attempt, reason: reason))
        return provider
    }

    @Test func threeReportsEndItAndShareItsAllowance() throws {
        let net = try TestNet()
        try net.openMarket()
        let before = try net.worth(net.requester)
        let id = try net.submit(net.spec(.audited))
        let reasons: [DeclineReason] = [.inputsUnavailable, .inputsMalformed, .costMismatch]
        var reporters: [SecretKey] = []
        for reason in reasons.dropLast() { reporters.append(try decline(net, id, reason)) }
        #expect(try net.job(id).state == .open && net.job(id).reports == reporters.map(net.address))
        let balances = try net.providers.map { try net.worth($0) }
        reporters.append(try decline(net, id, reasons[2]))
        let job = try net.job(id)
        #expect(job.state == .failed && job.escrow == .zero && job.assignment == nil)
        #expect(job.reason.hasPrefix("3 providers say that nobody can run it"), "\(job.reason)")
        #expect(Set(reporters.map(net.address)).count == 3)
        // 0.1 XPL less the fees of three moves, in three parts.
        var shared = Amount.zero
        for (provider, balance) in zip(net.providers, balances) {
            let part = try net.worth(provider).subtracting(balance)
            #expect((part > Amount(baseUnits: 32_000_000)) == reporters.contains { $0.publicKey == provider.publicKey })
            #expect(part <= Amount(baseUnits: 33_333_333))
            shared = try shared.adding(part)
            #expect(try net.provider(provider).bond == .xpl(1000) && net.provider(provider).locked == .zero)
            #expect(try net.provider(provider).declines == 0)
        }
        let lost = try before.subtracting(net.worth(net.requester))
        #expect(lost > shared && lost < Amount(baseUnits: 103_000_000), "\(lost)")
    }

    /// Reports are as good as other declines once somebody has started the job: the third in an hour costs a thousandth of the bond.
    @Test func whoReportsWhatOthersCanRunHasDeclined() throws {
        let net = try TestNet()
        try net.openMarket()
        var reports: [Address: UInt64] = [:]
        for _ in 0..<8 {
            let id = try net.submit(net.spec(.audited))
            let reporter = try decline(net, id, .inputsUnavailable)
            #expect(try net.provider(reporter).declines == reports[net.address(reporter)] ?? 0)
            try net.step()
            try net.act(try net.executor(id), .startJob(job: id, attempt: 2))
            #expect(try net.job(id).reports.isEmpty)
            reports[net.address(reporter), default: 0] += 1
        }
        for provider in net.providers {
            let count = reports[net.address(provider)] ?? 0
            #expect(try net.provider(provider).declines == count)
            var bond = Amount.xpl(1000)
            for _ in 0..<max(2, count) - 2 { bond = try bond.scaled(999, over: 1000) }
            #expect(try net.provider(provider).bond == bond)
        }
        #expect(reports.values.contains { $0 > 2 })
    }

    @Test func busyProvidersEndNoJob() throws {
        let net = try TestNet()
        try net.openMarket()
        let id = try net.submit(net.spec(.audited, queue: 60_000))
        for _ in 0..<4 { _ = try decline(net, id, .busy) }
        #expect(try net.job(id).state == .open && net.job(id).reports.isEmpty)
        for provider in net.providers { #expect(try net.provider(provider).declines == 1) }
    }
}
