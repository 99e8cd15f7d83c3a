public import Primitives

/// What both sides of a dispute are bound to before the first move: the job, and the result that the defender has committed to.
public struct DisputeSubject: Hashable, Sendable, CanonicalCodable {
    /// The most steps of all scans together.
    public static let maximumSteps: UInt64 = 1 << 20

    /// The program's root.
    public let program: Digest
    /// The values of its axes, in the program's order.
    public let axes: [UInt64]
    public let seed: UInt64
    /// The roots of the parameters and of the inputs, in the program's order.
    public let parameters: AgreedList
    public let inputs: AgreedList
    /// Over the roots of all carried tensors before the first step.
    public let initialState: Digest
    /// Where the job is a part of a run, the steps of each scan that it may take; then the result keeps all carried tensors. Empty for a whole run.
    public let segment: [StepRange]
    /// The steps that each scan took, as the defender says.
    public let steps: [UInt64]
    /// `ResultRoots.outputRoot`, as the defender says.
    public let outputRoot: Digest
    /// `ResultRoots.stateRoot`, as the defender says.
    public let stateRoot: Digest

    public init(
        program: Digest, axes: [UInt64], seed: UInt64, parameters: AgreedList, inputs: AgreedList,
        initialState: Digest, segment: [StepRange] = [], steps: [UInt64], outputRoot: Digest, stateRoot: Digest
    ) {
        self.program = program
        self.axes = axes
        self.seed = seed
        self.parameters = parameters
        self.inputs = inputs
        self.initialState = initialState
        self.segment = segment
        self.steps = steps
        self.outputRoot = outputRoot
        self.stateRoot = stateRoot
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        program = try reader.read(Digest.self)
        axes = try reader.readList(UInt64.self, max: Program.maximumAxes)
        seed = try reader.readUInt64()
        parameters = try reader.read(AgreedList.self)
        inputs = try reader.read(AgreedList.self)
        initialState = try reader.read(Digest.self)
        segment = try reader.readList(StepRange.self, max: Program.maximumScans)
        steps = try reader.readList(UInt64.self, max: Program.maximumScans)
        outputRoot = try reader.read(Digest.self)
        stateRoot = try reader.read(Digest.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(program)
        writer.write(list: axes)
        writer.write(seed)
        writer.write(parameters)
        writer.write(inputs)
        writer.write(initialState)
        writer.write(list: segment)
        writer.write(list: steps)
        writer.write(outputRoot)
        writer.write(stateRoot)
    }

    /// The most steps that a scan may take; nil where the frame's numbers do not fit the job's axes.
    func mostSteps(ofScan place: Int, _ frame: ProgramFrame) -> UInt64? {
        guard let whole = try? frame.scans[place].steps.value(axes) else { return nil }
        if segment.isEmpty { return whole }
        guard place < segment.count else { return nil }
        let (end, overflow) = segment[place].first.addingReportingOverflow(segment[place].count)
        return overflow || end > whole ? nil : segment[place].count
    }

    /// The scan of a step that is counted over all scans, and its number there.
    package func place(ofStep step: UInt64) -> (scan: Int, step: UInt64) {
        var rest = step
        for (scan, count) in steps.enumerated() {
            if rest < count { return (scan, rest) }
            rest -= count
        }
        return (steps.count - 1, rest)
    }
}

/// What a challenger shows first: the program's frame, with its path in the program's tree.
public struct DisputeOpening: Hashable, Sendable, CanonicalCodable {
    public let frame: ProgramFrame
    public let siblings: [Digest]

    public init(frame: ProgramFrame, siblings: [Digest]) {
        self.frame = frame
        self.siblings = siblings
    }

    public init(_ program: Program) {
        self.init(frame: ProgramFrame(program), siblings: MerkleLevels(program.treeLeaves).proof(0).siblings)
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        frame = try reader.read(ProgramFrame.self)
        siblings = try reader.readList(Digest.self, max: MerkleProof.maximumDepth)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(frame)
        writer.write(list: siblings)
    }
}

/// How a dispute ended.
public enum DisputeOutcome: Hashable, Sendable, CanonicalCodable {
    /// The defender lied, or could not have told the truth.
    case convicted(String)
    /// The challenger was wrong. It says nothing about other challengers.
    case acquitted(String)

    static let maximumReasonBytes = 256

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        let tag = try reader.readUInt8()
        let reason = try reader.readString(max: DisputeOutcome.maximumReasonBytes)
        switch tag {
        case 0: self = .convicted(reason)
        case 1: self = .acquitted(reason)
        default: throw .invalid("no outcome has the tag \(tag)")
        }
    }

    public func encode(into writer: inout ByteWriter) {
        switch self {
        case .convicted(let reason):
            writer.write(UInt8(0))
            writer.write(string: reason)
        case .acquitted(let reason):
            writer.write(UInt8(1))
            writer.write(string: reason)
        }
    }
}

public enum DisputeParty: UInt8, Sendable, Hashable {
    case defender = 0
    case challenger = 1
}
