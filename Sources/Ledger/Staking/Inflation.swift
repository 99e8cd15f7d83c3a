import Primitives

/// New XPL by the chain's clock, which stands still in a halt.
enum Inflation {
    static let year: UInt64 = 365 * 86_400_000

    /// What is minted from one clock reading to another, at the rate of the year in which the span ends.
    static func minted(supply: Amount, from start: UInt64, to end: UInt64, _ parameters: ChainParameters)
        throws(AmountFault) -> Amount
    {
        if end <= start { return .zero }
        let years = end / year
        let fallen = years > 1000 ? .max : years * parameters.inflationStepPerMille
        let rate = max(
            parameters.inflationFloorPerMille,
            parameters.inflationPerMille > fallen ? parameters.inflationPerMille - fallen : 0)
        return try supply.scaled(rate, over: 1000).scaled(min(end - start, year), over: year)
    }
}
