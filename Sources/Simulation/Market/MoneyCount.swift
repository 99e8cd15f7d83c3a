import Ledger
import Primitives

/// All money of a chain, counted one by one against its totals.
struct MoneyCount {
    private(set) var violations: [String] = []
    /// The most that some bond was below what jobs held of it: what a conviction could then not take.
    private(set) var mostUncovered: UInt128 = 0
    private let accounts: [UInt8]

    /// `anybody` has an account.
    init(anybody: Address) { accounts = Array(StateKey.account(anybody).prefix(1)) }

    private mutating func blame(_ text: String, _ height: Height) {
        if violations.count < 20 { violations.append("height \(height): \(text)") }
    }

    /// After a block. `jobs` are at least all that are not over, `disputes` at least all that are open.
    mutating func count(_ state: SimulatedState, jobs: [Job], disputes: [Dispute]) throws {
        let totals = try Query.totals(in: state)
        let height = try Query.chain(in: state).height
        var (liquid, bonded, escrowed): (UInt128, UInt128, UInt128) = (0, 0, 0)
        for entry in state.all(prefix: accounts) {
            liquid += try Account(canonicalBytes: entry.value).balance.baseUnits
        }
        var (held, atStake): ([Address: UInt128], [Address: UInt128]) = ([:], [:])
        for job in jobs {
            escrowed += job.escrow.baseUnits
            if job.allowance > job.escrow { blame("job \(job.id) has more allowance than escrow", height) }
            if job.state.isTerminal {
                if job.escrow != .zero { blame("job \(job.id) is over and holds \(job.escrow) XPL", height) }
                continue
            }
            if let assignment = job.assignment {
                held[assignment.provider, default: 0] += assignment.share.baseUnits
                atStake[assignment.provider, default: 0] += assignment.atStake.baseUnits
                if assignment.atStake > job.escrow { blame("job \(job.id) has more at stake than escrow", height) }
            }
            if let report = job.slowReport { held[report.provider, default: 0] += report.stake.baseUnits }
            for audit in job.audits where !audit.isReleased { held[audit.auditor, default: 0] += audit.share.baseUnits }
        }
        for dispute in disputes where dispute.state == .open { escrowed += dispute.deposit.baseUnits }
        for provider in try Query.providers(in: state) {
            let (bond, locked) = (provider.bond.baseUnits, provider.locked.baseUnits)
            bonded += bond
            if bond < locked { mostUncovered = max(mostUncovered, locked - bond) }
            if locked != held[provider.address] ?? 0 {
                blame("\(provider.locked) XPL of \(provider.address) are locked, its jobs hold another sum", height)
            }
            if provider.atStake.baseUnits != atStake[provider.address] ?? 0 {
                blame("\(provider.atStake) XPL of \(provider.address) are at stake, its jobs say another sum", height)
            }
        }
        if liquid != totals.liquid.baseUnits { blame("the accounts hold other than \(totals.liquid) XPL", height) }
        if bonded != totals.bonded.baseUnits { blame("the bonds are other than \(totals.bonded) XPL", height) }
        if escrowed != totals.escrowed.baseUnits { blame("the jobs hold other than \(totals.escrowed) XPL", height) }
        if totals.supply != Genesis.totalSupply || !totals.isConserved { blame("the parts are not the supply", height) }
    }
}
