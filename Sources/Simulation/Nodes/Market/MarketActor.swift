/// Somebody on the market who does not keep to the rules, in one named way.
public enum MarketActor: String, Sendable, CaseIterable {
    /// Runs the program and turns one bit of what comes out.
    case lyingProvider = "lying-provider"
    /// Computes nothing where it is to audit: it commits to garbage, or posts the provider's own mask.
    case lazyAuditor = "lazy-auditor"
    /// Starts jobs, and then its process is gone for good.
    case vanishingProvider = "vanishing-provider"
    /// Posts jobs whose inputs nobody can have, and is not heard of again.
    case vanishingRequester = "vanishing-requester"

    var isProvider: Bool { self != .vanishingRequester }
}
