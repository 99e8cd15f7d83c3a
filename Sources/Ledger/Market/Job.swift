public import Primitives

/// Where a job stands (`docs/market.md`, the life of a job).
public enum JobState: UInt8, Sendable, Hashable, CaseIterable, CustomStringConvertible {
    case open = 0
    case assigned = 1
    case running = 2
    case committed = 3
    case opened = 4
    case auditing = 5
    case settled = 6
    case expired = 7
    case cancelled = 8
    case failed = 9
    case disputed = 10
    /// It reads what other jobs leave, or another of its gang does, and not all of these are settled.
    case waiting = 11

    /// Nothing more happens to it.
    public var isTerminal: Bool { self == .settled || self == .expired || self == .cancelled || self == .failed }

    public var description: String {
        switch self {
        case .open: "open"
        case .assigned: "assigned"
        case .running: "running"
        case .committed: "committed"
        case .opened: "opened"
        case .auditing: "auditing"
        case .settled: "settled"
        case .expired: "expired"
        case .cancelled: "cancelled"
        case .failed: "failed"
        case .disputed: "disputed"
        case .waiting: "waiting"
        }
    }
}

/// What a committed job waits for.
public enum CommitStage: UInt8, Sendable, Hashable, CaseIterable {
    case none = 0
    /// The draw of its auditors, at a height.
    case draw = 1
    /// The auditors' masked commitments.
    case auditors = 2
    /// The provider's opening.
    case opening = 3
}

/// One attempt at a job.
public struct Assignment: Hashable, Sendable, CanonicalCodable {
    public let provider: Address
    public let device: UInt16
    /// What the requester pays for the whole job.
    public let price: Amount
    /// What the job holds of the provider's bond; of a newcomer's, as much of it as there is.
    public let share: Amount
    /// The job's time on this device, and on the slowest that was eligible.
    public let milliseconds: UInt64
    public let slowestMilliseconds: UInt64
    public let height: Height
    /// Of the block that assigned it: what its trap is drawn by.
    public let beacon: Digest
    /// Whether the provider was a newcomer when it was drawn.
    public let isNewcomer: Bool
    /// The chain clock by which the run must be committed; set at the start.
    public var runDeadline: UInt64 = 0
    public var masked: Digest?
    public var committedHeight: Height = 0
    public var commitment: ResultCommitment?
    /// Where its mask was a trap: the other result that it held. Nothing is paid for it, and nothing fetched by it.
    public var decoy: ResultCommitment?
    /// The dispute clock at its opening, where its window begins: who finds the lane full has longer to challenge.
    public var openedClock: UInt64 = 0
    /// Its window ends no sooner than this, in dispute clock: longer where an auditor was proven wrong.
    public var windowFloor: UInt64 = 0
    /// Whether the provider has said that the inputs are here, and the run waits for its turn.
    public var isStaged = false
    /// What of the provider's pay is credited and not paid yet.
    public internal(set) var atStake: Amount = .zero

    public init(
        provider: Address, device: UInt16, price: Amount, share: Amount, milliseconds: UInt64,
        slowestMilliseconds: UInt64, height: Height, beacon: Digest, isNewcomer: Bool = false
    ) {
        self.provider = provider
        self.device = device
        self.price = price
        self.share = share
        self.milliseconds = milliseconds
        self.slowestMilliseconds = slowestMilliseconds
        self.height = height
        self.beacon = beacon
        self.isNewcomer = isNewcomer
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        provider = try reader.read(Address.self)
        device = try reader.readUInt16()
        price = try reader.read(Amount.self)
        share = try reader.read(Amount.self)
        milliseconds = try reader.readUInt64()
        slowestMilliseconds = try reader.readUInt64()
        height = try reader.read(Height.self)
        beacon = try reader.read(Digest.self)
        isNewcomer = try reader.readBool()
        runDeadline = try reader.readUInt64()
        masked = try reader.readOptional(Digest.self)
        committedHeight = try reader.read(Height.self)
        commitment = try reader.readOptional(ResultCommitment.self)
        decoy = try reader.readOptional(ResultCommitment.self)
        openedClock = try reader.readUInt64()
        windowFloor = try reader.readUInt64()
        isStaged = try reader.readBool()
        atStake = try reader.read(Amount.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(provider)
        writer.write(device)
        writer.write(price)
        writer.write(share)
        writer.write(milliseconds)
        writer.write(slowestMilliseconds)
        writer.write(height)
        writer.write(beacon)
        writer.write(bool: isNewcomer)
        writer.write(runDeadline)
        writer.write(optional: masked)
        writer.write(committedHeight)
        writer.write(optional: commitment)
        writer.write(optional: decoy)
        writer.write(openedClock)
        writer.write(windowFloor)
        writer.write(bool: isStaged)
        writer.write(atStake)
    }
}

/// One auditor of an attempt.
public struct Audit: Hashable, Sendable, CanonicalCodable {
    public let auditor: Address
    public let height: Height
    /// What it is paid for a run of the whole job: its own ask, at most what the requester pays anybody.
    public let price: Amount
    /// What the job holds of its bond, until `isReleased`.
    public let share: Amount
    public var isReleased = false
    public var masked: Digest?
    public var commitment: ResultCommitment?
    /// Missed its deadline, or was proven wrong; it answers no more and is not paid.
    public var isSilent = false
    /// Where it found another result: by when it must have challenged, in dispute clock.
    public var challengeBy: UInt64 = 0
    /// What it got for having found the true result of a trap.
    public var jackpot = Amount.zero

    public init(auditor: Address, height: Height, price: Amount, share: Amount) {
        self.auditor = auditor
        self.height = height
        self.price = price
        self.share = share
    }

    /// Whether it has found another result than the provider's.
    public func disagrees(with assignment: Assignment) -> Bool {
        commitment != nil && commitment != assignment.commitment
    }

    /// Whether it has found what the provider's mask held beside the result. Who ran the job found that only where the provider lies.
    public func agreesWithDecoy(of assignment: Assignment) -> Bool {
        commitment != nil && commitment == assignment.decoy
    }

    /// How it stands to the provider's result, in a word or two.
    public func stand(to assignment: Assignment?) -> String {
        guard let assignment, let commitment else {
            if isSilent { return "silent" }
            return masked == nil ? "drawn" : "masked"
        }
        if commitment == assignment.decoy { return "agreed with the decoy" }
        if commitment != assignment.commitment {
            return isSilent ? "found another result and has not shown it" : "found another result"
        }
        return "found the same"
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        auditor = try reader.read(Address.self)
        height = try reader.read(Height.self)
        price = try reader.read(Amount.self)
        share = try reader.read(Amount.self)
        isReleased = try reader.readBool()
        masked = try reader.readOptional(Digest.self)
        commitment = try reader.readOptional(ResultCommitment.self)
        isSilent = try reader.readBool()
        challengeBy = try reader.readUInt64()
        jackpot = try reader.read(Amount.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(auditor)
        writer.write(height)
        writer.write(price)
        writer.write(share)
        writer.write(bool: isReleased)
        writer.write(optional: masked)
        writer.write(optional: commitment)
        writer.write(bool: isSilent)
        writer.write(challengeBy)
        writer.write(jackpot)
    }
}

/// One change of a job's state.
public struct JobStep: Hashable, Sendable, CanonicalCodable {
    public let state: JobState
    public let height: Height
    public let time: Timestamp

    public init(state: JobState, height: Height, time: Timestamp) {
        self.state = state
        self.height = height
        self.time = time
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        let code = try reader.readUInt8()
        guard let state = JobState(rawValue: code) else { throw .invalid("no job state \(code)") }
        self.state = state
        height = try reader.read(Height.self)
        time = try reader.read(Timestamp.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(state.rawValue)
        writer.write(height)
        writer.write(time)
    }
}

/// A job with all that the chain knows of it.
public struct Job: Hashable, Sendable, CanonicalCodable {
    public static let maximumExcluded = 64
    /// History beyond this is not recorded; the state itself goes on.
    public static let maximumHistory = 64
    static let maximumAudits = 64

    /// The id of the transaction that posted it; of a gang's member what follows from that (`GangPlace.jobs`).
    public let id: Digest
    public let number: UInt64
    public let requester: Address
    public let spec: JobSpec
    public let gang: GangPlace?
    public let submittedHeight: Height
    /// When it was open for the first time, in chain clock: its deadline runs from here.
    public var openClock: UInt64 = 0
    /// The parents that have not settled yet.
    public var awaited: [Digest] = []
    /// Whether other jobs have waited for this one.
    public var isAwaited = false
    /// What it reads of its parents, once a provider has shown where it stands.
    public var found: JobRoots?
    public var state: JobState = .open
    public var stage: CommitStage = .none
    /// The number of the present or last attempt; the first is 1.
    public var attempt: UInt32 = 0
    /// Attempts lost while running or committed, but for those of newcomers.
    public var lost: UInt64 = 0
    public var excluded: [Address] = []
    public var assignment: Assignment?
    public var audits: [Audit] = []
    public var redraws: UInt64 = 0
    /// Disputes of the present attempt that are not decided.
    public var openDisputes: UInt64 = 0
    /// The last claim that a result of it, or what it reads, was handed to nobody.
    public var claim: DeliveryClaim?
    /// All of the requester's money that the job holds, the allowance in it.
    public var escrow: Amount
    /// The part of the escrow that pays for market moves.
    public var allowance: Amount
    /// When its timer is due, in chain clock.
    public var timer: UInt64?
    public var royaltyTo: Address?
    public var royaltyBasisPoints: UInt16 = 0
    public var history: [JobStep] = []
    /// Why it stands where it stands, where that needs words.
    public var reason: String = ""
    /// Who has found its numbers slow, while nobody else has.
    public var slowReport: SlowReport?
    /// What of the staging deposit went to providers.
    public var stagingPaid = Amount.zero

    /// What it reads, by root; nil while nobody has shown what its parents left.
    public var roots: JobRoots? { found ?? spec.roots }

    /// Whether an auditor's result is still masked.
    public var awaitsReveals: Bool { audits.contains { !$0.isSilent && $0.commitment == nil } }

    public init(
        id: Digest, number: UInt64, requester: Address, spec: JobSpec, gang: GangPlace? = nil, height: Height,
        escrow: Amount, allowance: Amount
    ) {
        self.id = id
        self.number = number
        self.requester = requester
        self.spec = spec
        self.gang = gang
        submittedHeight = height
        self.escrow = escrow
        self.allowance = allowance
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        id = try reader.read(Digest.self)
        number = try reader.readUInt64()
        requester = try reader.read(Address.self)
        spec = try reader.read(JobSpec.self)
        gang = try reader.readOptional(GangPlace.self)
        submittedHeight = try reader.read(Height.self)
        openClock = try reader.readUInt64()
        awaited = try reader.readList(Digest.self, max: JobSpec.maximumParents)
        isAwaited = try reader.readBool()
        found = try reader.readOptional(JobRoots.self)
        let stateCode = try reader.readUInt8()
        let stageCode = try reader.readUInt8()
        guard let state = JobState(rawValue: stateCode), let stage = CommitStage(rawValue: stageCode) else {
            throw .invalid("no job state \(stateCode)/\(stageCode)")
        }
        self.state = state
        self.stage = stage
        attempt = try reader.readUInt32()
        lost = try reader.readUInt64()
        excluded = try reader.readList(Address.self, max: Job.maximumExcluded)
        assignment = try reader.readOptional(Assignment.self)
        audits = try reader.readList(Audit.self, max: Job.maximumAudits)
        redraws = try reader.readUInt64()
        openDisputes = try reader.readUInt64()
        claim = try reader.readOptional(DeliveryClaim.self)
        escrow = try reader.read(Amount.self)
        allowance = try reader.read(Amount.self)
        timer = try reader.readOptional(UInt64.self)
        royaltyTo = try reader.readOptional(Address.self)
        royaltyBasisPoints = try reader.readUInt16()
        history = try reader.readList(JobStep.self, max: Job.maximumHistory)
        reason = try reader.readString(max: 256)
        slowReport = try reader.readOptional(SlowReport.self)
        stagingPaid = try reader.read(Amount.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(id)
        writer.write(number)
        writer.write(requester)
        writer.write(spec)
        writer.write(optional: gang)
        writer.write(submittedHeight)
        writer.write(openClock)
        writer.write(list: awaited)
        writer.write(bool: isAwaited)
        writer.write(optional: found)
        writer.write(state.rawValue)
        writer.write(stage.rawValue)
        writer.write(attempt)
        writer.write(lost)
        writer.write(list: excluded)
        writer.write(optional: assignment)
        writer.write(list: audits)
        writer.write(redraws)
        writer.write(openDisputes)
        writer.write(optional: claim)
        writer.write(escrow)
        writer.write(allowance)
        writer.write(optional: timer)
        writer.write(optional: royaltyTo)
        writer.write(royaltyBasisPoints)
        writer.write(list: history)
        writer.write(string: reason)
        writer.write(optional: slowReport)
        writer.write(stagingPaid)
    }
}

/// Proof of verified, paid work. Lies under `StateKey.receipt(job)`, provable by a `StateProof`.
public struct JobReceipt: Hashable, Sendable, CanonicalCodable {
    public let job: Digest
    public let requester: Address
    public let provider: Address
    public let attempt: UInt32
    public let commitment: ResultCommitment
    public let computeUnits: ComputeUnits
    /// What the requester paid for the run; audit fees apart.
    public let amount: Amount
    public let auditFees: Amount
    /// Those who ran it again and agree.
    public let auditors: [Address]
    public let submittedHeight: Height
    public let committedHeight: Height
    public let settledHeight: Height

    public init(
        job: Digest, requester: Address, provider: Address, attempt: UInt32, commitment: ResultCommitment,
        computeUnits: ComputeUnits, amount: Amount, auditFees: Amount, auditors: [Address], submittedHeight: Height,
        committedHeight: Height, settledHeight: Height
    ) {
        self.job = job
        self.requester = requester
        self.provider = provider
        self.attempt = attempt
        self.commitment = commitment
        self.computeUnits = computeUnits
        self.amount = amount
        self.auditFees = auditFees
        self.auditors = auditors
        self.submittedHeight = submittedHeight
        self.committedHeight = committedHeight
        self.settledHeight = settledHeight
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        job = try reader.read(Digest.self)
        requester = try reader.read(Address.self)
        provider = try reader.read(Address.self)
        attempt = try reader.readUInt32()
        commitment = try reader.read(ResultCommitment.self)
        computeUnits = try reader.read(ComputeUnits.self)
        amount = try reader.read(Amount.self)
        auditFees = try reader.read(Amount.self)
        auditors = try reader.readList(Address.self, max: Job.maximumAudits)
        submittedHeight = try reader.read(Height.self)
        committedHeight = try reader.read(Height.self)
        settledHeight = try reader.read(Height.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(job)
        writer.write(requester)
        writer.write(provider)
        writer.write(attempt)
        writer.write(commitment)
        writer.write(computeUnits)
        writer.write(amount)
        writer.write(auditFees)
        writer.write(list: auditors)
        writer.write(submittedHeight)
        writer.write(committedHeight)
        writer.write(settledHeight)
    }
}
