public import Primitives
public import Programs

/// What a dispute about an attempt costs and how long a move may take: all from what is locked in its assignment.
public struct DisputeTerms: Hashable, Sendable {
    private let base: UInt64
    private let factor: UInt64
    private let milliseconds: UInt64
    /// What a challenger stakes: at least the defender's cost, which is less than running the job twice.
    public let bond: Amount

    public init(_ assignment: Assignment, _ parameters: ChainParameters) throws(AmountFault) {
        base = parameters.disputeBase
        factor = parameters.disputeFactor
        milliseconds = assignment.slowestMilliseconds
        bond = try DisputeTerms.bond(assignment.price, parameters)
    }

    static func bond(_ price: Amount, _ parameters: ChainParameters) throws(AmountFault) -> Amount {
        max(parameters.minimumChallengeBond, try price.scaled(parameters.challengeBondPerMille, over: 1000))
    }

    /// By when, in dispute clock, a move must be made that could be made from `clock` on: the base, and the time to run the steps under the walk's node again
    /// on the slowest machine that could have had the job, several times over.
    func deadline(after clock: UInt64, _ walk: Walk, _ subject: DisputeSubject) -> UInt64 {
        let steps = subject.steps.reduce(UInt128(0)) { $0 + UInt128($1) }
        let span = walk.span(of: subject)
        let under = UInt128(span.upperBound - span.lowerBound)
        // At most 2^32 · 2^42 · 2^20.
        let share = (UInt128(factor) * UInt128(milliseconds) * under + max(1, steps) - 1) / max(1, steps)
        return UInt64(clamping: UInt128(clock) + UInt128(base) + share)
    }
}

extension Job {
    /// What its provider is bound to in a dispute; nil before it has opened its result.
    public var disputeSubject: DisputeSubject? {
        guard let commitment = assignment?.commitment, let roots else { return nil }
        return DisputeSubject(
            program: spec.program, axes: spec.axes.map(\.size), seed: spec.seed, parameters: spec.parameters,
            inputs: AgreedList(roots.inputs), initialState: roots.initialState, segment: spec.segment,
            steps: commitment.steps, outputRoot: commitment.outputRoot, stateRoot: commitment.stateRoot)
    }

    /// Whether its result lies open to be challenged.
    public var isDisputable: Bool { state == .opened || state == .auditing || state == .disputed }
}

extension Dispute {
    /// What a provider signs of a walk that it takes with a challenger alone: every move up to and with its own last, of this very dispute.
    public static func transcriptMessage(
        job: Digest, attempt: UInt32, challenger: Address, _ subject: DisputeSubject, _ transcript: DisputeTranscript
    ) -> [UInt8] {
        var writer = ByteWriter(capacity: 1024)
        writer.write(job)
        writer.write(attempt)
        writer.write(challenger)
        writer.write(subject)
        writer.write(transcript.opening)
        let name = Digest.of(.dispute, writer.bytes)
        return DisputeTranscript.digest(of: transcript.signedMoves, in: name).bytes
    }
}
