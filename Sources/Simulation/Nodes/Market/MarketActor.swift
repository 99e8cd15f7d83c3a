/// Somebody on the market who does not keep to the rules, in one named way.
public enum MarketActor: String, Sendable, CaseIterable {
    /// Runs the program and turns one bit of what comes out.
    case lyingProvider = "lying-provider"
    /// Computes nothing where it is to audit: it commits to garbage, or posts the provider's own mask.
    case lazyAuditor = "lazy-auditor"
    /// Starts jobs, and then its process is gone for good.
    case vanishingProvider = "vanishing-provider"
    /// Runs jobs and hands their outputs to nobody.
    case withholdingProvider = "withholding-provider"
    /// Posts jobs whose inputs nobody can have, and is not heard of again.
    case vanishingRequester = "vanishing-requester"
    /// Claims each output with a deposit, although it can have it.
    case claimingRequester = "claiming-requester"
    /// Posts jobs of numbers on which every machine is far slower than their cost says.
    case subnormalRequester = "subnormal-requester"

    var isProvider: Bool {
        switch self {
        case .lyingProvider, .lazyAuditor, .vanishingProvider, .withholdingProvider: true
        case .vanishingRequester, .claimingRequester, .subnormalRequester: false
        }
    }

    /// Whether what it posts can be run and paid like any job.
    var postsSoundJobs: Bool { self != .vanishingRequester && self != .subnormalRequester }
}
