internal import Programs

/// What a program gave.
public struct ProgramResult: Sendable, Equatable {
    /// How many steps each scan took: fewer than it has where its stop flag ended it.
    public let steps: [UInt64]
    /// The outputs of every step, scan after scan.
    public let outputs: [[Tensor]]
    /// All carried tensors as they are at the end.
    public let carried: [Tensor]

    public init(steps: [UInt64], outputs: [[Tensor]], carried: [Tensor]) {
        self.steps = steps
        self.outputs = outputs
        self.carried = carried
    }
}

/// Where an op's random words come from: the job's seed, the op's place among all ops of the program's scans, and the step.
struct RandomSource: Sendable {
    let seed: UInt64
    let operation: UInt32
    let step: UInt64

    init(seed: UInt64, operation: Int, step: UInt64) {
        self.seed = seed
        self.operation = UInt32(clamping: operation)
        self.step = step
    }

    /// One word for an element of the op's result.
    func word(element: Int, draw: UInt8) -> UInt32 {
        Philox.word(
            seed: seed, element: UInt64(element), operation: operation, draw: draw,
            step: UInt32(truncatingIfNeeded: step))
    }
}
