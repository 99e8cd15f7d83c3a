/// A mean over markets, with the half of its 95% confidence interval.
public struct MarketEstimate: Sendable, Equatable {
    public let mean: Double
    public let halfWidth: Double
    /// Markets.
    public let count: Int

    public var low: Double { mean - halfWidth }
    public var high: Double { mean + halfWidth }

    init(mean: Double, halfWidth: Double, count: Int) {
        self.mean = mean
        self.halfWidth = halfWidth
        self.count = count
    }

    /// By Student's t over values that know nothing of each other. One alone says nothing of its spread.
    init(_ values: [Double]) {
        count = values.count
        let sum = values.reduce(0, +)
        mean = values.isEmpty ? 0 : sum / Double(values.count)
        if values.count < 2 {
            halfWidth = .infinity
            return
        }
        let center = mean
        let variance = values.reduce(0) { $0 + ($1 - center) * ($1 - center) } / Double(values.count - 1)
        halfWidth = MarketEstimate.quantile(values.count - 1) * (variance / Double(values.count)).squareRoot()
    }

    /// What Student's t of so many degrees of freedom exceeds in one of forty cases.
    static func quantile(_ degrees: Int) -> Double {
        let table = [
            12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
            2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
        ]
        if degrees <= table.count { return table[max(1, degrees) - 1] }
        // Within 0.001 from there on.
        return 1.96 + 2.45 / Double(degrees)
    }
}
