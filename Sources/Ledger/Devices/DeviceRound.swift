public import Primitives

/// A block at which devices were challenged, all at once, so that no machine answers for several.
///
/// It is one small object, however many devices there are: whoever is in it follows from the offers as they were at its block. Each offer is looked at when its
/// owner answers or changes it, and else when the time for answers is over (`Offer.enrolled`).
public struct DeviceRound: Hashable, Sendable, CanonicalCodable {
    static let maximumKeyBytes = 64

    /// From 1.
    public let number: UInt64
    /// Whether it is of all devices, or of those alone that nobody has measured.
    public let isFull: Bool
    public let height: Height
    public let beacon: Digest
    public let clock: UInt64
    /// How far it was looked for those that have not answered.
    var cursor: [UInt8] = []
    public internal(set) var isOver = false

    init(number: UInt64, isFull: Bool, height: Height, beacon: Digest, clock: UInt64) {
        self.number = number
        self.isFull = isFull
        self.height = height
        self.beacon = beacon
        self.clock = clock
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        number = try reader.readUInt64()
        isFull = try reader.readBool()
        height = try reader.read(Height.self)
        beacon = try reader.read(Digest.self)
        clock = try reader.readUInt64()
        cursor = try reader.readBytes(max: DeviceRound.maximumKeyBytes)
        isOver = try reader.readBool()
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(number)
        writer.write(bool: isFull)
        writer.write(height)
        writer.write(beacon)
        writer.write(clock)
        writer.write(bytes: cursor)
        writer.write(bool: isOver)
    }

    /// The last moment for answers, in chain clock.
    func deadline(_ parameters: ChainParameters) -> UInt64 {
        clock.addingReportingOverflow(DeviceTerms.patience(parameters)).partialValue
    }
}

/// Times of device challenges.
enum DeviceTerms {
    /// How long an answer counts at all, and afterwards what is drawn of it may take to be shown: the chain is run for both.
    static func patience(_ parameters: ChainParameters) -> UInt64 {
        // Both are windows, at most 30 days.
        parameters.deviceChallengeAllowance + parameters.deviceChallengePatience
    }
}

extension Offer {
    /// The offer as the last round has found it. Whoever changes an offer in any way begins with this: what an owner does after a round has begun is no way out
    /// of it.
    func enrolled(in round: DeviceRound?, isWithdrawn: Bool) -> Offer {
        guard let round, !round.isOver, device.round < round.number else { return self }
        var offer = self
        offer.device.round = round.number
        if isPaused || isWithdrawn || activeFrom > round.height || terms.expiry < round.height { return offer }
        // It is being measured, or has been and is not asked again.
        if device.challenge != nil || device.measure != nil && !round.isFull { return offer }
        offer.device.challenge = DeviceChallenge(round, terms)
        return offer
    }

    /// Weighted operations a second that the market reckons with: what it has shown, and no more than it says.
    public var rate: UInt64 { min(terms.measuredRate, device.measure?.rate ?? .max) }

    /// Bytes of memory that the market reckons with.
    public var memory: UInt64 { min(terms.memory, device.measure?.memory ?? .max) }

    /// Whether it has shown at least two thirds of the rate that it says.
    public var isAsFastAsItSays: Bool {
        guard let measure = device.measure else { return false }
        // What it has shown was rounded down.
        return (UInt128(measure.rate) + 1) * 3 > UInt128(terms.measuredRate) * 2
    }

    /// Whether its last challenge ended badly, and no other has ended well since.
    var hasFailed: Bool { device.failure != nil && device.measure == nil }
}
