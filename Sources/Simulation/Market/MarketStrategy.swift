/// How a purse plays on the market, in one named way. All of a purse's accounts and providers are its one owner's.
public enum MarketStrategy: String, CaseIterable, Sendable {
    /// Runs what it is given, audits, and challenges what it finds wrong.
    case honest
    /// Posts jobs, and pays for them.
    case requester
    /// Runs nothing: posts what another job came to.
    case lazyProvider = "lazy-provider"
    /// Runs the program, and in a share of its jobs turns a bit of the result for somebody outside.
    case liar
    /// The same in every job, at a small part of the market's price, so that it gets them all.
    case cheapLiar = "cheap-liar"
    /// As an auditor runs nothing: posts what the chain shows of such a job, or a guess.
    case lazyAuditor = "lazy-auditor"
    /// Up to a third of all bonds: guesses in a share of its jobs, and its members agree with it.
    case ring = "colluding-ring"
    /// One purse as several providers that agree with each other; whichever was convicted is left behind for a fresh one.
    case sybil
    /// Names without a bond that lie, beside a provider with one that agrees where it audits them.
    case newcomers = "lying-newcomers"
    /// Trades with itself, so as to be drawn more often for the jobs of others.
    case washTrader = "wash-trader"
    /// The same with audits by others.
    case dearWashTrader = "dear-wash-trader"
    /// The same for next to nothing.
    case dustTrader = "dust-trader"
    /// Takes jobs and is not heard of again.
    case silentProvider = "silent-provider"
    /// As an auditor denies right results and challenges them.
    case falseAuditor = "false-auditor"
    /// Challenges right results on deposits.
    case falseChallenger = "false-challenger"
    /// Posts jobs and takes them back once they are assigned.
    case cancellingRequester = "cancelling-requester"
    /// Posts jobs whose inputs nobody can have.
    case unrunnableRequester = "unrunnable-requester"
    /// A ring that does all its work right, but for this: its members audit each other by copying.
    case sharingRing = "sharing-ring"

    public var isHonest: Bool { self == .honest || self == .requester }

    public var isRequester: Bool {
        self == .requester || self == .cancellingRequester || self == .unrunnableRequester
    }

    /// Whether somebody outside pays for its lies.
    var sellsLies: Bool { self == .liar || self == .cheapLiar || self == .ring || self == .newcomers }

    /// Whether it is known to pay, by how much at most, and why that is borne (docs/economics.md).
    public var isBorne: Bool { self == .sharingRing }
}
