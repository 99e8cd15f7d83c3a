internal import Programs

/// How weights are moved.
public struct TrainingSettings: Sendable, Hashable {
    public enum Schedule: Sendable, Hashable {
        case constant
        /// Up from 0 in `warmup` steps, then down along a half cosine to `least` times the rate at `end`.
        case cosine(warmup: Int, end: Int, least: Float)
    }

    public var batch = 16
    public var rate: Float = 1e-3
    public var schedule = Schedule.constant
    public var firstDecay: Float = 0.9
    public var secondDecay: Float = 0.95
    public var epsilon: Float = 1e-8
    public var weightDecay: Float = 0.01
    /// The norm to which all gradients together are cut; nil for none.
    public var clip: Float?
    /// The share of elements that are left out in a step, less than 1; 0 for none.
    public var dropout: Float = 0
    /// Batches whose gradients are averaged in a step.
    public var accumulate = 1

    public init() {}

    /// Batches of a step at most.
    public static let mostBatches = 64

    /// Rows of the text in a step.
    public var rows: Int { batch * accumulate }

    /// What is left out, as ops have it.
    var thinning: Dropout? {
        if dropout == 0 { return nil }
        return Dropout(
            threshold: UInt64((Double(dropout) * 0x1p32).rounded()), scale: (1 / (1 - dropout)).bitPattern)
    }
}
