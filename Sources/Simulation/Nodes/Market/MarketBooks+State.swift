import Ledger
import Primitives

extension MarketBooks {
    /// As a node's store says; with the balances of these.
    init?(of state: SimulatedState, balancesOf addresses: [Address]) {
        guard let height = state.height, let totals = try? Query.totals(in: state),
            let jobs = try? Query.jobs(limit: .max, in: state), let providers = try? Query.providers(in: state),
            let offers = try? Query.offers(in: state), let disputes = try? Query.allDisputes(in: state)
        else { return nil }
        var receipts: [Digest: JobReceipt] = [:]
        for job in jobs { if let receipt = try? Query.receipt(job: job.id, in: state) { receipts[job.id] = receipt } }
        var running: [Address: UInt64] = [:]
        for offer in offers { running[offer.provider, default: 0] += UInt64(offer.running) }
        var balances: [Address: Amount] = [:]
        for address in addresses {
            guard let account = try? Query.account(address, in: state) else { return nil }
            balances[address] = account.balance
        }
        self.init(
            height: height, jobs: jobs, receipts: receipts, disputes: disputes, providers: providers, running: running,
            escrowed: totals.escrowed, bonded: totals.bonded, balances: balances)
    }
}
