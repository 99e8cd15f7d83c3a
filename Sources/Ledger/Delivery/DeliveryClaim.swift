public import Primitives

/// What is said to be handed to nobody.
public enum ClaimSubject: UInt8, Sendable, Hashable, CaseIterable, CustomStringConvertible {
    /// A result's output and state, by the provider: claimed by the requester.
    case output = 0
    /// What the job reads, by the requester: reported by the provider that has the job.
    case inputs = 1
    /// What a segment leaves for the one that goes on from it. Nobody says that it cannot be had: the chain asks others to hold it.
    case checkpoint = 2

    public var description: String {
        switch self {
        case .output: "output"
        case .inputs: "inputs"
        case .checkpoint: "checkpoint"
        }
    }
}

/// How a claim stands.
public enum ClaimState: UInt8, Sendable, Hashable, CaseIterable, CustomStringConvertible {
    /// Its witnesses are to be drawn, or to be heard.
    case open = 0
    /// As many witnesses as it takes hold the bytes: whoever wants them has them from these.
    case delivered = 1
    /// The provider has shown the bytes to the chain.
    case posted = 2
    /// The witnesses could not have them: the result does not settle, the job of these inputs is over.
    case undelivered = 3
    /// Nobody could be asked, or nobody has answered.
    case lapsed = 4
    /// The attempt was decided by other means.
    case moot = 5

    public var description: String {
        switch self {
        case .open: "open"
        case .delivered: "delivered"
        case .posted: "posted"
        case .undelivered: "undelivered"
        case .lapsed: "lapsed"
        case .moot: "moot"
        }
    }
}

/// One provider that was drawn to say whether bytes can be had.
public struct DeliveryWitness: Hashable, Sendable, CanonicalCodable {
    public let provider: Address
    /// Whether it holds all that the claim is about, and finds it as the job says; nil while it has said nothing.
    public var holds: Bool?

    public init(provider: Address) { self.provider = provider }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        provider = try reader.read(Address.self)
        switch try reader.readUInt8() {
        case 0: holds = nil
        case 1: holds = false
        case 2: holds = true
        case let other: throw .invalid("no word of a witness is \(other)")
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(provider)
        writer.write(holds.map { $0 ? UInt8(2) : UInt8(1) } ?? 0)
    }
}

/// A claim that bytes are handed to nobody. At most one of each subject and attempt.
public struct DeliveryClaim: Hashable, Sendable, CanonicalCodable {
    public static let maximumWitnesses = 15

    public let subject: ClaimSubject
    public let claimant: Address
    public let attempt: UInt32
    /// Of an output: locked from the claimant's balance while the claim is open. Of inputs: the part of the job's escrow that is decided about. Of a
    /// checkpoint: nothing.
    public let deposit: Amount
    /// What a witness gets that was right, and loses that says nothing.
    public let fee: Amount
    /// The block whose beacon draws the witnesses.
    public let drawHeight: Height
    /// By when they must have spoken, in chain clock; 0 before the draw.
    public var deadline: UInt64 = 0
    public var witnesses: [DeliveryWitness] = []
    public var state: ClaimState = .open

    init(
        subject: ClaimSubject = .output, claimant: Address, attempt: UInt32, deposit: Amount, fee: Amount,
        drawHeight: Height
    ) {
        self.subject = subject
        self.claimant = claimant
        self.attempt = attempt
        self.deposit = deposit
        self.fee = fee
        self.drawHeight = drawHeight
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        let about = try reader.readUInt8()
        guard let subject = ClaimSubject(rawValue: about) else { throw .invalid("no subject of a claim is \(about)") }
        self.subject = subject
        claimant = try reader.read(Address.self)
        attempt = try reader.readUInt32()
        deposit = try reader.read(Amount.self)
        fee = try reader.read(Amount.self)
        drawHeight = try reader.read(Height.self)
        deadline = try reader.readUInt64()
        witnesses = try reader.readList(DeliveryWitness.self, max: DeliveryClaim.maximumWitnesses)
        let code = try reader.readUInt8()
        guard let state = ClaimState(rawValue: code) else { throw .invalid("no claim state \(code)") }
        self.state = state
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(subject.rawValue)
        writer.write(claimant)
        writer.write(attempt)
        writer.write(deposit)
        writer.write(fee)
        writer.write(drawHeight)
        writer.write(deadline)
        writer.write(list: witnesses)
        writer.write(state.rawValue)
    }

    /// Whether this provider was drawn and has said nothing yet.
    public func awaits(_ provider: Address) -> Bool {
        state == .open && witnesses.contains { $0.provider == provider && $0.holds == nil }
    }

    /// What the words come to. Half of those that were drawn end it; at the deadline those that have spoken decide, and a tie is theirs who should have handed
    /// it out.
    func verdict(atDeadline: Bool) -> ClaimState? {
        let (held, lacked) = (witnesses.count { $0.holds == true }, witnesses.count { $0.holds == false })
        if held > 0, 2 * held >= witnesses.count { return .delivered }
        if !atDeadline { return nil }
        if held + lacked == 0 { return .lapsed }
        return held >= lacked ? .delivered : .undelivered
    }
}

extension Job {
    /// Whether a claim about its present attempt is not decided.
    public var isClaimed: Bool { claim?.state == .open }
}

/// What a claim about an attempt costs.
public struct ClaimTerms: Hashable, Sendable {
    /// The least that the claimant deposits.
    public let deposit: Amount
    /// Of each witness.
    public let fee: Amount
    /// What a provider loses that has not delivered, where its share of the job's bond is as much.
    public let penalty: Amount

    public init(_ assignment: Assignment, _ parameters: ChainParameters) throws(AmountFault) {
        deposit = max(
            parameters.minimumChallengeBond, try assignment.price.scaled(parameters.claimBondPerMille, over: 1000))
        fee = try deposit.scaled(parameters.witnessFeePerMille, over: 1000)
        penalty = min(assignment.share, try deposit.multiplied(by: 2))
    }

    /// How long a result may take to reach its witnesses. It has at most as many bytes as the job says to need of memory, which a provider sees to before it
    /// starts.
    static func milliseconds(_ spec: JobSpec, _ parameters: ChainParameters) -> UInt64 {
        let carrying = UInt128(spec.memory) * 1000 / UInt128(parameters.deliveryRate)
        return UInt64(min(UInt128(parameters.deliveryBase) + carrying, UInt128(JobSpec.maximumMilliseconds)))
    }
}
