internal import Primitives
internal import Programs

/// Where a party's steps come from: a tracer that computes what the program says, or one that does not.
protocol StepSource: Sendable {
    var program: SpecialisedProgram { get }
    /// Before the first step.
    var start: RunPosition { get }

    /// Takes up to so many steps, and gives how many; `onStep` is told the roots of what each gives out.
    func take(
        _ position: inout RunPosition, steps: UInt64, onStep: (_ outputs: [Digest]) -> Void
    ) throws(ExecutionFault) -> UInt64

    /// Takes up to so many steps that nothing is told of.
    func skip(_ position: inout RunPosition, steps: UInt64) throws(ExecutionFault) -> UInt64

    /// Takes a step with every op's tensor kept.
    func trace(_ position: inout RunPosition, memoryLimit: UInt64) throws(TraceFault) -> StepTrace
}

extension Tracer: StepSource {
    func take(
        _ position: inout RunPosition, steps: UInt64, onStep: (_ outputs: [Digest]) -> Void
    ) throws(ExecutionFault) -> UInt64 {
        try advance(&position, steps: steps, onStep: { onStep($0.map(\.root)) })
    }

    func skip(_ position: inout RunPosition, steps: UInt64) throws(ExecutionFault) -> UInt64 {
        try advance(&position, steps: steps)
    }
}
