public import Primitives
public import Programs

/// What a device has shown of itself.
public struct DeviceMeasure: Hashable, Sendable, CanonicalCodable {
    /// Weighted operations a second, at most what was claimed.
    public let rate: UInt64
    /// The bytes that were claimed when it was challenged.
    public let memory: UInt64
    /// Chain clock of the answer.
    public let clock: UInt64

    init(rate: UInt64, memory: UInt64, clock: UInt64) {
        self.rate = rate
        self.memory = memory
        self.clock = clock
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        rate = try reader.readUInt64()
        memory = try reader.readUInt64()
        clock = try reader.readUInt64()
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(rate)
        writer.write(memory)
        writer.write(clock)
    }
}

/// What a device has answered.
public struct DeviceAnswer: Hashable, Sendable, CanonicalCodable {
    /// Over the states of all steps (`DeviceChain.root`).
    public let root: Digest
    /// How long it took of the chain's clock.
    public let milliseconds: UInt64
    /// Whether its provider had a job on the device, which the machine was shared with.
    public let isBusy: Bool
    /// The block whose beacon draws what is to be shown.
    public let drawHeight: Height
    /// That beacon, once it is there.
    public var beacon: Digest?
    /// By when it must be shown, in chain clock; 0 before the draw.
    public var deadline: UInt64 = 0

    init(root: Digest, milliseconds: UInt64, isBusy: Bool, drawHeight: Height) {
        self.root = root
        self.milliseconds = milliseconds
        self.isBusy = isBusy
        self.drawHeight = drawHeight
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        root = try reader.read(Digest.self)
        milliseconds = try reader.readUInt64()
        isBusy = try reader.readBool()
        drawHeight = try reader.read(Height.self)
        beacon = try reader.readOptional(Digest.self)
        deadline = try reader.readUInt64()
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(root)
        writer.write(milliseconds)
        writer.write(bool: isBusy)
        writer.write(drawHeight)
        writer.write(optional: beacon)
        writer.write(deadline)
    }
}

/// A challenge that a device is in, with its owner's claims as they were when it began.
public struct DeviceChallenge: Hashable, Sendable, CanonicalCodable {
    public let round: UInt64
    /// Of the block that began the round.
    public let beacon: Digest
    public let clock: UInt64
    public let rate: UInt64
    public let memory: UInt64
    public var answer: DeviceAnswer?

    init(_ round: DeviceRound, _ terms: OfferTerms) {
        self.round = round.number
        beacon = round.beacon
        clock = round.clock
        rate = terms.measuredRate
        memory = terms.memory
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        round = try reader.readUInt64()
        beacon = try reader.read(Digest.self)
        clock = try reader.readUInt64()
        rate = try reader.readUInt64()
        memory = try reader.readUInt64()
        answer = try reader.readOptional(DeviceAnswer.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(round)
        writer.write(beacon)
        writer.write(clock)
        writer.write(rate)
        writer.write(memory)
        writer.write(optional: answer)
    }

    /// What is to be computed: as long as its owner says that the challenge's time is.
    public func chain(of provider: Address, device: UInt16, _ parameters: ChainParameters) -> DeviceChain {
        var writer = ByteWriter(capacity: 80)
        writer.write(beacon)
        writer.write(provider)
        writer.write(device)
        return DeviceChain(
            seed: Digest.of(.device, writer.bytes), rate: rate, memory: min(memory, parameters.deviceChallengeMemory),
            milliseconds: parameters.deviceChallengeTime)
    }

    /// The last moment for an answer, in chain clock.
    func deadline(_ parameters: ChainParameters) -> UInt64 {
        clock.addingReportingOverflow(DeviceTerms.patience(parameters)).partialValue
    }

    /// Which numbers are to be shown; none before they are drawn.
    public func numbers(of chain: DeviceChain, _ parameters: ChainParameters) -> [UInt64] {
        guard let beacon = answer?.beacon else { return [] }
        return (0..<parameters.deviceChallengeSamples).map {
            // Below 2⁴⁴.
            UInt64(truncatingIfNeeded: Matching.draw(beacon, chain.seed, $0, below: UInt128(chain.numbers)))
        }
    }

    /// What an answer that took so long shows: the rate that was claimed where it came in time, a part of it where it came later.
    func rate(of chain: DeviceChain, _ answer: DeviceAnswer, _ parameters: ChainParameters) -> UInt64 {
        let allowance = parameters.deviceChallengeAllowance
        var spent = answer.milliseconds > allowance ? answer.milliseconds - allowance : 0
        if answer.isBusy { spent /= 2 }
        return chain.rate(claimed: rate, milliseconds: parameters.deviceChallengeTime, spent: spent)
    }
}

/// What the chain knows of a device beside its owner's terms.
public struct DeviceRecord: Hashable, Sendable, CanonicalCodable {
    /// How its last challenge ended, where that was not by showing what it can.
    public enum Failure: UInt8, Sendable, Hashable, CaseIterable {
        /// No answer came.
        case silent = 0
        /// What it answered was not shown to be right.
        case unproven = 1
    }

    /// The last round that has looked at it.
    public var round: UInt64 = 0
    /// Nil where it was never measured, or has failed since.
    public var measure: DeviceMeasure?
    public var failure: Failure?
    public var challenge: DeviceChallenge?

    init() {}

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        round = try reader.readUInt64()
        measure = try reader.readOptional(DeviceMeasure.self)
        switch try reader.readUInt8() {
        case 0: failure = nil
        case let code:
            guard let found = Failure(rawValue: code - 1) else { throw .invalid("no failure of a device is \(code)") }
            failure = found
        }
        challenge = try reader.readOptional(DeviceChallenge.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(round)
        writer.write(optional: measure)
        writer.write(failure.map { $0.rawValue + 1 } ?? 0)
        writer.write(optional: challenge)
    }
}
