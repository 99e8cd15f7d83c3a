public import Primitives
public import Programs

/// How a job's result is checked.
public enum AuditPolicy: Hashable, Sendable, CanonicalCodable {
    public static let maximumAuditors: UInt8 = 7

    /// One auditor is drawn with this probability in thousandths (1 to 1000).
    case sampled(perMille: UInt16)
    /// One auditor is drawn always.
    case audited
    /// This many auditors are drawn always (1 to 7).
    case replicated(count: UInt8)

    /// The most auditors that can be drawn at once.
    public var auditors: UInt64 {
        switch self {
        case .sampled, .audited: 1
        case .replicated(let count): UInt64(count)
        }
    }

    /// The probability of an audit, in thousandths.
    public var perMille: UInt64 {
        switch self {
        case .sampled(let perMille): UInt64(perMille)
        case .audited, .replicated: 1000
        }
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        switch try reader.readUInt8() {
        case 0:
            let perMille = try reader.readUInt16()
            if perMille < 1 || perMille > 1000 { throw .invalid("a sampling rate is 1 to 1000 in a thousand") }
            self = .sampled(perMille: perMille)
        case 1: self = .audited
        case 2:
            let count = try reader.readUInt8()
            if count < 1 || count > AuditPolicy.maximumAuditors {
                throw .invalid("1 to \(AuditPolicy.maximumAuditors) auditors, found \(count)")
            }
            self = .replicated(count: count)
        case let other: throw .invalid("no audit policy \(other)")
        }
    }

    public func encode(into writer: inout ByteWriter) {
        switch self {
        case .sampled(let perMille):
            writer.write(UInt8(0))
            writer.write(perMille)
        case .audited: writer.write(UInt8(1))
        case .replicated(let count):
            writer.write(UInt8(2))
            writer.write(count)
        }
    }
}

/// One axis of a program with its value.
public struct JobAxis: Hashable, Sendable, CanonicalCodable {
    public var name: String
    public var size: UInt64

    public init(name: String, size: UInt64) {
        self.name = name
        self.size = size
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        name = try reader.readString(max: JobSpec.maximumNameBytes)
        size = try reader.readUInt64()
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(string: name)
        writer.write(size)
    }
}

/// One scan of a job's program: the most steps that it takes, and what a step costs.
public struct JobScan: Hashable, Sendable, CanonicalCodable {
    /// The number of the first step; 0, but in a segment.
    public var first: UInt64
    public var steps: UInt64
    public var weightedOperations: UInt64

    public init(first: UInt64 = 0, steps: UInt64, weightedOperations: UInt64) {
        self.first = first
        self.steps = steps
        self.weightedOperations = weightedOperations
    }

    /// The scans of a program.
    public static func all(of program: SpecialisedProgram) throws(ProgramFault) -> [JobScan] {
        zip(zip(program.firstSteps, program.scans), try program.stepCosts()).map {
            JobScan(first: $0.0, steps: $0.1.steps.factor, weightedOperations: $1.weightedOperations)
        }
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        first = try reader.readUInt64()
        steps = try reader.readUInt64()
        weightedOperations = try reader.readUInt64()
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(first)
        writer.write(steps)
        writer.write(weightedOperations)
    }
}

/// A job as its requester states it: run this program on these inputs once. What is said of the program here, a provider checks before it starts;
/// a dispute believes it.
public struct JobSpec: Hashable, Sendable, CanonicalCodable {
    public static let maximumAxes = 16
    public static let maximumInputs = 32
    /// Inputs that other jobs leave: the paths to all of them fit a transaction.
    public static let maximumReferences = 12
    /// Jobs whose results a job can read.
    public static let maximumParents = maximumReferences + 1
    public static let maximumScans = ResultCommitment.maximumScans
    /// Of all scans together.
    public static let maximumSteps: UInt64 = 1 << 20
    public static let maximumNameBytes = 64
    /// The longest wait or run a job may state: 30 days of chain clock.
    public static let maximumMilliseconds: UInt64 = 30 * 24 * 3600 * 1000

    public var program: Digest
    /// The model's manifest blob: where its weights are found.
    public var manifest: Digest
    /// All of the program's, in its order.
    public var axes: [JobAxis]
    /// The roots of the program's parameters, as the manifest lists them.
    public var parameters: AgreedList
    /// All of the program's, in its order.
    public var inputs: [JobInput]
    /// Carried tensors that are given, in the program's order; the others begin as zeros.
    public var carried: [JobInput]
    /// The Merkle root over the roots of all carried tensors before the first step; zero where `stateOf` says.
    public var initialState: Digest
    /// Another job, whose kept tensors are all carried tensors before the first step.
    public var stateOf: Digest?
    /// Of the program's random words.
    public var seed: UInt64
    public var scans: [JobScan]
    /// Whether it is a part of a run: of each scan so many steps from a first one, and all carried tensors kept, so that another job can go on from there.
    public var isSegment: Bool
    /// Where it goes on with a scan that a flag may have ended, by another's state: the flag's place among the carried tensors.
    public var flag: UInt16?
    /// The f32 cost of all steps, and of reading parameters and inputs once. A provider for whom it does not come out declines with `costMismatch`.
    public var computeUnits: ComputeUnits
    /// Bytes of memory a device must have.
    public var memory: UInt64
    public var maximumPricePer1000CU: Amount
    public var policy: AuditPolicy
    /// How long it may wait for a match, in milliseconds of chain clock.
    public var queueMilliseconds: UInt64
    /// After this long since it could first be run no new attempt starts, in milliseconds of chain clock.
    public var deadlineMilliseconds: UInt64
    /// The node that serves the inputs.
    public var storageHint: PublicKey

    public init(
        program: Digest, manifest: Digest, axes: [JobAxis], parameters: AgreedList, inputs: [JobInput],
        carried: [JobInput] = [], initialState: Digest = .zero, stateOf: Digest? = nil, seed: UInt64 = 0,
        scans: [JobScan], isSegment: Bool = false, flag: UInt16? = nil,
        computeUnits: ComputeUnits, memory: UInt64, maximumPricePer1000CU: Amount, policy: AuditPolicy,
        queueMilliseconds: UInt64, deadlineMilliseconds: UInt64, storageHint: PublicKey
    ) {
        self.program = program
        self.manifest = manifest
        self.axes = axes
        self.parameters = parameters
        self.inputs = inputs
        self.carried = carried
        self.initialState = initialState
        self.stateOf = stateOf
        self.seed = seed
        self.scans = scans
        self.isSegment = isSegment
        self.flag = flag
        self.computeUnits = computeUnits
        self.memory = memory
        self.maximumPricePer1000CU = maximumPricePer1000CU
        self.policy = policy
        self.queueMilliseconds = queueMilliseconds
        self.deadlineMilliseconds = deadlineMilliseconds
        self.storageHint = storageHint
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        program = try reader.read(Digest.self)
        manifest = try reader.read(Digest.self)
        axes = try reader.readList(JobAxis.self, max: JobSpec.maximumAxes)
        parameters = try reader.read(AgreedList.self)
        inputs = try reader.readList(JobInput.self, max: JobSpec.maximumInputs)
        carried = try reader.readList(JobInput.self, max: JobSpec.maximumInputs)
        initialState = try reader.read(Digest.self)
        stateOf = try reader.readOptional(Digest.self)
        seed = try reader.readUInt64()
        scans = try reader.readList(JobScan.self, max: JobSpec.maximumScans)
        isSegment = try reader.readBool()
        flag = try reader.readOptional(UInt16.self)
        computeUnits = try reader.read(ComputeUnits.self)
        memory = try reader.readUInt64()
        maximumPricePer1000CU = try reader.read(Amount.self)
        policy = try reader.read(AuditPolicy.self)
        queueMilliseconds = try reader.readUInt64()
        deadlineMilliseconds = try reader.readUInt64()
        storageHint = try reader.read(PublicKey.self)
        if computeUnits.weightedOperations == 0 { throw .invalid("a job costs at least one operation") }
        if scans.isEmpty { throw .invalid("a job has at least one scan") }
        var steps: UInt64 = 0
        for scan in scans {
            if max(scan.first, scan.steps) > JobSpec.maximumSteps { throw .invalid("a scan has 1 to 2^20 steps") }
            if !isSegment, scan.steps < 1 || scan.first > 0 {
                throw .invalid("a job that is no segment takes all steps of its scans")
            }
            steps += scan.steps
        }
        // One stretch of the run: only its first scan may be one that was begun before.
        let taken = scans.indices.filter { scans[$0].steps > 0 }
        guard let begin = taken.first, let end = taken.last, end - begin + 1 == taken.count,
            scans.indices.allSatisfy({ $0 == begin || scans[$0].first == 0 })
        else { throw .invalid("a segment is one stretch of steps") }
        if flag != nil, stateOf == nil || scans[begin].first == 0 || end > begin {
            throw .invalid("a flag is looked at where a job goes on with a scan, and it alone, from another's state")
        }
        if steps > JobSpec.maximumSteps { throw .invalid("a job has at most 2^20 steps, found \(steps)") }
        if operations(of: scans.map(\.steps)) > UInt128(computeUnits.weightedOperations) {
            throw .invalid("a job's steps cost more than the job")
        }
        if inputs.count(where: { $0.root == nil }) > JobSpec.maximumReferences {
            throw .invalid("a job reads at most \(JobSpec.maximumReferences) results of others")
        }
        if carried.contains(where: { $0.root == nil }) {
            throw .invalid("carried tensors are given by their roots, or all of them by another job's state")
        }
        if stateOf != nil, !carried.isEmpty || initialState != .zero {
            throw .invalid("a job that begins with another's state names no other")
        }
        if max(queueMilliseconds, deadlineMilliseconds) > JobSpec.maximumMilliseconds {
            throw .invalid("a job's times are at most 30 days")
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(program)
        writer.write(manifest)
        writer.write(list: axes)
        writer.write(parameters)
        writer.write(list: inputs)
        writer.write(list: carried)
        writer.write(initialState)
        writer.write(optional: stateOf)
        writer.write(seed)
        writer.write(list: scans)
        writer.write(bool: isSegment)
        writer.write(optional: flag)
        writer.write(computeUnits)
        writer.write(memory)
        writer.write(maximumPricePer1000CU)
        writer.write(policy)
        writer.write(queueMilliseconds)
        writer.write(deadlineMilliseconds)
        writer.write(storageHint)
    }

    /// What so many steps of each scan cost, without the reading.
    private func operations(of steps: [UInt64]) -> UInt128 {
        // At most 16 products of 64 bits.
        zip(scans, steps).reduce(0) { $0 + UInt128($1.0.weightedOperations) * UInt128($1.1) }
    }

    /// Whether a run of this job could have taken so many steps of each scan: a flag may end a scan early, after its first step at the soonest.
    public func allows(steps: [UInt64]) -> Bool {
        steps.count == scans.count && zip(scans, steps).allSatisfy { $1 >= min(1, $0.steps) && $1 <= $0.steps }
    }

    /// What a run that took so many steps of each scan has cost; `allows` them.
    public func computeUnits(taken steps: [UInt64]) -> ComputeUnits {
        let saved = operations(of: scans.map(\.steps)) - min(operations(of: steps), operations(of: scans.map(\.steps)))
        // The decoder has seen to it that all steps cost no more than the job.
        return ComputeUnits(
            weightedOperations: computeUnits.weightedOperations - UInt64(clamping: min(saved, UInt128(UInt64.max))))
    }

    /// The steps of each scan that it may take, where it is a part of a run; else empty.
    public var segment: [StepRange] { isSegment ? scans.map { StepRange(first: $0.first, count: $0.steps) } : [] }
}
